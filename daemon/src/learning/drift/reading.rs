//! What is said of one measure over one stretch of time: its value, what is usual, and whether that is too much.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DriftMeasure)]
pub enum Measure {
    /// Share of the parts that lie farther from all that the model learned from than nineteen of twenty pictures held out then.
    Embedding,
    /// Population stability index of how bad the model finds the parts (one minus the best passing score).
    Scores,
    /// Median of the mean grey level.
    Brightness,
    /// Median of the grey levels' standard deviation.
    Contrast,
    /// Median of the Laplacian's variance.
    Sharpness,
}

impl Measure {
    /// All of them.
    pub const ALL: [Measure; 5] =
        [Measure::Embedding, Measure::Scores, Measure::Brightness, Measure::Contrast, Measure::Sharpness];

    /// Whether it is about the pictures alone, whatever a model makes of them.
    pub(super) fn is_of_pictures(self) -> bool {
        matches!(self, Measure::Brightness | Measure::Contrast | Measure::Sharpness)
    }

    /// As in the API.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Embedding => "embedding",
            Measure::Scores => "scores",
            Measure::Brightness => "brightness",
            Measure::Contrast => "contrast",
            Measure::Sharpness => "sharpness",
        }
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// What.
    pub measure: Measure,
    /// Time of the first part.
    pub from: Timestamp,
    /// Time of the last part.
    pub to: Timestamp,
    /// Parts that it rests on.
    pub parts: u64,
    /// The value.
    pub value: f64,
    /// The same as it usually is.
    pub usual: f64,
    /// Below this the line has changed; none: there is no too little.
    pub low: Option<f64>,
    /// Above this the line has changed.
    pub high: f64,
}

impl Reading {
    /// Whether the line has changed.
    pub fn is_beyond(&self) -> bool {
        self.value > self.high || self.low.is_some_and(|low| self.value < low)
    }

    /// In words.
    pub fn words(&self) -> String {
        let Reading { measure, parts, value, usual, low, high, .. } = *self;
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        match measure {
            Measure::Embedding => format!(
                "{} of {parts} parts are far from all that is known, usually {}, limit {}",
                percent(value),
                percent(usual),
                percent(high)
            ),
            Measure::Scores => {
                let how = if self.is_beyond() { "otherwise than" } else { "as" };
                format!("the scores of {parts} parts are spread {how} usual: index {value:.2}, limit {high:.2}")
            }
            Measure::Brightness | Measure::Contrast | Measure::Sharpness => format!(
                "{} of {parts} pictures: median {value:.1}, usually {usual:.1}, limits {:.1} to {high:.1}",
                measure.name(),
                low.unwrap_or(0.0)
            ),
        }
    }
}
