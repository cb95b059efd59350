//! Plots as SVG inside the page. Colours come from the page's style, so that they follow light, dark and print.

use maud::{Markup, html};

use super::super::Detail;
use super::super::calibration::Bin;
use super::super::curve::Curve;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 46.0;

/// How values lie along an axis.
#[derive(Clone, Copy)]
enum Scale {
    /// Evenly, from 0 to 1.
    Share,
    /// By decades down to a floor, where everything smaller lies: zero has a place too.
    Decades { floor: f64 },
    /// By the odds, `ln(p / (1 - p))`, to this many decades on either side.
    Odds { decades: f64 },
}

impl Scale {
    /// Place along the axis, 0 to 1.
    fn place(self, value: f64) -> f64 {
        let place = match self {
            Scale::Share => value,
            Scale::Decades { floor } => 1.0 - value.max(floor).log10() / floor.log10(),
            Scale::Odds { decades } => {
                let odds = (value.max(1e-12) / (1.0 - value).max(1e-12)).log10();
                0.5 + odds / (2.0 * decades)
            }
        };
        place.clamp(0.0, 1.0)
    }

    /// Values that get a line and words.
    fn ticks(self) -> Vec<(f64, String)> {
        match self {
            Scale::Share => [0.0, 0.25, 0.5, 0.75, 1.0].map(|v| (v, percent(v))).into(),
            Scale::Decades { floor } => {
                let decades = (0..=6).map(|d| 10_f64.powi(-d)).filter(|value| *value > 1.8 * floor);
                let mut ticks: Vec<_> = decades.map(|value| (value, percent(value))).collect();
                ticks.push((0.0, "none".into()));
                ticks
            }
            Scale::Odds { decades } => {
                let small = [1e-3_f64, 1e-2, 0.1].into_iter().filter(|p| -p.log10() <= decades);
                let small: Vec<f64> = small.collect();
                let large = small.iter().rev().map(|p| 1.0 - p).collect::<Vec<_>>();
                small.into_iter().chain([0.5]).chain(large).map(|p| (p, percent(p))).collect()
            }
        }
    }
}

/// A share in percent with as many digits as it needs.
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let digits = match percent.abs().min((100.0 - percent).abs()) {
        x if x < 1e-9 => 0,
        x if x < 0.0995 => 2,
        x if x < 0.995 || percent.fract().abs() > 1e-9 => 1,
        _ => 0,
    };
    format!("{percent:.digits$} %")
}

struct Frame {
    x: (Scale, &'static str),
    y: (Scale, &'static str),
}

impl Frame {
    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.0.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.0.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn line(&self, points: impl IntoIterator<Item = (f64, f64)>) -> String {
        let points = points.into_iter().map(|(x, y)| format!("{:.1},{:.1}", self.x(x), self.y(y)));
        points.collect::<Vec<_>>().join(" ")
    }

    /// The frame with its axes around `inside`. `says` tells the plot to who cannot see it.
    fn draw(&self, says: &str, inside: &Markup) -> Markup {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(says) {
                g class="grid" {
                    @for (value, words) in self.x.0.ticks() {
                        @let at = self.x(value);
                        line x1=(at) x2=(at) y1=(TOP) y2=(bottom) {}
                        text x=(at) y=(bottom + 16.0) text-anchor="middle" { (words) }
                    }
                    @for (value, words) in self.y.0.ticks() {
                        @let at = self.y(value);
                        line x1=(LEFT) x2=(right) y1=(at) y2=(at) {}
                        text x=(LEFT - 7.0) y=(at + 4.0) text-anchor="end" { (words) }
                    }
                }
                text class="axis" x=(f64::midpoint(LEFT, right)) y=(HEIGHT - 8.0) text-anchor="middle" { (self.x.1) }
                text class="axis" transform=(format!("translate(13 {}) rotate(-90)", f64::midpoint(TOP, bottom)))
                    text-anchor="middle" { (self.y.1) }
                (inside)
            }
        }
    }
}

/// A place on the plots that is in force.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    /// Share of the good parts held back.
    pub(super) held_good: f64,
    /// Share of the bad parts that pass.
    pub(super) escapes: f64,
}

