//! One connection to a camera: a thread for commands and one for pictures, both expendable.
//!
//! Neither the capture thread nor the line ever waits for the driver. Commands go out and pictures come in through bounded channels;
//! what the driver is at stands on a [`Desk`], where the source sees how long it has been at it. A link that is given up is
//! dropped: its threads see that nobody listens as soon as the driver returns, and end. Each link has channels of its own, so
//! nothing of an old connection can be taken for something of the new one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use models::image::PixelFormat;

use super::clock::Clock;
use super::driver::{Connection, Driver, Facts, Pictures, Raw};
use super::terms::Terms;
use crate::capture::Fault;
use crate::capture::statistics::Gauge;
use crate::frame::{Content, Frame, FramePool};
use crate::verdict::Cause;

/// Pictures that may wait for the capture thread; each has a buffer of the pool, or is a fault.
const WAITING: usize = 64;
/// Buffers for frames: at most so many, and so many bytes. Memory that no picture has filled yet costs nothing.
const POOL_FRAMES: usize = 64;
const POOL_BYTES: usize = 1 << 30;
/// Without a picture for so long, the camera is asked whether it is there.
const PROBE: Duration = Duration::from_millis(100);
/// How often a thread looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(25);
/// How often packets are counted.
const COUNT: Duration = Duration::from_millis(250);

/// What a link says.
pub(super) enum Message {
    /// The camera is open and set; it waits for [`Order::Start`].
    Ready(Facts),
    /// It cannot be opened, or was lost; the link is over.
    Over(String),
    /// A picture.
    Shot(Shot),
}

/// A picture on its way to the line.
pub(super) struct Shot {
    pub(super) number: u64,
    pub(super) taken: Instant,
    pub(super) exposure_us: Option<f64>,
    pub(super) frame: Result<Frame, Fault>,
    /// Of the picture's bytes; none if there are none, or if they are all alike.
    pub(super) digest: Option<u32>,
}

/// What the source tells a link.
pub(super) enum Order {
    /// Somebody listens: pictures may come.
    Start,
    /// A software trigger.
    Fire,
}

/// What the driver is at, and since when.
#[derive(Default)]
pub(super) struct Desk {
    at: Mutex<Option<(&'static str, Instant)>>,
    closed: AtomicBool,
}

impl Desk {
    fn during<R>(&self, what: &'static str, work: impl FnOnce() -> R) -> R {
        *self.lock() = Some((what, Instant::now()));
        let result = work();
        *self.lock() = None;
        result
    }

    /// What the driver is at.
    pub(super) fn busy(&self) -> Option<(&'static str, Duration)> {
        self.lock().map(|(what, since)| (what, since.elapsed()))
    }

