//! A folder of image files: read once, played in a loop, or watched for files that a camera PC drops. The files' bytes
//! are the frame: they are decoded in the `quality` stage and kept as evidence as they came.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::{Event, Fault, Pace, Pacer, Source, SourceError, Trigger, rate_problem};
use crate::frame::{Content, Frame, FramePool};
use crate::verdict::Cause;

/// Files that may be in memory at once.
const POOL_FRAMES: usize = 64;
/// Room for a usual file; larger ones make their buffer grow.
const POOL_BYTES: usize = 1 << 18;
/// No line camera's file is larger.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// Which files, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderConfig {
    /// The folder. Its subfolders are not looked into.
    pub path: PathBuf,
    /// What happens when every file has been read.
    #[serde(default)]
    pub mode: Mode,
    /// Parts per second; absent: as fast as the line takes them.
    #[serde(default)]
    pub rate: Option<f64>,
    /// What becomes of a file once its part is on record.
    #[serde(default)]
    pub after: After,
    /// A watched file is complete when its size and time have stood still this long.
    #[serde(default = "default_settle_ms")]
    pub settle_ms: u32,
    /// Take the file's name without its ending as the part's serial number.
    #[serde(default)]
    pub serial_from_name: bool,
}

fn default_settle_ms() -> u32 {
    200
}

/// What happens when every file has been read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The source ends.
    #[default]
    Once,
    /// It starts again.
    Loop,
    /// It waits for more.
    Watch,
}

/// What becomes of a file once its part is on record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// It stays. A watched folder is then read anew after a restart.
    #[default]
    Keep,
    /// It is moved to the subfolder `done`, so that a restart does not inspect it again.
    Move,
}

impl FolderConfig {
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = rate_problem(self.rate).into_iter().collect();
        if self.path.as_os_str().is_empty() {
            problems.push("`source.path` is empty: give the folder that holds the pictures".to_owned());
        }
        if self.mode == Mode::Loop && self.after == After::Move {
            problems.push("`source.after` is `move`, but a loop needs its files again: use `keep`".to_owned());
        }
        problems
    }
}

/// See [`FolderConfig`].
pub struct Folder {
    config: FolderConfig,
    pool: FramePool,
    /// Complete files that wait their turn, by name.
    ready: VecDeque<PathBuf>,
    /// Watched files: what was seen of each, and since when it has not changed.
    seen: HashMap<PathBuf, Seen>,
    /// Handed to the line; its part is on record when the next one is asked for.
    handed: Option<PathBuf>,
    listed: bool,
    sequence: u64,
    pacer: Pacer,
}

#[derive(Clone, Copy, PartialEq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
}

struct Seen {
    stamp: Stamp,
    since: Instant,
    taken: bool,
}

impl Folder {
    /// Looks at the folder once, so that a wrong path is said at the start.
    pub fn open(config: FolderConfig) -> Result<Folder, SourceError> {
        list(&config.path)?;
        if config.after == After::Move {
            let done = config.path.join("done");
            fs::create_dir_all(&done).map_err(|error| {
                SourceError(format!("folder `{}`: cannot be made for inspected files: {error}", done.display()))
            })?;
        }
        let pacer = Pacer::new(config.rate);
        Ok(Folder {
            config,
            pool: FramePool::new(POOL_FRAMES, POOL_BYTES),
            ready: VecDeque::new(),
            seen: HashMap::new(),
            handed: None,
            listed: false,
            sequence: 0,
            pacer,
        })
    }

    /// Finds files that are complete and not taken yet; true if the source has ended.
    fn look(&mut self) -> Result<bool, SourceError> {
        match self.config.mode {
            Mode::Once if self.listed => return Ok(true),
            Mode::Once | Mode::Loop => {
                self.ready = list(&self.config.path)?.into_iter().map(|(path, _)| path).collect();
                self.listed = true;
                return Ok(self.config.mode == Mode::Once && self.ready.is_empty());
            }
            Mode::Watch => {}
        }
        let now = Instant::now();
        let settle = Duration::from_millis(u64::from(self.config.settle_ms));
        let mut seen = HashMap::new();
        for (path, stamp) in list(&self.config.path)? {
            // A file that was taken and then written again under the same name is another part.
            let mut entry = match self.seen.remove(&path) {
                Some(entry) if entry.stamp == stamp => entry,
                _ => Seen { stamp, since: now, taken: false },
            };
            if !entry.taken && stamp.bytes > 0 && now - entry.since >= settle {
                entry.taken = true;
                self.ready.push_back(path.clone());
            }
            seen.insert(path, entry);
        }
        self.seen = seen; // names that are gone are forgotten, so the map never outgrows the folder
        Ok(false)
    }

