//! The processes that learn together: what each has to say is gathered, gradients are added up, and all go on from the same bytes.
//!
//! Every process runs the same program with the same seed over the whole list of samples, so all draw the same batches and none has to be
//! told which; only the work of a step is shared out ([`crate::fit::Workers`]). This is data parallelism with a synchronous step: Goyal
//! et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017.
//!
//! They meet in *exchanges*, all in the same order. Each exchange begins with a word of every process: where it is, and whether it has
//! ended. A process that fails, or is stopped, says so in the next exchange, whichever it is, and so all end there and none waits for it.
//! What carries the words is a [`Link`]: MPI ([`mpi`], with the feature of that name), or in tests channels between threads.

pub(crate) mod gradients;
#[cfg(feature = "mpi")]
pub mod mpi;
pub(crate) mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// How long the others are waited for where one may have much to do that they have not: before the first step (a slow disk with the data),
/// and after the last (the bundle, a large test side). A process that dies there is seen by `mpirun`.
const APART: Duration = Duration::from_secs(24 * 3600);

/// What carries words between processes. Each call is made by all of them, in the same order.
pub trait Link: Send + Sync {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn ranks(&self) -> usize;

    /// What each of them has said, in the order of their ranks; the same on all.
    ///
    /// # Errors
    /// When another has not come within `patience`, or the link is broken. Nothing can be exchanged after that.
    fn gather(&self, mine: Vec<u8>, patience: Duration) -> Result<Vec<Vec<u8>>, Lost>;

    /// The sum of what they give, value by value; the same bytes on all.
    ///
    /// # Errors
    /// See [`Link::gather`].
    fn sum(&self, mine: Vec<f64>, patience: Duration) -> Result<Vec<f64>, Lost>;
}

/// Why a link carries nothing any more.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Lost(pub String);

/// The processes that learn together, of which this is one; or this one alone.
#[derive(Clone, Default)]
pub struct Peers(Option<Arc<Group>>);

struct Group {
    link: Box<dyn Link>,
    /// How long a process that says nothing counts as alive during learning.
    patience: Duration,
    /// Exchanges so far.
    exchanges: AtomicU64,
    /// All know that it is over: there is nothing more to say.
    over: AtomicBool,
}

/// What a process says at the beginning of an exchange.
#[derive(Serialize, Deserialize)]
struct Word {
    exchange: u64,
    doing: String,
    ended: Option<Ending>,
}

/// How a process ended.
#[derive(Serialize, Deserialize)]
enum Ending {
    Stopped,
    Failed(String),
}

impl Ending {
    fn of(error: &TrainError) -> Ending {
        match error {
            TrainError::Stopped => Ending::Stopped,
            error => Ending::Failed(error.to_string()),
        }
    }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Peers({} of {})", self.rank(), self.ranks())
    }
}

impl Peers {
    /// This process and those that the link reaches; one that says nothing for as long as `patience` while the others wait for it counts as
    /// lost.
    pub fn together(link: Box<dyn Link>, patience: Duration) -> Peers {
        let (exchanges, over) = (AtomicU64::new(0), AtomicBool::new(false));
        Peers(Some(Arc::new(Group { link, patience, exchanges, over })))
    }

