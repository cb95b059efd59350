//! Images: decoding a file's bytes, encoding evidence and previews. Written once, used by the line and by training.
//!
//! The line must never inspect half a picture: a file that ends early is refused ([`ImageError::Truncated`]) even where
//! its decoder would fill the rest with grey. `structure` walks the file first, then the pixels are decoded.
//!
//! EXIF orientation is ignored on purpose: an industrial camera writes none, and a heat map must lie over the pixels as
//! they are stored.

#[cfg(feature = "turbojpeg")]
mod reduced;
mod structure;

use std::cell::RefCell;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::image::codecs::{bmp, gif, png, pnm, tiff, webp};
use ::image::error::{ImageError as Refusal, LimitErrorKind};
use ::image::{ColorType, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, Limits};
use thiserror::Error;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

/// Most pixels a picture may have, in millions: above any area camera in use on a line.
pub const MAX_MEGAPIXELS: u32 = 64;
/// The longest side that libjpeg-turbo encodes; the format itself would allow 65,535.
#[cfg(feature = "turbojpeg")]
const MAX_JPEG_SIDE: u32 = 65_500;

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

impl ImageView<'_> {
    /// Whether there is a pixel and `data` is as long as the other fields say.
    pub fn is_consistent(&self) -> bool {
        let len = u64::from(self.width) * u64::from(self.height) * self.format.channels() as u64;
        len > 0 && len == self.data.len() as u64
    }
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
    /// An image without pixels, to decode or resize into.
    pub const fn empty() -> Self {
        Image { width: 0, height: 0, format: PixelFormat::Mono8, data: Vec::new() }
    }

    /// Borrows the pixels.
    pub fn view(&self) -> ImageView<'_> {
        ImageView { width: self.width, height: self.height, format: self.format, data: &self.data }
    }

    /// Takes a new shape and keeps the buffer. The bytes are left as they were (new ones are zero): the caller overwrites all.
    pub(crate) fn reshape(&mut self, width: u32, height: u32, format: PixelFormat) {
        (self.width, self.height, self.format) = (width, height, format);
        self.data.resize(width as usize * height as usize * format.channels(), 0);
    }
}

/// Why bytes did not become pixels, or pixels did not become bytes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImageError {
    /// No bytes at all.
    #[error("the file is empty")]
    Empty,
    /// The file ends before its picture does.
    #[error("the file ends before the picture does ({0}); was it still being written?")]
    Truncated(String),
    /// Not a picture that this program knows.
    #[error("not a JPEG, PNG, BMP, TIFF, WebP, PNM or GIF image")]
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
    /// The pixels cannot be written in this format.
    #[error("cannot encode {width} x {height} pixels: {reason}")]
    Encode {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// What is in the way.
        reason: String,
    },
}

/// Decodes a file's bytes into a new image. Errors as [`decode_into`].
pub fn decode(bytes: &[u8]) -> Result<Image, ImageError> {
    let mut image = Image::empty();
    decode_into(bytes, &mut image)?;
    Ok(image)
}

/// Decodes a file's bytes into `out`, whose buffer is reused. Grey files give `Mono8`, all others `Rgb8`; alpha is dropped,
/// not blended.
///
/// # Errors
/// Empty, truncated, damaged or non-image bytes; CMYK, animated, several pages, more than 8 bits a channel; more than
/// [`MAX_MEGAPIXELS`]. After an error `out` is empty, so that an old picture cannot pass for the new one.
pub fn decode_into(bytes: &[u8], out: &mut Image) -> Result<(), ImageError> {
    contained(out, |out| decode_any(bytes, out))
}

/// As [`decode_into`], but a JPEG may come out at a half, a quarter or an eighth of its size: at the smallest for which
/// `enough([width, height])` says yes. Gives the file's own width and height.
///
/// # Errors
/// As [`decode_into`].
#[cfg(feature = "turbojpeg")]
pub fn decode_reduced_into(
    bytes: &[u8],
    enough: impl Fn([u32; 2]) -> bool,
    out: &mut Image,
) -> Result<[u32; 2], ImageError> {
    contained(out, |out| {
        if matches!(::image::guess_format(bytes), Ok(ImageFormat::Jpeg)) {
            let header = structure::jpeg(bytes)?;
            check_size(header.width, header.height)?;
            if let Some(factor) = reduced::factor(&header, enough) {
                reduced::decode(bytes, &header, factor, out)?;
                return Ok([header.width, header.height]);
            }
        }
        decode_any(bytes, out)?;
        Ok([out.width, out.height])
    })
}

