//! Searches for a network that errs little and is quick: Hyperband over what a tree-structured Parzen estimator proposes, within a limit
//! of time of a verdict on this machine.
//!
//! [`run`] is the search over whatever [`Train`] trains; what it does next follows from its [`journal`] alone ([`schedule`]), so that it goes
//! on after a kill as if nothing had been. [`brackets`] has Hyperband's numbers, [`propose`] the proposals, [`front`] the order of networks,
//! [`space`] what is searched over. [`network`] trains the real ones: [`cut`] makes trunks smaller. [`page`] shows what came out.
//! docs/SEARCH.md says how to use it.

pub mod brackets;
pub mod cut;
pub mod error;
pub mod front;
pub mod journal;
pub mod network;
pub mod page;
mod parzen;
pub mod propose;
pub mod schedule;
pub mod space;
pub mod trial;

use std::time::{Duration, Instant};

pub use error::SearchError;
pub use journal::{Journal, Past, Terms};
pub use propose::Proposals;
pub use space::{Point, Space};
pub use trial::{Measured, Trial};

use self::front::Standing;
use self::journal::Entry;
use self::schedule::{Schedule, Step};

/// Networks in a row that are too slow, after which none is looked for any more.
const TOO_SLOW: usize = 200;

/// How to search.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Rounds over the images that a network learns at most.
    pub rounds: u32,
    /// Hyperband's factor: of so many networks one goes on, to so many times the rounds.
    pub factor: u32,
    /// The longest time of a verdict.
    pub max_latency_ms: f64,
    /// Decides every random choice.
    pub seed: u64,
    /// How networks are proposed.
    pub proposals: Proposals,
    /// When it ends.
    pub budget: Budget,
    /// Share of the budget at its end in which nothing new is proposed, and what stands first learns to its full length.
    pub last_share: f64,
}

impl Settings {
    /// Rounds and factor as the program had them that inspectd's method comes from.
    pub fn new(max_latency_ms: f64, budget: Budget) -> Settings {
        let (seed, proposals) = (1, Proposals::default());
        Settings { rounds: 50, factor: 3, max_latency_ms, seed, proposals, budget, last_share: 0.2 }
    }

