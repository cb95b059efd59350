//! What a simulated line's verdicts are worth, since its parts' truth is known.
//!
//! *Escape*: a defective part that passed. *Overkill*: a good part that failed. Parts for review are counted apart, and
//! spoilt frames are neither good nor defective. A part with two defects belongs to the band of its most severe one.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use stages::capture::synthetic::Bands;
use stages::inspection::{Inspection, Truth};
use stages::record::VerdictSink;
use stages::verdict::Verdict;

/// What acceptance calls a visible defect.
const VISIBLE_CNR: f32 = 3.0;

/// One band of contrast-to-noise ratio.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BandFigures {
    /// As the bands' file names it.
    pub cnr: String,
    /// Defective parts in it.
    pub defective: u64,
    /// Those of them that passed.
    pub escapes: u64,
    /// The same in percent of the band; none without a part.
    pub escapes_percent: Option<f64>,
    #[serde(skip)]
    from: f32,
}

/// The figures so far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Spoilt frames.
    pub bad_frames: u64,
    /// Parts without a defect.
    pub good: u64,
    /// Parts with one.
    pub defective: u64,
    /// Defective parts that passed.
    pub escapes: u64,
    /// Good parts that failed.
    pub overkill: u64,
    /// By severity, mildest first.
    pub escapes_by_cnr: Vec<BandFigures>,
    /// Share of the defective, failed parts whose label is one of the true ones; none without such a part.
    pub label_accuracy: Option<f64>,
    /// Escapes in percent of the defective parts of CNR 3 and more.
    pub escapes_percent_from_cnr_3: Option<f64>,
    /// Overkill in percent of the good parts.
    pub overkill_percent: Option<f64>,
    /// Parts for review in percent of the good and defective ones.
    pub review_percent: Option<f64>,
}

/// Listens to the line and compares with the truth.
pub struct Tally(Mutex<Counts>);

struct Counts {
    verdicts: u64,
    /// When the first verdict went out, and the newest.
    times: Option<(Instant, Instant)>,
    bad_frames: u64,
    good: u64,
    overkill: u64,
    review: u64,
    failed_defective: u64,
    rightly_labelled: u64,
    bands: Vec<BandFigures>,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new() -> Tally {
        let band = |band: &stages::capture::synthetic::Band| BandFigures {
            cnr: band.name.clone(),
            defective: 0,
            escapes: 0,
            escapes_percent: None,
            from: band.cnr[0],
        };
        Tally(Mutex::new(Counts {
            verdicts: 0,
            times: None,
            bad_frames: 0,
            good: 0,
            overkill: 0,
            review: 0,
            failed_defective: 0,
            rightly_labelled: 0,
            bands: Bands::get().all().iter().map(band).collect(),
        }))
    }

    /// What was counted.
    pub fn figures(&self) -> Figures {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total = |bands: &[&BandFigures]| {
            (bands.iter().map(|band| band.defective).sum::<u64>(), bands.iter().map(|band| band.escapes).sum::<u64>())
        };
        let (defective, escapes) = total(&counts.bands.iter().collect::<Vec<_>>());
        let visible: Vec<_> = counts.bands.iter().filter(|band| band.from >= VISIBLE_CNR).collect();
        let (visible_defective, visible_escapes) = total(&visible);
        let with_percent =
            |band: &BandFigures| BandFigures { escapes_percent: percent(band.escapes, band.defective), ..band.clone() };
        Figures {
            bad_frames: counts.bad_frames,
            good: counts.good,
            defective,
            escapes,
            overkill: counts.overkill,
            escapes_by_cnr: counts.bands.iter().map(with_percent).collect(),
            label_accuracy: percent(counts.rightly_labelled, counts.failed_defective).map(|percent| percent / 100.0),
            escapes_percent_from_cnr_3: percent(visible_escapes, visible_defective),
            overkill_percent: percent(counts.overkill, counts.good),
            review_percent: percent(counts.review, counts.good + defective),
        }
    }

