//! How sharp a picture is: variance of the Laplacian of its grey levels (Pech-Pacheco et al., ICPR 2000), the four neighbours' form.
//!
//! One pass of our own over each row, because this stands before every verdict: OpenCV's three calls (grey, Laplacian, deviation) go
//! over the picture three times.

use models::image::{ImageView, PixelFormat};

/// Measured on a central region of at most this many pixels across and down, at native resolution (shrinking a picture would hide
/// blur).
const REGION: usize = 1024;

/// Measures; its scratch rows live as long as it does, so that a part costs no allocation.
#[derive(Default)]
pub(super) struct Sharpness {
    above: Vec<i16>,
    row: Vec<i16>,
    below: Vec<i16>,
}

impl Sharpness {
    /// Squared grey levels. A picture without a pixel inside its border has none: 0.
    pub(super) fn of(&mut self, view: ImageView<'_>) -> f32 {
        let (width, height) = (view.width as usize, view.height as usize);
        let (across, down) = (width.min(REGION), height.min(REGION));
        if across < 3 || down < 3 {
            return 0.0;
        }
        let (left, top) = ((width - across) / 2, (height - down) / 2);
        let channels = view.format.channels();
        let grey = |y: usize, out: &mut Vec<i16>| {
            let start = ((top + y) * width + left) * channels;
            grey_row(&view.data[start..start + across * channels], view.format, out);
        };
        grey(0, &mut self.above);
        grey(1, &mut self.row);
        let (mut sum, mut squares) = (0_i64, 0_i64);
        for y in 2..down {
            grey(y, &mut self.below);
            let (of_row, squares_of_row) = laplacian(&self.above, &self.row, &self.below);
            sum += i64::from(of_row);
            squares += i64::from(squares_of_row);
            std::mem::swap(&mut self.above, &mut self.row);
            std::mem::swap(&mut self.row, &mut self.below);
        }
        let n = ((across - 2) * (down - 2)) as f64;
        let mean = sum as f64 / n;
        (squares as f64 / n - mean * mean).max(0.0) as f32
    }
}

/// Grey levels of a row of pixels, by the weights of ITU-R BT.601 in 256ths.
fn grey_row(pixels: &[u8], format: PixelFormat, out: &mut Vec<i16>) {
    out.clear();
    match format {
        PixelFormat::Mono8 => out.extend(pixels.iter().map(|&level| i16::from(level))),
        PixelFormat::Rgb8 => out.extend(pixels.as_chunks::<3>().0.iter().map(|&[r, g, b]| {
            let sum = 77 * u16::from(r) + 150 * u16::from(g) + 29 * u16::from(b);
            (sum >> 8) as i16
        })),
    }
}

/// Sum and sum of squares of a row's Laplacian, its two ends left out. Neither can overflow: a value is at most 1020, and a row has at
/// most [`REGION`] of them.
fn laplacian(above: &[i16], row: &[i16], below: &[i16]) -> (i32, i32) {
    let inner = row.len() - 2;
    let (left, middle, right) = (&row[..inner], &row[1..=inner], &row[2..]);
    let (above, below) = (&above[1..=inner], &below[1..=inner]);
    let (mut sum, mut squares) = (0_i32, 0_i32);
    for x in 0..inner {
        let value = i32::from(above[x] + below[x] + left[x] + right[x] - 4 * middle[x]);
        sum += value;
        squares += value * value;
    }
    (sum, squares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use models::image::Image;
    use opencv::core::{self, Mat, Scalar};
    use opencv::imgproc;
    use opencv::prelude::*;

    /// The same by OpenCV, without the border.
    fn by_opencv(image: &Image) -> f32 {
        let (width, height) = (image.width as i32, image.height as i32);
        let channels = image.format.channels() as i32;
        let flat = Mat::new_rows_cols_with_data(height, width * channels, &image.data).unwrap();
        let pixels = flat.reshape(channels, height).unwrap();
        let mut grey = Mat::default();
        match image.format {
            PixelFormat::Mono8 => pixels.copy_to(&mut grey).unwrap(),
            PixelFormat::Rgb8 => imgproc::cvt_color_def(&pixels, &mut grey, imgproc::COLOR_RGB2GRAY).unwrap(),
        }
        let side = REGION as i32;
        let (x, y) = ((width - side).max(0) / 2, (height - side).max(0) / 2);
        let region = core::Rect::new(x, y, width.min(side), height.min(side));
        let grey = Mat::roi(&grey, region).unwrap().try_clone().unwrap();
        let mut edges = Mat::default();
        imgproc::laplacian(&grey, &mut edges, core::CV_16S, 1, 1.0, 0.0, core::BORDER_REFLECT_101).unwrap();
        let inner = core::Rect::new(1, 1, region.width - 2, region.height - 2);
        let edges = Mat::roi(&edges, inner).unwrap();
        let (mut mean, mut deviation) = (Scalar::default(), Scalar::default());
        core::mean_std_dev(&edges, &mut mean, &mut deviation, &core::no_array()).unwrap();
        (deviation[0] * deviation[0]) as f32
    }

    #[test]
    fn it_is_what_opencv_finds() {
        for (width, height, format) in [
            (4, 5, PixelFormat::Mono8),
            (64, 48, PixelFormat::Mono8),
            (65, 47, PixelFormat::Rgb8),
            (1300, 1100, PixelFormat::Rgb8),
        ] {
            let mut state = 7_u32;
            let data = (0..width * height * format.channels() as u32)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            let image = Image { width, height, format, data };
            let (ours, theirs) = (Sharpness::default().of(image.view()), by_opencv(&image));
            // Grey levels are rounded otherwise.
            assert!((ours / theirs - 1.0).abs() < 0.01, "{width} x {height} {format:?}: {ours}, OpenCV {theirs}");
        }
    }

    #[test]
    fn the_brightest_edges_do_not_overflow() {
        let data: Vec<u8> = (0..1024 * 1024).map(|at| if (at / 1024 + at % 1024) % 2 == 0 { 255 } else { 0 }).collect();
        let image = Image { width: 1024, height: 1024, format: PixelFormat::Mono8, data };
        assert!((Sharpness::default().of(image.view()) - 1020.0 * 1020.0).abs() < 1.0);
    }

    #[test]
    fn a_picture_that_is_all_border_has_none() {
        for (width, height) in [(1, 1), (2, 9), (9, 2)] {
            let image = Image { width, height, format: PixelFormat::Mono8, data: vec![9; (width * height) as usize] };
            assert_eq!(Sharpness::default().of(image.view()), 0.0);
        }
    }
}
