//! A network that was proposed, and what came out of it so far.

use serde::{Deserialize, Serialize};

use super::front::Standing;
use super::space::Point;

/// What came out of a network after so many rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Rounds over the images that it learned in all.
    pub rounds: u32,
    /// More would bring nothing: its selection loss fell no further, or it failed.
    pub ended: bool,
    /// Images of the selection set that are named wrong.
    pub errors: usize,
    /// Images of the selection set.
    pub images: usize,
    /// Share of the bad parts that pass at its threshold; `None` where no label passes a part.
    pub escape_rate: Option<f64>,
    /// Share of the good parts that are held back there.
    pub overkill_rate: Option<f64>,
    /// Mean loss on the selection set; `None` where it failed.
    pub loss: Option<f64>,
    /// Why nothing came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl Measured {
    /// Of a network that cannot be trained like this.
    pub fn failed(rounds: u32, why: String) -> Measured {
        Measured {
            rounds,
            ended: true,
            errors: 0,
            images: 0,
            escape_rate: None,
            overkill_rate: None,
            loss: None,
            failed: Some(why),
        }
    }

    /// What is to be small, 0 to 1: the share of bad parts that pass; where no label passes a part, of images that are named wrong. 1 for
    /// what failed.
    pub fn miss(&self) -> f64 {
        match (&self.failed, self.escape_rate) {
            (Some(_), _) => 1.0,
            (None, Some(rate)) => rate,
            (None, None) => self.errors as f64 / self.images.max(1) as f64,
        }
    }

    /// Whether these figures can have been measured.
    pub(super) fn is_sound(&self) -> bool {
        let share = |rate: Option<f64>| rate.is_none_or(|rate| (0.0..=1.0).contains(&rate));
        self.errors <= self.images
            && share(self.escape_rate)
            && share(self.overkill_rate)
            && self.loss.is_none_or(|loss| loss.is_finite() && loss >= 0.0)
            && self.loss.is_none() == self.failed.is_some()
    }
}

/// A network that was proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its number, from 0.
    pub number: usize,
    /// What it is.
    pub point: Point,
    /// Time of a verdict on this machine.
    pub latency_ms: f64,
    /// What came out, by rising rounds.
    pub results: Vec<Measured>,
}

impl Trial {
    /// What came out after so many rounds: the first result that has them, or that no more rounds would change.
    pub fn after(&self, rounds: u32) -> Option<&Measured> {
        self.results.iter().find(|result| result.rounds >= rounds || result.ended)
    }

    /// The newest result.
    pub fn latest(&self) -> Option<&Measured> {
        self.results.last()
    }

    /// How it stands by a result of its.
    pub fn standing(&self, result: &Measured) -> Standing {
        Standing {
            trial: self.number,
            miss: result.miss(),
            loss: result.loss.unwrap_or(f64::INFINITY),
            latency_ms: self.latency_ms,
        }
    }
}
