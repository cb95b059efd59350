//! How pixels become a network's input, one recipe per family of weights, as data.
//!
//! A network whose weights were learned under one recipe is blind under another.

use crate::image::ImageView;
use crate::preprocess::Preprocess;

/// Order of the channels in the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// A tensor recipe: `(byte / 255 - mean) / std` for each channel, planes in this order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// What it is called.
    pub name: &'static str,
    /// Order of the planes.
    pub order: Order,
    /// Subtracted from red, green and blue after scaling to 0..1.
    pub mean: [f32; 3],
    /// Divides red, green and blue after the mean is subtracted.
    pub std: [f32; 3],
}

impl Recipe {
    /// ImageNet's mean and standard deviation, as torchvision's weights want them (`transforms.Normalize`).
    pub const TORCHVISION: Recipe = Recipe {
        name: "torchvision mean/std",
        order: Order::Rgb,
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };

    /// Bytes in the order blue, green, red, each less ImageNet's mean: Caffe's, which Keras' ResNet50 and VGG19 inherited.
    pub const CAFFE: Recipe = Recipe {
        name: "caffe BGR",
        order: Order::Bgr,
        mean: [123.68 / 255.0, 116.779 / 255.0, 103.939 / 255.0],
        std: [1.0 / 255.0; 3],
    };

    /// -1 to 1: Keras' ResNetV2 and Xception.
    pub const MINUS_ONE_TO_ONE: Recipe = Recipe { name: "-1..1", order: Order::Rgb, mean: [0.5; 3], std: [0.5; 3] };

    /// Bytes as they are, 0 to 255: Keras' EfficientNet and EfficientNetV2, which scale inside the graph.
    pub const IN_GRAPH: Recipe =
        Recipe { name: "in the graph", order: Order::Rgb, mean: [0.0; 3], std: [1.0 / 255.0; 3] };

    /// Keras' MobileNetV3: its `preprocess_input` changes nothing, the graph maps 0..255 to -1..1.
    pub const MOBILENET_V3: Recipe = Recipe { name: "mobilenet_v3", ..Recipe::IN_GRAPH };

    /// `(byte - 127) / 128`: EfficientNet-Lite, whose inputs fit signed bytes.
    pub const LITE: Recipe =
        Recipe { name: "127/128", order: Order::Rgb, mean: [127.0 / 255.0; 3], std: [128.0 / 255.0; 3] };

    /// All of them.
    pub const ALL: [Recipe; 6] = [
        Recipe::TORCHVISION,
        Recipe::CAFFE,
        Recipe::MINUS_ONE_TO_ONE,
        Recipe::IN_GRAPH,
        Recipe::MOBILENET_V3,
        Recipe::LITE,
    ];

    /// Fills `tensor` (`3 * size * size` values) from an image, resized to `size` each way.
    ///
    /// # Panics
    /// As [`Preprocess::fill`].
    pub fn fill(&self, image: ImageView<'_>, size: u32, tensor: &mut [f32]) {
        Preprocess { width: size, height: size, mean: self.mean, std: self.std }.fill(image, tensor);
        if self.order == Order::Bgr {
            let cells = tensor.len() / 3;
            let (red, rest) = tensor.split_at_mut(cells);
            red.swap_with_slice(&mut rest[cells..]);
        }
    }
}
