//! A source whose parts are called for from outside: by a PLC, or whoever else holds the [`Caller`]. It waits for a call, asks the
//! source within for one picture, and answers the call with that picture or with the reason why there is none. So every call that
//! was taken is one part.
//!
//! A picture that nobody called for never gets a verdict: it is dropped and counted. Of a source that delivers by itself
//! ([`Pace::Triggered`]) a picture belongs to a call only if it was taken after it ([`Trigger::at`]); and after a call whose picture did
//! not come, calls go without one until that picture can no longer arrive, because it could be taken for theirs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use super::statistics::Gauge;
use super::{Event, Fault, Pace, Source, SourceError, Trigger};
use crate::verdict::Cause;

/// How often a source that delivers by itself is emptied while nobody calls.
const LOOK: Duration = Duration::from_millis(20);
/// Pictures that are dropped in one go before calls are looked at again.
const STALE_AT_ONCE: usize = 64;

/// One call for a part.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it came. The part's deadline counts from here.
    pub at: Instant,
    /// Given by the caller; it comes back with the part's record.
    pub id: u32,
    /// Serial number, where the caller knows one.
    pub serial: Option<Arc<str>>,
}

/// Why a call was not taken. It is counted as missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// As many calls as may wait do wait.
    Full,
    /// No part will ever come again: the source has ended, or the line.
    Closed,
}

/// What became of calls and pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Calls that became parts, or will.
    pub taken: u64,
    /// Calls that were not taken.
    pub missed: u64,
    /// Calls whose picture did not come in time.
    pub without_frame: u64,
    /// Pictures that nobody had called for.
    pub stale: u64,
}

#[derive(Default)]
struct Shared {
    /// Whether no call is taken any more. Held while a call is put into the channel, so that none comes after the last look into it.
    closed: Mutex<bool>,
    taken: AtomicU64,
    missed: AtomicU64,
    without_frame: AtomicU64,
    stale: AtomicU64,
}

impl Shared {
    fn closed(&self) -> MutexGuard<'_, bool> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls for parts. Never blocks.
#[derive(Clone)]
pub struct Caller {
    calls: Sender<Call>,
    shared: Arc<Shared>,
}

impl Caller {
    /// Calls for one part.
    ///
    /// # Errors
    /// The call was not taken; nothing will come of it.
    pub fn call(&self, call: Call) -> Result<(), Missed> {
        let closed = self.shared.closed();
        let taken = match *closed {
            true => Err(Missed::Closed),
            false => self.calls.try_send(call).map_err(|refused| match refused {
                TrySendError::Full(_) => Missed::Full,
                TrySendError::Disconnected(_) => Missed::Closed,
            }),
        };
        let counter = if taken.is_ok() { &self.shared.taken } else { &self.shared.missed };
        counter.fetch_add(1, Ordering::Relaxed);
        taken
    }

    /// What was counted so far.
    pub fn counts(&self) -> CallCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { taken, missed, without_frame, stale, .. } = &*self.shared;
        CallCounts { taken: read(taken), missed: read(missed), without_frame: read(without_frame), stale: read(stale) }
    }
}

/// See the module.
pub struct Called {
    inner: Box<dyn Source>,
    calls: Receiver<Call>,
    shared: Arc<Shared>,
    frame_wait: Duration,
    /// A picture of an earlier call may come until then.
    unsure_until: Option<Instant>,
    /// What is wrong with the source within, until it delivers again.
    trouble: Option<SourceError>,
    /// The source within has no more pictures.
    ended: bool,
}

/// Wraps a source. A picture must come within `frame_wait` of its call; `waiting` calls may wait for their turn.
pub fn called(inner: Box<dyn Source>, frame_wait: Duration, waiting: usize) -> (Called, Caller) {
    let (sender, calls) = bounded(waiting.max(1));
    let shared = Arc::new(Shared::default());
    let caller = Caller { calls: sender, shared: shared.clone() };
    let source = Called { inner, calls, shared, frame_wait, unsure_until: None, trouble: None, ended: false };
    (source, caller)
}

impl Called {
    /// Whether pictures come without being asked for.
    fn delivers_by_itself(&self) -> bool {
        self.inner.pace() == Pace::Triggered
    }

