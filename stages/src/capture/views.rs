//! Several cameras for one part: its *views*. Pictures that were taken within a window belong together and become one frame, side by side,
//! in which each view has its place ([`crate::frame::View`]); a recipe's regions name the view that they lie in. A view whose picture did not
//! come makes the part one without a picture: no part is judged by half of what is to be seen, unless its model was made for that
//! ([`Missing::Mask`]).

use std::cmp::Ordering;
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use models::image::{self, Image, ImageView, MAX_MEGAPIXELS, PixelFormat};
use serde::{Deserialize, Serialize};

use super::statistics::Gauge;
use super::{Event, Fault, Pace, Source, SourceConfig, SourceError, Trigger};
use crate::frame::{Content, Frame, FramePool, View};
use crate::inspection::Truth;
use crate::quality::cause_of;
use crate::regions::Area;
use crate::verdict::Cause;

/// Cameras of one part, at most.
const MOST: usize = 8;
/// One camera is waited for no longer before the next one is asked.
const TURN: Duration = Duration::from_millis(2);
/// Pictures of one view that may wait for the others'.
const WAITING: usize = 16;
/// Joined frames that may be in use at once.
const POOL_FRAMES: usize = 24;

/// Which cameras, and what belongs together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewsConfig {
    /// Pictures of one part were taken within this time of each other.
    #[serde(default = "default_window_ms")]
    pub window_ms: u32,
    /// So long after the first picture was taken the others may arrive.
    #[serde(default = "default_wait_ms")]
    pub wait_ms: u32,
    /// What becomes of a part of which some view's picture did not come.
    #[serde(default, skip_serializing_if = "Missing::is_refused")]
    pub missing: Missing,
    /// The cameras, in the order in which their pictures stand side by side.
    pub views: Vec<ViewConfig>,
}

/// What becomes of a part that some camera did not see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// It gets no decision.
    #[default]
    NoDecision,
    /// It goes on with the views that came: for a model that sees several together and can do without one.
    Mask,
}

impl Missing {
    fn is_refused(&self) -> bool {
        *self == Missing::NoDecision
    }
}

fn default_window_ms() -> u32 {
    30
}

fn default_wait_ms() -> u32 {
    300
}

/// One camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewConfig {
    /// What it sees: `top`, `left`, ...
    pub name: String,
    /// Where its pictures come from.
    pub source: SourceConfig,
}

impl ViewsConfig {
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let count = self.views.len();
        if !(2..=MOST).contains(&count) {
            problems
                .push(format!("`source.views` has {count}: give 2 to {MOST} cameras, or the one as `[source]` itself"));
        }
        for (key, value) in [("window_ms", self.window_ms), ("wait_ms", self.wait_ms)] {
            if !(1..=10_000).contains(&value) {
                problems.push(format!("`source.{key}` is {value}: give 1 to 10000"));
            }
        }
        if self.wait_ms < self.window_ms {
            let (wait, window) = (self.wait_ms, self.window_ms);
            problems.push(format!("`source.wait_ms` is {wait}: it must be no less than `window_ms`, {window}"));
        }
        let mut names = BTreeSet::new();
        for (number, view) in self.views.iter().enumerate() {
            let key = format!("source.views[{number}]");
            if view.name.trim().is_empty() || view.name.len() > 64 || view.name.chars().any(char::is_control) {
                problems.push(format!("`{key}.name` is {:?}: give 1 to 64 printable characters", view.name));
            }
            if !names.insert(&view.name) {
                problems.push(format!("`{key}.name` is `{}`, which another view has already", view.name));
            }
            if matches!(view.source, SourceConfig::Views(_)) {
                problems.push(format!("`{key}.source.kind` is `views`: views do not nest"));
            }
            let own = view.source.problems();
            problems.extend(own.into_iter().map(|text| text.replace("`source.", &format!("`{key}.source."))));
        }
        problems
    }

    pub(super) fn relative_to(&mut self, folder: &Path) {
        for view in &mut self.views {
            view.source.relative_to(folder);
        }
    }

    /// Names of the views.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.views.iter().map(|view| view.name.as_str())
    }
}

/// One camera at work.
struct Eye {
    name: Arc<str>,
    source: Box<dyn Source>,
    /// Pictures that wait for those of the other views, the oldest first.
    waiting: VecDeque<Trigger>,
    trouble: Option<SourceError>,
    ended: bool,
}