/// Escapes against overkill over all thresholds, by decades. `aim`: the largest share of escapes that was asked for.
pub(super) fn trade_off(curve: &Curve, mark: Option<Mark>, aim: Option<f64>) -> Markup {
    let floor = |n: usize| 0.5 / n as f64;
    let frame = Frame {
        x: (Scale::Decades { floor: floor(curve.good) }, "good parts held back"),
        y: (Scale::Decades { floor: floor(curve.bad) }, "bad parts that pass"),
    };
    let steps = curve.thinned(600);
    let rates =
        steps.iter().map(|s| (s.good_held as f64 / curve.good as f64, curve.escapes(s) as f64 / curve.bad as f64));
    let start = std::iter::once((0.0, 1.0));
    let inside = html! {
        @if let Some(aim) = aim {
            line class="aim" x1=(LEFT) x2=(WIDTH - RIGHT) y1=(frame.y(aim)) y2=(frame.y(aim)) {}
            text class="note" x=(WIDTH - RIGHT - 4.0) y=(frame.y(aim) - 5.0) text-anchor="end" { "asked for: " (percent(aim)) }
        }
        polyline class="curve" points=(frame.line(stairs(start.chain(rates)))) {}
        @if let Some(Mark { held_good, escapes }) = mark {
            circle class="mark" cx=(frame.x(held_good)) cy=(frame.y(escapes)) r="5" {}
        }
    };
    frame.draw("Share of bad parts that pass against share of good parts held back, over all thresholds", &inside)
}

/// Corners between points, so that a line joins them as a count does: along x first.
fn stairs(points: impl IntoIterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = Vec::new();
    for (x, y) in points {
        if let Some(&(_, before)) = corners.last() {
            corners.push((x, before));
        }
        corners.push((x, y));
    }
    corners
}

/// The ROC curve.
pub(super) fn roc(curve: &Curve, mark: Option<Mark>) -> Markup {
    let frame = Frame { x: (Scale::Share, "good parts held back"), y: (Scale::Share, "bad parts held back (recall)") };
    let steps = curve.thinned(600);
    let rates = steps.iter().map(|s| (s.good_held as f64 / curve.good as f64, s.bad_held as f64 / curve.bad as f64));
    let inside = html! {
        polyline class="chance" points=(frame.line([(0.0, 0.0), (1.0, 1.0)])) {}
        polyline class="curve" points=(frame.line(std::iter::once((0.0, 0.0)).chain(rates))) {}
        @if let Some(Mark { held_good, escapes }) = mark {
            circle class="mark" cx=(frame.x(held_good)) cy=(frame.y(1.0 - escapes)) r="5" {}
        }
    };
    frame.draw("ROC curve: recall of bad parts against share of good parts held back", &inside)
}

/// Precision against recall.
pub(super) fn precision_recall(curve: &Curve) -> Markup {
    let frame = Frame {
        x: (Scale::Share, "bad parts held back (recall)"),
        y: (Scale::Share, "of those held back, bad (precision)"),
    };
    let steps = curve.thinned(600);
    let points = steps
        .iter()
        .map(|s| (s.bad_held as f64 / curve.bad as f64, s.bad_held as f64 / (s.bad_held + s.good_held).max(1) as f64));
    let chance = curve.bad as f64 / (curve.bad + curve.good) as f64;
    let inside = html! {
        polyline class="chance" points=(frame.line([(0.0, chance), (1.0, chance)])) {}
        polyline class="curve" points=(frame.line(points)) {}
    };
    frame.draw("Precision against recall of bad parts", &inside)
}

/// Mean score against share of right answers, bin by bin; the width of a bar is the bin, its ink the number of images.
pub(super) fn reliability(bins: &[Bin]) -> Markup {
    let frame = Frame { x: (Scale::Share, "highest score"), y: (Scale::Share, "right answers") };
    let most = bins.iter().map(|bin| bin.n).max().unwrap_or(1) as f64;
    let bottom = frame.y(0.0);
    let inside = html! {
        @for bin in bins {
            @let (left, right) = (frame.x(bin.from) + 1.0, frame.x(bin.to) - 1.0);
            @let top = frame.y(bin.accuracy);
            rect class="bar" x=(left) y=(top) width=(right - left) height=((bottom - top).max(0.5))
                style=(format!("opacity:{:.2}", 0.25 + 0.65 * (bin.n as f64 / most).sqrt())) {
                title { (bin.n) " images, mean score " (percent(bin.confidence)) ", right " (percent(bin.accuracy)) }
            }
            @let at = frame.x(bin.confidence);
            line class="gap" x1=(at) x2=(at) y1=(frame.y(bin.confidence)) y2=(top) {}
        }
        polyline class="chance" points=(frame.line([(0.0, 0.0), (1.0, 1.0)])) {}
    };
    frame.draw("Reliability diagram: share of right answers by highest score", &inside)
}

