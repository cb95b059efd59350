//! Pictures of inspected parts: evidence as files by date, previews in memory.
//!
//! Two threads, each with a short queue, work off the hot path. A queue that is full drops the picture and counts it; the record
//! says so by having no path. Evidence is not synced one by one: after a power cut a record may name a file that is missing,
//! and readers say so.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::Timestamp;
use models::image::{Image, ImageError, ImageView, decode_reduced_into, encode_jpeg, encode_png};
use serde::{Deserialize, Serialize};
use stages::frame::{Content, Frame};
use stages::inspection::Inspection;
use thiserror::Error;

use super::disk::free_bytes;
use super::error::{StoreError, advice};
use super::preview::shrink;
use super::smaller::Smaller;
use crate::background::yield_to_the_line;

/// How raw pixels are kept. Encoded pictures are kept as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RawFormat {
    /// Lossless; about 200 ms of one core for 5 megapixels in colour.
    Png,
    /// Several times quicker and smaller.
    Jpeg {
        /// 1 to 100.
        quality: u8,
    },
}

/// What is kept of pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvidenceOptions {
    /// How raw pixels are kept.
    pub raw: RawFormat,
    /// Pictures that may wait to be written; one more is dropped.
    pub queue: usize,
    /// Previews kept in memory.
    pub previews: usize,
    /// A preview's longer side, in pixels, at most.
    pub preview_px: u32,
    /// No picture is written while less than this is free on the disk: records need the room more.
    pub least_free_mb: u32,
}

impl Default for EvidenceOptions {
    fn default() -> Self {
        EvidenceOptions {
            raw: RawFormat::Jpeg { quality: 95 },
            queue: 16,
            previews: 64,
            preview_px: 1024,
            least_free_mb: 256,
        }
    }
}

/// A picture to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPicture {
    /// The file.
    pub bytes: Arc<[u8]>,
    /// `image/jpeg` and the like.
    pub mime: &'static str,
    /// The evidence itself, not a preview of it.
    pub evidence: bool,
}

/// Why there is no picture.
#[derive(Debug, Error)]
pub enum PictureError {
    /// No such part.
    #[error("no part {0} is on record")]
    NoRecord(u64),
    /// None was kept.
    #[error("no picture was kept of part {0}")]
    NotKept(u64),
    /// It waits for its turn.
    #[error("the picture of part {0} is being written; ask again in a second")]
    StillWriting(u64),
    /// The record names a file that is not there, or ends early.
    #[error("the picture {0} is missing: it was deleted, or the machine went down before it was on disk")]
    Missing(PathBuf),
    /// There was one, and it made room.
    #[error(
        "the picture of part {0} is no longer kept: retention lets pictures go for newer ones, as `[store.retention]` says"
    )]
    LetGo(u64),
    /// The disk refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How pictures fared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EvidenceCounts {
    /// Files written.
    pub written: u64,
    /// Dropped because the queue was full, or the disk nearly is.
    pub dropped: u64,
    /// Lost to an error of the disk or the encoder; each is logged.
    pub failed: u64,
    /// Previews left out because the preview thread was busy.
    pub previews_dropped: u64,
}

struct Job {
    id: u64,
    frame: Frame,
    /// Below the evidence folder; empty for a preview.
    path: String,
}

/// Both threads, and what they share.
pub(crate) struct Evidence {
    shared: Arc<Shared>,
    smaller: Smaller,
    write: Mutex<Option<Sender<Job>>>,
    show: Mutex<Option<Sender<Job>>>,
}

struct Shared {
    dir: PathBuf,
    options: EvidenceOptions,
    /// When the disk was last looked at, and whether too little was free.
    room: Mutex<Option<(Instant, bool)>>,
    waiting: Mutex<HashSet<u64>>,
    previews: Mutex<VecDeque<(u64, Arc<[u8]>)>>,
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    previews_dropped: AtomicU64,
    /// Pictures up to this part may have been let go.
    let_go: AtomicU64,
}

