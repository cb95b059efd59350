//! A live source under supervision: a camera or a stream behind a [`Driver`].
//!
//! The source itself never calls the driver: it looks after a [`Link`], whose threads do. It gives a link up that does not
//! answer, stalls or shows the same picture again, says so, and opens the camera anew, by its serial number, wherever it is
//! then. What the camera has lost is never silent: a number left out in its count, a picture with holes and a software trigger
//! without an answer are parts without a decision.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::driver::{Driver, Facts};
use super::link::{Link, Message, Order, Shot};
use super::sequence::{Sequence, Step};
use super::terms::{Pull, Terms};
use crate::capture::statistics::Gauge;
use crate::capture::{Event, Fault, Pace, Pacer, Source, SourceError, Trigger};
use crate::verdict::Cause;

/// How long opening and setting a camera may take: discovery, its description, a few dozen registers.
const CONNECT: Duration = Duration::from_secs(15);
/// How long starting may take.
const START: Duration = Duration::from_secs(5);
/// How long after an attempt in vain the camera is tried again; looking for it takes a second more.
const RETRY: Duration = Duration::from_millis(200);
/// Nothing that the source itself does takes longer than this.
const TICK: Duration = Duration::from_millis(20);
/// A camera that is there answers a command sooner.
const ANSWERED: Duration = Duration::from_millis(100);
/// Threads in a driver that does not return, at most.
const LEFT_BEHIND: usize = 4;
/// Software triggers under way, at most.
const ASKS: usize = 16;
/// So many software triggers in a row without a picture are a stall.
const UNANSWERED: u32 = 3;
/// A camera's stamp may be so much before the trigger, for what the clocks' comparison does not know.
const CLOCK_ERROR: Duration = Duration::from_millis(2);

/// See the module.
pub struct Camera {
    terms: Arc<Terms>,
    driver: Arc<dyn Driver>,
    gauge: Gauge,
    link: Option<Link>,
    /// Not before this moment is the camera tried again.
    dial_at: Instant,
    /// The camera has been told to start, and when.
    started: Option<Instant>,
    /// The serial number that the camera gave.
    serial: Option<String>,
    /// Pictures per second that it said.
    rate: Option<f64>,
    /// Why there is no camera, in words, and whether the line has heard it.
    trouble: Option<String>,
    untold: bool,
    /// Threads of links that were given up.
    left: Vec<JoinHandle<()>>,
    /// Parts for the line.
    out: VecDeque<Trigger>,
    /// Software triggers without a picture yet.
    asks: VecDeque<Instant>,
    unanswered: u32,
    pacer: Option<Pacer>,
    sequence: Sequence,
    last_picture: Option<Instant>,
    /// The last picture's digest, and how often it came in a row. It outlives a connection: a frozen camera may well show the same after it.
    digest: Option<u32>,
    alike: u32,
}

impl Camera {
    /// Opens the camera through a driver of the caller's.
    ///
    /// # Errors
    /// It is not there, somebody else has it, or it refuses a setting.
    pub fn open(terms: Terms, driver: Arc<dyn Driver>) -> Result<Camera, SourceError> {
        let pacer = match terms.pull {
            Pull::Software(rate @ Some(_)) => Some(Pacer::new(rate)),
            _ => None,
        };
        let mut source = Camera {
            terms: Arc::new(terms),
            driver,
            gauge: Gauge::default(),
            link: None,
            dial_at: Instant::now(),
            started: None,
            serial: None,
            rate: None,
            trouble: None,
            untold: false,
            left: Vec::new(),
            out: VecDeque::new(),
            asks: VecDeque::new(),
            unanswered: 0,
            pacer,
            sequence: Sequence::default(),
            last_picture: None,
            digest: None,
            alike: 0,
        };
        source.dial()?;
        let link = source.link.as_ref().expect("dialled a moment ago");
        match link.messages.recv_timeout(CONNECT) {
            Ok(Message::Ready(facts)) => source.take_facts(facts),
            Ok(Message::Over(reason)) => return Err(SourceError(reason)),
            Ok(Message::Shot(_)) | Err(_) => {
                let wanted = source.terms.wanted.clone();
                return Err(SourceError(format!("camera {wanted}: not open after {} s", CONNECT.as_secs())));
            }
        }
        Ok(source)
    }

