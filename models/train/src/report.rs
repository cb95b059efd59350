//! What a measurement says: figures, confusion matrix, and every error by name.

use std::fmt;

use models::bundle::{Disposition, Label};
use serde::Serialize;

use crate::thresholds::{Scored, verdict};

/// A model measured on labelled images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Images.
    pub images: usize,
    /// Share of images whose highest score is one of their labels.
    pub accuracy: f64,
    /// Mean of the labels' recalls, so that a rare label counts as much as a common one.
    pub balanced_accuracy: f64,
    /// Each label's figures, in the order of the scores.
    pub labels: Vec<LabelReport>,
    /// Row: the (first) true label; column: the label said.
    pub confusion: Vec<Vec<usize>>,
    /// Every image that is wrong.
    pub errors: Vec<Mistake>,
    /// What the thresholds make of the images; `None` for a model without a passing label.
    pub verdicts: Option<Verdicts>,
}

/// One label's figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelReport {
    /// Its name.
    pub name: String,
    /// Images of it.
    pub images: usize,
    /// Share of its images that are recognised; `None` without images.
    pub recall: Option<f64>,
    /// Share of the images said to be of it that are; `None` where none is said to be.
    pub precision: Option<f64>,
}

/// An image that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mistake {
    /// The image.
    pub path: String,
    /// What it is.
    pub label: String,
    /// What the model said.
    pub said: String,
    /// The score of what it said.
    pub score: f32,
}

/// Verdicts by the thresholds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Verdicts {
    /// Good parts (all true labels pass).
    pub good: usize,
    /// Of these: failed.
    pub overkill: usize,
    /// Of these: sent to review.
    pub good_reviewed: usize,
    /// Bad parts.
    pub bad: usize,
    /// Of these: passed.
    pub escapes: usize,
    /// Of these: sent to review.
    pub bad_reviewed: usize,
}

impl Report {
    /// Counts scored images. `name` gives the name of an image by its index.
    pub fn new(scored: &[Scored], labels: &[Label], name: impl Fn(usize) -> String) -> Report {
        let classes = labels.len();
        let mut confusion = vec![vec![0; classes]; classes];
        let mut errors = Vec::new();
        for (index, image) in scored.iter().enumerate() {
            let best = |a: &usize, b: &usize| image.scores[*a].total_cmp(&image.scores[*b]);
            let said = (0..classes).max_by(best).unwrap_or_default();
            let right = image.labels.contains(&said);
            // A part with two defects counts under the one that was recognised.
            let row = if right { said } else { image.labels[0] };
            confusion[row][said] += 1;
            if !right {
                errors.push(Mistake {
                    path: name(index),
                    label: labels[row].name.clone(),
                    said: labels[said].name.clone(),
                    score: image.scores[said],
                });
            }
        }
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        let label = |at: usize| LabelReport {
            name: labels[at].name.clone(),
            images: confusion[at].iter().sum(),
            recall: share(confusion[at][at], confusion[at].iter().sum()),
            precision: share(confusion[at][at], confusion.iter().map(|row| row[at]).sum()),
        };
        let labels_report: Vec<LabelReport> = (0..classes).map(label).collect();
        let recalls: Vec<f64> = labels_report.iter().filter_map(|label| label.recall).collect();
        Report {
            images: scored.len(),
            accuracy: share(scored.len() - errors.len(), scored.len()).unwrap_or(0.0),
            balanced_accuracy: recalls.iter().sum::<f64>() / recalls.len().max(1) as f64,
            labels: labels_report,
            confusion,
            errors,
            verdicts: Verdicts::count(scored, labels),
        }
    }
}

