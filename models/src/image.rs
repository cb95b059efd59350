//! Decode, resize, colour and normalise: written once, used by the line and by training.

use thiserror::Error;

/// How the bytes of a pixel are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PixelFormat {
    /// One byte a pixel, grey.
    Mono8,
    /// Three bytes a pixel: red, green, blue.
    Rgb8,
}

impl PixelFormat {
    /// Bytes per pixel.
    pub const fn channels(self) -> usize {
        match self {
            PixelFormat::Mono8 => 1,
            PixelFormat::Rgb8 => 3,
        }
    }
}

/// Borrowed pixels, row-major, no padding between rows.
#[derive(Debug, Clone, Copy)]
pub struct ImageView<'a> {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Layout of a pixel.
    pub format: PixelFormat,
    /// `width * height * format.channels()` bytes.
    pub data: &'a [u8],
}

/// Owned pixels, row-major, no padding between rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Layout of a pixel.
    pub format: PixelFormat,
    /// `width * height * format.channels()` bytes.
    pub data: Vec<u8>,
}

impl Image {
    /// Borrows the pixels.
    pub fn view(&self) -> ImageView<'_> {
        ImageView { width: self.width, height: self.height, format: self.format, data: &self.data }
    }
}

/// Why bytes did not become pixels.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImageError {
    /// No bytes at all.
    #[error("the file is empty")]
    Empty,
    /// The file ends before its picture does.
    #[error("the file ends before the picture does ({0}); was it still being written?")]
    Truncated(String),
    /// Not a picture that this program knows.
    #[error("not a JPEG, PNG, BMP, TIFF, WebP or PNM image")]
    NotAnImage,
    /// A picture, but of a kind that is refused.
    #[error("{0}")]
    Unsupported(String),
    /// Larger than any line camera's picture: refused before memory is taken.
    #[error("{width} x {height} pixels is more than the limit of {limit} megapixels")]
    TooLarge {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Megapixels allowed.
        limit: u32,
    },
    /// The decoder gave up.
    #[error("damaged picture: {0}")]
    Damaged(String),
}

/// Decodes a file's bytes into a new image.
pub fn decode(bytes: &[u8]) -> Result<Image, ImageError> {
    let mut image = Image { width: 0, height: 0, format: PixelFormat::Mono8, data: Vec::new() };
    decode_into(bytes, &mut image)?;
    Ok(image)
}

/// Decodes a file's bytes into `out`, whose buffer is reused.
pub fn decode_into(_bytes: &[u8], _out: &mut Image) -> Result<(), ImageError> {
    todo!()
}
