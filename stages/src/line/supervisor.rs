//! The supervisor: relieves threads that hang, and watches the source and the store.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::guard::Post;
use super::keeper::Keeper;
use super::worker::{Station, Worker};
use super::{Stop, Watched, spawn};
use crate::verdict::Cause;

/// A worker's place: the post stays, the thread may change.
pub(super) struct Seat {
    pub(super) station: Arc<Station>,
    pub(super) post: Arc<Post>,
    pub(super) number: usize,
    pub(super) thread: JoinHandle<()>,
}

impl Seat {
    /// Puts a thread to work at a new post of `station`.
    pub(super) fn fill(station: &Arc<Station>, number: usize) -> std::io::Result<Seat> {
        let post = Arc::new(Post::new());
        let thread = start(station, &post, number, 0)?;
        Ok(Seat { station: station.clone(), post, number, thread })
    }
}

fn start(station: &Arc<Station>, post: &Arc<Post>, number: usize, generation: u64) -> std::io::Result<JoinHandle<()>> {
    let worker = Worker { station: station.clone(), post: post.clone(), generation };
    spawn(&format!("{}-{number}", station.name()), move || worker.run())
}

pub(super) struct Supervisor {
    pub(super) seats: Vec<Seat>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) camera: Arc<str>,
    pub(super) watched: Watched,
    pub(super) interval: Duration,
    pub(super) hang: Duration,
    pub(super) stop: Stop,
}

impl Supervisor {
    /// Watches until the line stops, then waits for every thread that does not hang.
    pub(super) fn run(mut self) {
        let mut source_silent = None;
        while self.stop.recv_timeout(self.interval) == Err(RecvTimeoutError::Timeout) {
            self.watched.supervising.begin(None, self.interval + self.hang);
            self.relieve(true);
            self.watch_store();
            self.watch_source(&mut source_silent);
        }
        self.watched.supervising.end(0);
        let patience = Instant::now() + 2 * self.hang + Duration::from_secs(1);
        while self.seats.iter().any(|seat| !seat.thread.is_finished()) && Instant::now() < patience {
            self.relieve(false);
            std::thread::sleep(Duration::from_millis(2));
        }
        for seat in self.seats {
            if seat.thread.is_finished() {
                // Panics are caught in the worker and told by the keeper.
                let _ = seat.thread.join();
            } else {
                tracing::error!(stage = seat.station.name(), "a thread hangs and is left behind");
            }
        }
    }

    /// Gives up every thread that hangs: its part first, then its place.
    fn relieve(&mut self, replace: bool) {
        let mut index = 0;
        while index < self.seats.len() {
            let seat = &mut self.seats[index];
            let Some((busy, generation)) = seat.post.relieve(Instant::now()) else {
                index += 1;
                continue;
            };
            let name = seat.station.name();
            let ms = busy.since.elapsed().as_millis();
            tracing::error!(stage = name, part = busy.part, "stage has hung for {ms} ms; its thread is abandoned");
            if let Some(part) = busy.part {
                self.keeper.fail(part, Cause::StageFailed, &format!("stage `{name}` hung ({ms} ms)"));
            }
            if !self.keeper.abandoned(name) || !replace {
                self.seats.remove(index);
                continue;
            }
            match start(&seat.station, &seat.post, seat.number, generation) {
                Ok(thread) => seat.thread = thread,
                Err(error) => {
                    self.keeper.hold(&format!("no new thread for stage `{name}`: {error}; restart the program"));
                    self.seats.remove(index);
                    continue;
                }
            }
            index += 1;
        }
    }

    fn watch_store(&self) {
        let now = Instant::now();
        for (post, what) in [(&self.watched.opening, "opening"), (&self.watched.recording, "recording")] {
            if let Some(busy) = post.overrun(now) {
                let ms = busy.since.elapsed().as_millis();
                let part = busy.part.map(|id| format!(" part {id}")).unwrap_or_default();
                self.keeper.hold(&format!("store stalled: {what}{part} has taken {ms} ms; check the disk, then clear"));
            }
        }
    }

    /// A source that does not return cannot be replaced: it is told once, and the line is not healthy meanwhile.
    fn watch_source(&self, told: &mut Option<Instant>) {
        let silent = self.watched.asking.overrun(Instant::now()).map(|busy| busy.since);
        if silent != *told {
            match silent {
                Some(since) => {
                    let trouble = format!("camera `{}`: no answer for {} ms", self.camera, since.elapsed().as_millis());
                    tracing::error!("{trouble}");
                    self.keeper.source_trouble(Some(trouble));
                }
                None => self.keeper.source_trouble(None),
            }
            *told = silent;
        }
    }
}
