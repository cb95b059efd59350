//! A stage's workers: threads that take parts from the stage's queue, let the stage work on them and pass them on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, select};

use super::Stop;
use super::guard::{Post, guarded};
use super::keeper::Keeper;
use super::status::StageQueue;
use super::urgent;
use crate::part::Part;
use crate::stage::{Flow, Stage, StageFactory, undecided};
use crate::verdict::Cause;

/// Parts in a row that a stage may fail for before the line goes into safe hold.
const MAX_FAILURES: u32 = 3;

/// One stage of a running line, shared by its workers.
pub(super) struct Station {
    /// Its place in the chain.
    pub(super) index: usize,
    pub(super) factory: Arc<dyn StageFactory>,
    pub(super) input: Receiver<Part>,
    /// The stages after this one, with their queues.
    pub(super) onward: Vec<(Arc<dyn StageFactory>, Sender<Part>)>,
    pub(super) keeper: Arc<Keeper>,
    /// How long one part may take.
    pub(super) hang: Duration,
    pub(super) stop: Stop,
    /// Priority of its threads; 0: as every other thread's.
    pub(super) realtime: u8,
    /// Parts in a row for which it failed.
    pub(super) failures: AtomicU32,
}

/// One thread at a station. If it hangs it is relieved by another under the next generation.
pub(super) struct Worker {
    pub(super) station: Arc<Station>,
    pub(super) post: Arc<Post>,
    pub(super) generation: u64,
}

impl Station {
    /// What waits for it.
    pub(super) fn queue(&self) -> StageQueue {
        StageQueue {
            stage: self.name(),
            waiting: self.input.len(),
            capacity: self.input.capacity().unwrap_or_default(),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.factory.name()
    }

    /// It failed for a part. What it works with is lost if that goes on: no further part is sent to be lost.
    fn failed(&self, detail: &str) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= MAX_FAILURES {
            let name = self.name();
            self.keeper
                .hold(&format!("stage `{name}` failed {failures} times in a row ({detail}); mend it, then clear"));
        }
    }
}

impl Worker {
    /// Works until the line stops, or until this thread was relieved.
    pub(super) fn run(self) {
        let (mut stage, mut on_duty) = self.build();
        urgent::from_now_on(self.station.realtime);
        while on_duty {
            let station = &self.station;
            let part = select! {
                recv(station.input) -> part => part.ok(),
                recv(station.stop) -> _ => None,
            };
            let Some(part) = part else { break };
            on_duty = self.take(part, &mut stage);
        }
    }

    /// A new runtime, and whether this thread is still on duty. A factory that panics counts as a restart.
    fn build(&self) -> (Option<Box<dyn Stage>>, bool) {
        self.post.begin(None, self.station.hang);
        let built = guarded(|| self.station.factory.build());
        let on_duty = self.post.end(self.generation);
        if let Err(panic) = &built {
            self.station.keeper.restarted(self.station.name(), &format!("it cannot be built: {panic}"));
        }
        (built.ok(), on_duty)
    }

    /// Works on one part; false if this thread was relieved meanwhile.
    fn take(&self, part: Part, stage: &mut Option<Box<dyn Stage>>) -> bool {
        let Station { keeper, .. } = &*self.station;
        let id = part.id;
        if stage.is_none() {
            let (built, on_duty) = self.build();
            *stage = built;
            if !on_duty {
                // The supervisor did not know of the part; whoever relieved this thread cannot get it either.
                keeper.fail(
                    id,
                    Cause::StageFailed,
                    &format!("stage `{}` hung while it was built", self.station.name()),
                );
                return false;
            }
        }
        let Some(runtime) = stage.as_mut() else {
            keeper.fail(id, Cause::StageFailed, &format!("stage `{}` cannot be built", self.station.name()));
            return true;
        };

        self.post.begin(Some(id), self.station.hang);
        let (entered, wanted) = keeper.enter(id, self.station.index);
        // A part that got its verdict while it waited gives way if others wait behind it: under overload, work on lost
        // parts must not make the next ones late as well.
        if !wanted && !part.outlived && !self.station.input.is_empty() {
            return self.post.end(self.generation);
        }
        let picture = part.frame.clone();
        let done = guarded(|| runtime.process(part));
        let on_duty = self.post.end(self.generation);
        let worked_on = done.as_ref().ok().map(|flow| match flow {
            Flow::Next(part) | Flow::Decided(part, _) | Flow::Failed(part, _) => part,
        });
        let wanted = keeper.leave(id, self.station.index, entered, worked_on);
        if matches!(done, Ok(Flow::Next(_) | Flow::Decided(..))) {
            self.station.failures.store(0, Ordering::Relaxed);
        }
        match done {
            Ok(Flow::Next(mut part)) => {
                part.outlived = !wanted;
                drop(picture);
                self.pass_on(part, on_duty);
            }
            Ok(Flow::Decided(part, decision)) => keeper.decide(part, decision),
            Ok(Flow::Failed(part, decision)) => {
                let detail = decision.detail.clone().unwrap_or_default();
                keeper.decide(part, decision);
                self.station.failed(&detail);
            }
            Err(panic) => {
                let name = self.station.name();
                keeper.fail(id, Cause::StageFailed, &format!("stage `{name}` panicked: {panic}"));
                // Kept until here: the part died with the panic, its picture is the evidence.
                drop(picture);
                if on_duty {
                    keeper.restarted(name, &panic);
                    // What a panic left behind may well panic again when it is dropped.
                    let ruin = stage.take();
                    if let Err(panic) = guarded(|| drop(ruin)) {
                        tracing::warn!(stage = name, panic, "the old stage panicked again when it was dropped");
                    }
                    let (built, still_on_duty) = self.build();
                    *stage = built;
                    return still_on_duty;
                }
            }
        }
        on_duty
    }

    /// To the next stage that is asked for, waiting for room. A thread that was relieved does not wait: its part has its verdict.
    fn pass_on(&self, part: Part, on_duty: bool) {
        match self.station.onward.iter().find(|(stage, _)| stage.is_asked(&part.recipe)) {
            None => self.station.keeper.decide(part, undecided()),
            Some((_, next)) if on_duty => {
                // On stop the part is dropped: the line stops only when every part has its verdict.
                select! {
                    send(next, part) -> _ => {}
                    recv(self.station.stop) -> _ => {}
                }
            }
            Some((_, next)) => drop(next.try_send(part)),
        }
    }
}