    /// The number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |group| group.link.rank())
    }

    /// How many there are.
    pub fn ranks(&self) -> usize {
        self.0.as_ref().map_or(1, |group| group.link.ranks())
    }

    /// Whether this is the one that writes and speaks.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Whether this process learns alone.
    pub fn is_alone(&self) -> bool {
        self.0.is_none()
    }

    /// This process's share of `items`, which are worked on in parts of `size`: whole parts, one after the other, so that the shares of all
    /// in the order of their ranks are the whole. May be empty.
    pub(crate) fn share<'a, I>(&self, items: &'a [I], size: usize) -> &'a [I] {
        let (size, rank, ranks) = (size.max(1), self.rank(), self.ranks());
        let parts = items.len().div_ceil(size);
        let from = |rank: usize| (parts * rank / ranks * size).min(items.len());
        &items[from(rank)..from(rank + 1)]
    }

    /// What each has found, in the order of their ranks. `doing` names the exchange.
    ///
    /// # Errors
    /// This process's own error, another's ([`TrainError::Peer`]), or [`TrainError::Lost`].
    pub fn gather(&self, doing: &str, mine: Result<Vec<u8>, TrainError>) -> Result<Vec<Vec<u8>>, TrainError> {
        match &self.0 {
            None => mine.map(|mine| vec![mine]),
            Some(group) => group.exchange(doing, mine, group.patience),
        }
    }

    /// The sum of what they give, value by value: the same bytes on all.
    ///
    /// # Errors
    /// See [`Peers::gather`].
    pub(crate) fn sum(&self, doing: &str, mine: Result<Vec<f64>, TrainError>) -> Result<Vec<f64>, TrainError> {
        let Some(group) = &self.0 else { return mine };
        // Lengths first: a sum of unequal ones has no meaning, and MPI does not look.
        let (values, word) = match mine {
            Ok(values) => {
                let length = wire::bytes(&values.len());
                (values, Ok(length))
            }
            Err(error) => (Vec::new(), Err(error)),
        };
        let lengths = group.exchange(doing, word, group.patience)?;
        if let Some(rank) = lengths.iter().position(|length| *length != lengths[self.rank()]) {
            return Err(group.apart(rank, &format!("its {doing} have another size")));
        }
        group.link.sum(values, group.patience).map_err(|lost| group.lost(&lost))
    }

    /// What the first of them says, on all.
    ///
    /// # Errors
    /// See [`Peers::gather`].
    pub(crate) fn first_says(
        &self,
        doing: &str,
        says: impl FnOnce() -> Result<Vec<u8>, TrainError>,
    ) -> Result<Vec<u8>, TrainError> {
        let mine = if self.is_first() { says() } else { Ok(Vec::new()) };
        Ok(self.gather(doing, mine)?.swap_remove(0))
    }

    /// Makes sure that all say the same of `what`.
    ///
    /// # Errors
    /// When one does not; see [`Peers::gather`] too.
    pub fn agree(&self, what: &str, words: &str) -> Result<(), TrainError> {
        self.agree_within(what, words, self.0.as_ref().map_or(APART, |group| group.patience))
    }

    /// The same before the first step, to which some may come much later than others.
    ///
    /// # Errors
    /// See [`Peers::agree`].
    pub fn agree_at_start(&self, what: &str, words: &str) -> Result<(), TrainError> {
        self.agree_within(what, words, APART)
    }

    fn agree_within(&self, what: &str, words: &str, patience: Duration) -> Result<(), TrainError> {
        let Some(group) = &self.0 else { return Ok(()) };
        let all = group.exchange(what, Ok(words.as_bytes().to_vec()), patience)?;
        match all.iter().position(|others| *others != all[0]) {
            None => Ok(()),
            Some(rank) => Err(group.apart(rank, &format!("its {what} are not those of process 0"))),
        }
    }

    /// The last exchange of each process: why it ended, `None` where all went well. One whose end all know already says nothing more.
    ///
    /// # Errors
    /// Its own error again; another's where this one ended well.
    pub fn close(&self, error: Option<TrainError>) -> Result<(), TrainError> {
        let mine = error.map_or(Ok(Vec::new()), Err);
        let Some(group) = self.0.as_ref().filter(|group| !group.over.load(Ordering::Relaxed)) else {
            return mine.map(drop);
        };
        let closed = group.exchange("the end", mine, APART);
        group.over.store(true, Ordering::Relaxed);
        closed.map(drop)
    }
}

