//! How an image becomes a network's input, as data that travels in the bundle.

use serde::{Deserialize, Serialize};

use crate::image::ImageView;

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

impl Preprocess {
    /// torchvision's ImageNet recipe at a square size.
    pub fn imagenet(size: u32) -> Self {
        Preprocess { width: size, height: size, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
    }

    /// Number of values in the tensor: `3 * height * width`.
    pub fn tensor_len(&self) -> usize {
        3 * self.width as usize * self.height as usize
    }

    /// Fills `tensor` (`tensor_len()` values) from an image: anti-aliased resize, grey to three channels, normalise.
    pub fn fill(&self, _image: ImageView<'_>, _tensor: &mut [f32]) {
        todo!()
    }
}
