//! How an image becomes a network's input, as data that travels in the bundle.
//!
//! The resize is a triangle filter widened by the scale (`antialias=True` in torchvision, `BILINEAR` in Pillow), in fixed
//! point: every processor gives the same bytes. A plain bilinear would step over fine scratches when it shrinks a picture.

use std::cell::RefCell;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::image::{Image, ImageView, PixelFormat};

/// Longest side of a network's input, in pixels. Larger ones are a mistake in the manifest, not a network.
pub const MAX_SIDE: u32 = 4096;

/// A backbone family's tensor recipe: size, scale, mean and standard deviation. The layout is always `1 x 3 x height x width`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Input pixels across.
    pub width: u32,
    /// Input pixels down.
    pub height: u32,
    /// Subtracted from each channel (red, green, blue) after scaling to 0..1.
    pub mean: [f32; 3],
    /// Divides each channel after the mean is subtracted.
    pub std: [f32; 3],
}

/// Why a tensor recipe is refused.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PreprocessError {
    /// A side is zero or longer than [`MAX_SIDE`].
    #[error("preprocess: an input of {width} x {height} pixels is outside 1 to {MAX_SIDE}")]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// A mean or standard deviation that would give infinite values.
    #[error("preprocess: mean {mean:?} and std {std:?} must be finite, and std above 0")]
    Scale {
        /// As in the recipe.
        mean: [f32; 3],
        /// As in the recipe.
        std: [f32; 3],
    },
}

impl Preprocess {
    /// torchvision's ImageNet recipe at a square size.
    pub fn imagenet(size: u32) -> Self {
        Preprocess { width: size, height: size, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
    }

    /// Refuses a recipe that cannot give a finite tensor of a sane size.
    ///
    /// # Errors
    /// [`PreprocessError`], with the numbers.
    pub fn check(&self) -> Result<(), PreprocessError> {
        let side = 1..=MAX_SIDE;
        if !side.contains(&self.width) || !side.contains(&self.height) {
            return Err(PreprocessError::Size { width: self.width, height: self.height });
        }
        let divides = |std: &f32| std.is_normal() && *std > 0.0;
        if !self.mean.iter().all(|mean| mean.is_finite()) || !self.std.iter().all(divides) {
            return Err(PreprocessError::Scale { mean: self.mean, std: self.std });
        }
        Ok(())
    }

    /// Number of values in the tensor: `3 * height * width`.
    pub fn tensor_len(&self) -> usize {
        3 * self.width as usize * self.height as usize
    }

    /// Fills `tensor` (`tensor_len()` values, planes red, green, blue) from an image: anti-aliased resize, grey to three
    /// channels, normalise. Allocates nothing of a frame's size once the calling thread has seen one like it (a table of
    /// weights, 16 bytes per pixel of a side, is made each time).
    ///
    /// # Panics
    /// When `image.data` or `tensor` has another length than its owner declares: a defect in the caller.
    pub fn fill(&self, image: ImageView<'_>, tensor: &mut [f32]) {
        assert!(image.is_consistent(), "{} bytes are not {} x {} pixels", image.data.len(), image.width, image.height);
        assert_eq!(tensor.len(), self.tensor_len(), "a tensor of another size than the recipe's");
        if (image.width, image.height) == (self.width, self.height) {
            return self.normalise(image, tensor);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.pixels.reshape(self.width, self.height, image.format);
            resize(&mut scratch.resizer, image, &mut scratch.pixels);
            self.normalise(scratch.pixels.view(), tensor);
        });
    }

    /// The resize alone, into `out` (its buffer is reused), in the image's own format. [`fill`](Self::fill) of the result
    /// gives the same tensor as of the image: training augments between the two.
    ///
    /// # Panics
    /// As [`fill`](Self::fill).
    pub fn fill_image(&self, image: ImageView<'_>, out: &mut Image) {
        assert!(image.is_consistent(), "{} bytes are not {} x {} pixels", image.data.len(), image.width, image.height);
        out.reshape(self.width, self.height, image.format);
        SCRATCH.with_borrow_mut(|scratch| resize(&mut scratch.resizer, image, out));
    }

    /// Bytes to values through a table of 256 a channel: an image of the input's size to planes.
    fn normalise(&self, image: ImageView<'_>, tensor: &mut [f32]) {
        let table = |channel: usize| -> [f32; 256] {
            std::array::from_fn(|byte| (byte as f32 / 255.0 - self.mean[channel]) / self.std[channel])
        };
        let cells = self.width as usize * self.height as usize;
        match image.format {
            PixelFormat::Mono8 => {
                for (channel, plane) in tensor.chunks_exact_mut(cells).enumerate() {
                    let table = table(channel);
                    for (value, &byte) in plane.iter_mut().zip(image.data) {
                        *value = table[usize::from(byte)];
                    }
                }
            }
            PixelFormat::Rgb8 => {
                let (red, rest) = tensor.split_at_mut(cells);
                let (green, blue) = rest.split_at_mut(cells);
                let tables = [table(0), table(1), table(2)];
                let pixels = image.data.as_chunks::<3>().0;
                for (((r, g), b), pixel) in red.iter_mut().zip(green).zip(blue).zip(pixels) {
                    *r = tables[0][usize::from(pixel[0])];
                    *g = tables[1][usize::from(pixel[1])];
                    *b = tables[2][usize::from(pixel[2])];
                }
            }
        }
    }
}

/// A thread's reusable buffers.
struct Scratch {
    resizer: Resizer,
    pixels: Image,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch { resizer: Resizer::new(), pixels: Image::empty() });
}

/// Resizes `image` to the shape of `out`, which has the same format. Copies when the sizes match.
fn resize(resizer: &mut Resizer, image: ImageView<'_>, out: &mut Image) {
    match image.format {
        PixelFormat::Mono8 => resize_as::<U8>(resizer, image, out),
        PixelFormat::Rgb8 => resize_as::<U8x3>(resizer, image, out),
    }
}

fn resize_as<P: PixelTrait>(resizer: &mut Resizer, image: ImageView<'_>, out: &mut Image) {
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false);
    let source = TypedImageRef::<P>::from_buffer(image.width, image.height, image.data).expect("checked by the caller");
    let mut target =
        TypedImage::<P>::from_buffer(out.width, out.height, &mut out.data).expect("reshape gives this length");
    resizer.resize_typed(&source, &mut target, &options).expect("only a crop box can be refused, and there is none");
}
