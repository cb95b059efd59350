//! Pictures as OpenCV takes them, without copying where that can be.

use models::image::{Image, ImageView, PixelFormat};
use opencv::boxed_ref::{BoxedRef, BoxedRefMut};
use opencv::core::{Mat, ToInputArray};
use opencv::imgproc;
use opencv::prelude::*;

/// The grey levels of 8-bit pixels.
pub(super) fn grey(pixels: &(impl MatTraitConst + ToInputArray), out: &mut Mat) -> opencv::Result<()> {
    match pixels.channels() {
        1 => pixels.copy_to(out),
        _ => imgproc::cvt_color_def(pixels, out, imgproc::COLOR_RGB2GRAY),
    }
}

/// Hands a picture's pixels to `then`.
pub(super) fn with_mat<T>(
    view: ImageView<'_>,
    then: impl FnOnce(&BoxedRef<'_, Mat>) -> opencv::Result<T>,
) -> opencv::Result<T> {
    let (rows, channels) = (view.height as i32, view.format.channels() as i32);
    let flat = Mat::new_rows_cols_with_data(rows, view.width as i32 * channels, view.data)?;
    let pixels = flat.reshape(channels, rows)?;
    then(&pixels)
}

/// Makes `out` a picture of this shape whose pixels `fill` writes.
pub(super) fn fill(
    out: &mut Image,
    [width, height]: [u32; 2],
    format: PixelFormat,
    fill: impl FnOnce(&mut BoxedRefMut<'_, Mat>) -> opencv::Result<()>,
) -> opencv::Result<()> {
    let channels = format.channels();
    (out.width, out.height, out.format) = (width, height, format);
    out.data.resize(width as usize * height as usize * channels, 0);
    let mut flat =
        Mat::new_rows_cols_with_data_mut(height as i32, width as i32 * channels as i32, out.data.as_mut_slice())?;
    let mut pixels = flat.reshape_mut(channels as i32, height as i32)?;
    fill(&mut pixels)
}

/// A side at another scale: at least one pixel.
pub(super) fn scaled(side: i32, scale: f64) -> i32 {
    ((f64::from(side) * scale).round() as i32).max(1)
}