impl Verdicts {
    fn count(scored: &[Scored], labels: &[Label]) -> Option<Verdicts> {
        labels.iter().find(|label| label.verdict == Disposition::Pass)?;
        let mut counts = Verdicts::default();
        for image in scored {
            let good = image.labels.iter().all(|&label| labels[label].verdict == Disposition::Pass);
            let said = verdict(&image.scores, labels);
            counts.good += usize::from(good);
            counts.bad += usize::from(!good);
            match (good, said) {
                (true, Disposition::Fail) => counts.overkill += 1,
                (true, Disposition::Review) => counts.good_reviewed += 1,
                (false, Disposition::Pass) => counts.escapes += 1,
                (false, Disposition::Review) => counts.bad_reviewed += 1,
                (true, Disposition::Pass) | (false, Disposition::Fail) => {}
            }
        }
        Some(counts)
    }
}

/// Errors that the text lists; the JSON lists all.
const LISTED: usize = 20;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, balanced) = (100.0 * self.accuracy, 100.0 * self.balanced_accuracy);
        writeln!(f, "{} images, accuracy {percent:.2} %, balanced {balanced:.2} %", self.images)?;
        if let Some(v) = self.verdicts {
            writeln!(f, "good parts {}: overkill {}, review {}", v.good, v.overkill, v.good_reviewed)?;
            writeln!(f, "bad parts {}: escapes {}, review {}", v.bad, v.escapes, v.bad_reviewed)?;
        }
        let width = self.labels.iter().map(|label| label.name.chars().count()).max().unwrap_or(0).max(5);
        writeln!(f, "\n{:width$}  images  recall  precision  said to be ...", "label")?;
        let share = |share: Option<f64>| share.map_or_else(|| "-".into(), |share| format!("{:.1} %", 100.0 * share));
        for (label, row) in self.labels.iter().zip(&self.confusion) {
            let counts: Vec<String> = row.iter().map(|count| format!("{count:5}")).collect();
            let (recall, precision) = (share(label.recall), share(label.precision));
            writeln!(f, "{:width$}  {:6}  {recall:>7}  {precision:>8}  {}", label.name, label.images, counts.join(""))?;
        }
        for error in self.errors.iter().take(LISTED) {
            writeln!(f, "wrong: {} is {}, said {} ({:.2})", error.path, error.label, error.said, error.score)?;
        }
        match self.errors.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_hand_counted_example() {
        let label = |name: &str, verdict| Label { name: name.into(), verdict, threshold: 0.5 };
        let labels =
            [label("good", Disposition::Pass), label("pit", Disposition::Fail), label("crack", Disposition::Fail)];
        let image = |scores: [f32; 3], of: &[usize]| Scored { scores: scores.into(), labels: of.into(), weight: 1.0 };
        let scored = [
            image([0.9, 0.1, 0.0], &[0]),
            image([0.3, 0.6, 0.1], &[0]),
            image([0.4, 0.3, 0.3], &[0]),
            image([0.1, 0.8, 0.1], &[1]),
            image([0.0, 0.3, 0.7], &[1, 2]),
            image([0.8, 0.1, 0.1], &[2]),
        ];
        let report = Report::new(&scored, &labels, |index| format!("{index}.png"));
        assert_eq!(report.confusion, [[2, 1, 0], [0, 1, 0], [1, 0, 1]]);
        assert!((report.accuracy - 4.0 / 6.0).abs() < 1e-9);
        assert!((report.balanced_accuracy - (2.0 / 3.0 + 1.0 + 0.5) / 3.0).abs() < 1e-9);
        let wrong: Vec<(&str, &str, &str)> =
            report.errors.iter().map(|e| (e.path.as_str(), e.label.as_str(), e.said.as_str())).collect();
        assert_eq!(wrong, [("1.png", "good", "pit"), ("5.png", "crack", "good")]);
        let verdicts = Verdicts { good: 3, overkill: 1, good_reviewed: 1, bad: 3, escapes: 1, bad_reviewed: 0 };
        assert_eq!(report.verdicts, Some(verdicts));
        assert!(report.to_string().contains("escapes 1"));
    }
}
