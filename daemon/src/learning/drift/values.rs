//! Some of many values, each as likely as any other (Vitter's algorithm R), so that a quantile costs the same after a thousand parts as
//! after a million.

use models::scatter::scatter;
use serde::{Deserialize, Serialize};

/// Values kept.
const KEPT: usize = 500;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Values {
    seen: u64,
    kept: Vec<f32>,
}

impl Values {
    pub(super) fn add(&mut self, value: f32) {
        self.seen += 1;
        if self.kept.len() < KEPT {
            return self.kept.push(value);
        }
        // As random as it has to be, and the same again after a restart.
        let place = (scatter(self.seen) % self.seen) as usize;
        if let Some(slot) = self.kept.get_mut(place) {
            *slot = value;
        }
    }

    /// How many there were.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Those kept, the least first.
    pub(super) fn sorted(&self) -> Vec<f32> {
        let mut sorted = self.kept.clone();
        sorted.sort_by(f32::total_cmp);
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::super::stats::quantile;
    use super::*;

    #[test]
    fn early_values_count_as_much_as_late_ones() {
        let mut values = Values::default();
        (0..20_000).for_each(|value| values.add(value as f32));
        let sorted = values.sorted();
        assert_eq!((values.seen(), sorted.len()), (20_000, KEPT));
        for share in [0.1, 0.5, 0.9] {
            let off = quantile(&sorted, share) / 20_000.0 - share;
            assert!(off.abs() < 0.07, "{share}: off by {off}");
        }
    }
}