/// See [`ViewsConfig`].
pub struct Views {
    window: Duration,
    wait: Duration,
    missing: Missing,
    eyes: Vec<Eye>,
    pace: Pace,
    gauge: Gauge,
    /// Made when the first pictures say how large they are together.
    pool: Option<(FramePool, usize)>,
    sequence: u64,
}

impl Views {
    /// Opens every camera.
    ///
    /// # Errors
    /// One of them cannot be opened, or some set the pace and others wait to be asked.
    pub fn open(config: &ViewsConfig) -> Result<Views, SourceError> {
        let eye = |view: &ViewConfig| -> Result<Eye, SourceError> {
            let named = |SourceError(words)| SourceError(format!("view `{}`: {words}", view.name));
            let source = view.source.open().map_err(named)?;
            let name = view.name.as_str().into();
            Ok(Eye { name, source, waiting: VecDeque::new(), trouble: None, ended: false })
        };
        let eyes: Vec<Eye> = config.views.iter().map(eye).collect::<Result<_, _>>()?;
        Ok(Views { missing: config.missing, ..Views::of(eyes, config.window_ms, config.wait_ms)? })
    }

    /// The same of sources that are open.
    ///
    /// # Errors
    /// Some set the pace and others wait to be asked.
    pub fn join(sources: Vec<(String, Box<dyn Source>)>, window_ms: u32, wait_ms: u32) -> Result<Views, SourceError> {
        let eye = |(name, source): (String, _)| Eye {
            name: name.into(),
            source,
            waiting: VecDeque::new(),
            trouble: None,
            ended: false,
        };
        Views::of(sources.into_iter().map(eye).collect(), window_ms, wait_ms)
    }

    fn of(eyes: Vec<Eye>, window_ms: u32, wait_ms: u32) -> Result<Views, SourceError> {
        let Some(first) = eyes.first() else { return Err(SourceError("there is no view".to_owned())) };
        let pace = first.source.pace();
        if let Some(other) = eyes.iter().find(|eye| eye.source.pace() != pace) {
            return Err(SourceError(format!(
                "views `{}` and `{}` do not go together: one sets its own pace, the other waits to be asked; give both a `rate`, or neither",
                first.name, other.name
            )));
        }
        let [window, wait] = [window_ms, wait_ms].map(|ms| Duration::from_millis(u64::from(ms)));
        Ok(Views {
            window,
            wait,
            missing: Missing::NoDecision,
            eyes,
            pace,
            gauge: Gauge::default(),
            pool: None,
            sequence: 0,
        })
    }

    /// Asks each camera once; the whole round takes `wait` at most.
    fn look(&mut self, wait: Duration) {
        let turn = TURN.min(wait / self.eyes.len() as u32);
        // What is read on demand stands still until its part is complete: no more than one of each is taken.
        let room = if self.pace == Pace::OnDemand { 1 } else { WAITING };
        for eye in self.eyes.iter_mut().filter(|eye| !eye.ended && eye.waiting.len() < room) {
            match eye.source.next(if eye.waiting.is_empty() { turn } else { Duration::ZERO }) {
                Ok(Event::Trigger(trigger)) => {
                    eye.trouble = None;
                    eye.waiting.push_back(trigger);
                }
                Ok(Event::Idle) => eye.trouble = None,
                Ok(Event::End) => eye.ended = true,
                Err(error) => eye.trouble = Some(error),
            }
        }
        let read: Vec<_> = self.eyes.iter().filter_map(|eye| Some((&eye.name, eye.source.gauge()?.read()))).collect();
        self.gauge.total(read.iter().map(|(name, statistics)| (&***name, statistics)), self.eyes.len());
    }