    /// Verdicts per second, from the first to the newest; 0 with fewer than two.
    pub fn parts_per_s(&self) -> f64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = counts.times.map_or(0.0, |(first, newest)| (newest - first).as_secs_f64());
        if seconds > 0.0 { (counts.verdicts - 1) as f64 / seconds } else { 0.0 }
    }

    fn clock(&self, now: Instant) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.verdicts += 1;
        counts.times = Some((counts.times.map_or(now, |(first, _)| first), now));
    }

    fn add(&self, verdict: Verdict, label: Option<&str>, truth: &Truth) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if truth.bad_frame {
            counts.bad_frames += 1;
            return;
        }
        counts.review += u64::from(verdict == Verdict::Review);
        let severest = truth.defects.iter().map(|defect| defect.cnr).reduce(f32::max);
        let Some(cnr) = severest else {
            counts.good += 1;
            counts.overkill += u64::from(verdict == Verdict::Fail);
            return;
        };
        let name = &Bands::get().of(cnr).name;
        if let Some(band) = counts.bands.iter_mut().find(|band| band.cnr == *name) {
            band.defective += 1;
            band.escapes += u64::from(verdict == Verdict::Pass);
        }
        if verdict == Verdict::Fail {
            counts.failed_defective += 1;
            let right = label.is_some_and(|label| truth.defects.iter().any(|defect| *defect.label == *label));
            counts.rightly_labelled += u64::from(right);
        }
    }
}

impl Default for Tally {
    fn default() -> Self {
        Tally::new()
    }
}

impl VerdictSink for Tally {
    fn verdict(&self, inspection: &Inspection) {
        self.clock(Instant::now());
        if let Some(truth) = &inspection.truth {
            self.add(inspection.verdict, inspection.label.as_deref(), truth);
        }
    }
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64 * 1e5).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use stages::inspection::TrueDefect;
    use stages::verdict::Cause;

    use super::*;

    fn truth(defects: &[(&str, f32)]) -> Truth {
        let defect = |&(label, cnr): &(&str, f32)| TrueDefect { label: label.into(), cnr, bbox: [0.0; 4] };
        let label = defects.first().map_or("good", |(label, _)| label);
        Truth { label: label.into(), defects: defects.iter().map(defect).collect(), bad_frame: false }
    }

    #[test]
    fn the_rate_counts_intervals() {
        let tally = Tally::new();
        assert_eq!(tally.parts_per_s(), 0.0);
        let first = Instant::now();
        for tenths in 0..5 {
            tally.clock(first + std::time::Duration::from_millis(100 * tenths));
        }
        assert!((tally.parts_per_s() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn every_verdict_is_judged_by_the_truth() {
        let tally = Tally::new();
        for (verdict, label, defects) in [
            (Verdict::Pass, "good", vec![]),
            (Verdict::Fail, "pit", vec![]),
            (Verdict::Pass, "good", vec![("pit", 9.0)]),
            (Verdict::Fail, "pit", vec![("pit", 9.0)]),
            (Verdict::Fail, "crack", vec![("pit", 3.5)]),
            // Its second defect is the severe one, and the label names it.
            (Verdict::Fail, "crack", vec![("pit", 1.6), ("crack", 6.0)]),
            (Verdict::Review, "pit", vec![("pit", 1.7)]),
            (Verdict::Pass, "good", vec![("pit", 1.7)]),
            (Verdict::NoDecision(Cause::Late), "", vec![("pit", 4.0)]),
        ] {
            tally.add(verdict, Some(label), &truth(&defects));
        }
        tally.add(Verdict::NoDecision(Cause::Blank), None, &Truth { bad_frame: true, ..truth(&[]) });
        let figures = tally.figures();
        assert_eq!((figures.bad_frames, figures.good, figures.defective), (1, 2, 7));
        assert_eq!((figures.escapes, figures.overkill), (2, 1));
        assert_eq!(figures.label_accuracy, Some(0.66667));
        assert_eq!(figures.escapes_percent_from_cnr_3, Some(20.0));
        assert_eq!(figures.overkill_percent, Some(50.0));
        assert_eq!(figures.review_percent, Some(11.111));
        let bands: Vec<_> =
            figures.escapes_by_cnr.iter().map(|band| (band.cnr.as_str(), band.defective, band.escapes)).collect();
        assert_eq!(bands, [("1.5-2", 2, 1), ("2-3", 0, 0), ("3-5", 2, 0), ("5-8", 1, 0), ("8+", 2, 1)]);
        assert_eq!(figures.escapes_by_cnr[1].escapes_percent, None);
    }
}