/// Leaves `out` empty after an error, and makes a panic of a decoder one.
fn contained<T>(out: &mut Image, decode: impl FnOnce(&mut Image) -> Result<T, ImageError>) -> Result<T, ImageError> {
    let capacity = out.data.capacity();
    // Some damage makes the JPEG decoder index out of bounds (8 of 5.5 million mutated files). That is a damaged picture
    // and not a defect of the stage that holds it. Unwind safe: `out` is emptied below, other state is cleared before use.
    let result = catch_unwind(AssertUnwindSafe(|| decode(out)))
        .unwrap_or_else(|_| Err(ImageError::Damaged("the decoder broke off".into())));
    if result.is_err() {
        (out.width, out.height) = (0, 0);
        out.data.clear();
        // A header that claims more than the file holds must not leave its size behind in a pooled buffer.
        out.data.shrink_to(capacity);
    }
    result
}

fn decode_any(bytes: &[u8], out: &mut Image) -> Result<(), ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    let format = ::image::guess_format(bytes).map_err(|_| ImageError::NotAnImage)?;
    let reader = Cursor::new(bytes);
    match format {
        ImageFormat::Jpeg => decode_jpeg(bytes, out),
        ImageFormat::Png => {
            structure::png(bytes)?;
            read(png::PngDecoder::with_limits(reader, Limits::default()), out)
        }
        ImageFormat::Gif => {
            structure::gif(bytes)?;
            read(gif::GifDecoder::new(reader), out)
        }
        ImageFormat::WebP => {
            structure::webp(bytes)?;
            read(webp::WebPDecoder::new(reader), out)
        }
        ImageFormat::Tiff => {
            structure::tiff(bytes)?;
            read(tiff::TiffDecoder::new(reader), out)
        }
        ImageFormat::Bmp => read(bmp::BmpDecoder::new(reader), out),
        ImageFormat::Pnm => read(pnm::PnmDecoder::new(reader), out),
        _ => Err(ImageError::NotAnImage),
    }
}

/// JPEG goes to `zune-jpeg` directly (the decoder inside `image`) for its strict mode: `image` would paint a damaged scan
/// over with grey.
fn decode_jpeg(bytes: &[u8], out: &mut Image) -> Result<(), ImageError> {
    let header = structure::jpeg(bytes)?;
    check_size(header.width, header.height)?;
    GUARDED.with_borrow_mut(|guarded| {
        guarded.clear();
        let mut copied = 0;
        for &end in &header.guards {
            guarded.extend_from_slice(&bytes[copied..end]);
            guarded.extend_from_slice(&GUARD);
            copied = end;
        }
        guarded.extend_from_slice(&bytes[copied..]);
        decode_jpeg_scans(guarded, &header, out)
    })
}

/// Stands between a scan and the marker that ends it. At such a marker the decoder goes on with zero bits, which are valid
/// codes, so a scan that lost its tail would give a smear. No JPEG code consists of ones only (T.81 annex C), so with ones
/// it stops with an error. A whole scan is decoded before it comes to them. (`FF 00` is the byte `FF` in a scan.)
const GUARD: [u8; 16] = [0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0];