    /// The next part, if it is settled what belongs to it.
    fn settle(&mut self) -> Option<Trigger> {
        let first = self.eyes.iter().filter_map(|eye| eye.waiting.front()).min_by(|a, b| self.earlier(a, b))?;
        let belongs = |other: &Trigger| self.together(first, other);
        let lacking: Vec<&Eye> = self.eyes.iter().filter(|eye| !eye.waiting.front().is_some_and(belongs)).collect();
        // A view that has gone on to a later part, or has ended, will not bring this one's picture.
        let comes = |eye: &Eye| eye.waiting.is_empty() && !eye.ended;
        if lacking.iter().any(|eye| comes(eye)) && first.at.elapsed() < self.wait {
            return None;
        }
        let names: Vec<String> = lacking.iter().map(|eye| format!("`{}`", eye.name)).collect();
        let words = match self.pace {
            Pace::Triggered => format!("no picture of view {} within {} ms", names.join(", "), self.window.as_millis()),
            Pace::OnDemand => {
                format!("no picture of view {} for {}", names.join(", "), key_of(first).unwrap_or("this part"))
            }
        };
        let these: Vec<bool> = self.eyes.iter().map(|eye| eye.waiting.front().is_some_and(belongs)).collect();
        let taken: Vec<(Arc<str>, Trigger)> = self
            .eyes
            .iter_mut()
            .zip(these)
            .filter(|(_, belongs)| *belongs)
            .filter_map(|(eye, _)| Some((eye.name.clone(), eye.waiting.pop_front()?)))
            .collect();
        let lacks = !names.is_empty() && self.missing == Missing::NoDecision;
        let fault = lacks.then_some(Fault { cause: Cause::NoFrame, detail: words });
        Some(self.part(taken, fault))
    }

    /// Whether two pictures belong to one part: by time; of files by name.
    fn together(&self, a: &Trigger, b: &Trigger) -> bool {
        match self.pace {
            Pace::Triggered => a.at.max(b.at) - a.at.min(b.at) <= self.window,
            Pace::OnDemand => self.earlier(a, b) == Ordering::Equal,
        }
    }

    fn earlier(&self, a: &Trigger, b: &Trigger) -> Ordering {
        match self.pace {
            Pace::Triggered => a.at.cmp(&b.at),
            Pace::OnDemand => match (key_of(a), key_of(b)) {
                (Some(a), Some(b)) => a.cmp(b),
                // What has no name comes in order.
                _ => Ordering::Equal,
            },
        }
    }

    fn part(&mut self, mut taken: Vec<(Arc<str>, Trigger)>, fault: Option<Fault>) -> Trigger {
        if self.missing == Missing::Mask && taken.iter().any(|(_, trigger)| trigger.frame.is_ok()) {
            // A camera that was there without a picture is missing as one that did not come.
            taken.retain(|(_, trigger)| trigger.frame.is_ok());
        }
        let at = taken.iter().map(|(_, trigger)| trigger.at).min().unwrap_or_else(Instant::now);
        let serial = taken.iter().find_map(|(_, trigger)| trigger.serial.clone());
        let mut places = Vec::new();
        let frame = match fault {
            Some(fault) => Err(fault),
            None => self.side_by_side(&taken).map(|(frame, at)| {
                places = at;
                frame
            }),
        };
        let truths = taken.iter().map(|(_, trigger)| trigger.truth.as_ref()).zip(&places);
        let truth = truth_of(truths.filter_map(|(truth, view)| Some((truth?, view.area))));
        Trigger { at, serial, frame, truth, call: None }
    }

    /// One frame of several, or why there is none.
    fn side_by_side(&mut self, taken: &[(Arc<str>, Trigger)]) -> Result<(Frame, Vec<View>), Fault> {
        let mut frames = Vec::with_capacity(taken.len());
        for (name, trigger) in taken {
            let fault = |cause, detail: &str| Fault { cause, detail: format!("view `{name}`: {detail}") };
            let frame = trigger.frame.as_ref().map_err(|lack| fault(lack.cause, &lack.detail))?;
            if !frame.is_whole() {
                return Err(fault(Cause::Truncated, "the picture has fewer bytes than its size says"));
            }
            let decoded = match frame.content() {
                Content::Encoded => {
                    let decoded = image::decode(frame.bytes());
                    Some(decoded.map_err(|error| fault(cause_of(&error), &error.to_string()))?)
                }
                Content::Pixels { .. } => None,
            };
            frames.push((name, frame, decoded));
        }
        let views: Vec<ImageView<'_>> =
            frames.iter().map(|(_, frame, decoded)| pixels(frame, decoded.as_ref())).collect();
        let width: u64 = views.iter().map(|view| u64::from(view.width)).sum();
        let height = views.iter().map(|view| view.height).max().unwrap_or(0);
        if width * u64::from(height) > u64::from(MAX_MEGAPIXELS) * 1_000_000 {
            let detail = format!("{width} x {height} pixels side by side are more than {MAX_MEGAPIXELS} megapixels");
            return Err(Fault { cause: Cause::WrongSize, detail });
        }
        let colour = views.iter().any(|view| view.format == PixelFormat::Rgb8);
        let format = if colour { PixelFormat::Rgb8 } else { PixelFormat::Mono8 };
        let row = width as usize * format.channels();
        let bytes = row * height as usize;
        if self.pool.as_ref().is_none_or(|(_, room)| *room < bytes) {
            self.pool = Some((FramePool::new(POOL_FRAMES, bytes), bytes));
        }
        let buffer = self.pool.as_ref().and_then(|(pool, _)| pool.try_take());
        let Some(mut buffer) = buffer else {
            let detail = format!("all {POOL_FRAMES} buffers for joined pictures are in use");
            return Err(Fault { cause: Cause::Overload, detail });
        };
        buffer.resize(bytes, 0);
        let mut places = Vec::with_capacity(views.len());
        let mut x = 0;
        for ((name, ..), view) in frames.iter().zip(&views) {
            for (y, line) in view.data.chunks_exact(view.width as usize * view.format.channels()).enumerate() {
                let to = &mut buffer[y * row + x as usize * format.channels()..];
                if view.format == format {
                    to[..line.len()].copy_from_slice(line);
                } else {
                    to.as_chunks_mut::<3>().0.iter_mut().zip(line).for_each(|(pixel, &grey)| *pixel = [grey; 3]);
                }
            }
            places.push(View { name: (*name).clone(), area: Area { x, y: 0, width: view.width, height: view.height } });
            x += view.width;
        }
        let content = Content::Pixels { width: width as u32, height, format };
        let name = frames.first().and_then(|(_, frame, _)| frame.name().cloned());
        let sequence = self.sequence;
        self.sequence += 1;
        Ok((buffer.into_views(content, sequence, name, places.as_slice().into()), places))
    }
}

