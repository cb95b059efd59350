//! `[learning]`: what the learning loop may do.

use std::path::PathBuf;

use models_train::gate::Terms;
use serde::Deserialize;

use super::drift::DriftSection;
use super::schedule::Entry;

/// Most entries of a schedule.
const MAX_TIMES: usize = 50;

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
    /// Labelled pictures that every training learns from too: what the model in force was made of. Without them a training has the
    /// labelled parts of the line alone. Their test side is the golden set.
    pub data: Option<PathBuf>,
    /// List of `data` (path, label, split, group), as `inspectd train --split` takes it.
    pub split: Option<PathBuf>,
    /// Further options of `inspectd train`, such as `["--size", "224", "--minutes", "30"]`.
    pub train: Vec<String>,
    /// New labels after which a training begins by itself; absent: only when somebody starts it.
    pub after_labels: Option<usize>,
    /// The same for new labels of one kind of which there are no more old ones than new.
    pub after_rare: Option<usize>,
    /// Times at which a training begins where there is something new to learn: `sat 02:00`, `daily 22:30`, in the time zone of
    /// `alerts.time_zone`.
    pub schedule: Vec<String>,
    /// Where trainings run.
    pub worker: Where,
    /// Who puts a candidate in force.
    pub promote: Promote,
    /// `[learning.gate]`: how much worse a candidate may be at most.
    pub gate: Terms,
    /// `[learning.drift]`: when the line counts as changed.
    pub drift: DriftSection,
}

/// Where trainings run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Where {
    /// In a child process of the daemon: within its unit's limits, ended with it.
    #[default]
    Child,
    /// In a unit of systemd of their own, `inspectd-training.service`: with limits of its own, and not ended with the daemon.
    Unit,
}

/// Who puts a candidate in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promote {
    /// An engineer.
    #[default]
    ByHand,
    /// The program, when the gate has passed.
    OnPass,
}

impl Default for LearningSection {
    fn default() -> Self {
        LearningSection {
            waiting: 500,
            second_opinion: 0.05,
            warm_min: 60,
            data: None,
            split: None,
            train: Vec::new(),
            after_labels: None,
            after_rare: None,
            schedule: Vec::new(),
            worker: Where::default(),
            promote: Promote::default(),
            gate: Terms::default(),
            drift: DriftSection::default(),
        }
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
        if self.split.is_some() && self.data.is_none() {
            problems.push((
                "learning.split",
                "is a list of pictures, but there is no `learning.data`: name their folder".into(),
            ));
        }
        for (key, value) in [("learning.after_labels", self.after_labels), ("learning.after_rare", self.after_rare)] {
            if value == Some(0) {
                problems.push((key, "is 0: give 1 or more, or leave it out".into()));
            }
        }
        problems.extend(self.drift.problems());
        if self.schedule.len() > MAX_TIMES {
            let text = format!("has {} times: give at most {MAX_TIMES}", self.schedule.len());
            problems.push(("learning.schedule", text));
        }
        let wrong = self.schedule.iter().filter_map(|text| Entry::parse(text).err());
        problems.extend(wrong.map(|text| ("learning.schedule", text)));
        problems
    }

    /// The times of `schedule`.
    pub fn times(&self) -> Vec<Entry> {
        self.schedule.iter().filter_map(|text| Entry::parse(text).ok()).collect()
    }

    /// Relative paths become relative to the configuration's folder.
    pub fn relative_to(&mut self, folder: &std::path::Path) {
        for path in [&mut self.data, &mut self.split].into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }
}