    fn closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(&'static str, Instant)>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection, seen from the source. Dropping it gives it up.
pub(super) struct Link {
    pub(super) orders: Sender<Order>,
    pub(super) messages: Receiver<Message>,
    pub(super) desk: Arc<Desk>,
    thread: JoinHandle<()>,
}

/// What a link's threads share.
#[derive(Clone)]
struct Shared {
    terms: Arc<Terms>,
    gauge: Gauge,
    desk: Arc<Desk>,
    messages: Sender<Message>,
}

impl Link {
    /// Begins to connect.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn open(
        driver: Arc<dyn Driver>,
        terms: Arc<Terms>,
        serial: Option<String>,
        gauge: Gauge,
    ) -> std::io::Result<Link> {
        let (orders, taken) = bounded(WAITING);
        let (messages, told) = bounded(WAITING);
        let desk = Arc::new(Desk::default());
        let shared = Shared { terms, gauge, desk: desk.clone(), messages };
        let thread = std::thread::Builder::new().name("camera".to_owned()).spawn(move || {
            let messages = shared.messages.clone();
            let work = AssertUnwindSafe(|| shared.serve(driver.as_ref(), serial.as_deref(), &taken));
            let end = catch_unwind(work).unwrap_or_else(|_| Err("the camera's thread panicked".to_owned()));
            if let Err(reason) = end {
                // Pictures that wait come first; a source that is gone does not listen.
                let _ = messages.send_timeout(Message::Over(reason), Duration::from_secs(1));
            }
        })?;
        Ok(Link { orders, messages: told, desk, thread })
    }

    /// Ends in order: the camera stops and is closed, unless the driver hangs for longer than `patience`.
    pub(super) fn close(self, patience: Duration) {
        let Link { orders, messages, desk, thread } = self;
        desk.closed.store(true, Ordering::Release);
        drop((orders, messages));
        let until = Instant::now() + patience;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        if thread.is_finished() {
            // Its panics are caught.
            let _ = thread.join();
        } else {
            // It ends by itself when the driver returns.
            tracing::warn!(at = ?desk.busy(), "the camera's driver does not return; its thread is left behind");
        }
    }

    /// Gives the link up, without waiting.
    pub(super) fn abandon(self) -> JoinHandle<()> {
        self.desk.closed.store(true, Ordering::Release);
        self.thread
    }
}

impl Shared {
    /// The command thread's life. An error is the end of the link, in words.
    fn serve(&self, driver: &dyn Driver, serial: Option<&str>, orders: &Receiver<Order>) -> Result<(), String> {
        let connection = self.desk.during("connecting", || driver.connect(serial)).map_err(|error| error.0)?;
        let Connection { facts, mut control, pictures } = connection;
        if self.desk.closed() || self.messages.send(Message::Ready(facts)).is_err() {
            return Ok(());
        }
        // Nothing is acquired before somebody listens: a picture must not grow old before the line sees it.
        loop {
            match orders.recv_timeout(LOOK) {
                Ok(Order::Start) => break,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(Order::Fire) | Err(RecvTimeoutError::Timeout) if self.desk.closed() => return Ok(()),
                Ok(Order::Fire) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let seen = Arc::new(Mutex::new(Instant::now()));
        let picture_thread = {
            let (shared, seen) = (self.clone(), seen.clone());
            let work = move || shared.take_pictures(pictures, &seen);
            std::thread::Builder::new().name("camera-pictures".to_owned()).spawn(work)
        };
        let picture_thread = picture_thread.map_err(|error| format!("no new thread: {error}"))?;
        let end = match self.desk.during("starting", || control.start()) {
            Ok(()) => self.obey(control.as_mut(), orders, &seen, &picture_thread),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = end {
            // At once: stopping a camera that does not answer takes seconds.
            let _ = self.messages.send_timeout(Message::Over(reason), Duration::from_secs(1));
        }
        self.desk.closed.store(true, Ordering::Release);
        self.desk.during("stopping", || control.stop());
        let died = picture_thread.join().is_err();
        self.desk.during("closing", || drop(control));
        if died { Err("the thread that takes pictures panicked".to_owned()) } else { Ok(()) }
    }

    /// Passes commands on, and in silence asks whether the camera is there.
    fn obey(
        &self,
        control: &mut dyn super::driver::Control,
        orders: &Receiver<Order>,
        seen: &Mutex<Instant>,
        pictures: &JoinHandle<()>,
    ) -> Result<(), String> {
        while !self.desk.closed() && !pictures.is_finished() {
            match orders.recv_timeout(LOOK) {
                Ok(Order::Fire) => self.desk.during("a software trigger", || control.fire())?,
                Ok(Order::Start) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    let last = *seen.lock().unwrap_or_else(PoisonError::into_inner);
                    if last.elapsed() >= PROBE {
                        self.desk.during("a question whether it is there", || control.alive())?;
                        *seen.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                    }
                }
            }
        }
        Ok(())
    }

    /// The picture thread's life.
    fn take_pictures(&self, mut pictures: Box<dyn Pictures>, seen: &Mutex<Instant>) {
        let mut clock = Clock::new(Instant::now());
        let mut pool = None;
        let mut counted = Instant::now();
        while !self.desk.closed() {
            let mut gone = false;
            pictures.next(LOOK, &mut |raw| {
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                let shot = self.shot(&raw, &mut clock, &mut pool);
                match self.messages.try_send(Message::Shot(shot)) {
                    Ok(()) => {}
                    Err(TrySendError::Disconnected(_)) => gone = true,
                    // The capture thread is held up by the store. Waiting here lets pictures queue up in the driver, whose ring may
                    // overflow; then the camera's count shows what is missing.
                    // Of a stream only the newest picture counts, and what waits is thrown away for it.
                    Err(TrySendError::Full(_)) if self.terms.newest.is_some() => {
                        self.gauge.change(|now| now.stale += 1);
                    }
                    Err(TrySendError::Full(message)) => gone = self.messages.send(message).is_err(),
                }
            });
            if gone {
                return;
            }
            if counted.elapsed() >= COUNT {
                counted = Instant::now();
                let packets = pictures.packets();
                self.gauge.change(|now| now.packets = packets);
            }
        }
    }

    fn shot(&self, raw: &Raw<'_>, clock: &mut Clock, pool: &mut Option<FramePool>) -> Shot {
        let taken = clock.taken(raw.stamp_ns, raw.arrived);
        let mut digest = None;
        let frame = match &raw.image {
            Err(why) => Err(Fault { cause: Cause::Truncated, detail: why.clone() }),
            Ok(image) => {
                let pool = pool.get_or_insert_with(|| {
                    let bytes = image.bytes_after().max(1);
                    FramePool::new((POOL_BYTES / bytes).clamp(12, POOL_FRAMES), bytes)
                });
                match pool.try_take() {
                    None => Err(Fault { cause: Cause::Overload, detail: "no free frame buffer".to_owned() }),
                    Some(mut buffer) => match image.convert(&mut buffer) {
                        Err(why) => Err(Fault { cause: Cause::Unreadable, detail: why }),
                        Ok((width, height, format)) => {
                            if self.terms.frozen_after > 0 {
                                digest = fingerprint(&buffer, format);
                            }
                            let name = format!("{}#{}", self.terms.label, raw.number);
                            Ok(buffer.into_frame(
                                Content::Pixels { width, height, format },
                                raw.number,
                                Some(name.into()),
                            ))
                        }
                    },
                }
            }
        };
        Shot { number: raw.number, taken, exposure_us: raw.exposure_us, frame, digest }
    }
}

/// A picture's digest; none if all its pixels are alike: black and white pictures repeat themselves without being frozen, and the quality
/// stage refuses them as blank.
fn fingerprint(pixels: &[u8], format: PixelFormat) -> Option<u32> {
    let first = &pixels[..format.channels().min(pixels.len())];
    let plain = pixels.chunks_exact(format.channels()).all(|pixel| pixel == first);
    (!plain).then(|| crc32fast::hash(pixels))
}
