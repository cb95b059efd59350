//! A report as text for a terminal or a model card.

use std::fmt;

use super::report::{ClassReport, Report};

/// Errors that the text lists; the JSON lists all.
const LISTED: usize = 20;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (accuracy, balanced) = (percent(self.accuracy), percent(self.balanced_accuracy));
        writeln!(f, "{} images, accuracy {accuracy} {}, balanced {balanced}", self.n, range(self.accuracy_ci))?;
        if let Some(auroc) = self.auroc {
            let range = self.auroc_ci.map(|[low, high]| format!(" ({low:.4} to {high:.4})")).unwrap_or_default();
            let what = if self.verdicts.is_some() { "bad parts against good" } else { "mean over the labels" };
            writeln!(f, "AUROC {auroc:.4}{range}, {what}")?;
        }
        if let Some(v) = self.verdicts {
            let rates = |rate: Option<f64>, interval: Option<[f64; 2]>| match (rate, interval) {
                (Some(rate), Some(interval)) => format!(" = {} {}", percent(rate), range(interval)),
                _ => String::new(),
            };
            let overkill = rates(self.overkill_rate, self.overkill_ci);
            let escapes = rates(self.escape_rate, self.escape_ci);
            writeln!(f, "good parts {}: overkill {}{overkill}, review {}", v.good, v.overkill, v.good_reviewed)?;
            writeln!(f, "bad parts {}: escapes {}{escapes}, review {}", v.bad, v.escapes, v.bad_reviewed)?;
        }
        write!(f, "calibration error {}", percent(self.ece))?;
        match self.temperature == 1.0 {
            true => writeln!(f)?,
            false => writeln!(f, " (raw scores {}, temperature {:.2})", percent(self.ece_raw), self.temperature)?,
        }
        self.table(f)?;
        for error in self.errors.iter().take(LISTED) {
            writeln!(f, "wrong: {} is {}, said {} ({:.2})", error.path, error.label, error.said, error.score)?;
        }
        match self.errors.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}

impl Report {
    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.classes.iter().map(|class| class.name.chars().count()).max().unwrap_or(0).max(5);
        let said = self.confusion.said.join(", ");
        writeln!(f, "\n{:width$}  images  recall  precision  said to be {said}", "label")?;
        let share = |share: Option<f64>| share.map_or_else(|| "-".into(), |share| format!("{:.1} %", 100.0 * share));
        for (ClassReport { name, images, recall, precision, .. }, row) in
            self.classes.iter().zip(&self.confusion.counts)
        {
            let counts: Vec<String> = row.iter().map(|count| format!("{count:5}")).collect();
            let (recall, precision) = (share(*recall), share(*precision));
            writeln!(f, "{name:width$}  {images:6}  {recall:>7}  {precision:>8}  {}", counts.join(""))?;
        }
        Ok(())
    }
}

/// A share in percent, with two digits behind the point.
fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn range([low, high]: [f64; 2]) -> String {
    format!("({:.2} to {:.2} %)", 100.0 * low, 100.0 * high)
}
