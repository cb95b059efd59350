//! Pixels of one trigger, in buffers that come from a pool and go back to it.
//!
//! A source owns a [`FramePool`], fills a [`FrameBuffer`] and turns it into a [`Frame`]. The line passes the frame on by
//! handle; nobody copies the pixels. Evidence and viewers hold frames longer than the line does, so they hold *pinned*
//! ones, of which there are only as many as [`Pins`] allows: a slow disk can never eat the camera's buffers.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use models::image::PixelFormat;
use serde::{Deserialize, Serialize};

use crate::regions::Area;

/// What a source delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Raw pixels, row-major, no padding.
    Pixels {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Layout of a pixel.
        format: PixelFormat,
    },
    /// A file's bytes as they came, decoded later in the quality stage; kept as evidence without re-encoding.
    Encoded,
}

/// The views of a frame that has none; made once, so that a frame costs no allocation for them.
fn no_views() -> Arc<[View]> {
    static NONE: LazyLock<Arc<[View]>> = LazyLock::new(|| Arc::new([]));
    NONE.clone()
}

/// A shared handle on one picture. Cloning is cheap; the buffer returns to its pool when the last clone is gone.
#[derive(Clone)]
pub struct Frame {
    inner: Arc<FrameInner>,
    pin: Option<Arc<Pin>>,
}

struct FrameInner {
    content: Content,
    buffer: FrameBuffer,
    sequence: u64,
    name: Option<Arc<str>>,
    views: Arc<[View]>,
}

/// The place of one camera's picture in a frame of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// What it sees, as the configuration has it.
    pub name: Arc<str>,
    /// Its pixels.
    pub area: Area,
}

impl Frame {
    /// A frame of its own, from no pool: one picture at a time, not a line.
    pub fn from_vec(content: Content, bytes: Vec<u8>, sequence: u64, name: Option<Arc<str>>) -> Frame {
        FrameBuffer { bytes, home: None }.into_frame(content, sequence, name)
    }

    /// What the bytes are.
    pub fn content(&self) -> Content {
        self.inner.content
    }

    /// Pixels or file bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.inner.buffer.bytes
    }

    /// The source's own counter.
    pub fn sequence(&self) -> u64 {
        self.inner.sequence
    }

    /// Where it came from: a file's path, a video's name and position.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.inner.name.as_ref()
    }

    /// Its views, where several cameras see the part.
    pub fn views(&self) -> &[View] {
        &self.inner.views
    }

    /// The same, to be kept longer than the frame.
    pub fn shared_views(&self) -> Arc<[View]> {
        self.inner.views.clone()
    }

    /// Whether raw pixels are as many as their size says. Always true for encoded bytes, which only a decoder can judge.
    /// The line refuses a frame that is not whole before any stage reads it.
    pub fn is_whole(&self) -> bool {
        match self.content() {
            Content::Encoded => true,
            Content::Pixels { width, height, format } => {
                width as u64 * height as u64 * format.channels() as u64 == self.bytes().len() as u64
            }
        }
    }

    /// A handle that may outlive the part, if one more is allowed. The permit goes back when the last clone of the
    /// returned frame is gone.
    pub fn pinned(&self, pins: &Pins) -> Option<Frame> {
        Some(Frame { inner: self.inner.clone(), pin: Some(Arc::new(pins.take()?)) })
    }

    /// Whether this handle holds a permit.
    pub fn is_pinned(&self) -> bool {
        self.pin.is_some()
    }

    /// A handle that does not keep the buffer from its pool.
    pub(crate) fn downgrade(&self) -> WeakFrame {
        WeakFrame(Arc::downgrade(&self.inner))
    }
}

/// Sees a frame as long as somebody else holds it.
pub(crate) struct WeakFrame(Weak<FrameInner>);

impl WeakFrame {
    pub(crate) fn upgrade(&self) -> Option<Frame> {
        Some(Frame { inner: self.0.upgrade()?, pin: None })
    }
}

/// A fixed number of frame buffers. Cloning gives another handle on the same pool.
#[derive(Clone)]
pub struct FramePool {
    free: Receiver<Vec<u8>>,
    home: Arc<Home>,
}

struct Home {
    back: Sender<Vec<u8>>,
    bytes: usize,
}

impl FramePool {
    /// `capacity` buffers with room for `bytes` each, allocated here and now.
    pub fn new(capacity: usize, bytes: usize) -> FramePool {
        let (back, free) = bounded(capacity);
        for _ in 0..capacity {
            back.send(Vec::with_capacity(bytes)).expect("the channel holds `capacity` buffers and its receiver lives");
        }
        FramePool { free, home: Arc::new(Home { back, bytes }) }
    }

    /// An empty buffer, if one is free.
    pub fn try_take(&self) -> Option<FrameBuffer> {
        self.free.try_recv().ok().map(|bytes| self.lend(bytes))
    }

