//! What a search does next. It follows from the trials so far and from nothing else, so that a search that was killed goes on as if nothing
//! had been.

use super::brackets::{Bracket, brackets};
use super::front::{Standing, order};
use super::trial::{Measured, Trial};

/// The next thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Propose a network and time it.
    Propose,
    /// Have a trial learn, up to so many rounds in all.
    Train {
        /// Its number.
        trial: usize,
        /// Rounds in all.
        rounds: u32,
    },
}

/// Hyperband's plan.
#[derive(Debug, Clone)]
pub struct Schedule {
    brackets: Vec<Bracket>,
    most: u32,
    max_latency_ms: f64,
}

impl Schedule {
    /// With so many rounds at most, this factor, and this limit of time.
    pub fn new(most: u32, factor: u32, max_latency_ms: f64) -> Schedule {
        Schedule { brackets: brackets(most, factor), most, max_latency_ms }
    }

    /// Whether a trial is quick enough to learn.
    pub fn is_quick(&self, trial: &Trial) -> bool {
        trial.latency_ms <= self.max_latency_ms
    }

    /// Hyperband, bracket after bracket, without an end. A bracket's networks are proposed one by one, each with what is known by then.
    pub fn next(&self, trials: &[Trial]) -> Step {
        let quick: Vec<&Trial> = trials.iter().filter(|trial| self.is_quick(trial)).collect();
        let mut rest = quick.as_slice();
        for bracket in self.brackets.iter().cycle() {
            let places = bracket[0].networks;
            let (own, others) = rest.split_at(places.min(rest.len()));
            if let Some(step) = within(bracket, own) {
                return step;
            }
            if own.len() < places {
                return Step::Propose;
            }
            rest = others;
        }
        Step::Propose
    }

    /// The end of a search: what stands first learns to its full length, one after the other. `None`: all that learned have.
    pub fn last(&self, trials: &[Trial]) -> Option<Step> {
        let standing = |trial: &Trial| trial.latest().map(|result| trial.standing(result));
        let open = |standing: &Standing| {
            trials[standing.trial].latest().is_some_and(|result| !result.ended && result.rounds < self.most)
        };
        let first = order(trials.iter().filter_map(standing).collect()).into_iter().find(open)?;
        Some(Step::Train { trial: first.trial, rounds: self.most })
    }
}

/// What a bracket needs next; `None` where its networks have all come as far as they do.
fn within(bracket: &Bracket, own: &[&Trial]) -> Option<Step> {
    let mut standing = own.to_vec();
    let mut before = None;
    for rung in bracket {
        if let Some(rounds) = before {
            // Only a full bracket has something to choose from.
            if own.len() < bracket[0].networks {
                return None;
            }
            standing = best(&standing, rounds, rung.networks);
        }
        if let Some(trial) = standing.iter().find(|trial| trial.after(rung.rounds).is_none()) {
            return Some(Step::Train { trial: trial.number, rounds: rung.rounds });
        }
        before = Some(rung.rounds);
    }
    None
}

/// The first of a rung, by what they were after its rounds.
fn best<'a>(trials: &[&'a Trial], rounds: u32, count: usize) -> Vec<&'a Trial> {
    let result = |trial: &'a Trial| -> Option<(&'a Trial, &'a Measured)> { Some((trial, trial.after(rounds)?)) };
    let found: Vec<_> = trials.iter().filter_map(|trial| result(trial)).collect();
    let ordered = order(found.iter().map(|(trial, result)| trial.standing(result)).collect());
    let of = |standing: &Standing| trials.iter().copied().find(|trial| trial.number == standing.trial);
    ordered.iter().take(count).filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::super::space::Point;
    use super::*;

    /// A trial whose error is its number, in hundredths.
    fn trial(number: usize, latency_ms: f64) -> Trial {
        Trial { number, point: Point::usual(64), latency_ms, results: Vec::new() }
    }

    fn learn(trial: &mut Trial, rounds: u32, ended: bool) {
        let errors = trial.number;
        let loss = Some(errors as f64 / 100.0);
        let (escape_rate, overkill_rate) = (None, None);
        trial.results.push(Measured {
            rounds,
            ended,
            errors,
            images: 1000,
            escape_rate,
            overkill_rate,
            loss,
            failed: None,
        });
    }

    /// Plays a search; what was proposed and trained, as `(trial, rounds)`, proposals with 0 rounds.
    fn play(schedule: &Schedule, steps: usize) -> Vec<(usize, u32)> {
        let mut trials: Vec<Trial> = Vec::new();
        let mut played = Vec::new();
        for _ in 0..steps {
            match schedule.next(&trials) {
                Step::Propose => {
                    played.push((trials.len(), 0));
                    trials.push(trial(trials.len(), 1.0));
                }
                Step::Train { trial, rounds } => {
                    played.push((trial, rounds));
                    learn(&mut trials[trial], rounds, false);
                }
            }
        }
        played
    }

    #[test]
    fn a_bracket_halves_and_the_next_one_follows() {
        let schedule = Schedule::new(9, 3, 10.0);
        let played = play(&schedule, 9 + 9 + 3 + 1 + 2);
        let start: Vec<(usize, u32)> = (0..9).flat_map(|number| [(number, 0), (number, 1)]).collect();
        assert_eq!(played[..18], start);
        assert_eq!(played[18..], [(0, 3), (1, 3), (2, 3), (0, 9), (9, 0), (9, 3)]);
    }

    #[test]
    fn slow_networks_take_no_place_and_no_training() {
        let schedule = Schedule::new(3, 3, 10.0);
        let mut trials = vec![trial(0, 11.0), trial(1, f64::NAN)];
        assert_eq!(schedule.next(&trials), Step::Propose);
        trials.push(trial(2, 10.0));
        assert_eq!(schedule.next(&trials), Step::Train { trial: 2, rounds: 1 });
    }

    #[test]
    fn what_has_ended_goes_up_without_learning_more() {
        let schedule = Schedule::new(3, 3, 10.0);
        let mut trials: Vec<Trial> = (0..3).map(|number| trial(number, 1.0)).collect();
        trials.iter_mut().for_each(|trial| learn(trial, 1, true));
        assert_eq!(schedule.next(&trials), Step::Propose, "of the next bracket");
    }

    #[test]
    fn the_end_takes_the_first_to_its_full_length() {
        let schedule = Schedule::new(9, 3, 10.0);
        let mut trials: Vec<Trial> = (0..3).map(|number| trial(number, 1.0)).collect();
        assert_eq!(schedule.last(&trials), None, "nothing has learned yet");
        trials.iter_mut().for_each(|trial| learn(trial, 1, false));
        assert_eq!(schedule.last(&trials), Some(Step::Train { trial: 0, rounds: 9 }));
        learn(&mut trials[0], 4, true);
        assert_eq!(schedule.last(&trials), Some(Step::Train { trial: 1, rounds: 9 }));
    }
}
