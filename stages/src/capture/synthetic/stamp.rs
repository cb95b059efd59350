//! A defect before it is laid on a part: what it adds to each pixel of a box, at strength 1.

/// Cover from which a pixel counts as the defect's own. Shadows and rims are drawn with less.
pub(super) const IN_MASK: f32 = 0.35;

/// Cover of what goes with a defect without being it: shadows, rims, raised lips.
pub(super) const BESIDE: f32 = 0.3;

/// A drawing in a box of the frame. Where shapes meet, the one that covers more wins.
#[derive(Default, Clone)]
pub(super) struct Stamp {
    /// Left, top, width, height of the box.
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Added to red, green and blue at strength 1.
    pub(super) delta: Vec<[f32; 3]>,
    /// 0 to 1.
    pub(super) cover: Vec<f32>,
}

impl Stamp {
    /// Makes room for boxes of that many pixels, so that a large defect after many small ones allocates nothing.
    pub(super) fn reserve(&mut self, pixels: usize) {
        self.delta.reserve(pixels.saturating_sub(self.delta.len()));
        self.cover.reserve(pixels.saturating_sub(self.cover.len()));
    }

    /// Opens an empty box: `bounds` is left, top, right, bottom, cut to the frame. Buffers are reused.
    pub(super) fn open(&mut self, bounds: [f32; 4], frame: [usize; 2]) {
        let cut = |value: f32, limit: usize| (value.max(0.0) as usize).min(limit);
        self.left = cut(bounds[0], frame[0]);
        self.top = cut(bounds[1], frame[1]);
        self.width = cut(bounds[2].ceil(), frame[0]).saturating_sub(self.left);
        self.height = cut(bounds[3].ceil(), frame[1]).saturating_sub(self.top);
        self.delta.clear();
        self.delta.resize(self.width * self.height, [0.0; 3]);
        self.cover.clear();
        self.cover.resize(self.width * self.height, 0.0);
    }

    /// Opens a box around a centre.
    pub(super) fn open_around(&mut self, centre: [f32; 2], reach: f32, frame: [usize; 2]) {
        self.open([centre[0] - reach, centre[1] - reach, centre[0] + reach, centre[1] + reach], frame);
    }

    /// Paints all pixels of a part of the box. `paint` gets a pixel's position and returns cover and colour.
    pub(super) fn paint(&mut self, bounds: [f32; 4], paint: impl Fn(f32, f32) -> Option<(f32, [f32; 3])>) {
        let from = |value: f32, origin: usize| (value - origin as f32).floor().max(0.0) as usize;
        let to =
            |value: f32, origin: usize, limit: usize| ((value - origin as f32).ceil().max(0.0) as usize).min(limit);
        for y in from(bounds[1], self.top)..to(bounds[3], self.top, self.height) {
            for x in from(bounds[0], self.left)..to(bounds[2], self.left, self.width) {
                let at = y * self.width + x;
                let pixel = paint((x + self.left) as f32, (y + self.top) as f32);
                if let Some((cover, delta)) = pixel.filter(|(cover, _)| *cover > self.cover[at]) {
                    self.cover[at] = cover;
                    self.delta[at] = delta;
                }
            }
        }
    }

    /// A line with round ends whose thickness changes from `radii[0]` to `radii[1]`, anti-aliased.
    pub(super) fn line(&mut self, [p, q]: [[f32; 2]; 2], radii: [f32; 2], max_cover: f32, colour: [f32; 3]) {
        let reach = radii[0].max(radii[1]) + 1.0;
        let bounds = [p[0].min(q[0]) - reach, p[1].min(q[1]) - reach, p[0].max(q[0]) + reach, p[1].max(q[1]) + reach];
        let along = [q[0] - p[0], q[1] - p[1]];
        let length_squared = (along[0] * along[0] + along[1] * along[1]).max(1e-6);
        self.paint(bounds, |x, y| {
            let (dx, dy) = (x - p[0], y - p[1]);
            let t = ((dx * along[0] + dy * along[1]) / length_squared).clamp(0.0, 1.0);
            let distance = (dx - t * along[0]).hypot(dy - t * along[1]);
            let cover = (radii[0] + t * (radii[1] - radii[0]) + 0.5 - distance).clamp(0.0, 1.0);
            (cover > 0.0).then(|| (cover * max_cover, scaled(colour, cover)))
        });
    }

    /// Takes away what lies where `keep` is false.
    pub(super) fn retain(&mut self, keep: impl Fn(f32, f32) -> bool) {
        for at in 0..self.cover.len() {
            let (x, y) = (at % self.width + self.left, at / self.width + self.top);
            if self.cover[at] > 0.0 && !keep(x as f32, y as f32) {
                self.cover[at] = 0.0;
                self.delta[at] = [0.0; 3];
            }
        }
    }

    /// Number of pixels in the mask.
    pub(super) fn area(&self) -> usize {
        self.cover.iter().filter(|cover| **cover >= IN_MASK).count()
    }
}

/// A colour times a factor.
pub(super) fn scaled(colour: [f32; 3], factor: f32) -> [f32; 3] {
    colour.map(|c| c * factor)
}

/// 0 below `from`, 1 above `to`, smooth between; `from` may be the larger.
pub(super) fn smoothstep(from: f32, to: f32, value: f32) -> f32 {
    let t = ((value - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