    /// An empty buffer, if one gets free in time.
    pub fn take(&self, timeout: Duration) -> Option<FrameBuffer> {
        self.free.recv_timeout(timeout).ok().map(|bytes| self.lend(bytes))
    }

    /// Buffers that nobody holds.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    fn lend(&self, bytes: Vec<u8>) -> FrameBuffer {
        FrameBuffer { bytes, home: Some(self.home.clone()) }
    }
}

/// A buffer to fill: a `Vec<u8>`, empty when taken, so that no pixel of an earlier part can show through.
/// Dropping it gives it back.
pub struct FrameBuffer {
    bytes: Vec<u8>,
    home: Option<Arc<Home>>,
}

impl FrameBuffer {
    /// Makes the filled buffer a frame. `name` says where it came from.
    pub fn into_frame(self, content: Content, sequence: u64, name: Option<Arc<str>>) -> Frame {
        self.into_views(content, sequence, name, no_views())
    }

    /// The same of several cameras' pictures in one.
    pub fn into_views(self, content: Content, sequence: u64, name: Option<Arc<str>>, views: Arc<[View]>) -> Frame {
        Frame { inner: Arc::new(FrameInner { content, buffer: self, sequence, name, views }), pin: None }
    }
}

impl Deref for FrameBuffer {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for FrameBuffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for FrameBuffer {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            // One huge file must not make the pool huge for good.
            if bytes.capacity() > 4 * home.bytes {
                bytes.shrink_to(home.bytes);
            }
            // Never full: only what was taken comes back. The pool itself may be gone; then the buffer goes too.
            let _ = home.back.try_send(bytes);
        }
    }
}

/// How many frames evidence and viewers may hold at once. Cloning gives another handle on the same permits.
#[derive(Clone)]
pub struct Pins {
    free: Arc<AtomicUsize>,
}

impl Pins {
    /// `permits` frames at most.
    pub fn new(permits: usize) -> Pins {
        Pins { free: Arc::new(AtomicUsize::new(permits)) }
    }

    /// Permits that nobody holds.
    pub fn free(&self) -> usize {
        self.free.load(Ordering::Acquire)
    }

    fn take(&self) -> Option<Pin> {
        self.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)).ok()?;
        Some(Pin { free: self.free.clone() })
    }
}

struct Pin {
    free: Arc<AtomicUsize>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.free.fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREY: Content = Content::Pixels { width: 4, height: 2, format: PixelFormat::Mono8 };

    #[test]
    fn a_buffer_comes_back_when_the_last_clone_is_gone() {
        let pool = FramePool::new(2, 8);
        let mut buffer = pool.try_take().expect("free");
        buffer.extend_from_slice(&[7; 8]);
        let place = buffer.as_ptr();
        let frame = buffer.into_frame(GREY, 1, None);
        assert_eq!(frame.bytes().as_ptr(), place, "pixels are not copied");
        let clone = frame.clone();
        drop(frame);
        assert_eq!(pool.free(), 1);
        drop(clone);
        assert_eq!(pool.free(), 2);
    }

    #[test]
    fn an_exhausted_pool_says_so_and_an_unused_buffer_is_given_back() {
        let pool = FramePool::new(1, 8);
        let buffer = pool.try_take().expect("free");
        assert!(pool.try_take().is_none());
        assert!(pool.take(Duration::from_millis(5)).is_none());
        drop(buffer);
        assert!(pool.try_take().is_some());
    }

    #[test]
    fn a_buffer_shows_nothing_of_the_part_before_and_does_not_stay_huge() {
        let pool = FramePool::new(1, 8);
        let mut buffer = pool.try_take().expect("free");
        buffer.resize(10_000, 9);
        drop(buffer);
        let buffer = pool.try_take().expect("free");
        assert!(buffer.is_empty());
        assert!(buffer.capacity() < 10_000);
    }

    #[test]
    fn a_frame_outlives_its_pool() {
        let pool = FramePool::new(1, 8);
        let frame = pool.try_take().expect("free").into_frame(Content::Encoded, 0, None);
        drop(pool);
        assert_eq!(frame.bytes(), b"");
    }

    #[test]
    fn pixels_are_whole_only_at_their_exact_length() {
        for (len, whole) in [(7, false), (8, true), (9, false)] {
            assert_eq!(Frame::from_vec(GREY, vec![0; len], 0, None).is_whole(), whole, "{len} bytes");
        }
    }

    #[test]
    fn pins_are_counted_by_picture_and_come_back() {
        let pins = Pins::new(2);
        let frame = Frame::from_vec(GREY, vec![0; 8], 0, None);
        let first = frame.pinned(&pins).expect("a permit");
        let same = first.clone();
        let second = frame.pinned(&pins).expect("a permit");
        assert!(frame.pinned(&pins).is_none());
        drop(first);
        assert_eq!(pins.free(), 0, "a clone shares its original's permit");
        drop((same, second));
        assert_eq!(pins.free(), 2);
    }
}
