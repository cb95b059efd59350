//! The simulated conveyor: a source whose parts are drawn ahead on a thread of their own, so that triggers come on time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use models::image::PixelFormat;
use serde::{Deserialize, Serialize};

use super::lamp::Lamp;
use super::random::{Dice, Purpose, Stream};
use super::renderer::Renderer;
use super::scene::{Ask, Mix};
use super::surface::Surface;
use crate::capture::{Event, Fault, Pace, Source, SourceError, Trigger, rate_problem};
use crate::frame::{Content, FramePool};
use crate::inspection::Truth;
use crate::recipe::Quality;
use crate::verdict::Cause;

/// Parts drawn ahead of their trigger.
const AHEAD: usize = 4;

/// Frames that may be in memory at once.
const POOL_FRAMES: usize = 64;

/// How long a triggered line waits for a free buffer before the picture is lost.
const PATIENCE: Duration = Duration::from_millis(20);

/// How often a waiting thread looks whether it is still needed.
const LOOK: Duration = Duration::from_millis(50);

/// How far behind its timetable the conveyor may fall before it sets a new one.
const SLIP: Duration = Duration::from_secs(1);

/// Tiles of each surface.
const VARIANTS: usize = 2;

/// What comes down the simulated line, and how fast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyntheticConfig {
    /// Same seed, same parts.
    pub seed: u64,
    /// Parts per second; absent: as fast as the line takes them.
    pub rate: Option<f64>,
    /// How far triggers stray from the regular beat, as a share of the time between two parts, 0 to 0.9.
    pub jitter: f32,
    /// Share of parts with a defect, 0 to 1.
    pub defect_rate: f32,
    /// Share of frames that are spoilt, 0 to 1.
    pub bad_frame_rate: f32,
    /// Parts after which the line ends; absent: never.
    pub parts: Option<u64>,
    /// Number in the first part's serial number; the others count on from it.
    pub first_serial: u64,
    /// Pixels across and down.
    pub size: u32,
    /// What parts are made of.
    pub surfaces: Vec<Surface>,
    /// The light that the camera sees them under.
    #[serde(skip_serializing_if = "is_diffuse")]
    pub light: Lamp,
}

fn is_diffuse(light: &Lamp) -> bool {
    *light == Lamp::Diffuse
}

impl Default for SyntheticConfig {
    fn default() -> Self {
        let mix = Mix::default();
        SyntheticConfig {
            seed: 1,
            rate: None,
            jitter: 0.1,
            defect_rate: mix.defect_rate,
            bad_frame_rate: mix.bad_frame_rate,
            parts: None,
            first_serial: 0,
            size: 512,
            surfaces: mix.surfaces,
            light: Lamp::default(),
        }
    }
}

impl SyntheticConfig {
    /// Everything wrong with the settings.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = rate_problem(self.rate).into_iter().collect();
        let mut share = |name: &str, value: f32, most: f32| {
            if !(0.0..=most).contains(&value) {
                problems.push(format!("`source.{name}` is {value}: give a share between 0 and {most}"));
            }
        };
        share("jitter", self.jitter, 0.9);
        share("defect_rate", self.defect_rate, 1.0);
        share("bad_frame_rate", self.bad_frame_rate, 1.0);
        if !(128..=4096).contains(&self.size) {
            problems.push(format!("`source.size` is {}: give pixels between 128 and 4096", self.size));
        }
        if self.surfaces.is_empty() {
            problems.push("`source.surfaces` is empty: name at least one, or leave it out for all".to_owned());
        }
        problems
    }

    /// The limits that a recipe for this line needs: every spoilt frame breaks one of them, no other frame does (tests
    /// measure the margin).
    pub fn quality(&self) -> Quality {
        Quality { size: Some([self.size; 2]), min_sharpness: 25.0, ..Quality::default() }
    }

    fn mix(&self) -> Mix {
        Mix {
            defect_rate: self.defect_rate,
            bad_frame_rate: self.bad_frame_rate,
            surfaces: self.surfaces.clone(),
            ..Mix::default()
        }
    }
}

/// A drawn part that waits for its trigger.
struct Drawn {
    frame: Result<crate::frame::Frame, Fault>,
    truth: Truth,
}

/// See [`SyntheticConfig`].
pub struct Synthetic {
    config: SyntheticConfig,
    /// None once dropped: the drawing thread then finds its channel closed.
    drawn: Option<Receiver<Drawn>>,
    painter: Option<JoinHandle<()>>,
    closed: Arc<AtomicBool>,
    /// Part that comes next.
    index: u64,
    /// When its trigger would come on a conveyor without jitter; none before it is first asked, so that several cameras that are opened
    /// one after the other see the same conveyor.
    beat: Option<Instant>,
}