/// By what a file is known to belong to a part.
fn key_of(trigger: &Trigger) -> Option<&str> {
    let name = trigger.frame.as_ref().ok()?.name()?;
    Path::new(&**name).file_stem()?.to_str()
}

fn pixels<'a>(frame: &'a Frame, decoded: Option<&'a Image>) -> ImageView<'a> {
    match (decoded, frame.content()) {
        (Some(image), _) => image.view(),
        (None, Content::Pixels { width, height, format }) => ImageView { width, height, format, data: frame.bytes() },
        (None, Content::Encoded) => unreachable!("encoded frames were decoded"),
    }
}

/// What a simulated part really is, of what each view shows of it.
fn truth_of<'a>(truths: impl Iterator<Item = (&'a Truth, Area)>) -> Option<Truth> {
    let mut all: Option<Truth> = None;
    for (truth, area) in truths {
        let mut own = truth.clone();
        for defect in &mut own.defects {
            defect.bbox[0] += area.x as f32;
            defect.bbox[1] += area.y as f32;
        }
        match &mut all {
            None => all = Some(own),
            Some(all) => {
                if all.defects.is_empty() {
                    all.label = own.label;
                }
                all.defects.append(&mut own.defects);
                all.bad_frame |= own.bad_frame;
            }
        }
    }
    all
}

impl Source for Views {
    fn name(&self) -> &str {
        "views"
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    /// All cameras at once, as far as they can be asked. One that cannot is missed by its part, which is told.
    fn expose(&mut self) -> Result<(), SourceError> {
        let asked =
            self.eyes.iter_mut().map(|eye| eye.source.expose().inspect_err(|error| eye.trouble = Some(error.clone())));
        let asked: Vec<Result<(), SourceError>> = asked.collect();
        if asked.iter().any(Result::is_ok) { Ok(()) } else { asked.into_iter().collect() }
    }

    /// At once: the other cameras go on.
    fn retry_after(&self) -> Duration {
        Duration::ZERO
    }

    fn gauge(&self) -> Option<Gauge> {
        self.eyes.iter().any(|eye| eye.source.gauge().is_some()).then(|| self.gauge.clone())
    }

    fn next(&mut self, wait: Duration) -> Result<Event, SourceError> {
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.look(left);
            if let Some(part) = self.settle() {
                return Ok(Event::Trigger(part));
            }
            // What one view has beyond the end of another was told above, part by part.
            if self.eyes.iter().all(|eye| eye.ended) {
                return Ok(Event::End);
            }
            if left.is_zero() {
                let trouble = self.eyes.iter().find_map(|eye| Some((&eye.name, eye.trouble.as_ref()?)));
                return match trouble {
                    Some((name, SourceError(words))) => Err(SourceError(format!("view `{name}`: {words}"))),
                    None => Ok(Event::Idle),
                };
            }
        }
    }
}
