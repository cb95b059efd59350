//! What stands behind the figures: whole curves, for plots and for those who choose for themselves.

use models::bundle::Disposition;
use serde::Serialize;

use super::Scored;
use super::calibration::{Bin, bins};
use super::curve::Curve;
use super::intervals::{Interval, two_sided};
use super::report::{Judged, Settings, curve, judge};
use super::truth::TrueClass;

/// Points of a curve that are written down, about.
const POINTS: usize = 200;
/// Bounds of the defect areas, shares of the image. 0.4 % is one cell of 32 x 32 in 512 x 512 pixels.
const AREAS: [f64; 6] = [0.0, 0.001, 0.004, 0.01, 0.04, 1.0];

/// Curves and tables behind a [`Report`](super::Report).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detail {
    /// Escapes against overkill over all thresholds; empty without good and bad parts.
    pub curve: Vec<Point>,
    /// Highest score against share of right answers.
    pub reliability: Vec<Bin>,
    /// Recall by the defect's area, where it is known.
    pub area: Vec<AreaRecall>,
    /// The whole ranking; `None` for a model without a passing label.
    #[serde(skip)]
    pub ranking: Option<Curve>,
    /// Badness of the good parts, and of the bad ones.
    #[serde(skip)]
    pub badness: [Vec<f64>; 2],
}

/// One threshold of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Parts that look at least so bad are held back.
    pub threshold: f64,
    /// Share of the bad parts that pass.
    pub escape_rate: f64,
    /// Share of the good parts that are held back.
    pub overkill_rate: f64,
}

/// Recall of defects of some size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AreaRecall {
    /// From this share of the image on.
    pub from: f64,
    /// Below this share.
    pub to: f64,
    /// Bad parts of that kind.
    pub n: usize,
    /// Share of them that does not pass (without a passing label: that is named right).
    pub recall: f64,
    /// Its interval.
    pub recall_ci: Interval,
}

impl Detail {
    /// From what [`Report::new`](super::Report::new) is made of.
    pub fn new(scored: &[Scored], classes: &[TrueClass], settings: &Settings) -> Detail {
        let images = judge(scored, classes, settings);
        let ranking = curve(&images);
        let answers = images.iter().map(|image| (f64::from(image.scored.scores[image.said]), image.right));
        let of = |good: bool| images.iter().filter(|i| i.good == good).filter_map(|image| image.badness).collect();
        Detail {
            curve: ranking.as_ref().filter(|curve| curve.has_both()).map(points).unwrap_or_default(),
            reliability: bins(answers),
            area: areas(&images, settings.confidence),
            badness: [of(true), of(false)],
            ranking,
        }
    }
}

fn points(curve: &Curve) -> Vec<Point> {
    let point = |step: &super::curve::Step| Point {
        threshold: step.threshold,
        escape_rate: curve.escapes(step) as f64 / curve.bad as f64,
        overkill_rate: step.good_held as f64 / curve.good as f64,
    };
    curve.thinned(POINTS).iter().map(point).collect()
}

fn areas(images: &[Judged<'_>], confidence: f64) -> Vec<AreaRecall> {
    let found = |image: &Judged<'_>| match image.badness {
        Some(_) => image.verdict != Disposition::Pass,
        None => image.right,
    };
    let bin = |bounds: &[f64]| {
        let inside = |area: f64| area > 0.0 && area >= bounds[0] && (area < bounds[1] || bounds[1] == 1.0);
        let bad = || images.iter().filter(|image| !image.good && image.scored.area.is_some_and(inside));
        let (n, seen) = (bad().count(), bad().filter(|image| found(image)).count());
        (n > 0).then(|| AreaRecall {
            from: bounds[0],
            to: bounds[1],
            n,
            recall: seen as f64 / n as f64,
            recall_ci: two_sided(seen, n, confidence),
        })
    };
    AREAS.windows(2).filter_map(bin).collect()
}

#[cfg(test)]
mod tests {
    use models::bundle::{Heads, Label};

    use super::super::truth::same_labels;
    use super::*;

    #[test]
    fn recall_is_counted_by_the_defects_size() {
        let label = |name: &str, verdict| Label { name: name.into(), verdict, threshold: 0.5 };
        let labels = vec![label("good", Disposition::Pass), label("pit", Disposition::Fail)];
        let image = |good: f32, of: usize, area| Scored {
            scores: vec![good, 1.0 - good],
            labels: vec![of],
            weight: 1.0,
            area,
            anomalous: None,
            likeness: None,
        };
        let scored = [
            image(0.9, 0, Some(0.0)),
            image(0.8, 1, Some(0.0005)),
            image(0.1, 1, Some(0.0009)),
            image(0.1, 1, Some(0.5)),
            image(0.9, 1, Some(1.0)),
            image(0.9, 1, None),
        ];
        let settings = Settings { labels: labels.clone(), heads: Heads::default(), confidence: 0.95, temperature: 1.0 };
        let detail = Detail::new(&scored, &same_labels(&labels), &settings);
        let found: Vec<(f64, usize, f64)> = detail.area.iter().map(|bin| (bin.from, bin.n, bin.recall)).collect();
        assert_eq!(found, [(0.0, 2, 0.5), (0.04, 2, 0.5)]);
        let last = detail.curve.last().unwrap();
        assert_eq!((last.escape_rate, last.overkill_rate), (0.0, 1.0), "the last threshold holds everything back");
    }
}
