//! The capture thread: asks the source, opens each trigger in the store, enters it in the books and sends it on its way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::{SendTimeoutError, Sender, TrySendError};
use jiff::{SignedDuration, Timestamp};

use super::books::Admission;
use super::guard::{Post, guarded};
use super::keeper::{Keeper, Room};
use super::recording::record_guarded;
use crate::capture::{Event, Pace, Source, SourceError, Trigger};
use crate::check::Checker;
use crate::frame::{Content, Frame};
use crate::identify::{Naming, Serials};
use crate::part::Part;
use crate::recipe::RecipeInForce;
use crate::record::Recorder;
use crate::recycle::Buffers;
use crate::verdict::Cause;

/// How long the source may wait for a trigger before capture looks whether the line drains.
pub(super) const POLL: Duration = Duration::from_millis(100);
/// In safe hold a source that sets its own pace is asked no faster than this: a line that decides nothing must not rush
/// through a folder.
const HELD_PACE: Duration = Duration::from_millis(20);

pub(super) struct Capture {
    pub(super) source: Box<dyn Source>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) recorder: Arc<dyn Recorder>,
    pub(super) recipe: Arc<ArcSwap<RecipeInForce>>,
    pub(super) serials: Option<Arc<dyn Serials>>,
    pub(super) checker: Option<Arc<dyn Checker>>,
    pub(super) buffers: Buffers,
    /// The queue before the first stage, and that stage's name.
    pub(super) first: (Sender<Part>, &'static str),
    pub(super) next_id: u64,
    /// Parts in flight up to which an `OnDemand` source is asked for more.
    pub(super) window: usize,
    pub(super) asking: Arc<Post>,
    pub(super) opening: Arc<Post>,
    pub(super) hang: Duration,
}

/// Says that no trigger will come any more, even if the capture thread dies.
struct Ending(Arc<Keeper>);

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.hold("the capture thread died; restart the program");
        }
        self.0.ended();
    }
}

impl Capture {
    pub(super) fn run(mut self) {
        let _ending = Ending(self.keeper.clone());
        let mut told = None;
        loop {
            // A source that sets its own pace waits here, before the trigger, so that waiting costs it no deadline. A
            // triggered one waits only if the store has stalled; then its triggers queue up in the source.
            let limit = if self.source.pace() == Pace::OnDemand { self.window } else { usize::MAX };
            match self.keeper.wait_for_room(limit, POLL) {
                Room::Free => {}
                Room::Full => continue,
                Room::Draining => break,
            }
            if limit != usize::MAX && (self.keeper.held() || self.refused()) {
                self.keeper.pause(HELD_PACE);
            }
            match self.ask() {
                Ok(event) => {
                    // A trigger without a picture does not say that the camera is back.
                    let without = matches!(&event, Event::Trigger(trigger) if trigger.frame.is_err());
                    if !without && told.take().is_some() {
                        tracing::info!(source = self.source.name(), "the source is back");
                        self.keeper.source_trouble(None);
                    }
                    match event {
                        Event::Trigger(trigger) => self.take(trigger),
                        Event::Idle => {}
                        Event::End => break,
                    }
                }
                Err(SourceError(reason)) => {
                    let pause = self.source.retry_after();
                    let again =
                        if pause.is_zero() { String::new() } else { format!("; asked again in {} s", pause.as_secs()) };
                    let trouble = format!("camera `{}`: {reason}{again}", self.source.name());
                    // A folder that stays away fails once a second: one line in the log is enough.
                    if told.as_ref() != Some(&trouble) {
                        tracing::warn!("{trouble}");
                    }
                    told = Some(trouble.clone());
                    self.keeper.source_trouble(Some(trouble));
                    self.keeper.pause(pause);
                }
            }
        }
    }

    fn refused(&self) -> bool {
        self.checker.as_ref().is_some_and(|checker| checker.refuses(&self.recipe.load()).is_some())
    }

    fn ask(&mut self) -> Result<Event, SourceError> {
        self.asking.begin(None, POLL + self.hang);
        let answer = guarded(|| self.source.next(POLL));
        self.asking.end(0);
        answer.unwrap_or_else(|panic| Err(SourceError(format!("it panicked: {panic}"))))
    }

    fn take(&mut self, trigger: Trigger) {
        let id = self.next_id;
        self.next_id += 1;
        let triggered_at = wall_clock(trigger.at);
        self.opening.begin(Some(id), self.hang);
        let opened = record_guarded(|| self.recorder.opened(id, triggered_at));
        self.opening.end(0);
        if let Err(error) = opened {
            self.keeper.record_failed(&format!("part {id} could not be opened: {error}"));
        }

        let recipe = self.recipe.load_full();
        let frame = trigger.frame.as_ref().ok();
        let origin = frame.and_then(|frame| frame.name().cloned());
        let naming = Naming { id, given: trigger.serial.as_deref(), origin: origin.as_deref() };
        let (serial, identity) = naming.settle(&recipe.recipe.identity, self.serials.as_deref());
        let goes_on = self.keeper.admit(Admission {
            id,
            serial: serial.clone(),
            identity: identity.clone(),
            call: trigger.call,
            origin,
            triggered: trigger.at,
            triggered_at,
            frame: frame.map(Frame::downgrade),
            truth: trigger.truth.clone(),
            recipe: recipe.clone(),
        });
        if !goes_on {
            return;
        }
        match trigger.frame {
            Err(fault) => self.keeper.fail(id, fault.cause, &fault.detail),
            Ok(frame) if !frame.is_whole() => self.keeper.fail(id, Cause::Truncated, &shortfall(&frame)),
            Ok(frame) => self.send(Part {
                id,
                serial,
                identity,
                triggered: trigger.at,
                triggered_at,
                frame,
                decoded: None,
                prepared: None,
                pose: None,
                tensor: None,
                image: None,
                prediction: None,
                findings: Vec::new(),
                recipe,
                truth: trigger.truth,
                buffers: self.buffers.clone(),
                outlived: false,
            }),
        }
    }

    /// Into the first queue. If that is full, a triggered part is lost to overload, a part on demand waits.
    fn send(&self, part: Part) {
        let (queue, stage) = &self.first;
        let id = part.id;
        if self.source.pace() == Pace::Triggered {
            // A full queue hands the part back, so its picture is still there for the record.
            if let Err(TrySendError::Full(_part)) = queue.try_send(part) {
                let parts = queue.len();
                self.keeper.fail(id, Cause::Overload, &format!("the queue before `{stage}` is full ({parts} parts)"));
            }
            return;
        }
        let mut waiting = part;
        while let Err(SendTimeoutError::Timeout(back)) = queue.send_timeout(waiting, POLL) {
            if !self.keeper.undecided(id) {
                return;
            }
            waiting = back;
        }
    }
}

/// The wall clock's time at a moment on the monotonic one.
fn wall_clock(moment: Instant) -> Timestamp {
    let ago = SignedDuration::try_from(moment.elapsed()).unwrap_or(SignedDuration::ZERO);
    let now = Timestamp::now();
    now.checked_sub(ago).unwrap_or(now)
}

fn shortfall(frame: &Frame) -> String {
    let bytes = frame.bytes().len();
    match frame.content() {
        Content::Pixels { width, height, format } => {
            let needed = width as usize * height as usize * format.channels();
            format!("the picture has {bytes} bytes, but {width} x {height} pixels take {needed}")
        }
        Content::Encoded => format!("the picture has {bytes} bytes"),
    }
}
