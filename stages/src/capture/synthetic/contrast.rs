//! How strong a defect came out: its contrast-to-noise ratio, measured on the finished pixels.

use super::stamp::{IN_MASK, Stamp};

/// Pixels between a mask and the ring that noise is measured in, so that soft flanks stay out of it.
const GAP: u8 = 3;

/// Outer distance of the ring, pixels.
const RING: u8 = 12;

/// Deviation below which a ring counts as this: rounding to grey levels alone gives 0.29.
const MIN_DEVIATION: f32 = 0.5;

/// What "difference" means for a class of defects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Brightness: `0.299 r + 0.587 g + 0.114 b`.
    Luma,
    /// The channel that shows most: hues change without brightness.
    StrongestChannel,
}

impl Scale {
    /// Picks from red, green, blue and luma.
    fn pick(self, values: [f32; 4]) -> f32 {
        match self {
            Scale::Luma => values[3],
            Scale::StrongestChannel => values[0].max(values[1]).max(values[2]),
        }
    }
}

/// The clean part around one defect, kept to compare with. Buffers are reused.
#[derive(Default, Clone)]
pub(super) struct Gauge {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    clean: Vec<u8>,
    distance: Vec<u8>,
    /// Standard deviation in the ring: red, green, blue, luma.
    deviation: [f32; 4],
}

impl Gauge {
    /// Makes room for regions of that many pixels.
    pub(super) fn reserve(&mut self, pixels: usize) {
        self.clean.reserve((3 * pixels).saturating_sub(self.clean.len()));
        self.distance.reserve(pixels.saturating_sub(self.distance.len()));
    }

    #[cfg(test)]
    pub(super) fn capacities(&self) -> [usize; 2] {
        [self.clean.capacity(), self.distance.capacity()]
    }

    /// Keeps the clean pixels around a stamp and measures their deviation in a ring around its mask. `counts` tells which
    /// pixels may be in the ring: those of the part, clear of other defects.
    pub(super) fn take(&mut self, stamp: &Stamp, rgb: &[u8], frame: [usize; 2], counts: impl Fn(usize, usize) -> bool) {
        let margin = usize::from(RING) + 1;
        self.left = stamp.left.saturating_sub(margin);
        self.top = stamp.top.saturating_sub(margin);
        self.width = (stamp.left + stamp.width + margin).min(frame[0]) - self.left;
        self.height = (stamp.top + stamp.height + margin).min(frame[1]) - self.top;
        self.clean.clear();
        for y in self.top..self.top + self.height {
            let start = 3 * (y * frame[0] + self.left);
            self.clean.extend_from_slice(&rgb[start..start + 3 * self.width]);
        }
        self.measure_distances(stamp);
        self.measure_deviation(counts);
    }

    /// Chessboard distance to the mask, in two passes over the region.
    fn measure_distances(&mut self, stamp: &Stamp) {
        let (w, h) = (self.width, self.height);
        self.distance.clear();
        self.distance.resize(w * h, u8::MAX);
        let (dx, dy) = (stamp.left - self.left, stamp.top - self.top);
        for (at, cover) in stamp.cover.iter().enumerate() {
            if *cover >= IN_MASK {
                self.distance[(at / stamp.width + dy) * w + at % stamp.width + dx] = 0;
            }
        }
        for y in 0..h {
            for x in 0..w {
                let at = y * w + x;
                let mut best = self.distance[at];
                let mut see = |from: u8| best = best.min(from.saturating_add(1));
                if x > 0 {
                    see(self.distance[at - 1]);
                }
                if y > 0 {
                    see(self.distance[at - w]);
                    see(self.distance[at - w + usize::from(x + 1 < w)]);
                    see(self.distance[at - w - usize::from(x > 0)]);
                }
                self.distance[at] = best;
            }
        }
        for y in (0..h).rev() {
            for x in (0..w).rev() {
                let at = y * w + x;
                let mut best = self.distance[at];
                let mut see = |from: u8| best = best.min(from.saturating_add(1));
                if x + 1 < w {
                    see(self.distance[at + 1]);
                }
                if y + 1 < h {
                    see(self.distance[at + w]);
                    see(self.distance[at + w + usize::from(x + 1 < w)]);
                    see(self.distance[at + w - usize::from(x > 0)]);
                }
                self.distance[at] = best;
            }
        }
    }

