//! The deadline keeper: owns the open parts and lets every verdict out, in trigger order, at the decision or at the
//! deadline, whichever comes first.
//!
//! One mutex guards the books. Whoever changes them (capture, a stage's worker, the deadline thread, the supervisor)
//! first lets every part expire whose deadline has come and, before letting go, sends out what is ready. So the order of
//! verdicts and the law hold whenever the mutex is free, and a slow deadline thread cannot let a late result pass as one
//! in time. Lock order: books, then latencies; no other lock is taken under either, and nothing under them blocks: the
//! recorder's queue has a place for every open part, reserved at admission.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::books::{Admission, Beside, Books, Tallies, Terms};
use super::counts::{Counts, Latency, LatencySummary};
use super::guard::guarded;
use super::recording::Job;
use crate::ledger::micros_between;
use crate::part::Part;
use crate::record::VerdictSink;
use crate::stage::Decision;
use crate::verdict::Cause;

pub(super) struct Keeper {
    books: Mutex<Books>,
    /// The deadline thread waits here: a part became the oldest, or the line closes.
    due: Condvar,
    /// Capture waits here for room, and `wait` and `drain` for the end.
    eased: Condvar,
    latencies: Mutex<Latencies>,
    sinks: Vec<Arc<dyn VerdictSink>>,
    jobs: Sender<Job>,
    late_capacity: usize,
}

struct Latencies {
    total: Latency,
    stages: Vec<(&'static str, Latency)>,
}

/// A consistent look at the books.
pub(super) struct Snapshot {
    pub(super) counts: Counts,
    pub(super) tallies: Tallies,
    pub(super) hold: Option<String>,
    pub(super) draining: bool,
    pub(super) finished: bool,
    pub(super) last_trigger: Option<Instant>,
}

/// What capture finds when it looks for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    Full,
    Draining,
}

impl Keeper {
    /// The keeper and the recorder's end of its queue.
    pub(super) fn new(terms: Terms, sinks: Vec<Arc<dyn VerdictSink>>) -> (Keeper, Receiver<Job>) {
        // One place for the verdict of every part that may be open or unrecorded, as many for late results, and one for
        // the job that the recorder has taken out but not finished.
        let capacity = terms.capacity;
        let (jobs, queue) = bounded(2 * capacity + 1);
        let stages = terms.stages.iter().map(|&name| (name, Latency::new())).collect();
        let keeper = Keeper {
            latencies: Mutex::new(Latencies { total: Latency::new(), stages }),
            books: Mutex::new(Books::new(terms)),
            due: Condvar::new(),
            eased: Condvar::new(),
            sinks,
            jobs,
            late_capacity: capacity,
        };
        (keeper, queue)
    }

    /// Enters a part. True if it may go on to the stages.
    pub(super) fn admit(&self, part: Admission) -> bool {
        self.with(|books, now| {
            // The line was given up while a hung source held capture back: the store accounts for the part on restart.
            if books.closed {
                return false;
            }
            let goes_on = books.admit(part, now);
            if books.in_flight() == 1 {
                self.due.notify_one();
            }
            goes_on
        })
    }

    /// A stage's result.
    pub(super) fn decide(&self, part: Part, decision: Decision) {
        let views = part.frame.shared_views();
        let beside = Beside { provider: part.provider(), image: part.image, pose: part.pose, views };
        self.with(|books, now| books.decide(part.id, part.triggered, (decision, beside), now));
        // The part lives until here: the books reach its picture through it.
        drop(part);
    }

    /// The line itself gives a part up.
    pub(super) fn fail(&self, id: u64, cause: Cause, detail: &str) {
        self.with(|books, now| books.fail(id, cause, detail, now));
    }

    pub(super) fn undecided(&self, id: u64) -> bool {
        self.with(|books, _| books.undecided(id))
    }

    /// Work on a part begins: the moment, and whether the part still waits for its verdict.
    pub(super) fn enter(&self, id: u64, stage: usize) -> (Instant, bool) {
        self.with(|books, now| (now, books.enter(id, stage, now)))
    }

    /// Work on a part ended; none: a panic took it. True if the part still waits for its verdict.
    pub(super) fn leave(&self, id: u64, stage: usize, entered: Instant, part: Option<&Part>) -> bool {
        let (left, wanted) = self.with(|books, now| {
            part.inspect(|part| books.know(part));
            (now, books.leave(id, now))
        });
        if let Some((_, latency)) = self.latencies().stages.get_mut(stage) {
            latency.record(micros_between(entered, left));
        }
        wanted
    }