    /// Begins to open the camera.
    fn dial(&mut self) -> Result<(), SourceError> {
        self.left.retain(|thread| !thread.is_finished());
        if self.left.len() >= LEFT_BEHIND {
            let hung = self.left.len();
            return Err(SourceError(format!("{hung} calls of the camera's driver hang; restart the program")));
        }
        let link = Link::open(self.driver.clone(), self.terms.clone(), self.serial.clone(), self.gauge.clone());
        self.link = Some(link.map_err(|error| SourceError(format!("no new thread: {error}")))?);
        Ok(())
    }

    fn take_facts(&mut self, facts: Facts) {
        let words = facts.words();
        tracing::info!(camera = self.terms.label, "connected: {words}");
        for note in &facts.notes {
            tracing::warn!(camera = self.terms.label, "{note}");
        }
        self.rate = facts.rate;
        if !facts.serial.is_empty() {
            self.serial = Some(facts.serial);
        }
        self.gauge.change(|now| {
            now.connections += 1;
            now.connected = true;
            now.device = Some(words);
            now.adjusted = facts.notes;
        });
    }

    /// Somebody listens: pictures may come.
    fn start(&mut self) {
        let Some(link) = &self.link else { return };
        // A link that is over says so itself.
        let _ = link.orders.try_send(Order::Start);
        self.started = Some(Instant::now());
        self.last_picture = None;
        self.sequence = Sequence::default();
        self.unanswered = 0;
        self.trouble = None;
        self.untold = false;
    }

    /// Gives the link up. Whatever of it is still under way gets no verdict.
    fn lose(&mut self, reason: &str) {
        let connected = self.gauge.change(|now| std::mem::take(&mut now.connected));
        let asks = std::mem::take(&mut self.asks);
        for asked in asks {
            self.fault(
                asked,
                Cause::NoFrame,
                format!("the camera was lost before it answered a software trigger: {reason}"),
            );
        }
        if let Some(link) = self.link.take() {
            self.left.push(link.abandon());
        }
        self.started = None;
        self.dial_at = Instant::now() + if connected { Duration::ZERO } else { RETRY };
        let trouble = format!(
            "{reason}; opening it anew{}",
            self.serial.as_ref().map_or(String::new(), |serial| format!(", looking for serial number {serial}"))
        );
        // While it stays away, the first reason is the one that helps; what the attempts say is for the log.
        if connected || self.trouble.is_none() {
            self.trouble = Some(trouble);
            self.untold = true;
        } else {
            tracing::debug!(camera = self.terms.label, "{reason}");
        }
    }

    /// What the link is at for too long, or the pictures that do not come.
    fn watch(&mut self) {
        let Some(link) = &self.link else { return };
        if let Some((what, since)) = link.desk.busy() {
            let limit = match what {
                "connecting" => CONNECT,
                "starting" => START,
                _ => self.terms.answer,
            };
            if since > limit {
                let ms = since.as_millis();
                self.gauge.change(|now| now.lost += u64::from(now.connected));
                self.lose(&format!("no answer to {what} for {ms} ms (link down, camera off?)"));
                return;
            }
        }
        let Some(started) = self.started else { return };
        let silent = self
            .last_picture
            .map_or_else(|| started.elapsed().saturating_sub(self.terms.first_picture), |last| last.elapsed());
        let free = matches!(self.terms.pull, Pull::Free);
        if (free && silent > self.stall_limit()) || self.unanswered >= UNANSWERED {
            // A question that is still open: whether the camera would answer nobody knows, so it is lost rather than stalled.
            if let Some((what, since)) = link.desk.busy().filter(|(_, since)| *since > ANSWERED) {
                let (silent, since) = (silent.as_millis(), since.as_millis());
                self.gauge.change(|now| now.lost += u64::from(now.connected));
                self.lose(&format!(
                    "no picture for {silent} ms and no answer to {what} for {since} ms (link down, camera off?)"
                ));
                return;
            }
            let said = if free && !self.terms.answers {
                format!("no picture for {} ms", silent.as_millis())
            } else if free {
                format!("no picture for {} ms although the camera answers", silent.as_millis())
            } else {
                format!("{} software triggers in a row without a picture although the camera answers", self.unanswered)
            };
            // A camera that is opened anew in vain stalls once.
            let first = self.last_picture.is_some() || self.gauge.read().connections == 1;
            self.gauge.change(|now| now.stalls += u64::from(first));
            self.lose(&said);
        }
    }

