//! The pictures of V4L2 cameras into ours.

use models::image::{self, Image, PixelFormat};
use opencv::core::Mat;
use opencv::imgproc;
use opencv::prelude::*;

use super::config::Format;
use crate::capture::live::driver::{Convert, Shape};

/// A picture in the kernel's memory.
pub(super) struct Picture<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bytes from the beginning of one row to the next; not for JPEG.
    pub(super) stride: u32,
    pub(super) format: Format,
    pub(super) bytes: &'a [u8],
}

impl Convert for Picture<'_> {
    fn bytes_after(&self) -> usize {
        self.width as usize * self.height as usize * if self.format == Format::Grey { 1 } else { 3 }
    }

    fn convert(&self, out: &mut Vec<u8>) -> Result<Shape, String> {
        out.clear();
        match self.format {
            Format::Mjpeg => self.decode(out),
            Format::Grey => {
                self.rows(1)?.for_each(|row| out.extend_from_slice(row));
                Ok((self.width, self.height, PixelFormat::Mono8))
            }
            Format::Yuyv => self.colours(out),
        }
    }
}

impl Picture<'_> {
    fn rows(&self, bytes_a_pixel: usize) -> Result<impl Iterator<Item = &[u8]>, String> {
        let (row, height) = (self.width as usize * bytes_a_pixel, self.height as usize);
        let stride = (self.stride as usize).max(row);
        if row == 0 || height == 0 || self.bytes.len() < stride * (height - 1) + row {
            let (width, came) = (self.width, self.bytes.len());
            return Err(format!("{came} bytes came for {width} x {height} pixels: the picture is not whole"));
        }
        Ok(self.bytes.chunks(stride).take(height).map(move |chunk| &chunk[..row]))
    }

    /// A cut or damaged JPEG is refused, never painted over.
    fn decode(&self, out: &mut Vec<u8>) -> Result<Shape, String> {
        let mut decoded = Image { width: 0, height: 0, format: PixelFormat::Mono8, data: std::mem::take(out) };
        image::decode_into(self.bytes, &mut decoded).map_err(|error| error.to_string())?;
        *out = decoded.data;
        Ok((decoded.width, decoded.height, decoded.format))
    }

    fn colours(&self, out: &mut Vec<u8>) -> Result<Shape, String> {
        if !self.width.is_multiple_of(2) {
            return Err(format!("rows of {} pixels cannot be YUYV, which has them in pairs", self.width));
        }
        let words = |error: opencv::Error| format!("OpenCV: {}", error.message);
        let packed: Vec<u8> = self.rows(2)?.flatten().copied().collect();
        let (width, height) = (self.width as i32, self.height as i32);
        out.resize(self.bytes_after(), 0);
        let flat = Mat::new_rows_cols_with_data(height, width * 2, &packed).map_err(words)?;
        let from = flat.reshape(2, height).map_err(words)?;
        let mut flat_out = Mat::new_rows_cols_with_data_mut(height, width * 3, &mut out[..]).map_err(words)?;
        let mut to = flat_out.reshape_mut(3, height).map_err(words)?;
        imgproc::cvt_color_def(&from, &mut to, imgproc::COLOR_YUV2RGB_YUYV).map_err(words)?;
        Ok((self.width, self.height, PixelFormat::Rgb8))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_format_gives_its_pixels_and_padding_is_left_out() {
        let mut out = Vec::new();
        let grey = Picture { width: 3, height: 2, stride: 4, format: Format::Grey, bytes: &[1, 2, 3, 0, 4, 5, 6] };
        assert_eq!(grey.convert(&mut out), Ok((3, 2, PixelFormat::Mono8)));
        assert_eq!(out, [1, 2, 3, 4, 5, 6]);
        // White, black, and a red pair (BT.601, studio range).
        let bytes = [235, 128, 16, 128, 81, 90, 81, 240];
        let colour = Picture { width: 4, height: 1, stride: 8, format: Format::Yuyv, bytes: &bytes };
        assert_eq!(colour.convert(&mut out), Ok((4, 1, PixelFormat::Rgb8)));
        let near = |a: u8, b: u8| a.abs_diff(b) <= 2;
        for (found, wanted) in out.iter().zip([255, 255, 255, 0, 0, 0, 255, 0, 0, 255, 0, 0]) {
            assert!(near(*found, wanted), "{out:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(width in 0_u32..40, height in 0_u32..40, stride in 0_u32..99, which in 0_usize..3,
                          bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
            let format = Format::ALL[which];
            let mut out = Vec::new();
            let picture = Picture { width, height, stride, format, bytes: &bytes };
            if let Ok((width, height, format)) = picture.convert(&mut out) {
                prop_assert_eq!(out.len(), width as usize * height as usize * format.channels());
            }
        }
    }
}
