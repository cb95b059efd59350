//! MobileNetV2 as torchvision has it.
//!
//! Source: torchvision `models/mobilenetv2.py`; Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018.

use super::CLASSES;
use super::family::{Family, Published};
use super::frozen::Last;
use super::net::{Activation, Filter, Map, Net, Padding, Style};
use super::recipe::Recipe;
use super::tensors::Source;
use crate::weights::WeightsError;

/// 3.5 million parameters.
pub(super) const MOBILENET_V2: Family = Family {
    name: "mobilenet_v2",
    style: Style { source: Source::Torchvision, epsilon: 1e-5, padding: Padding::Even },
    size: 224,
    least: 32,
    recipe: Recipe::TORCHVISION,
    published: Published { top1_percent: 72.154, by: "torchvision, IMAGENET1K_V2" },
    last: Last::Cells,
    features,
    classifier: |net, last| net.classify(last, "classifier.1", CLASSES),
};

/// Expansion, channels out, blocks, stride.
const STAGES: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

fn features(net: &mut Net<'_>, image: &Map) -> Result<Map, WeightsError> {
    let mut features = (0..).map(|feature| format!("features.{feature}"));
    let mut next = || features.next().expect("the range has no end");
    let mut x = conv_norm_act(net, image, &next(), Filter::new(32, 3, 2))?;
    for (expansion, outputs, blocks, stride) in STAGES {
        for block in 0..blocks {
            let stride = if block == 0 { stride } else { 1 };
            let name = next();
            let mut y = x.clone();
            // The modules of a block are counted.
            let mut module = 0;
            if expansion != 1 {
                y = conv_norm_act(net, &y, &format!("{name}.conv.0"), Filter::pointwise(expansion * x.channels))?;
                module = 1;
            }
            let filter = Filter::depthwise(y.channels, 3, stride);
            y = conv_norm_act(net, &y, &format!("{name}.conv.{module}"), filter)?;
            let [conv, norm] = [module + 1, module + 2].map(|module| format!("{name}.conv.{module}"));
            y = net.conv_norm(&y, &conv, &norm, Filter::pointwise(outputs))?;
            x = if stride == 1 && x.channels == outputs { net.add(&y, &x, &name) } else { y };
        }
    }
    conv_norm_act(net, &x, &next(), Filter::pointwise(1280))
}

fn conv_norm_act(net: &mut Net<'_>, x: &Map, module: &str, filter: Filter) -> Result<Map, WeightsError> {
    let x = net.conv_norm(x, &format!("{module}.0"), &format!("{module}.1"), filter)?;
    Ok(net.activate(&x, Activation::Relu6))
}
