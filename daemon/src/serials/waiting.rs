//! Serial numbers that were sent for the coming parts. Bounded, and never half taken.

use std::collections::VecDeque;
use std::sync::Arc;

use stages::identify::serial;
use thiserror::Error;

/// Serial numbers that may wait.
pub const WAITING: usize = 1000;

/// Why serial numbers were not taken. None of the same message was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// One is no serial number.
    #[error("serial number {at} of the message {why}; none of the message was taken")]
    Bad {
        /// Its place in the message, from 1.
        at: usize,
        /// Why, reading on after its name.
        why: String,
    },
    /// There is no room.
    #[error(
        "{waiting} serial numbers wait already and {sent} were sent; at most {WAITING} may wait: send them later, or forget those that wait (DELETE)"
    )]
    Full {
        /// Those that wait.
        waiting: usize,
        /// Those that were sent.
        sent: usize,
    },
}

/// What waits, and what became of the others since the program started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queued {
    /// In the order in which parts will get them.
    pub waiting: Vec<Arc<str>>,
    /// Taken from messages.
    pub sent: u64,
    /// Given to parts.
    pub given: u64,
    /// In messages that were refused.
    pub refused: u64,
    /// Forgotten on request.
    pub forgotten: u64,
    /// Parts that came while none waited.
    pub without: u64,
}

#[derive(Default)]
pub(super) struct Waiting {
    queue: VecDeque<Arc<str>>,
    counts: Queued,
}

impl Waiting {
    pub(super) fn send(&mut self, serials: &[String]) -> Result<(), Refused> {
        let taken = self.checked(serials);
        match taken {
            Ok(cleaned) => {
                self.counts.sent += cleaned.len() as u64;
                self.queue.extend(cleaned);
                Ok(())
            }
            Err(refused) => {
                self.counts.refused += serials.len() as u64;
                Err(refused)
            }
        }
    }

    fn checked(&self, serials: &[String]) -> Result<Vec<Arc<str>>, Refused> {
        if self.queue.len() + serials.len() > WAITING {
            return Err(Refused::Full { waiting: self.queue.len(), sent: serials.len() });
        }
        let bad = |(at, text): (usize, &String)| {
            serial::clean(text).map_err(|why| Refused::Bad { at: at + 1, why: why.to_string() })
        };
        serials.iter().enumerate().map(bad).collect()
    }

    pub(super) fn take(&mut self) -> Option<Arc<str>> {
        let next = self.queue.pop_front();
        let counter = if next.is_some() { &mut self.counts.given } else { &mut self.counts.without };
        *counter += 1;
        next
    }

    pub(super) fn clear(&mut self) -> usize {
        let forgotten = self.queue.len();
        self.counts.forgotten += forgotten as u64;
        self.queue.clear();
        forgotten
    }

    pub(super) fn view(&self) -> Queued {
        Queued { waiting: self.queue.iter().cloned().collect(), ..self.counts.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn parts_get_them_in_turn_and_a_message_is_taken_whole_or_not_at_all() {
        let mut waiting = Waiting::default();
        waiting.send(&texts(&["A1", " A2 "])).expect("sound");
        let refused = waiting.send(&texts(&["A3", "A<4>"])).expect_err("a bracket");
        assert!(refused.to_string().contains("serial number 2 of the message has the character U+003C"), "{refused}");
        assert_eq!([waiting.take(), waiting.take(), waiting.take()], [Some("A1".into()), Some("A2".into()), None]);
        let full: Vec<String> = (0..=WAITING).map(|at| at.to_string()).collect();
        assert!(matches!(waiting.send(&full), Err(Refused::Full { waiting: 0, sent: 1001 })));
        waiting.send(&full[1..]).expect("room for so many");
        assert!(waiting.send(&texts(&["B"])).is_err());
        assert_eq!(waiting.clear(), WAITING);
        let Queued { sent, given, refused, forgotten, without, waiting } = waiting.view();
        assert_eq!((sent, given, refused, forgotten, without), (1002, 2, 1004, 1000, 1));
        assert!(waiting.is_empty());
    }
}
