//! A desk where codes are read: one thread, which nobody has to wait for.
//!
//! Reading cannot be broken off, and a hostile or merely noisy picture may keep it busy for a second, or make it panic. So the
//! stage hands the picture over and waits for so long as it may; what comes later is thrown away. While the thread is still at an
//! earlier picture the next one waits for it within its own time. One thread a worker: what is behind never piles up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::code::{self, Format, Found, Grey};

struct Job {
    number: u64,
    picture: Grey,
    formats: Vec<Format>,
    until: Instant,
}

/// What is said of a job, with its picture's memory.
struct Said {
    number: u64,
    found: Result<Found, String>,
    picture: Grey,
}

/// See the module. Dropping it lets the thread go, which ends after the picture at hand.
pub(super) struct Desk {
    jobs: Sender<Job>,
    said: Receiver<Said>,
    number: u64,
    /// The thread is still at an earlier picture.
    behind: bool,
    spare: Grey,
}

impl Desk {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives none.
    pub(super) fn open() -> std::io::Result<Desk> {
        // One place each, which is always free when it is used: there is one job at a time.
        let (jobs, taken) = bounded::<Job>(1);
        let (tell, said) = bounded(1);
        std::thread::Builder::new().name("codes".to_owned()).spawn(move || {
            for Job { number, picture, formats, until } in taken {
                let look = AssertUnwindSafe(|| code::find(&picture, &formats, until));
                let found = catch_unwind(look).map_err(|_| "the reader panicked at this picture".to_owned());
                if tell.send(Said { number, found, picture }).is_err() {
                    return;
                }
            }
        })?;
        Ok(Desk { jobs, said, number: 0, behind: false, spare: Grey::default() })
    }

    /// Reads a picture that `draw` makes, until `until` at most.
    ///
    /// # Errors
    /// Nothing came of it, in words.
    pub(super) fn read(
        &mut self,
        draw: impl FnOnce(&mut Grey) -> Result<(), String>,
        formats: &[Format],
        until: Instant,
    ) -> Result<Found, String> {
        if self.behind {
            // Whatever is said now belongs to an earlier part.
            let Ok(late) = self.said.recv_deadline(until) else {
                return Err("the reader is still at an earlier picture".to_owned());
            };
            self.behind = false;
            self.spare = late.picture;
        }
        let mut picture = std::mem::take(&mut self.spare);
        if let Err(why) = draw(&mut picture) {
            self.spare = picture;
            return Err(why);
        }
        self.number += 1;
        let job = Job { number: self.number, picture, formats: formats.to_vec(), until };
        self.jobs.send(job).map_err(|_| "the reader is gone".to_owned())?;
        self.behind = true;
        match self.said.recv_deadline(until) {
            Ok(said) => {
                debug_assert_eq!(said.number, self.number, "one job at a time");
                self.behind = false;
                self.spare = said.picture;
                said.found
            }
            Err(_) => Ok(Found::TimeUp),
        }
    }
}
