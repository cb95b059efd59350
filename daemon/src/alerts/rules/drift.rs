//! The line drifts: parts look like nothing the model learned from, scores are spread otherwise than usual, pictures become darker, flatter
//! or less sharp. Each measure is a subject of its own. How much is too much stands under `[learning.drift]`, so that page and alarm agree.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Condition, Facts, Level, Look, Reading, Watch};
use crate::learning::drift::Measure;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Drift {
    /// What is watched; by default everything.
    pub measures: Vec<Measure>,
}

impl Default for Drift {
    fn default() -> Self {
        Drift { measures: Measure::ALL.to_vec() }
    }
}

impl Condition for Drift {
    const MACHINE: bool = false;

    fn problems(&self) -> Vec<(&'static str, String)> {
        match self.measures.is_empty() {
            true => vec![("measures", "is empty: name one of them, or leave it out for all".into())],
            false => Vec::new(),
        }
    }

    fn watch(&self) -> Box<dyn Watch> {
        Box::new(Watching(self.clone()))
    }
}

struct Watching(Drift);

impl Watch for Watching {
    fn look(&mut self, facts: &Facts) -> Look {
        let readings = facts.drift.iter().filter(|reading| self.0.measures.contains(&reading.measure));
        let readings = readings.map(|reading| Reading {
            subject: reading.measure.name().into(),
            level: if reading.is_beyond() { Level::Bad } else { Level::Good },
            value: Some(reading.value),
            text: reading.words(),
        });
        // A line that stands still says nothing, and so heals nothing.
        Look { readings: readings.collect(), others: Level::Between }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::testing::Bench;
    use super::*;
    use crate::learning::drift;

    fn reading(measure: Measure, value: f64) -> drift::Reading {
        let at = Timestamp::UNIX_EPOCH;
        drift::Reading { measure, from: at, to: at, parts: 200, value, usual: 100.0, low: Some(90.0), high: 110.0 }
    }

    #[test]
    fn each_measure_is_a_subject_and_the_text_says_how_far_it_is() {
        let mut bench = Bench::new(&Drift::default());
        bench.facts.drift = vec![reading(Measure::Brightness, 80.0), reading(Measure::Contrast, 100.0)];
        let readings = bench.readings();
        let of = |subject: &str| readings.iter().find(|it| it.subject == subject).expect(subject).clone();
        assert_eq!((of("brightness").level, of("contrast").level), (Level::Bad, Level::Good));
        assert!(of("brightness").text.contains("median 80.0, usually 100.0, limits 90.0 to 110.0"), "{readings:?}");
        bench.facts.drift = vec![reading(Measure::Brightness, 111.0)];
        assert_eq!(bench.level(), Level::Bad, "too much is as bad as too little");
    }

    #[test]
    fn only_what_is_asked_for_is_watched_and_nothing_is_no_wish() {
        let only = Drift { measures: vec![Measure::Scores] };
        let mut bench = Bench::new(&only);
        bench.facts.drift = vec![reading(Measure::Brightness, 80.0)];
        assert!(bench.readings().is_empty());
        assert_eq!(Drift { measures: Vec::new() }.problems()[0].0, "measures");
    }
}
