//! Since when: how many verdicts change in each step of time, from the first part that was looked at to the last.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use stages::verdict::Verdict;
use utoipa::ToSchema;

use super::report::Fate;

/// Steps at most: as many as can be told apart side by side.
const STEPS: i64 = 120;
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Steps that a person can name, in seconds.
const NAMED: [i64; 16] = [
    1,
    2,
    5,
    10,
    30,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    7 * DAY,
];

/// What changes when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayTimeline)]
pub(crate) struct Timeline {
    /// Begin of the first step, a whole multiple of `step_s`; null: no part was looked at.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    pub(crate) from: Option<Timestamp>,
    /// Seconds of a step.
    pub(crate) step_s: i64,
    /// One after the other, 121 at most.
    pub(crate) steps: Vec<Step>,
}

/// Parts of one step of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayStep)]
pub(crate) struct Step {
    /// All that were looked at.
    pub(crate) parts: u64,
    /// Those that were decided anew.
    pub(crate) decided: u64,
    /// They passed, and would not.
    pub(crate) held_back: u64,
    /// They did not pass, and would.
    pub(crate) let_through: u64,
    /// They would be held back by another verdict.
    pub(crate) otherwise: u64,
}

impl Timeline {
    /// Room for parts between a first and a last one.
    pub(crate) fn over(span: Option<(Timestamp, Timestamp)>) -> Timeline {
        let Some((first, last)) = span else { return Timeline::default() };
        let seconds = last.as_second().saturating_sub(first.as_second());
        let enough = |step: i64| seconds / step < STEPS;
        let days = || (seconds / STEPS / DAY + 1) * DAY;
        let step_s = NAMED.into_iter().find(|&step| enough(step)).unwrap_or_else(days);
        let from = first.as_second().div_euclid(step_s) * step_s;
        let steps = usize::try_from((last.as_second() - from) / step_s + 1).unwrap_or(1);
        // Before the year 1 nothing was inspected.
        let from = Timestamp::from_second(from).unwrap_or(first);
        Timeline { from: Some(from), step_s, steps: vec![Step::default(); steps] }
    }

    /// One more part.
    pub(crate) fn count(&mut self, at: Timestamp, before: &Verdict, fate: &Fate) {
        let Some(from) = self.from else { return };
        let place = at.duration_since(from).max(SignedDuration::ZERO).as_secs() / self.step_s.max(1);
        let last = self.steps.len().saturating_sub(1);
        let Some(step) = self.steps.get_mut(usize::try_from(place).unwrap_or(last).min(last)) else { return };
        step.parts += 1;
        let Fate::Decided { after, .. } = fate else { return };
        step.decided += 1;
        let passed = *before == Verdict::Pass;
        match (passed, after.verdict == "pass") {
            (true, false) => step.held_back += 1,
            (false, true) => step.let_through += 1,
            (false, false) if after.verdict != crate::store::verdict_words(*before).0 => step.otherwise += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::report::Said;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn every_span_has_steps_that_can_be_told_apart() {
        for seconds in [0, 1, 59, 119, 120, 3_600, 86_400, 7 * 86_400, 400 * 86_400, 900 * 365 * 86_400] {
            let (first, last) = (second(1_700_000_123), second(1_700_000_123 + seconds));
            let timeline = Timeline::over(Some((first, last)));
            let steps = timeline.steps.len() as i64;
            assert!((1..=STEPS + 1).contains(&steps), "{seconds} s: {steps} steps of {} s", timeline.step_s);
            let from = timeline.from.expect("a begin").as_second();
            assert!(from <= first.as_second() && last.as_second() < from + steps * timeline.step_s, "{seconds} s");
        }
        assert!(Timeline::over(None).steps.is_empty());
    }

    #[test]
    fn each_part_is_in_one_step_even_where_somebody_set_the_clock() {
        let fate = |verdict| Fate::Decided { after: Said::new(verdict, None), top: None, reproduced: None };
        let mut timeline = Timeline::over(Some((second(100), second(109))));
        timeline.count(second(100), &Verdict::Pass, &fate(Verdict::Fail));
        timeline.count(second(109), &Verdict::Fail, &fate(Verdict::Pass));
        timeline.count(second(90), &Verdict::Fail, &fate(Verdict::Review));
        timeline.count(second(900), &Verdict::Pass, &Fate::WithoutPicture);
        let all = |number: fn(&Step) -> u64| timeline.steps.iter().map(number).sum::<u64>();
        assert_eq!((all(|it| it.parts), all(|it| it.decided)), (4, 3));
        assert_eq!(
            (timeline.steps[0].held_back, timeline.steps[0].otherwise, timeline.steps[9].let_through),
            (1, 1, 1)
        );
    }
}
