//! MobileNetV3-Small and -Large as torchvision has them. The blocks of Small are the trunk's.
//!
//! Source: torchvision `models/mobilenetv3.py`; Howard et al., "Searching for MobileNetV3", ICCV 2019.

use super::CLASSES;
use super::family::{Family, Published};
use super::frozen::Last;
use super::mobilenet_v3_small::{self as trunk, Block};
use super::net::{Activation, Filter, Map, Net, Padding, Style};
use super::recipe::Recipe;
use super::tensors::Source;
use crate::weights::WeightsError;

/// 2.5 million parameters.
pub(super) const SMALL: Family = Family {
    name: "mobilenet_v3_small",
    style: STYLE,
    size: 224,
    least: 32,
    recipe: Recipe::TORCHVISION,
    published: Published { top1_percent: 67.668, by: "torchvision, IMAGENET1K_V1" },
    last: Last::Cells,
    features: |net, image| features(net, image, trunk::BLOCKS),
    classifier: |net, last| classifier(net, last, 1024),
};

/// 5.5 million parameters.
pub(super) const LARGE: Family = Family {
    name: "mobilenet_v3_large",
    style: STYLE,
    size: 224,
    least: 32,
    recipe: Recipe::TORCHVISION,
    published: Published { top1_percent: 75.274, by: "torchvision, IMAGENET1K_V2" },
    last: Last::Cells,
    features: |net, image| features(net, image, LARGE_BLOCKS),
    classifier: |net, last| classifier(net, last, 1280),
};

const STYLE: Style = Style { source: Source::Torchvision, epsilon: 1e-3, padding: Padding::Even };

#[rustfmt::skip]
const LARGE_BLOCKS: &[Block] = &[
    Block { input:  16, kernel: 3, expanded:  16, output:  16, squeeze: None,      activation: trunk::Activation::Relu,      stride: 1 },
    Block { input:  16, kernel: 3, expanded:  64, output:  24, squeeze: None,      activation: trunk::Activation::Relu,      stride: 2 },
    Block { input:  24, kernel: 3, expanded:  72, output:  24, squeeze: None,      activation: trunk::Activation::Relu,      stride: 1 },
    Block { input:  24, kernel: 5, expanded:  72, output:  40, squeeze: Some(24),  activation: trunk::Activation::Relu,      stride: 2 },
    Block { input:  40, kernel: 5, expanded: 120, output:  40, squeeze: Some(32),  activation: trunk::Activation::Relu,      stride: 1 },
    Block { input:  40, kernel: 5, expanded: 120, output:  40, squeeze: Some(32),  activation: trunk::Activation::Relu,      stride: 1 },
    Block { input:  40, kernel: 3, expanded: 240, output:  80, squeeze: None,      activation: trunk::Activation::HardSwish, stride: 2 },
    Block { input:  80, kernel: 3, expanded: 200, output:  80, squeeze: None,      activation: trunk::Activation::HardSwish, stride: 1 },
    Block { input:  80, kernel: 3, expanded: 184, output:  80, squeeze: None,      activation: trunk::Activation::HardSwish, stride: 1 },
    Block { input:  80, kernel: 3, expanded: 184, output:  80, squeeze: None,      activation: trunk::Activation::HardSwish, stride: 1 },
    Block { input:  80, kernel: 3, expanded: 480, output: 112, squeeze: Some(120), activation: trunk::Activation::HardSwish, stride: 1 },
    Block { input: 112, kernel: 3, expanded: 672, output: 112, squeeze: Some(168), activation: trunk::Activation::HardSwish, stride: 1 },
    Block { input: 112, kernel: 5, expanded: 672, output: 160, squeeze: Some(168), activation: trunk::Activation::HardSwish, stride: 2 },
    Block { input: 160, kernel: 5, expanded: 960, output: 160, squeeze: Some(240), activation: trunk::Activation::HardSwish, stride: 1 },
    Block { input: 160, kernel: 5, expanded: 960, output: 160, squeeze: Some(240), activation: trunk::Activation::HardSwish, stride: 1 },
];

fn features(net: &mut Net<'_>, image: &Map, blocks: &[Block]) -> Result<Map, WeightsError> {
    let mut x = conv_norm_act(net, image, "features.0", Filter::new(trunk::STEM, 3, 2), Activation::HardSwish)?;
    for (index, block) in blocks.iter().enumerate() {
        x = inverted_residual(net, &x, &format!("features.{}", index + 1), block)?;
    }
    let last = format!("features.{}", blocks.len() + 1);
    conv_norm_act(net, &x, &last, Filter::pointwise(6 * x.channels), Activation::HardSwish)
}

fn classifier(net: &mut Net<'_>, x: &Map, hidden: usize) -> Result<String, WeightsError> {
    let average = net.global_average(x);
    let y = net.dense(&average, [x.channels, hidden], "classifier.0")?;
    let y = net.graph.hard_swish(&y);
    net.dense(&y, [hidden, CLASSES], "classifier.3")
}

fn inverted_residual(net: &mut Net<'_>, x: &Map, name: &str, block: &Block) -> Result<Map, WeightsError> {
    let activation = match block.activation {
        trunk::Activation::Relu => Activation::Relu,
        trunk::Activation::HardSwish => Activation::HardSwish,
    };
    let mut modules = (0..).map(|module| format!("{name}.block.{module}"));
    let mut next = || modules.next().expect("the range has no end");
    let mut y = x.clone();
    if block.has_expansion() {
        y = conv_norm_act(net, &y, &next(), Filter::pointwise(block.expanded), activation)?;
    }
    let filter = Filter::depthwise(block.expanded, block.kernel, block.stride);
    y = conv_norm_act(net, &y, &next(), filter, activation)?;
    if let Some(squeezed) = block.squeeze {
        let module = next();
        let layers = [&*format!("{module}.fc1"), &*format!("{module}.fc2")];
        y = net.squeeze_excite(&y, layers, squeezed, [Activation::Relu, Activation::HardSigmoid])?;
    }
    let module = next();
    y = net.conv_norm(&y, &format!("{module}.0"), &format!("{module}.1"), Filter::pointwise(block.output))?;
    Ok(if block.has_shortcut() { net.add(&y, x, name) } else { y })
}

fn conv_norm_act(
    net: &mut Net<'_>,
    x: &Map,
    module: &str,
    filter: Filter,
    then: Activation,
) -> Result<Map, WeightsError> {
    let x = net.conv_norm(x, &format!("{module}.0"), &format!("{module}.1"), filter)?;
    Ok(net.activate(&x, then))
}
