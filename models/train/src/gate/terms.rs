//! What is asked of a candidate.

use serde::{Deserialize, Serialize};

use super::GateError;
use super::paired::GAMMA;

/// What is asked of a candidate. Shares are between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Terms {
    /// The candidate's share of escapes among bad parts must be shown to exceed the champion's by less than this.
    pub escape_margin: f64,
    /// The same for overkill among good parts.
    pub overkill_margin: f64,
    /// The same for reviews among all labelled parts.
    pub review_margin: f64,
    /// How often chance alone may lead a test astray.
    pub alpha: f64,
    /// A share of rejects or of reviews in the shadow set that rises by more than this factor, and by more than
    /// `shadow_points`, blocks.
    pub shadow_factor: f64,
    /// See `shadow_factor`: a difference of shares.
    pub shadow_points: f64,
    /// Flips that are listed; all are counted.
    pub flips: usize,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            escape_margin: 0.01,
            overkill_margin: 0.01,
            review_margin: 0.02,
            alpha: 0.05,
            shadow_factor: 2.0,
            shadow_points: 0.02,
            flips: 100,
        }
    }
}

impl Terms {
    /// Refuses terms that cannot be.
    pub(super) fn check(&self) -> Result<(), GateError> {
        let margin = |share: f64| (1e-4..=0.5).contains(&share);
        let range = "between 0.0001 and 0.5";
        let checks = [
            ("the margin for escapes", self.escape_margin, margin(self.escape_margin), range),
            ("the margin for overkill", self.overkill_margin, margin(self.overkill_margin), range),
            ("the margin for reviews", self.review_margin, margin(self.review_margin), range),
            // Every p-value is at least GAMMA.
            ("alpha", self.alpha, (10.0 * GAMMA..=0.5).contains(&self.alpha), "between 0.001 and 0.5"),
            ("the shadow set's factor", self.shadow_factor, self.shadow_factor >= 1.0, "1 or more"),
            (
                "the shadow set's points",
                self.shadow_points,
                (0.0..=1.0).contains(&self.shadow_points),
                "between 0 and 1",
            ),
        ];
        match checks.into_iter().find(|&(_, _, fine, _)| !fine) {
            Some((name, value, _, range)) => Err(GateError::Terms { name, value, range }),
            None => Ok(()),
        }
    }
}