    pub(super) fn hold(&self, reason: &str) {
        self.with(|books, now| books.enter_hold(reason, now));
    }

    pub(super) fn clear_hold(&self) {
        self.with(|books, _| books.clear_hold());
    }

    /// A stage was restarted after a panic; too many of them end in safe hold.
    pub(super) fn restarted(&self, stage: &str, reason: &str) {
        tracing::error!(stage, reason, "stage panicked; it is rebuilt");
        self.with(|books, now| {
            if books.restarted(now) {
                let times = books.tallies.restarts;
                let text = format!(
                    "stage `{stage}` keeps failing ({times} restarts, the last: {reason}); mend it, then clear"
                );
                books.enter_hold(&text, now);
            }
        });
    }

    /// A stage's thread was abandoned. True if it should be replaced, false if there were too many.
    pub(super) fn abandoned(&self, stage: &str) -> bool {
        self.with(|books, now| {
            let too_many = books.abandoned();
            if too_many {
                let hung = books.tallies.abandoned;
                let text = format!("{hung} threads hang, the last in stage `{stage}`; restart the program");
                books.enter_hold(&text, now);
            }
            !too_many
        })
    }

    /// The recorder is done with a verdict.
    pub(super) fn recorded(&self) {
        self.with(|books, _| books.unrecorded -= 1);
        self.eased.notify_all();
    }

    /// The recorder refused something.
    pub(super) fn record_failed(&self, reason: &str) {
        self.with(|books, now| {
            books.tallies.record_errors += 1;
            books.enter_hold(&format!("the store fails: {reason}"), now);
        });
    }

    /// The source failed (counted), or is well again (`None`).
    pub(super) fn source_trouble(&self, trouble: Option<String>) {
        self.with(|books, _| {
            books.tallies.source_errors += u64::from(trouble.is_some());
            books.tallies.source_trouble = trouble;
        });
    }

    pub(super) fn watch(&self, per_second: u32) {
        self.with(|books, _| books.watch(per_second));
    }