    fn stall_limit(&self) -> Duration {
        let periods = self.rate.filter(|rate| *rate > 0.0).map_or(0.0, |rate| 3.0 / rate);
        self.terms.stall.max(Duration::from_secs_f64(periods.min(3600.0)))
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Ready(facts) => {
                self.take_facts(facts);
                self.start();
            }
            Message::Over(reason) => {
                self.gauge.change(|now| now.lost += u64::from(now.connected));
                self.lose(&reason);
            }
            Message::Shot(shot) if self.terms.newest.is_some() => self.judge_newest(shot),
            Message::Shot(shot) => self.judge(shot),
        }
    }

    /// Of a stream: the newest of the pictures that wait becomes a part. Those before it are dropped, and counted.
    fn judge_newest(&mut self, mut shot: Shot) {
        let mut other = None;
        while let Some(message) = self.link.as_ref().and_then(|link| link.messages.try_recv().ok()) {
            match message {
                Message::Shot(newer) => {
                    self.gauge.change(|now| now.stale += 1);
                    // Else its number would be missed.
                    self.sequence.step(shot.number);
                    shot = newer;
                }
                message => {
                    other = Some(message);
                    break;
                }
            }
        }
        self.judge(shot);
        if let Some(message) = other {
            self.hear(message);
        }
    }

    /// Makes a part of a picture, or says why it is none.
    fn judge(&mut self, shot: Shot) {
        self.last_picture = Some(Instant::now());
        if self.terms.newest.is_some_and(|oldest| shot.taken.elapsed() > oldest) {
            self.gauge.change(|now| now.stale += 1);
            return;
        }
        let holes = matches!(&shot.frame, Err(fault) if fault.cause != Cause::Overload);
        let step = if holes { self.sequence.step_with_holes(shot.number) } else { self.sequence.step(shot.number) };
        if step == Step::Late {
            // Its part has had its answer when another picture overtook it.
            self.gauge.change(|now| now.late += 1);
            return;
        }
        self.gauge.change(|now| {
            match &shot.frame {
                Ok(_) => now.pictures += 1,
                Err(fault) if fault.cause == Cause::Overload => now.unbuffered += 1,
                Err(_) => now.incomplete += 1,
            }
            match step {
                Step::Ahead(missing) => now.missing += missing,
                Step::Repeated => now.repeated += 1,
                Step::Late | Step::Anew => {}
            }
            now.exposure_us = shot.exposure_us.or(now.exposure_us);
        });
        let software = matches!(self.terms.pull, Pull::Software(_));
        if let Step::Ahead(missing) = step {
            // Under a software trigger each lost picture is somebody's answer; the last ask is answered by this one.
            let told = if software { missing.min(self.asks.len().saturating_sub(1) as u64) } else { missing };
            for _ in 0..told {
                let at = if software { self.asks.pop_front().unwrap_or(shot.taken) } else { shot.taken };
                self.fault(at, Cause::NoFrame, format!("a picture before number {} did not arrive", shot.number));
            }
        }
        let at = match software {
            false => shot.taken,
            true => {
                let answers = self.asks.front().is_some_and(|&asked| shot.taken + CLOCK_ERROR >= asked);
                if !answers || step == Step::Repeated {
                    self.gauge.change(|now| now.unasked += 1);
                    return;
                }
                self.unanswered = 0;
                self.asks.pop_front().unwrap_or(shot.taken)
            }
        };
        if step == Step::Repeated {
            self.fault(at, Cause::NoFrame, format!("the camera sent picture number {} again", shot.number));
            return;
        }
        if shot.frame.is_ok() {
            self.alike = if shot.digest.is_some() && shot.digest == self.digest { self.alike + 1 } else { 1 };
            self.digest = shot.digest;
            if self.terms.frozen_after > 0 && self.alike >= self.terms.frozen_after {
                self.gauge.change(|now| now.frozen += 1);
                let said = format!("frozen picture: number {} is bit for bit the one before", shot.number);
                self.fault(at, Cause::NoFrame, said.clone());
                self.lose(&said);
                return;
            }
        }
        self.out.push_back(Trigger { at, serial: None, frame: shot.frame, truth: None, call: None });
    }

    fn fault(&mut self, at: Instant, cause: Cause, detail: String) {
        self.out.push_back(Trigger { at, serial: None, frame: Err(Fault { cause, detail }), truth: None, call: None });
    }

    /// Software triggers whose time is up. Those after them are given up too: which of them a late picture would answer, nobody knows.
    fn expire(&mut self) {
        let limit = self.terms.picture_timeout;
        if self.asks.front().is_none_or(|asked| asked.elapsed() <= limit) {
            return;
        }
        for asked in std::mem::take(&mut self.asks) {
            self.unanswered += 1;
            self.gauge.change(|now| now.unanswered += 1);
            let ms = asked.elapsed().as_millis();
            self.fault(asked, Cause::NoFrame, format!("no picture {ms} ms after a software trigger"));
        }
    }

    /// Software triggers at a rate of the source's own.
    fn keep_pace(&mut self, until: Instant) -> Result<(), SourceError> {
        let due = self.started.is_some() && self.pacer.as_ref().is_some_and(|pacer| pacer.due(until));
        if due {
            if let Some(pacer) = &mut self.pacer {
                pacer.delivered();
            }
            self.expose()?;
        }
        Ok(())
    }
}