impl Group {
    fn exchange(
        &self,
        doing: &str,
        mine: Result<Vec<u8>, TrainError>,
        patience: Duration,
    ) -> Result<Vec<Vec<u8>>, TrainError> {
        if self.over.load(Ordering::Relaxed) {
            return Err(mine.err().unwrap_or(TrainError::Stopped));
        }
        let exchange = self.exchanges.fetch_add(1, Ordering::Relaxed);
        let ended = mine.as_ref().err().map(Ending::of);
        let (payload, mine) = match mine {
            Ok(payload) => (payload, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let said = self.link.gather(packed(&Word { exchange, doing: doing.into(), ended }, &payload), patience);
        let said = match (said, mine) {
            // Its own error says more than that the others have gone.
            (Err(lost), mine) => {
                let lost = self.lost(&lost);
                return Err(mine.unwrap_or(lost));
            }
            (Ok(_), Some(error)) => {
                self.over.store(true, Ordering::Relaxed);
                return Err(error);
            }
            (Ok(said), None) => said,
        };
        let said: Option<Vec<(Word, Vec<u8>)>> = said.iter().map(|said| unpacked(said)).collect();
        let Some(said) = said else { return Err(self.apart(0, "what came is no word of this program")) };
        self.look_for_an_end(&said)?;
        match said.iter().position(|(word, _)| word.exchange != exchange || word.doing != doing) {
            Some(rank) => {
                let words = format!("it is at `{}`, this one at `{doing}`", said[rank].0.doing);
                Err(self.apart(rank, &words))
            }
            None => Ok(said.into_iter().map(|(_, payload)| payload).collect()),
        }
    }

    /// An error where a process has ended; what failed counts before what was stopped.
    fn look_for_an_end(&self, said: &[(Word, Vec<u8>)]) -> Result<(), TrainError> {
        let mut stopped = false;
        for (rank, (word, _)) in said.iter().enumerate() {
            match &word.ended {
                Some(Ending::Failed(words)) => {
                    self.over.store(true, Ordering::Relaxed);
                    return Err(TrainError::Peer { rank, words: words.clone() });
                }
                Some(Ending::Stopped) => stopped = true,
                None => {}
            }
        }
        if !stopped {
            return Ok(());
        }
        self.over.store(true, Ordering::Relaxed);
        Err(TrainError::Stopped)
    }

    fn lost(&self, lost: &Lost) -> TrainError {
        self.over.store(true, Ordering::Relaxed);
        TrainError::Lost { at: String::new(), reason: lost.to_string() }
    }

    /// All of them see the same words, so all end.
    fn apart(&self, rank: usize, words: &str) -> TrainError {
        self.over.store(true, Ordering::Relaxed);
        TrainError::Apart { rank, words: words.to_owned() }
    }
}

/// A word and what belongs to it, as bytes: the word's length, its JSON, the rest.
fn packed(word: &Word, payload: &[u8]) -> Vec<u8> {
    let json = serde_json::to_vec(word).expect("a word is plain numbers and text");
    let mut bytes = (json.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&json);
    bytes.extend_from_slice(payload);
    bytes
}

/// `None` where the bytes are none of [`packed`].
fn unpacked(bytes: &[u8]) -> Option<(Word, Vec<u8>)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (json, payload) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((serde_json::from_slice(json).ok()?, payload.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of several that are not there: only its place counts.
    struct Place(usize, usize);

    impl Link for Place {
        fn rank(&self) -> usize {
            self.0
        }

        fn ranks(&self) -> usize {
            self.1
        }

        fn gather(&self, _: Vec<u8>, _: Duration) -> Result<Vec<Vec<u8>>, Lost> {
            Err(Lost("nobody is there".into()))
        }

        fn sum(&self, _: Vec<f64>, _: Duration) -> Result<Vec<f64>, Lost> {
            Err(Lost("nobody is there".into()))
        }
    }

    #[test]
    fn the_shares_are_whole_parts_and_together_the_whole() {
        for (items, size, ranks) in [(32, 8, 2), (32, 8, 3), (33, 8, 2), (5, 2, 7), (0, 8, 2), (1, 8, 2), (64, 1, 5)] {
            let all: Vec<usize> = (0..items).collect();
            let share = |rank| Peers::together(Box::new(Place(rank, ranks)), Duration::ZERO).share(&all, size).to_vec();
            let shares: Vec<Vec<usize>> = (0..ranks).map(share).collect();
            assert_eq!(shares.concat(), all);
            assert!(shares.iter().all(|share| share.first().is_none_or(|first| first % size == 0)), "whole parts");
            let parts: Vec<usize> = shares.iter().map(|share| share.len().div_ceil(size)).collect();
            assert!(parts.iter().max() <= parts.iter().min().map(|least| least + 1).as_ref(), "{parts:?}");
        }
    }

    #[test]
    fn words_are_read_as_they_were_said_and_rubbish_is_none() {
        let word = Word { exchange: 7, doing: "gradients".into(), ended: None };
        let bytes = packed(&word, &[1, 2, 3]);
        let (read, payload) = unpacked(&bytes).expect("whole");
        assert_eq!((read.exchange, read.doing.as_str(), payload.as_slice()), (7, "gradients", &[1, 2, 3][..]));
        for end in 0..bytes.len() - 3 {
            assert!(unpacked(&bytes[..end]).is_none(), "cut at {end}");
        }
    }
}
