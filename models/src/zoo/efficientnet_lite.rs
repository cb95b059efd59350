//! EfficientNet-Lite0: EfficientNet-B0 for small devices, without squeeze and excitation, with a clipped rectifier. Padded as
//! TensorFlow pads.
//!
//! Source: the PyPI package efficientnet_lite_pytorch 0.1.0, after `efficientnet/lite` of TensorFlow's TPU models.

use super::CLASSES;
use super::efficientnet::STAGES;
use super::family::{Family, Published};
use super::frozen::Last;
use super::net::{Activation, Filter, Map, Net, Padding, Style};
use super::recipe::Recipe;
use super::tensors::Source;
use crate::weights::WeightsError;

/// 4.7 million parameters.
pub(super) const LITE0: Family = Family {
    name: "efficientnet_lite0",
    style: Style { source: Source::EfficientNetLite, epsilon: 1e-3, padding: Padding::Same },
    size: 224,
    least: 32,
    recipe: Recipe::LITE,
    published: Published { top1_percent: 75.1, by: "TensorFlow TPU models, efficientnet/lite" },
    last: Last::Cells,
    features,
    classifier: |net, last| net.classify(last, "_fc", CLASSES),
};

fn features(net: &mut Net<'_>, image: &Map) -> Result<Map, WeightsError> {
    let mut x = conv_norm_act(net, image, ["_conv_stem", "_bn0"], Filter::new(32, 3, 2))?;
    let mut blocks = (0..).map(|block| format!("_blocks.{block}"));
    for (expansion, kernel, stride, outputs, count) in STAGES {
        for (at, name) in (0..count).zip(&mut blocks) {
            let part = |part: &str| format!("{name}.{part}");
            let stride = if at == 0 { stride } else { 1 };
            let mut y = x.clone();
            if expansion != 1 {
                let filter = Filter::pointwise(expansion * x.channels);
                y = conv_norm_act(net, &y, [&part("_expand_conv"), &part("_bn0")], filter)?;
            }
            let filter = Filter::depthwise(y.channels, kernel, stride);
            y = conv_norm_act(net, &y, [&part("_depthwise_conv"), &part("_bn1")], filter)?;
            y = net.conv_norm(&y, &part("_project_conv"), &part("_bn2"), Filter::pointwise(outputs))?;
            x = if stride == 1 && x.channels == outputs { net.add(&y, &x, &name) } else { y };
        }
    }
    conv_norm_act(net, &x, ["_conv_head", "_bn1"], Filter::pointwise(1280))
}

fn conv_norm_act(net: &mut Net<'_>, x: &Map, [conv, norm]: [&str; 2], filter: Filter) -> Result<Map, WeightsError> {
    let x = net.conv_norm(x, conv, norm, filter)?;
    Ok(net.activate(&x, Activation::Relu6))
}