impl Evidence {
    /// Starts the threads; they end when [`Evidence::close`] is called.
    pub(crate) fn start(dir: PathBuf, options: EvidenceOptions) -> Result<(Evidence, Vec<JoinHandle<()>>), StoreError> {
        fs::create_dir_all(&dir).map_err(|e| StoreError::io("create", &dir, e))?;
        let (write, write_queue) = bounded(options.queue.max(1));
        // One more than the one being worked on: a preview is of the newest part or of no use.
        let (show, show_queue) = bounded(1);
        let shared = Arc::new(Shared {
            dir,
            options,
            room: Mutex::default(),
            waiting: Mutex::default(),
            previews: Mutex::default(),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            previews_dropped: AtomicU64::new(0),
            let_go: AtomicU64::new(0),
        });
        let spawn = |name: &str, queue: Receiver<Job>, begin: fn(), work: fn(&Shared, &Job)| {
            let shared = shared.clone();
            // A picture that makes a codec panic costs that picture, not the thread.
            let one = move |job: Job| {
                if catch_unwind(AssertUnwindSafe(|| work(&shared, &job))).is_err() {
                    lock(&shared.waiting).remove(&job.id);
                    shared.failed.fetch_add(1, Ordering::Relaxed);
                }
            };
            let run = move || {
                begin();
                queue.iter().for_each(one);
            };
            std::thread::Builder::new()
                .name(name.into())
                .spawn(run)
                .map_err(|e| StoreError::io("start a thread for", Path::new(name), e))
        };
        // Evidence is part of the work and must keep up with it; a preview is for those who look on.
        let threads = vec![
            spawn("evidence", write_queue, || {}, keep)?,
            spawn("preview", show_queue, yield_to_the_line, show_preview)?,
        ];
        Ok((
            Evidence {
                shared,
                smaller: Smaller::default(),
                write: Mutex::new(Some(write)),
                show: Mutex::new(Some(show)),
            },
            threads,
        ))
    }

    /// Hands a picture to the writer; its path below the evidence folder, or none if the queue is full or the disk nearly is.
    pub(crate) fn keep(&self, id: u64, triggered_at: Timestamp, frame: Frame) -> Option<String> {
        let extension = match frame.content() {
            Content::Encoded => kind(frame.bytes()).0,
            Content::Pixels { .. } => match self.shared.options.raw {
                RawFormat::Png => "png",
                RawFormat::Jpeg { .. } => "jpg",
            },
        };
        if self.shared.is_short_of_room() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let path = format!("{}/{id}.{extension}", triggered_at.strftime("%Y/%m/%d"));
        lock(&self.shared.waiting).insert(id);
        let sender = lock(&self.write);
        let sent = sender.as_ref().is_some_and(|s| s.try_send(Job { id, frame, path: path.clone() }).is_ok());
        if sent {
            return Some(path);
        }
        lock(&self.shared.waiting).remove(&id);
        self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Hands a picture to the preview thread, if that is idle.
    pub(crate) fn show(&self, id: u64, frame: Frame) {
        let sender = lock(&self.show);
        let job = Job { id, frame, path: String::new() };
        if sender.as_ref().is_none_or(|s| s.try_send(job).is_err()) {
            self.shared.previews_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes no more; the threads end once what waits is written.
    pub(crate) fn close(&self) {
        lock(&self.write).take();
        lock(&self.show).take();
    }

    /// Whether [`Evidence::picture`] would find something, without reading it.
    pub(crate) fn has(&self, inspection: &Inspection) -> bool {
        let file = inspection.evidence.as_ref().and_then(|path| self.below(path));
        self.preview(inspection.id).is_some() || file.is_some_and(|path| path.exists())
    }

    /// The evidence, else a preview.
    pub(crate) fn picture(&self, inspection: &Inspection) -> Result<StoredPicture, PictureError> {
        let id = inspection.id;
        let preview = || self.preview(id).map(|bytes| StoredPicture { bytes, mime: "image/jpeg", evidence: false });
        let Some(path) = inspection.evidence.as_ref().and_then(|path| self.below(path)) else {
            return preview().ok_or(PictureError::NotKept(id));
        };
        match fs::read(&path) {
            Ok(bytes) if !bytes.is_empty() => {
                let mime = kind(&bytes).1;
                Ok(StoredPicture { bytes: bytes.into(), mime, evidence: true })
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::io("read", &path, error).into())
            }
            _ => preview().ok_or_else(|| {
                if lock(&self.shared.waiting).contains(&id) {
                    PictureError::StillWriting(id)
                } else if self.has_let_go(id) {
                    PictureError::LetGo(id)
                } else {
                    PictureError::Missing(path)
                }
            }),
        }
    }

    /// The same with a longer side of so many pixels at most. A preview that is large enough is at hand, and the evidence is not.
    pub(crate) fn picture_at_most(&self, inspection: &Inspection, side: u32) -> Result<StoredPicture, PictureError> {
        self.smaller.of((inspection.id, side), || match self.preview(inspection.id) {
            Some(bytes) if side <= self.shared.options.preview_px => {
                Ok(StoredPicture { bytes, mime: "image/jpeg", evidence: inspection.evidence.is_some() })
            }
            _ => self.picture(inspection),
        })
    }

    /// Removes the picture of a part; its size. Its folder goes with the last one of a day.
    pub(crate) fn remove(&self, id: u64, path: &str) -> Result<u64, StoreError> {
        let Some(file) = self.below(path) else { return Ok(0) };
        let bytes = fs::metadata(&file).map_or(0, |meta| meta.len());
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", &file, error));
            }
            _ => {}
        }
        self.let_go(id);
        lock(&self.shared.previews).retain(|(of, _)| *of != id);
        // A folder that is not empty stays: that is what the operating system says, too.
        for folder in file.ancestors().skip(1).take_while(|folder| *folder != self.shared.dir) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(bytes)
    }

