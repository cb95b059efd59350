//! Calls into code that may panic, and places where a watcher sees how long such a call has been going on.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Calls `work`; a panic becomes its text. Whatever `work` touches must be thrown away or fit to be used again after a
/// panic: a stage's runtime is rebuilt; sources, recorders and sinks are asked again as they are.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| text_of(payload.as_ref()))
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no text".to_owned())
}

/// A thread's post: it says when a piece of work begins and ends, and a watcher sees when one takes too long. A watcher may
/// relieve the thread; then the next one serves under a new generation, and the old one learns of it when it returns.
pub(super) struct Post(Mutex<Duty>);

struct Duty {
    generation: u64,
    busy: Option<Busy>,
}

/// Work that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy {
    pub(super) since: Instant,
    pub(super) part: Option<u64>,
    allowed: Duration,
}

impl Post {
    pub(super) fn new() -> Post {
        Post(Mutex::new(Duty { generation: 0, busy: None }))
    }

    /// Work begins and may take as long as `allowed`.
    pub(super) fn begin(&self, part: Option<u64>, allowed: Duration) {
        self.duty().busy = Some(Busy { since: Instant::now(), part, allowed });
    }

    /// Work ended. False if the thread of this generation was relieved meanwhile.
    pub(super) fn end(&self, generation: u64) -> bool {
        let mut duty = self.duty();
        let mine = duty.generation == generation;
        if mine {
            duty.busy = None;
        }
        mine
    }

    /// The work that goes on longer than allowed.
    pub(super) fn overrun(&self, now: Instant) -> Option<Busy> {
        self.duty().busy.filter(|busy| now.saturating_duration_since(busy.since) > busy.allowed)
    }

    /// Relieves the thread if its work goes on longer than allowed: what it was at, and the generation of the next one.
    pub(super) fn relieve(&self, now: Instant) -> Option<(Busy, u64)> {
        let mut duty = self.duty();
        let busy = duty.busy.filter(|busy| now.saturating_duration_since(busy.since) > busy.allowed)?;
        duty.busy = None;
        duty.generation += 1;
        Some((busy, duty.generation))
    }

    fn duty(&self) -> MutexGuard<'_, Duty> {
        // Plain assignments: nothing is half done after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_text() {
        assert_eq!(guarded(|| 7), Ok(7));
        assert_eq!(guarded(|| -> u8 { panic!("plain") }), Err("plain".to_owned()));
        assert_eq!(guarded(|| -> u8 { panic!("number {}", 3) }), Err("number 3".to_owned()));
    }

    #[test]
    fn only_a_thread_that_overruns_is_relieved_and_only_once() {
        let post = Post::new();
        let start = Instant::now();
        assert_eq!(post.relieve(start + Duration::from_secs(9)), None, "idle");
        post.begin(Some(4), Duration::from_secs(1));
        assert_eq!(post.relieve(start), None, "in time");
        let (busy, next) = post.relieve(start + Duration::from_secs(9)).expect("overrun");
        assert_eq!((busy.part, next), (Some(4), 1));
        assert_eq!(post.relieve(start + Duration::from_secs(9)), None, "relieved already");
        assert!(!post.end(0), "the old thread learns of it");
        post.begin(Some(5), Duration::from_secs(1));
        assert!(!post.end(0), "the old thread cannot end the new one's work");
        assert!(post.overrun(start + Duration::from_secs(9)).is_some());
        assert!(post.end(1));
    }
}