impl Synthetic {
    /// Draws the surfaces and starts drawing ahead. An error names everything wrong with the settings.
    pub fn open(config: SyntheticConfig) -> Result<Self, SourceError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(SourceError(problems.join("; ")));
        }
        let (send, drawn) = bounded(AHEAD);
        let closed = Arc::new(AtomicBool::new(false));
        let painter = Painter {
            renderer: Renderer::new(Stream::Line, config.seed, VARIANTS, config.mix()).with_lamp(config.light),
            pool: FramePool::new(POOL_FRAMES, 3 * (config.size as usize).pow(2)),
            config: config.clone(),
            spare: Vec::new(),
            closed: closed.clone(),
        };
        let painter = std::thread::Builder::new()
            .name("synthetic".to_owned())
            .spawn(move || painter.run(&send))
            .map_err(|error| SourceError(format!("synthetic line: no thread to draw on: {error}")))?;
        Ok(Synthetic { config, drawn: Some(drawn), painter: Some(painter), closed, index: 0, beat: None })
    }

    /// When the next trigger comes; none if the line sets the pace.
    fn due(&mut self) -> Option<Instant> {
        let interval = 1.0 / self.config.rate?;
        let mut dice = Dice::new(Stream::Line, self.config.seed, Purpose::Conveyor, self.index);
        let stray = f64::from(self.config.jitter * dice.unit()) * interval;
        let beat = *self.beat.get_or_insert_with(Instant::now);
        Some(beat + Duration::from_secs_f64(stray))
    }

    /// Moves on by one part.
    fn advance(&mut self) {
        self.index += 1;
        if let Some(rate) = self.config.rate {
            let now = Instant::now();
            let beat = self.beat.unwrap_or(now);
            let oldest = now.checked_sub(SLIP).unwrap_or(beat);
            self.beat = Some(beat.max(oldest) + Duration::from_secs_f64(1.0 / rate));
        }
    }
}

impl Source for Synthetic {
    fn name(&self) -> &str {
        "synthetic"
    }

    fn pace(&self) -> Pace {
        if self.config.rate.is_some() { Pace::Triggered } else { Pace::OnDemand }
    }

    fn next(&mut self, wait: Duration) -> Result<Event, SourceError> {
        let until = Instant::now() + wait;
        if self.config.parts.is_some_and(|parts| self.index >= parts) {
            return Ok(Event::End);
        }
        if let Some(due) = self.due() {
            std::thread::sleep(due.min(until).saturating_duration_since(Instant::now()));
            if due > until {
                return Ok(Event::Idle);
            }
        }
        let received = self.drawn.as_ref().map(|drawn| drawn.recv_deadline(until));
        match received {
            Some(Ok(Drawn { frame, truth })) => {
                let serial = Some(format!("S{:06}", self.config.first_serial.saturating_add(self.index)).into());
                self.advance();
                // Trigger and picture come together here: time that the drawing took is not the line's.
                Ok(Event::Trigger(Trigger { at: Instant::now(), serial, frame, truth: Some(truth), call: None }))
            }
            Some(Err(RecvTimeoutError::Timeout)) => Ok(Event::Idle),
            Some(Err(RecvTimeoutError::Disconnected)) | None => {
                Err(SourceError(format!("synthetic line: the drawing thread failed at part {}", self.index)))
            }
        }
    }
}

impl Drop for Synthetic {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        self.drawn = None;
        if let Some(painter) = self.painter.take() {
            // A panic was reported by `next` already.
            let _ = painter.join();
        }
    }
}

/// Draws ahead, on its own thread.
struct Painter {
    renderer: Renderer,
    pool: FramePool,
    config: SyntheticConfig,
    /// Where a part is drawn whose picture is lost: its truth is still needed.
    spare: Vec<u8>,
    closed: Arc<AtomicBool>,
}

impl Painter {
    fn run(mut self, send: &Sender<Drawn>) {
        for index in 0..self.config.parts.unwrap_or(u64::MAX) {
            let Some(drawn) = self.draw(index) else { return };
            if send.send(drawn).is_err() {
                return;
            }
        }
    }

    /// Draws one part; none when the source is closed.
    fn draw(&mut self, index: u64) -> Option<Drawn> {
        let size = [self.config.size; 2];
        let buffer = loop {
            let patience = if self.config.rate.is_some() { PATIENCE } else { LOOK };
            let buffer = self.pool.take(patience);
            if self.closed.load(Ordering::Relaxed) {
                return None;
            }
            if buffer.is_some() || self.config.rate.is_some() {
                break buffer;
            }
        };
        let Some(mut buffer) = buffer else {
            let drawn = self.renderer.render(index, Ask::AsItComes, size, &mut self.spare);
            let detail = format!("no free buffer: all {POOL_FRAMES} frames are held by the line, evidence or viewers");
            return Some(Drawn { frame: Err(Fault { cause: Cause::Overload, detail }), truth: drawn.truth });
        };
        let drawn = self.renderer.render(index, Ask::AsItComes, size, &mut buffer);
        let content = Content::Pixels { width: drawn.width, height: drawn.height, format: PixelFormat::Rgb8 };
        Some(Drawn { frame: Ok(buffer.into_frame(content, index, None)), truth: drawn.truth })
    }
}

#[cfg(test)]
#[path = "conveyor_tests.rs"]
mod tests;