impl Source for Camera {
    fn name(&self) -> &str {
        &self.terms.label
    }

    fn pace(&self) -> Pace {
        Pace::Triggered
    }

    fn gauge(&self) -> Option<Gauge> {
        Some(self.gauge.clone())
    }

    fn expose(&mut self) -> Result<(), SourceError> {
        if !matches!(self.terms.pull, Pull::Software(_)) {
            return Ok(());
        }
        if self.link.is_some() && self.started.is_none() && self.trouble.is_none() {
            self.start();
        }
        let (Some(link), Some(_)) = (&self.link, self.started) else {
            let trouble = self.trouble.clone().unwrap_or_else(|| "the camera is not connected".to_owned());
            return Err(SourceError(trouble));
        };
        if self.asks.len() >= ASKS || link.orders.try_send(Order::Fire).is_err() {
            return Err(SourceError(format!("{} software triggers wait for their pictures already", self.asks.len())));
        }
        self.asks.push_back(Instant::now());
        Ok(())
    }

    fn next(&mut self, wait: Duration) -> Result<Event, SourceError> {
        let until = Instant::now() + wait;
        if self.link.is_some() && self.started.is_none() && self.trouble.is_none() {
            self.start();
        }
        loop {
            self.keep_pace(Instant::now())?;
            self.expire();
            if let Some(trigger) = self.out.pop_front() {
                return Ok(Event::Trigger(trigger));
            }
            if std::mem::take(&mut self.untold) {
                return Err(SourceError(self.trouble.clone().unwrap_or_default()));
            }
            if self.link.is_none() && Instant::now() >= self.dial_at {
                self.dial()?;
            }
            let left = until.saturating_duration_since(Instant::now());
            let heard = match &self.link {
                Some(link) => link.messages.recv_timeout(left.min(TICK)),
                None => {
                    std::thread::sleep(left.min(TICK));
                    Err(RecvTimeoutError::Timeout)
                }
            };
            match heard {
                Ok(message) => self.hear(message),
                Err(RecvTimeoutError::Disconnected) => self.hear(Message::Over("the camera's thread ended".to_owned())),
                Err(RecvTimeoutError::Timeout) => {
                    self.watch();
                    if left.is_zero() {
                        return match &self.trouble {
                            Some(trouble) => Err(SourceError(trouble.clone())),
                            None => Ok(Event::Idle),
                        };
                    }
                }
            }
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            link.close(Duration::from_secs(3));
        }
    }
}