    /// What makes two searches the same, apart from what they search on. The budget may differ: a search may go on for longer.
    pub fn terms(&self, space: &Space) -> Terms {
        [
            ("rounds", self.rounds.to_string()),
            ("factor", self.factor.to_string()),
            ("limit of latency in ms", self.max_latency_ms.to_string()),
            ("seed", self.seed.to_string()),
            ("way of proposing", self.proposals.to_string()),
            ("largest input", space.largest().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn check(&self) -> Result<(), SearchError> {
        let refuse = |words: &str| Err(SearchError::Settings(words.into()));
        match self {
            Settings { rounds: 0, .. } => refuse("a network learns for one round at least"),
            Settings { factor: 0 | 1, .. } => refuse("Hyperband's factor is 2 at least"),
            Settings { max_latency_ms, .. } if !(max_latency_ms.is_finite() && *max_latency_ms > 0.0) => {
                refuse("the limit of latency is a positive number of milliseconds")
            }
            Settings { last_share, .. } if !(0.0..=1.0).contains(last_share) => {
                refuse("the share of the budget for the end lies between 0 and 1")
            }
            _ => Ok(()),
        }
    }
}

/// When a search ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// After so long, what came before an interruption included.
    Time(Duration),
    /// After so many rounds of all networks together, whatever they take: the same search on every machine, latencies apart.
    Rounds(u64),
}

impl Budget {
    /// The share of it that is spent; 1 and more: it is over.
    pub fn spent(&self, past: &Past) -> f64 {
        match self {
            Budget::Time(time) => past.seconds / time.as_secs_f64().max(f64::MIN_POSITIVE),
            Budget::Rounds(rounds) => past.rounds as f64 / (*rounds).max(1) as f64,
        }
    }
}

/// What a search is over: networks that can be timed, trained and measured.
pub trait Train {
    /// The time of a verdict of a network, in milliseconds, before it has learned anything: it depends on what it is and not on what it
    /// knows.
    ///
    /// # Errors
    /// When it cannot be built or does not run.
    fn latency_ms(&mut self, point: &Point) -> Result<f64, SearchError>;

    /// Has a trial that has learned `rounds.0` rounds learn until it has `rounds.1` in all, and measures it. It may end before. Where it was interrupted
    /// on that way it goes on from there. A network that cannot be taught is no error but [`Measured::failed`].
    ///
    /// # Errors
    /// [`SearchError::Stopped`] and [`SearchError::TimeOver`], or what would keep any network from learning.
    fn train(&mut self, trial: usize, point: &Point, rounds: (u32, u32)) -> Result<Measured, SearchError>;
}

/// Told of each trial when it was proposed or measured.
pub type Tell<'a> = dyn FnMut(&Settings, &Past, &Trial) + 'a;

/// Searches until the budget is over, from where the journal stands, and gives all that is known then.
///
/// # Errors
/// When settings cannot be, no network is quick enough, the journal cannot be written, somebody stops it, or `train` fails.
pub fn run(
    settings: &Settings,
    space: &Space,
    (mut journal, mut past): (Journal, Past),
    train: &mut dyn Train,
    tell: &mut Tell<'_>,
) -> Result<Past, SearchError> {
    settings.check()?;
    let schedule = Schedule::new(settings.rounds, settings.factor, settings.max_latency_ms);
    loop {
        let spent = settings.budget.spent(&past);
        if spent >= 1.0 {
            return Ok(past);
        }
        let last = if spent >= 1.0 - settings.last_share { schedule.last(&past.trials) } else { None };
        let start = Instant::now();
        let entry = match last.unwrap_or_else(|| schedule.next(&past.trials)) {
            Step::Propose => {
                none_quick(settings, &schedule, &past.trials)?;
                let trial = past.trials.len();
                let how = (settings.proposals, settings.seed);
                let point = propose::propose(space, &schedule, &past.trials, how);
                let latency_ms = train.latency_ms(&point)?;
                Entry::Proposed { trial, point, latency_ms, seconds: start.elapsed().as_secs_f64() }
            }
            Step::Train { trial, rounds } => {
                let of = &past.trials[trial];
                let before = of.latest().map_or(0, |latest| latest.rounds);
                let measured = match train.train(trial, &of.point, (before, rounds)) {
                    Err(SearchError::TimeOver) => return Ok(past),
                    measured => measured?,
                };
                Entry::Measured { trial, measured, seconds: start.elapsed().as_secs_f64() }
            }
        };
        let (Entry::Proposed { trial, .. } | Entry::Measured { trial, .. }) = entry;
        journal.append(&mut past, &entry)?;
        tell(settings, &past, &past.trials[trial]);
    }
}

/// Refuses to look on where nothing is quick enough.
fn none_quick(settings: &Settings, schedule: &Schedule, trials: &[Trial]) -> Result<(), SearchError> {
    let slow = trials.iter().rev().take_while(|trial| !schedule.is_quick(trial)).count();
    if slow < TOO_SLOW {
        return Ok(());
    }
    let quickest_ms = trials.iter().map(|trial| trial.latency_ms).fold(f64::INFINITY, f64::min);
    Err(SearchError::NoneQuick { tried: slow, max_latency_ms: settings.max_latency_ms, quickest_ms })
}

/// How every trial that learned something stands, by its newest result.
pub fn standings(past: &Past) -> Vec<Standing> {
    let standing = |trial: &Trial| {
        let latest = trial.latest().filter(|latest| latest.failed.is_none())?;
        Some(trial.standing(latest))
    };
    past.trials.iter().filter_map(standing).collect()
}

/// The trials that no other beats in misses and time, from the quickest on.
pub fn front(past: &Past) -> Vec<&Trial> {
    front::front(&standings(past)).iter().map(|standing| &past.trials[standing.trial]).collect()
}

/// The trial that errs least within the limit; of equal ones the quickest.
pub fn best(past: &Past) -> Option<&Trial> {
    let by_errors = |a: &Standing, b: &Standing| {
        a.miss.total_cmp(&b.miss).then(a.latency_ms.total_cmp(&b.latency_ms)).then(a.loss.total_cmp(&b.loss))
    };
    standings(past).into_iter().min_by(by_errors).map(|standing| &past.trials[standing.trial])
}

#[cfg(test)]
mod tests;
