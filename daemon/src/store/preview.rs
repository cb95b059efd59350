//! Makes a picture small enough to show.

use models::image::{Image, ImageView};

/// Shrinks by the smallest whole factor that brings the longer side to `max` pixels or less; none if it fits already. Each
/// pixel is the mean of its block, so nothing aliases. A last column or row that does not fill a block is left out.
pub(crate) fn shrink(view: ImageView<'_>, max: u32) -> Option<Image> {
    let factor = view.width.max(view.height).div_ceil(max);
    let (width, height) = (view.width / factor.max(1), view.height / factor.max(1));
    let (step, channels) = (factor as usize, view.format.channels());
    if factor <= 1 || width == 0 || height == 0 {
        return None;
    }
    let row = width as usize * channels;
    let mut data = Vec::with_capacity(row * height as usize);
    let mut sums = vec![0u32; row];
    for y in 0..height as usize {
        sums.fill(0);
        for line in 0..step {
            let start = (y * step + line) * view.width as usize * channels;
            let block = view.data.get(start..start + row * step)?;
            for (pixel, source) in sums.chunks_exact_mut(channels).zip(block.chunks_exact(step * channels)) {
                for one in source.chunks_exact(channels) {
                    for (sum, value) in pixel.iter_mut().zip(one) {
                        *sum += u32::from(*value);
                    }
                }
            }
        }
        let area = factor * factor;
        data.extend(sums.iter().map(|sum| ((sum + area / 2) / area) as u8));
    }
    Some(Image { width, height, format: view.format, data })
}

#[cfg(test)]
mod tests {
    use models::image::PixelFormat;

    use super::*;

    #[test]
    fn a_block_becomes_its_mean_and_a_rest_is_left_out() {
        // 5 x 2 grey, at most 2 pixels: factor 3 leaves one column of 3 and no row.
        let data = [0, 30, 60, 7, 7, 90, 120, 150, 7, 7];
        let view = ImageView { width: 5, height: 2, format: PixelFormat::Mono8, data: &data };
        assert!(shrink(view, 2).is_none(), "lower than one block: shown as it is");
        let image = shrink(view, 3).expect("factor 2");
        assert_eq!((image.width, image.height), (2, 1));
        assert_eq!(image.data, [60, 56]); // (0 + 30 + 90 + 120) / 4, (60 + 7 + 150 + 7) / 4
        assert!(shrink(view, 5).is_none());
    }

    #[test]
    fn colours_stay_apart() {
        let data: Vec<u8> = [[200, 100, 0]; 16].concat();
        let view = ImageView { width: 4, height: 4, format: PixelFormat::Rgb8, data: &data };
        let image = shrink(view, 2).expect("factor 2");
        assert_eq!(image.data, [[200, 100, 0]; 4].concat());
    }
}