/// Bins of the histogram.
const BINS: usize = 44;
/// Decades of the odds that it shows.
const DECADES: f64 = 4.4;

/// How bad good parts (upwards) and bad parts (downwards) look, by the odds, with the threshold.
pub(super) fn histogram(detail: &Detail, threshold: Option<f64>) -> Markup {
    let odds = Scale::Odds { decades: DECADES };
    let count = |values: &[f64]| {
        let mut counts = [0_usize; BINS];
        values.iter().for_each(|&q| counts[((odds.place(q) * BINS as f64) as usize).min(BINS - 1)] += 1);
        counts.map(|count| count as f64 / values.len().max(1) as f64)
    };
    let [good, bad] = [count(&detail.badness[0]), count(&detail.badness[1])];
    let most = good.iter().chain(&bad).copied().fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| LEFT + odds.place(value) * (WIDTH - LEFT - RIGHT);
    let (middle, reach) = (f64::midpoint(TOP, HEIGHT - BOTTOM), (HEIGHT - TOP - BOTTOM) / 2.0 - 12.0);
    let width = (WIDTH - LEFT - RIGHT) / BINS as f64;
    // The square root lets a single part be seen beside a thousand.
    let height = |share: f64| reach * (share / most).sqrt();
    let bars = |shares: [f64; BINS], up: bool| {
        html! {
            @for (at, share) in shares.into_iter().enumerate().filter(|(_, share)| *share > 0.0) {
                rect class=(if up { "good" } else { "bad" }) x=(LEFT + at as f64 * width + 0.5) width=(width - 1.0)
                    y=(if up { middle - height(share) } else { middle }) height=(height(share)) {}
            }
        }
    };
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
            aria-label="Histogram of how bad parts look: good parts upwards, bad parts downwards" {
            g class="grid" {
                @for (value, words) in odds.ticks() {
                    @let at = x(value);
                    line x1=(at) x2=(at) y1=(TOP) y2=(HEIGHT - BOTTOM) {}
                    text x=(at) y=(HEIGHT - BOTTOM + 16.0) text-anchor="middle" { (words) }
                }
            }
            (bars(good, true)) (bars(bad, false))
            line class="base" x1=(LEFT) x2=(WIDTH - RIGHT) y1=(middle) y2=(middle) {}
            @if let Some(threshold) = threshold {
                @let at = x(threshold);
                line class="aim" x1=(at) x2=(at) y1=(TOP) y2=(HEIGHT - BOTTOM) {}
            }
            text class="axis" x=(LEFT - 8.0) y=(middle - reach / 2.0) text-anchor="end" { "good" }
            text class="axis" x=(LEFT - 8.0) y=(middle + reach / 2.0) text-anchor="end" { "bad" }
            text class="axis" x=(f64::midpoint(LEFT, WIDTH - RIGHT)) y=(HEIGHT - 8.0) text-anchor="middle" { "how bad a part looks" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_give_every_value_a_place() {
        let decades = Scale::Decades { floor: 0.0005 };
        assert_eq!((decades.place(0.0), decades.place(1.0)), (0.0, 1.0));
        assert!(decades.place(0.1) > decades.place(0.01));
        let odds = Scale::Odds { decades: 4.0 };
        assert!((odds.place(0.5) - 0.5).abs() < 1e-9);
        assert_eq!((odds.place(0.0), odds.place(1.0)), (0.0, 1.0));
        assert!((odds.place(0.01) + odds.place(0.99) - 1.0).abs() < 1e-9);
        let shares = [0.0, 0.0005, 0.01, 0.123, 0.5, 0.999, 1.0];
        assert_eq!(shares.map(percent), ["0 %", "0.05 %", "1 %", "12.3 %", "50 %", "99.9 %", "100 %"]);
    }

    #[test]
    fn counts_join_as_stairs() {
        assert_eq!(stairs([(0.0, 1.0), (0.5, 0.2)]), [(0.0, 1.0), (0.5, 1.0), (0.5, 0.2)]);
    }
}
