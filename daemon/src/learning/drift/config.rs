//! `[learning.drift]`: when a line counts as changed.

use serde::Deserialize;

/// See the module.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DriftSection {
    /// The first so many parts say how the line usually is ...
    pub usual_parts: u64,
    /// ... and they come over so many minutes at least.
    pub usual_min: u32,
    /// Fewer parts than this say nothing.
    pub least_parts: u64,
    /// Population stability index of the scores from which they count as changed.
    pub psi: f64,
    /// How many times as many parts as usual may lie far from what the model learned from.
    pub far_times: f64,
    /// By what share of its usual value a picture's brightness, contrast or sharpness may change.
    pub image_change: f64,
}

impl Default for DriftSection {
    fn default() -> Self {
        // 0.25 is where the index is by custom called a shift (Siddiqi, "Credit Risk Scorecards", 2006).
        DriftSection { usual_parts: 500, usual_min: 60, least_parts: 100, psi: 0.25, far_times: 2.0, image_change: 0.1 }
    }
}

impl DriftSection {
    /// What is wrong with it: key and words.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        for (key, parts, least) in
            [("learning.drift.usual_parts", self.usual_parts, 50), ("learning.drift.least_parts", self.least_parts, 20)]
        {
            if !(least..=1_000_000).contains(&parts) {
                problems.push((key, format!("is {parts}: give {least} to 1000000")));
            }
        }
        if self.usual_min > 7 * 24 * 60 {
            problems.push(("learning.drift.usual_min", format!("is {}: give at most a week, 10080", self.usual_min)));
        }
        for (key, value, [least, most]) in [
            ("learning.drift.psi", self.psi, [0.01, 10.0]),
            ("learning.drift.far_times", self.far_times, [1.0, 20.0]),
            ("learning.drift.image_change", self.image_change, [0.0, 10.0]),
        ] {
            if !(least..=most).contains(&value) {
                problems.push((key, format!("is {value}: give {least} to {most}")));
            }
        }
        problems
    }
}
