//! `[learning]`: what the learning loop may do.

use serde::Deserialize;

/// The review queue, and what is trained from it. How many parts an hour are worth a look is the recipe's matter (`[review]`).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearningSection {
    /// Parts that wait for a person at most, audited ones apart.
    pub waiting: usize,
    /// Share of the queue's labelled parts that somebody else looks at again, 0 to 1.
    pub second_opinion: f32,
    /// Minutes for which the model before stays loaded after a promotion, so that the way back takes no time.
    pub warm_min: u32,
}

impl Default for LearningSection {
    fn default() -> Self {
        LearningSection { waiting: 500, second_opinion: 0.05, warm_min: 60 }
    }
}

impl LearningSection {
    /// What is wrong with it: key and words.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !(1..=100_000).contains(&self.waiting) {
            problems.push(("learning.waiting", format!("is {}: give 1 to 100000", self.waiting)));
        }
        if !(0.0..=1.0).contains(&self.second_opinion) {
            problems.push(("learning.second_opinion", format!("is {}: give a share from 0 to 1", self.second_opinion)));
        }
        if self.warm_min > 7 * 24 * 60 {
            problems.push(("learning.warm_min", format!("is {}: give at most a week, 10080", self.warm_min)));
        }
        problems
    }
}