    /// Whether a picture of this part that is not there may be gone by right.
    pub(crate) fn has_let_go(&self, id: u64) -> bool {
        id <= self.shared.let_go.load(Ordering::Relaxed)
    }

    /// Pictures up to this part may be gone by right.
    pub(crate) fn let_go(&self, up_to: u64) {
        self.shared.let_go.fetch_max(up_to, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> EvidenceCounts {
        let shared = &self.shared;
        EvidenceCounts {
            written: shared.written.load(Ordering::Relaxed),
            dropped: shared.dropped.load(Ordering::Relaxed),
            failed: shared.failed.load(Ordering::Relaxed),
            previews_dropped: shared.previews_dropped.load(Ordering::Relaxed),
        }
    }

    fn preview(&self, id: u64) -> Option<Arc<[u8]>> {
        lock(&self.shared.previews).iter().rev().find(|(of, _)| *of == id).map(|(_, bytes)| bytes.clone())
    }

    /// A record's path in the evidence folder; none if it would lead out of it.
    fn below(&self, path: &str) -> Option<PathBuf> {
        below(&self.shared.dir, path)
    }
}

impl Shared {
    /// Pictures give way first. The disk is asked once a second.
    fn is_short_of_room(&self) -> bool {
        let least = u64::from(self.options.least_free_mb) << 20;
        let mut room = lock(&self.room);
        if let Some((at, short)) = *room
            && at.elapsed() < Duration::from_secs(1)
        {
            return short;
        }
        let was = room.is_some_and(|(_, short)| short);
        let free = free_bytes(&self.dir).unwrap_or(u64::MAX);
        let short = free < least;
        *room = Some((Instant::now(), short));
        if short && !was {
            let dir = self.dir.display();
            tracing::error!(
                "no pictures are kept in {dir}: {} MB are free, less than {}; free space",
                free >> 20,
                least >> 20
            );
        }
        if was && !short {
            tracing::warn!("pictures are kept again: {} MB are free", free >> 20);
        }
        short
    }
}

/// Where a part's evidence lies in the state directory `state`, for who reads beside the store; none where no picture was kept, or
/// the record's path would lead out of the evidence folder.
pub fn evidence_path(state: &Path, inspection: &Inspection) -> Option<PathBuf> {
    inspection.evidence.as_ref().and_then(|path| evidence_file(state, path))
}

/// The same of a record's path alone.
pub(crate) fn evidence_file(state: &Path, path: &str) -> Option<PathBuf> {
    below(&state.join("evidence"), path)
}

fn below(dir: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let inside = path.components().all(|c| matches!(c, Component::Normal(_)));
    (inside && !path.as_os_str().is_empty()).then(|| dir.join(path))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(shared: &Shared, job: &Job) {
    match write(shared, job) {
        Ok(()) => {
            shared.written.fetch_add(1, Ordering::Relaxed);
        }
        Err(reason) => {
            shared.failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!("evidence of part {}: {reason}", job.id);
        }
    }
    lock(&shared.waiting).remove(&job.id);
}

fn write(shared: &Shared, job: &Job) -> Result<(), String> {
    let encoded;
    let bytes = match (pixels(&job.frame), shared.options.raw) {
        (None, _) => job.frame.bytes(),
        (Some(view), RawFormat::Png) => {
            encoded = encode_png(view).map_err(|e| e.to_string())?;
            &encoded
        }
        (Some(view), RawFormat::Jpeg { quality }) => {
            encoded = encode_jpeg(view, quality).map_err(|e| e.to_string())?;
            &encoded
        }
    };
    let path = shared.dir.join(&job.path);
    // One name for every unfinished file: a crash leaves one at most, and the next picture takes its place.
    let unfinished = shared.dir.join("unfinished");
    let dir = path.parent().unwrap_or(&shared.dir);
    let place = || fs::create_dir_all(dir).and_then(|()| fs::rename(&unfinished, &path));
    // Tried twice: retention may have removed the empty folder of the day in between.
    let done = fs::write(&unfinished, bytes).and_then(|()| place().or_else(|_| place()));
    done.map_err(|e| format!("cannot write {}: {e}; {}", path.display(), advice(&e)))
}

fn show_preview(shared: &Shared, job: &Job) {
    let max = shared.options.preview_px.max(1);
    let decoded;
    let view = match pixels(&job.frame) {
        Some(view) => view,
        None => match for_preview(job.frame.bytes(), max) {
            Ok(([width, height], image)) => {
                decoded = image;
                // A browser shows it as it is.
                if width.max(height) <= max && kind(job.frame.bytes()).0 == "jpg" {
                    return remember(shared, job.id, job.frame.bytes().into());
                }
                decoded.view()
            }
            // What cannot be decoded has no preview: its verdict says why.
            Err(_) => return,
        },
    };
    let small: Option<Image> = shrink(view, max);
    if let Ok(bytes) = encode_jpeg(small.as_ref().map_or(view, Image::view), 85) {
        remember(shared, job.id, bytes.into());
    }
}

/// A file's size and its pixels, no more of them than a preview takes.
fn for_preview(bytes: &[u8], max: u32) -> Result<([u32; 2], Image), ImageError> {
    let mut image = Image::empty();
    let size = decode_reduced_into(bytes, |[width, height]| width.max(height) >= max, &mut image)?;
    Ok((size, image))
}

fn remember(shared: &Shared, id: u64, bytes: Arc<[u8]>) {
    let mut previews = lock(&shared.previews);
    previews.push_back((id, bytes));
    while previews.len() > shared.options.previews {
        previews.pop_front();
    }
}

fn pixels(frame: &Frame) -> Option<ImageView<'_>> {
    match frame.content() {
        Content::Encoded => None,
        Content::Pixels { width, height, format } => Some(ImageView { width, height, format, data: frame.bytes() }),
    }
}

/// Extension and media type, from a file's first bytes. What is none of these was no picture, and is kept all the same.
fn kind(bytes: &[u8]) -> (&'static str, &'static str) {
    match bytes {
        [0xFF, 0xD8, 0xFF, ..] => ("jpg", "image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => ("png", "image/png"),
        [b'B', b'M', ..] => ("bmp", "image/bmp"),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => ("tif", "image/tiff"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => ("webp", "image/webp"),
        [b'G', b'I', b'F', b'8', ..] => ("gif", "image/gif"),
        [b'P', b'5' | b'2', ..] => ("pgm", "image/x-portable-graymap"),
        [b'P', b'6' | b'3', ..] => ("ppm", "image/x-portable-pixmap"),
        _ => ("bin", "application/octet-stream"),
    }
}