    fn settle_handed(&mut self) {
        let Some(path) = self.handed.take() else { return };
        if self.config.after == After::Move
            && let Some(name) = path.file_name()
            && let Err(error) = fs::rename(&path, self.config.path.join("done").join(name))
        {
            tracing::warn!("folder source: `{}` could not be moved to `done`: {error}", path.display());
        }
    }

    fn trigger(&mut self, path: &Path, mut buffer: crate::frame::FrameBuffer) -> Trigger {
        let frame = match read(path, &mut buffer) {
            Ok(()) => {
                let name: Arc<str> = path.to_string_lossy().into();
                Ok(buffer.into_frame(Content::Encoded, self.sequence, Some(name)))
            }
            Err(detail) => Err(Fault { cause: Cause::Unreadable, detail }),
        };
        self.sequence += 1;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().as_ref().into());
        let serial = stem.filter(|_| self.config.serial_from_name);
        Trigger { at: Instant::now(), serial, frame, truth: None, call: None }
    }
}

impl Source for Folder {
    fn name(&self) -> &str {
        "folder"
    }

    /// Files wait on disk, so the source follows the line, unless it plays a camera at a fixed rate.
    fn pace(&self) -> Pace {
        if self.config.rate.is_some() { Pace::Triggered } else { Pace::OnDemand }
    }

    fn next(&mut self, wait: Duration) -> Result<Event, SourceError> {
        let until = Instant::now() + wait;
        self.settle_handed();
        if !self.pacer.wait(until) {
            return Ok(Event::Idle);
        }
        while self.ready.is_empty() {
            if self.look()? {
                return Ok(Event::End);
            }
            if self.ready.is_empty() {
                self.pacer.nothing_there();
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(Event::Idle);
                }
                std::thread::sleep(left.min(Duration::from_millis(50)));
            }
        }
        let Some(buffer) = self.pool.take(until.saturating_duration_since(Instant::now())) else {
            return Ok(Event::Idle);
        };
        let path = self.ready.pop_front().expect("the loop above ends only when a file is ready");
        self.pacer.delivered();
        let trigger = self.trigger(&path, buffer);
        self.handed = Some(path);
        Ok(Event::Trigger(trigger))
    }
}

/// Image files by name: no folders, no hidden or half-written ones.
fn list(folder: &Path) -> Result<Vec<(PathBuf, Stamp)>, SourceError> {
    let entries = fs::read_dir(folder).map_err(|error| {
        SourceError(format!("folder `{}`: cannot be read: {error}; is it mounted and spelt right?", folder.display()))
    })?;
    let mut files: Vec<(PathBuf, Stamp)> = entries
        .filter_map(Result::ok)
        .filter(|entry| !is_temporary(&entry.path()))
        .filter_map(|entry| {
            let metadata = fs::metadata(entry.path()).ok()?;
            let stamp = Stamp { bytes: metadata.len(), modified: metadata.modified().ok() };
            metadata.is_file().then(|| (entry.path(), stamp))
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(files)
}

/// Names under which programs write a file before it is complete.
fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    name.starts_with('.') || name.ends_with('~') || matches!(ending.as_deref(), Some("tmp" | "part" | "partial"))
}

/// One file as a frame, for `inspect` and other callers without a folder. A file that cannot be read is a fault.
pub fn frame_from_file(path: &Path) -> Result<Frame, Fault> {
    let mut bytes = Vec::new();
    match read(path, &mut bytes) {
        Ok(()) => Ok(Frame::from_vec(Content::Encoded, bytes, 0, Some(path.to_string_lossy().into()))),
        Err(detail) => Err(Fault { cause: Cause::Unreadable, detail }),
    }
}

fn read(path: &Path, into: &mut Vec<u8>) -> Result<(), String> {
    let words = |error: std::io::Error| format!("file `{}`: cannot be read: {error}", path.display());
    let file = File::open(path).map_err(words)?;
    let bytes = file.metadata().map_err(words)?.len();
    if bytes > MAX_FILE_BYTES {
        let limit = MAX_FILE_BYTES >> 20;
        return Err(format!("file `{}`: {} MiB is more than the limit of {limit} MiB", path.display(), bytes >> 20));
    }
    // `take` bounds a file that grows while it is read, and devices that never end.
    file.take(MAX_FILE_BYTES).read_to_end(into).map(drop).map_err(words)
}
