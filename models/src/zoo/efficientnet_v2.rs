//! EfficientNetV2-B3 as Keras has it: it takes bytes and scales them inside the graph.
//!
//! Source: keras `applications/efficientnet_v2.py`; Tan and Le, "EfficientNetV2: Smaller Models and Faster Training", ICML 2021.

use super::CLASSES;
use super::family::{Family, Published};
use super::frozen::Last;
use super::net::{Activation, Filter, Map, Net, Padding, Style};
use super::recipe::Recipe;
use super::tensors::Source;
use crate::weights::{Tensor, WeightsError};

/// 14.5 million parameters.
pub(super) const B3: Family = Family {
    name: "efficientnet_v2_b3",
    style: Style { source: Source::Keras, epsilon: 1e-3, padding: Padding::Same },
    size: 300,
    least: 32,
    recipe: Recipe::IN_GRAPH,
    published: Published { top1_percent: 82.0, by: "keras.io/api/applications" },
    last: Last::Cells,
    features,
    classifier: |net, last| net.classify(last, "predictions", CLASSES),
};

struct Stage {
    /// One dense convolution stands for the pointwise and the depthwise one, and there is no squeeze and excitation.
    fused: bool,
    expansion: usize,
    stride: usize,
    outputs: usize,
    blocks: usize,
}

/// Of B0; B3 has 1.2 times the channels and 1.4 times the blocks.
#[rustfmt::skip]
const STAGES: [Stage; 6] = [
    Stage { fused: true,  expansion: 1, stride: 1, outputs:  16, blocks: 1 },
    Stage { fused: true,  expansion: 4, stride: 2, outputs:  32, blocks: 2 },
    Stage { fused: true,  expansion: 4, stride: 2, outputs:  48, blocks: 2 },
    Stage { fused: false, expansion: 4, stride: 2, outputs:  96, blocks: 3 },
    Stage { fused: false, expansion: 6, stride: 1, outputs: 112, blocks: 5 },
    Stage { fused: false, expansion: 6, stride: 2, outputs: 192, blocks: 8 },
];
const WIDER: f64 = 1.2;
const DEEPER: f64 = 1.4;

/// The nearest multiple of eight, however far: Keras' EfficientNetV2 knows no nine tenths.
fn channels(count: usize) -> usize {
    ((count as f64 * WIDER + 4.0) as usize / 8 * 8).max(8)
}

fn features(net: &mut Net<'_>, image: &Map) -> Result<Map, WeightsError> {
    let image = scaled(net, image);
    let x = net.conv_norm(&image, "stem_conv", "stem_bn", Filter::new(channels(32), 3, 2))?;
    let mut x = net.activate(&x, Activation::Swish);
    for (at, stage) in STAGES.iter().enumerate() {
        let blocks = (stage.blocks as f64 * DEEPER).ceil() as usize;
        for (block, letter) in (0..blocks).zip('a'..) {
            let stride = if block == 0 { stage.stride } else { 1 };
            let name = format!("block{}{letter}_", at + 1);
            let y =
                if stage.fused { fused(net, &x, &name, stage, stride)? } else { plain(net, &x, &name, stage, stride)? };
            x = if stride == 1 && x.channels == y.channels { net.add(&y, &x, &format!("{name}add")) } else { y };
        }
    }
    let x = net.conv_norm(&x, "top_conv", "top_bn", Filter::pointwise(channels(1280)))?;
    Ok(net.activate(&x, Activation::Swish))
}

/// `(byte / 255 - mean) / sqrt(variance)` by ImageNet's means and variances.
fn scaled(net: &mut Net<'_>, image: &Map) -> Map {
    let Recipe { mean, std, .. } = Recipe::TORCHVISION;
    let each = |of: &dyn Fn(usize) -> f32| Some(Tensor { shape: vec![1, 3, 1, 1], data: (0..3).map(of).collect() });
    let factor = net.constant("rescaling", each(&|channel| 1.0 / (255.0 * std[channel])));
    let shift = net.constant("normalization", each(&|channel| -mean[channel] / std[channel]));
    let x = net.graph.mul(&image.name, &factor, "rescaled");
    Map { name: net.graph.add(&x, &shift, "normalized"), ..image.clone() }
}

fn fused(net: &mut Net<'_>, x: &Map, name: &str, stage: &Stage, stride: usize) -> Result<Map, WeightsError> {
    let outputs = channels(stage.outputs);
    let project = [format!("{name}project_conv"), format!("{name}project_bn")];
    if stage.expansion == 1 {
        let y = net.conv_norm(x, &project[0], &project[1], Filter::new(outputs, 3, stride))?;
        return Ok(net.activate(&y, Activation::Swish));
    }
    let filter = Filter::new(stage.expansion * x.channels, 3, stride);
    let y = net.conv_norm(x, &format!("{name}expand_conv"), &format!("{name}expand_bn"), filter)?;
    let y = net.activate(&y, Activation::Swish);
    net.conv_norm(&y, &project[0], &project[1], Filter::pointwise(outputs))
}

fn plain(net: &mut Net<'_>, x: &Map, name: &str, stage: &Stage, stride: usize) -> Result<Map, WeightsError> {
    let part = |part: &str| format!("{name}{part}");
    let filter = Filter::pointwise(stage.expansion * x.channels);
    let y = net.conv_norm(x, &part("expand_conv"), &part("expand_bn"), filter)?;
    let y = net.activate(&y, Activation::Swish);
    let y = net.conv_norm(&y, &part("dwconv2"), &part("bn"), Filter::depthwise(y.channels, 3, stride))?;
    let y = net.activate(&y, Activation::Swish);
    let layers = [&*part("se_reduce"), &*part("se_expand")];
    let y = net.squeeze_excite(&y, layers, (x.channels / 4).max(1), [Activation::Swish, Activation::Sigmoid])?;
    net.conv_norm(&y, &part("project_conv"), &part("project_bn"), Filter::pointwise(channels(stage.outputs)))
}
