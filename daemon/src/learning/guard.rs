//! Looks after a promotion: a model that rejects or holds back clearly more than the one before it is taken back without asking.
//!
//! Shares of rejects (`Fail`, `NoDecision`) and of `Review` are held against the last parts of the model before, each with the upper
//! control limit of a p chart at three standard deviations (Shewhart; Montgomery, "Introduction to Statistical Quality Control"),
//! at a few fixed numbers of parts: looking after every part would see an accident sooner or later.

use std::collections::VecDeque;
use std::sync::Arc;

use stages::verdict::Verdict;

/// Parts of the model before that count.
const BASELINE: usize = 500;
/// Fewer say nothing.
const LEAST: usize = 50;
/// Parts after a promotion at which is looked.
const LOOKS: [u32; 5] = [25, 50, 100, 200, 400];
const SIGMAS: f64 = 3.0;

/// Sees every part, and says when a promotion was a mistake.
#[derive(Debug, Default)]
pub(super) struct Guard {
    recent: VecDeque<(Arc<str>, Verdict)>,
    watched: Option<Watched>,
}

/// A model that was just put in force.
#[derive(Debug)]
struct Watched {
    model: Arc<str>,
    before: Shares,
    after: Shares,
}

#[derive(Debug, Clone, Copy, Default)]
struct Shares {
    parts: u32,
    rejects: u32,
    reviews: u32,
}

impl Shares {
    fn add(&mut self, verdict: Verdict) {
        self.parts += 1;
        match verdict {
            Verdict::Pass => {}
            Verdict::Review => self.reviews += 1,
            Verdict::Fail | Verdict::NoDecision(_) => self.rejects += 1,
        }
    }
}

impl Guard {
    /// A model was put in force in the place of `previous`.
    pub(super) fn promoted(&mut self, model: &Arc<str>, previous: &Arc<str>) {
        let mut before = Shares::default();
        self.recent.iter().filter(|(by, _)| by == previous).for_each(|(_, verdict)| before.add(*verdict));
        let enough = before.parts as usize >= LEAST;
        self.watched = enough.then(|| Watched { model: model.clone(), before, after: Shares::default() });
    }

    /// Nothing is watched any more.
    pub(super) fn rest(&mut self) {
        self.watched = None;
    }

    /// A part went out. Words where the model that decided it has to go.
    pub(super) fn part(&mut self, model: &Arc<str>, verdict: Verdict) -> Option<String> {
        if self.recent.len() == BASELINE {
            self.recent.pop_front();
        }
        self.recent.push_back((model.clone(), verdict));
        let watched = self.watched.as_mut().filter(|watched| watched.model == *model)?;
        watched.after.add(verdict);
        if !LOOKS.contains(&watched.after.parts) {
            return None;
        }
        let words = watched.beyond();
        if words.is_some() || Some(&watched.after.parts) == LOOKS.last() {
            self.watched = None;
        }
        words
    }
}

impl Watched {
    fn beyond(&self) -> Option<String> {
        let Watched { before, after, .. } = self;
        let pairs = [("rejects", before.rejects, after.rejects), ("reviews", before.reviews, after.reviews)];
        pairs.into_iter().find_map(|(what, was, is)| {
            // Half a part more: a share of nothing seen is not nothing.
            let usual = (f64::from(was) + 0.5) / (f64::from(before.parts) + 1.0);
            let n = f64::from(after.parts);
            let limit = usual + SIGMAS * (usual * (1.0 - usual) * (1.0 / n + 1.0 / f64::from(before.parts))).sqrt();
            let share = f64::from(is) / n;
            (share > limit).then(|| {
                format!(
                    "{what}: {is} of {} parts ({:.1} %), with the model before {was} of {} ({:.1} %); the control limit is {:.1} %",
                    after.parts,
                    100.0 * share,
                    before.parts,
                    100.0 * usual,
                    100.0 * limit
                )
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use stages::sample::audited;

    use super::*;

    /// Whether a model with so many reviews is taken back, the one before having had `was`. `trial` decides the draws.
    fn taken_back(trial: u64, was: f64, is: f64) -> bool {
        let [old, new]: [Arc<str>; 2] = ["old".into(), "new".into()];
        let mut guard = Guard::default();
        let see = |guard: &mut Guard, model: &Arc<str>, part: u64, share: f64| {
            let review = audited(trial * 10_000 + part, share as f32);
            guard.part(model, if review { Verdict::Review } else { Verdict::Pass }).is_some()
        };
        for part in 0..500 {
            see(&mut guard, &old, part, was);
        }
        guard.promoted(&new, &old);
        (500..900).any(|part| see(&mut guard, &new, part, is))
    }

    #[test]
    fn a_model_that_holds_back_far_more_is_taken_back_and_an_equal_one_hardly_ever() {
        for was in [0.0, 0.02, 0.1] {
            let equal = (0..500).filter(|&trial| taken_back(trial, was, was)).count();
            let worse = (0..500).filter(|&trial| taken_back(trial, was, was + 0.15)).count();
            assert!(equal <= 25, "usual share {was}: {equal} of 500 equal ones");
            assert!(worse >= 480, "usual share {was}: {worse} of 500 worse ones");
        }
    }

    #[test]
    fn without_a_past_there_is_no_limit() {
        let [old, new]: [Arc<str>; 2] = ["old".into(), "new".into()];
        let mut guard = Guard::default();
        (0..10).for_each(|_| drop(guard.part(&old, Verdict::Pass)));
        guard.promoted(&new, &old);
        assert!((0..200).all(|_| guard.part(&new, Verdict::Fail).is_none()), "ten parts are no past");
    }
}