    fn end(&mut self) {
        self.ended = true;
        *self.shared.closed() = true;
    }

    /// Empties a source that delivers by itself of what nobody called for.
    fn drop_stale(&mut self) {
        for _ in 0..STALE_AT_ONCE {
            match self.inner.next(Duration::ZERO) {
                Ok(Event::Trigger(_)) => {
                    self.shared.stale.fetch_add(1, Ordering::Relaxed);
                    self.trouble = None;
                }
                Ok(Event::Idle) => {
                    self.trouble = None;
                    return;
                }
                Ok(Event::End) => return self.end(),
                Err(error) => {
                    self.trouble = Some(error);
                    return;
                }
            }
        }
    }

    /// The part of a call.
    fn answer(&mut self, call: Call) -> Trigger {
        match self.picture(&call) {
            Ok(picture) => Trigger {
                at: call.at,
                serial: call.serial.or(picture.serial),
                frame: picture.frame,
                truth: picture.truth,
                call: Some(call.id),
            },
            Err(detail) => {
                self.shared.without_frame.fetch_add(1, Ordering::Relaxed);
                let fault = Fault { cause: Cause::NoFrame, detail };
                Trigger { at: call.at, serial: call.serial, frame: Err(fault), truth: None, call: Some(call.id) }
            }
        }
    }

    /// The picture that belongs to a call, or in words why there is none.
    fn picture(&mut self, call: &Call) -> Result<Trigger, String> {
        let name = self.inner.name().to_owned();
        if self.ended {
            return Err(format!("camera `{name}` has no more pictures"));
        }
        let now = Instant::now();
        if self.unsure_until.is_some_and(|until| now < until) {
            return Err(format!(
                "camera `{name}`: the picture of a call before may still come, so none is taken for this one"
            ));
        }
        self.unsure_until = None;
        let failed = |this: &mut Called, error: SourceError| {
            let words = format!("camera `{name}`: {error}");
            this.trouble = Some(error);
            Err(words)
        };
        if let Err(error) = self.inner.expose() {
            return failed(self, error);
        }
        let until = now + self.frame_wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.inner.next(left) {
                Ok(Event::Trigger(picture)) if self.delivers_by_itself() && picture.at < call.at => {
                    self.shared.stale.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Event::Trigger(picture)) => {
                    self.trouble = None;
                    return Ok(picture);
                }
                Ok(Event::Idle) if left.is_zero() => {
                    let wait = self.frame_wait;
                    self.unsure_until = self.delivers_by_itself().then(|| Instant::now() + wait);
                    return Err(format!("camera `{name}`: no picture within {} ms of the call", wait.as_millis()));
                }
                Ok(Event::Idle) => {}
                Ok(Event::End) => {
                    self.end();
                    return Err(format!("camera `{name}` has no more pictures"));
                }
                Err(error) => return failed(self, error),
            }
        }
    }
}

impl Source for Called {
    fn name(&self) -> &str {
        self.inner.name()
    }

    /// Calls come when they come.
    fn pace(&self) -> Pace {
        Pace::Triggered
    }

    fn gauge(&self) -> Option<Gauge> {
        self.inner.gauge()
    }

    /// At once: calls are answered while the camera is away, with the reason why there is no picture.
    fn retry_after(&self) -> Duration {
        Duration::ZERO
    }

    fn next(&mut self, wait: Duration) -> Result<Event, SourceError> {
        let until = Instant::now() + wait;
        loop {
            if !self.ended && self.delivers_by_itself() && self.calls.is_empty() {
                self.drop_stale();
            }
            let left = until.saturating_duration_since(Instant::now());
            // Once the source has ended nothing can be put into the channel any more: what is in it is the rest.
            let slice = if self.ended { Duration::ZERO } else { left.min(LOOK) };
            match self.calls.recv_timeout(slice) {
                Ok(call) => return Ok(Event::Trigger(self.answer(call))),
                Err(RecvTimeoutError::Disconnected) => return Ok(Event::End),
                Err(RecvTimeoutError::Timeout) if self.ended => return Ok(Event::End),
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    return match &self.trouble {
                        Some(trouble) => Err(trouble.clone()),
                        None => Ok(Event::Idle),
                    };
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Drop for Called {
    fn drop(&mut self) {
        *self.shared.closed() = true;
    }
}
