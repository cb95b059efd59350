//! Decoding at a half, a quarter or an eighth of the size, for who needs no more: a JPEG holds blocks of 8 x 8 pixels as frequencies, and
//! leaving out the high ones gives the smaller picture for less than half the time of the whole.
//!
//! The decoder is libjpeg-turbo, since the other one cannot do this. It goes on after damage with a warning; here each warning is an error.
//! A scan that ends early is one of them (it meets a marker), so the guards of the other decoder are not needed.

use turbojpeg::{Decompressor, ScalingFactor};

use super::structure::JpegHeader;
use super::{Image, ImageError, PixelFormat};

/// The smallest factor whose picture is large enough; none: only the whole one is.
pub(super) fn factor(header: &JpegHeader, enough: impl Fn([u32; 2]) -> bool) -> Option<ScalingFactor> {
    [ScalingFactor::ONE_EIGHTH, ScalingFactor::ONE_QUARTER, ScalingFactor::ONE_HALF]
        .into_iter()
        .find(|factor| enough(scaled(header, *factor).map(|side| side as u32)))
}

/// Decodes a JPEG whose structure was found sound.
pub(super) fn decode(
    bytes: &[u8],
    header: &JpegHeader,
    factor: ScalingFactor,
    out: &mut Image,
) -> Result<(), ImageError> {
    let damaged = |error: turbojpeg::Error| ImageError::Damaged(error.to_string());
    let (format, pixels) = match header.components {
        1 => (PixelFormat::Mono8, turbojpeg::PixelFormat::GRAY),
        _ => (PixelFormat::Rgb8, turbojpeg::PixelFormat::RGB),
    };
    let [width, height] = scaled(header, factor);
    // A new one for each picture: tables that one file lacks would else be taken from the file before.
    let mut decoder = Decompressor::new().map_err(damaged)?;
    decoder.set_scaling_factor(factor).map_err(damaged)?;
    out.reshape(width as u32, height as u32, format);
    let pitch = width * format.channels();
    let image = turbojpeg::Image { pixels: out.data.as_mut_slice(), width, pitch, height, format: pixels };
    decoder.decompress(bytes, image).map_err(damaged)
}

fn scaled(header: &JpegHeader, factor: ScalingFactor) -> [usize; 2] {
    [header.width, header.height].map(|side| factor.scale(side as usize))
}