    fn measure_deviation(&mut self, counts: impl Fn(usize, usize) -> bool) {
        let (mut n, mut sums, mut squares) = (0.0_f64, [0.0_f64; 4], [0.0_f64; 4]);
        for (at, distance) in self.distance.iter().enumerate() {
            let (x, y) = (at % self.width + self.left, at / self.width + self.top);
            if (GAP + 1..=RING).contains(distance) && counts(x, y) {
                n += 1.0;
                for (k, value) in with_luma(&self.clean[3 * at..3 * at + 3]).into_iter().enumerate() {
                    sums[k] += f64::from(value);
                    squares[k] += f64::from(value * value);
                }
            }
        }
        let n = n.max(1.0);
        self.deviation = std::array::from_fn(|k| {
            let mean = sums[k] / n;
            ((squares[k] / n - mean * mean).max(0.0).sqrt() as f32).max(MIN_DEVIATION)
        });
    }

    /// The ratio that a stamp reaches per unit of strength, before clipping; 0 for an empty mask.
    pub(super) fn expected(&self, stamp: &Stamp, scale: Scale) -> f32 {
        let (mut n, mut sums) = (0.0_f32, [0.0_f32; 4]);
        for (delta, _) in stamp.delta.iter().zip(&stamp.cover).filter(|(_, cover)| **cover >= IN_MASK) {
            n += 1.0;
            for (sum, value) in sums.iter_mut().zip([delta[0], delta[1], delta[2], luma(*delta)]) {
                *sum += value.abs();
            }
        }
        scale.pick(std::array::from_fn(|k| sums[k] / n.max(1.0) / self.deviation[k]))
    }

    /// The ratio as it stands in the finished frame.
    pub(super) fn measured(&self, stamp: &Stamp, rgb: &[u8], frame: [usize; 2], scale: Scale) -> f32 {
        let (mut n, mut sums) = (0.0_f32, [0.0_f32; 4]);
        for (at, _) in stamp.cover.iter().enumerate().filter(|(_, cover)| **cover >= IN_MASK) {
            let (x, y) = (at % stamp.width + stamp.left, at / stamp.width + stamp.top);
            let there = 3 * (y * frame[0] + x);
            let here = 3 * ((y - self.top) * self.width + x - self.left);
            let (now, clean) = (with_luma(&rgb[there..there + 3]), with_luma(&self.clean[here..here + 3]));
            n += 1.0;
            for k in 0..4 {
                sums[k] += (now[k] - clean[k]).abs();
            }
        }
        scale.pick(std::array::from_fn(|k| sums[k] / n.max(1.0) / self.deviation[k]))
    }
}

fn luma([r, g, b]: [f32; 3]) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

fn with_luma(pixel: &[u8]) -> [f32; 4] {
    let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
    [r, g, b, luma([r, g, b])]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chequered frame of 100 and 110 (deviation 5) with a square that is 20 brighter: CNR 4 by hand.
    #[test]
    fn the_ratio_of_a_square_on_a_chequerboard_is_what_arithmetic_says() {
        let frame = [64, 64];
        let grey = |at: usize| if (at % 64 + at / 64).is_multiple_of(2) { 100 } else { 110 };
        let clean: Vec<u8> = (0..64 * 64).flat_map(|at| [grey(at); 3]).collect();
        let mut stamp = Stamp::default();
        stamp.open([24.0, 24.0, 40.0, 40.0], frame);
        stamp.paint([28.0, 28.0, 36.0, 36.0], |_, _| Some((1.0, [1.0; 3])));
        assert_eq!(stamp.area(), 64);
        let mut gauge = Gauge::default();
        gauge.take(&stamp, &clean, frame, |_, _| true);
        assert!((gauge.expected(&stamp, Scale::Luma) - 0.2).abs() < 1e-3);
        let mut marked = clean.clone();
        for y in 28..36 {
            for x in 28..36 {
                for c in 0..3 {
                    marked[3 * (y * 64 + x) + c] += 20;
                }
            }
        }
        for scale in [Scale::Luma, Scale::StrongestChannel] {
            let cnr = gauge.measured(&stamp, &marked, frame, scale);
            assert!((cnr - 4.0).abs() < 1e-2, "{scale:?}: {cnr}");
        }
    }

    #[test]
    fn pixels_that_do_not_count_stay_out_of_the_ring() {
        let frame = [64, 64];
        let rgb: Vec<u8> = (0..64 * 64).flat_map(|at| [if at % 64 < 32 { 100 } else { 200 }; 3]).collect();
        let mut stamp = Stamp::default();
        stamp.open([26.0, 26.0, 38.0, 38.0], frame);
        stamp.paint([28.0, 28.0, 36.0, 36.0], |_, _| Some((1.0, [1.0; 3])));
        let mut gauge = Gauge::default();
        gauge.take(&stamp, &rgb, frame, |x, _| x < 32);
        assert_eq!(gauge.deviation[3], MIN_DEVIATION, "one side alone is flat");
        gauge.take(&stamp, &rgb, frame, |_, _| true);
        assert!(gauge.deviation[3] > 45.0, "both sides differ by 100");
    }
}