    /// Waits a while until fewer than `limit` parts are in flight and the recorder has a place for one more.
    pub(super) fn wait_for_room(&self, limit: usize, wait: Duration) -> Room {
        let full = |books: &mut Books| !books.draining && (books.in_flight() >= limit || !books.has_room());
        let waited = self.eased.wait_timeout_while(self.books(), wait, full);
        let (books, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        match (books.draining, timeout.timed_out()) {
            (true, _) => Room::Draining,
            (false, true) => Room::Full,
            (false, false) => Room::Free,
        }
    }

    /// Waits, unless the line drains.
    pub(super) fn pause(&self, wait: Duration) {
        drop(self.eased.wait_timeout_while(self.books(), wait, |books| !books.draining));
    }

    /// Waits until `done` or the time is up; true if done.
    pub(super) fn wait_until(&self, wait: Duration, done: impl Fn(&Books) -> bool) -> bool {
        let waited = self.eased.wait_timeout_while(self.books(), wait, |books| !done(books));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// No new triggers are asked for.
    pub(super) fn drain(&self) {
        self.books().draining = true;
        self.eased.notify_all();
    }

    /// No trigger will come any more.
    pub(super) fn ended(&self) {
        self.books().ended = true;
        self.eased.notify_all();
    }

    /// The line is gone: the deadline thread ends, and nothing is admitted any more.
    pub(super) fn close(&self) {
        self.books().closed = true;
        self.due.notify_all();
    }

    pub(super) fn held(&self) -> bool {
        self.books().hold.is_some()
    }

    pub(super) fn counts(&self) -> Counts {
        self.books().counts()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let books = self.books();
        Snapshot {
            counts: books.counts(),
            tallies: books.tallies.clone(),
            hold: books.hold.clone(),
            draining: books.draining || books.ended,
            finished: books.finished(),
            last_trigger: books.last_trigger(),
        }
    }

    /// Trigger to verdict, and per stage.
    pub(super) fn latencies_now(&self) -> (LatencySummary, Vec<(&'static str, LatencySummary)>) {
        let latencies = self.latencies();
        (latencies.total.summary(), latencies.stages.iter().map(|(name, latency)| (*name, latency.summary())).collect())
    }

    /// Whether a part is open beyond its deadline by more than `grace`: the keeper itself is stuck.
    pub(super) fn overdue(&self, grace: Duration) -> bool {
        self.books().next_deadline().is_some_and(|at| Instant::now() > at + grace)
    }

    /// Whether too many threads hang.
    pub(super) fn exhausted(&self) -> bool {
        self.books().exhausted
    }

    /// The deadline thread: sleeps until the oldest part is due.
    pub(super) fn keep_deadlines(&self) {
        let mut books = self.books();
        while !books.closed {
            let now = Instant::now();
            books.expire(now);
            self.publish(&mut books, now);
            // `admit` wakes this thread for the first part; every later part's deadline is no earlier.
            books = match books.next_deadline() {
                Some(at) => {
                    let wait = at.saturating_duration_since(now);
                    self.due.wait_timeout(books, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.due.wait(books).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Changes the books: late parts first, then the change, then out with what is ready.
    fn with<R>(&self, change: impl FnOnce(&mut Books, Instant) -> R) -> R {
        let mut books = self.books();
        let now = Instant::now();
        books.expire(now);
        let result = change(&mut books, now);
        self.publish(&mut books, now);
        let news = books.news.take();
        // A log may block, so it waits until the books are free.
        drop(books);
        if let Some(reason) = news {
            tracing::error!(reason, "SAFE HOLD: every part is `NoDecision` until this is cleared");
        }
        result
    }

    /// Sends out every verdict that is ready: to the sinks at once, to the recorder's queue in the same order.
    fn publish(&self, books: &mut Books, now: Instant) {
        let mut broken = None;
        let mut eased = false;
        while let Some(out) = books.pop_ready(now) {
            eased = true;
            self.latencies().total.record(out.inspection.ledger.total_us);
            for sink in &self.sinks {
                if let Err(panic) = guarded(|| sink.verdict(&out.inspection)) {
                    broken = Some(format!("an output failed on part {}: {panic}", out.inspection.id));
                }
            }
            let job = Job::Verdict(Box::new(out.inspection), out.picture);
            if self.jobs.try_send(job).is_err() {
                books.unrecorded -= 1;
                books.tallies.record_errors += 1;
                broken = Some("the recording thread is gone; restart the program".to_owned());
            }
            if let Some(late) = out.late {
                self.send_late(books, Job::Late(Box::new(late)));
            }
        }
        while let Some(late) = books.pop_loose() {
            self.send_late(books, Job::Late(Box::new(late)));
        }
        if eased {
            self.eased.notify_all();
        }
        // Once: in safe hold already, `enter_hold` changes nothing.
        if let Some(reason) = broken
            && books.enter_hold(&reason, now)
        {
            self.publish(books, now);
        }
    }

    /// Late results never take the place of a verdict: beyond their own share of the queue they are lost, and counted.
    fn send_late(&self, books: &mut Books, job: Job) {
        if self.jobs.len().saturating_sub(books.unrecorded) >= self.late_capacity || self.jobs.try_send(job).is_err() {
            books.tallies.record_errors += 1;
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // The stages' panics are caught outside this lock and the sinks' under it, so a poisoned lock means a failed
        // assertion in the books: the line must still answer for every part.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn latencies(&self) -> MutexGuard<'_, Latencies> {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::books::tests::{part, passed, recipe, terms};
    use super::*;
    use crate::frame::{Content, Frame};
    use crate::recycle::Buffers;
    use crate::verdict::Verdict;

    #[test]
    fn a_result_after_the_deadline_is_late_even_while_the_deadline_thread_sleeps() {
        let (keeper, jobs) = Keeper::new(terms(), vec![]);
        let recipe = recipe(200);
        let frame = Frame::from_vec(Content::Encoded, vec![], 1, None);
        let worked_on = Part::new(1, frame, recipe.clone(), Buffers::new(1));
        assert!(keeper.admit(part(1, worked_on.triggered, &recipe)), "200 ms are left");
        // Nobody runs `keep_deadlines`: on a loaded machine it may get its turn too late.
        std::thread::sleep(Duration::from_millis(220));
        keeper.decide(worked_on, passed().0);

        let Ok(Job::Verdict(inspection, _)) = jobs.try_recv() else { panic!("the verdict comes first") };
        assert_eq!(inspection.verdict, Verdict::NoDecision(Cause::Late));
        let Ok(Job::Late(late)) = jobs.try_recv() else { panic!("the result is kept") };
        assert_eq!(late.decision.verdict, Verdict::Pass);
    }
}
