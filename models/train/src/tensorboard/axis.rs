//! One axis of steps for a whole training. Its stages count for themselves, each from 1; a chart wants them one after the other.

use serde::{Deserialize, Serialize};

use crate::progress::Stage;

/// The places of the stages that have steps: the head, all layers, the head once more at another input size.
const HEAD: usize = 0;
const ALL: usize = 1;
const FINISH: usize = 2;

/// Where the stages begin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Axis {
    /// Steps before each stage that was entered so far.
    before: Vec<usize>,
    /// The last step of all.
    last: usize,
    /// The stage that runs. A training that goes on is in none yet.
    #[serde(skip)]
    at: Option<usize>,
    /// It goes on from a checkpoint, and so behind the head's stage.
    #[serde(skip)]
    resumed: bool,
}

impl Axis {
    /// The axis of a training that goes on.
    pub(super) fn go_on(self) -> Axis {
        Axis { at: None, resumed: true, ..self }
    }

    /// The step of a stage on the whole axis; `None` for what has no steps.
    pub(super) fn step(&mut self, stage: Stage, step: usize) -> Option<usize> {
        let place = self.place(stage)?;
        if self.before.len() <= place {
            self.before.resize(place + 1, self.last);
        }
        self.at = Some(place);
        self.last = self.before[place] + step;
        Some(self.last)
    }

    /// The last step that was asked for.
    pub(super) fn last(&self) -> usize {
        self.last
    }

    fn place(&self, stage: Stage) -> Option<usize> {
        match (stage, self.at) {
            (Stage::Features, _) => None,
            (Stage::All, _) => Some(ALL),
            (Stage::Head, None) if self.resumed => Some(FINISH),
            (Stage::Head, None | Some(HEAD)) => Some(HEAD),
            (Stage::Head, Some(_)) => Some(FINISH),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(axis: &mut Axis, stages: &[(Stage, usize)]) -> Vec<Option<usize>> {
        stages.iter().map(|&(stage, step)| axis.step(stage, step)).collect()
    }

    #[test]
    fn stages_follow_each_other() {
        let mut axis = Axis::default();
        let steps = [(Stage::Features, 0), (Stage::Head, 100), (Stage::Head, 240), (Stage::All, 20), (Stage::All, 40)];
        assert_eq!(walk(&mut axis, &steps), [None, Some(100), Some(240), Some(260), Some(280)]);
        assert_eq!(walk(&mut axis, &[(Stage::Features, 0), (Stage::Head, 10)]), [None, Some(290)], "once more");
        let mut scratch = Axis::default();
        assert_eq!(walk(&mut scratch, &[(Stage::All, 20)]), [Some(20)], "without a head's stage");
    }

    #[test]
    fn what_goes_on_goes_on_at_its_step() {
        let mut axis = Axis::default();
        walk(&mut axis, &[(Stage::Head, 240), (Stage::All, 40)]);
        let mut again = axis.clone().go_on();
        assert_eq!(walk(&mut again, &[(Stage::All, 40), (Stage::All, 60)]), [Some(280), Some(300)]);
        let mut finish = axis.go_on();
        assert_eq!(walk(&mut finish, &[(Stage::Features, 0), (Stage::Head, 10)]), [None, Some(290)]);
    }
}