thread_local! {
    /// The file with its [`GUARD`]s; kept for the next picture. Copying it costs about a hundredth of decoding it.
    static GUARDED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn decode_jpeg_scans(bytes: &[u8], header: &structure::JpegHeader, out: &mut Image) -> Result<(), ImageError> {
    let (format, color) = match header.components {
        1 => (PixelFormat::Mono8, ColorSpace::Luma),
        _ => (PixelFormat::Rgb8, ColorSpace::RGB),
    };
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(header.width as usize)
        .set_max_height(header.height as usize)
        .jpeg_set_out_colorspace(color);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let damaged = |e: zune_jpeg::errors::DecodeErrors| ImageError::Damaged(e.to_string());
    decoder.decode_headers().map_err(damaged)?;
    out.reshape(header.width, header.height, format);
    if decoder.output_buffer_size() != Some(out.data.len()) {
        return Err(ImageError::Damaged("the JPEG's headers contradict each other".into()));
    }
    decoder.decode_into(&mut out.data).map_err(damaged)
}

/// Reads the pixels of any other format, after its size and colour have been found acceptable.
fn read<D: ImageDecoder>(decoder: Result<D, Refusal>, out: &mut Image) -> Result<(), ImageError> {
    let mut decoder = decoder.map_err(refusal)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    if matches!(decoder.original_color_type(), ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16) {
        return Err(cmyk());
    }
    let (format, stored) = match decoder.color_type() {
        ColorType::L8 => (PixelFormat::Mono8, 1),
        ColorType::La8 => (PixelFormat::Mono8, 2),
        ColorType::Rgb8 => (PixelFormat::Rgb8, 3),
        ColorType::Rgba8 => (PixelFormat::Rgb8, 4),
        _ => return Err(deep()),
    };
    decoder.set_limits(Limits::default()).map_err(refusal)?;
    out.reshape(width, height, format);
    out.data.resize(width as usize * height as usize * stored, 0);
    decoder.read_image(&mut out.data).map_err(refusal)?;
    if stored != format.channels() {
        drop_alpha(&mut out.data, stored);
    }
    Ok(())
}

/// Moves pixels of `stored` bytes together in place, without the last byte of each.
fn drop_alpha(data: &mut Vec<u8>, stored: usize) {
    let kept = stored - 1;
    let pixels = data.len() / stored;
    for pixel in 1..pixels {
        data.copy_within(pixel * stored..pixel * stored + kept, pixel * kept);
    }
    data.truncate(pixels * kept);
}

fn check_size(width: u32, height: u32) -> Result<(), ImageError> {
    if width == 0 || height == 0 {
        return Err(ImageError::Damaged(format!("{width} x {height} pixels")));
    }
    if u64::from(width) * u64::from(height) > u64::from(MAX_MEGAPIXELS) * 1_000_000 {
        return Err(ImageError::TooLarge { width, height, limit: MAX_MEGAPIXELS });
    }
    Ok(())
}

fn cmyk() -> ImageError {
    ImageError::Unsupported("CMYK picture; save it as RGB or grey".into())
}

fn deep() -> ImageError {
    ImageError::Unsupported("more than 8 bits a channel; set the camera or the export to 8 bits".into())
}

fn refusal(error: Refusal) -> ImageError {
    match error {
        Refusal::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            ImageError::Truncated("pixels are missing".into())
        }
        Refusal::Unsupported(e) => ImageError::Unsupported(format!("{e}; save it as 8-bit RGB or grey")),
        Refusal::Limits(e) if matches!(e.kind(), LimitErrorKind::InsufficientMemory) => {
            ImageError::Unsupported("decoding it takes more than 512 MiB; save it uncompressed or smaller".into())
        }
        other => ImageError::Damaged(other.to_string()),
    }
}

/// Encodes pixels as a baseline JPEG: evidence of raw frames, previews, reports. `quality` is 1 to 100.
///
/// # Errors
/// [`ImageError::Encode`] when the view contradicts itself or a side is longer than 65,500 pixels.
#[cfg(feature = "turbojpeg")]
pub fn encode_jpeg(view: ImageView<'_>, quality: u8) -> Result<Vec<u8>, ImageError> {
    let refuse = |reason: String| ImageError::Encode { width: view.width, height: view.height, reason };
    if !view.is_consistent() {
        return Err(refuse(format!("{} bytes of {:?}", view.data.len(), view.format)));
    }
    if view.width.max(view.height) > MAX_JPEG_SIDE {
        return Err(refuse(format!("a JPEG is written up to {MAX_JPEG_SIDE} pixels a side; use PNG")));
    }
    let [width, height] = [view.width, view.height].map(|side| side as usize);
    // Eyes see less of colour than of light; where quality counts, the colour is kept whole.
    let (format, subsampling) = match view.format {
        PixelFormat::Mono8 => (turbojpeg::PixelFormat::GRAY, turbojpeg::Subsamp::Gray),
        PixelFormat::Rgb8 if quality < 90 => (turbojpeg::PixelFormat::RGB, turbojpeg::Subsamp::Sub2x2),
        PixelFormat::Rgb8 => (turbojpeg::PixelFormat::RGB, turbojpeg::Subsamp::None),
    };
    let pitch = width * view.format.channels();
    let encode = || {
        let mut encoder = turbojpeg::Compressor::new()?;
        encoder.set_quality(i32::from(quality.clamp(1, 100)))?;
        encoder.set_subsamp(subsampling)?;
        encoder.compress_to_vec(turbojpeg::Image { pixels: view.data, width, pitch, height, format })
    };
    encode().map_err(|error: turbojpeg::Error| refuse(error.to_string()))
}

/// Encodes pixels as PNG: lossless, for evidence and calibration images.
///
/// # Errors
/// [`ImageError::Encode`] when the view contradicts itself.
pub fn encode_png(view: ImageView<'_>) -> Result<Vec<u8>, ImageError> {
    let refuse = |reason: String| ImageError::Encode { width: view.width, height: view.height, reason };
    if !view.is_consistent() {
        return Err(refuse(format!("{} bytes of {:?}", view.data.len(), view.format)));
    }
    let color = match view.format {
        PixelFormat::Mono8 => ExtendedColorType::L8,
        PixelFormat::Rgb8 => ExtendedColorType::Rgb8,
    };
    let mut bytes = Vec::new();
    png::PngEncoder::new(&mut bytes)
        .write_image(view.data, view.width, view.height, color)
        .map_err(|e| refuse(e.to_string()))?;
    Ok(bytes)
}
