//! Pixels of one trigger, in buffers that come from a pool and go back to it.

use std::sync::Arc;

use models::image::PixelFormat;

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

/// A shared handle on one picture. Cloning is cheap; the buffer returns to its pool when the last clone is gone.
#[derive(Clone)]
pub struct Frame(Arc<FrameInner>);

struct FrameInner {
    content: Content,
    bytes: Vec<u8>,
    sequence: u64,
    name: Option<Arc<str>>,
}

impl Frame {
    /// What the bytes are.
    pub fn content(&self) -> Content {
        self.0.content
    }

    /// Pixels or file bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The source's own counter.
    pub fn sequence(&self) -> u64 {
        self.0.sequence
    }

    /// Where it came from: a file's path, a video's name and position.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.0.name.as_ref()
    }
}
