//! EfficientNet-B0, -B4 and -B7 as torchvision has them: B7's batch norms add 1e-3 to the variance, the others' 1e-5.
//!
//! Source: torchvision `models/efficientnet.py`; Tan and Le, "EfficientNet: Rethinking Model Scaling", ICML 2019.

use super::CLASSES;
use super::family::{Family, Published};
use super::frozen::Last;
use super::net::{Activation, Filter, Map, Net, Padding, Style};
use super::recipe::Recipe;
use super::tensors::Source;
use crate::weights::WeightsError;

/// 5.3 million parameters.
pub(super) const B0: Family =
    family("efficientnet_b0", 224, 1e-5, 77.692, |net, image| features(net, image, [1.0, 1.0]));
/// 19.3 million parameters.
pub(super) const B4: Family =
    family("efficientnet_b4", 380, 1e-5, 83.384, |net, image| features(net, image, [1.4, 1.8]));
/// 66.3 million parameters.
pub(super) const B7: Family =
    family("efficientnet_b7", 600, 1e-3, 84.122, |net, image| features(net, image, [2.0, 3.1]));

type Features = fn(&mut Net<'_>, &Map) -> Result<Map, WeightsError>;

const fn family(name: &'static str, size: usize, epsilon: f64, top1_percent: f64, features: Features) -> Family {
    Family {
        name,
        style: Style { source: Source::Torchvision, epsilon, padding: Padding::Even },
        size,
        least: 32,
        recipe: Recipe::TORCHVISION,
        published: Published { top1_percent, by: "torchvision, IMAGENET1K_V1" },
        last: Last::Cells,
        features,
        classifier: |net, last| net.classify(last, "classifier.1", CLASSES),
    }
}

/// Of B0: expansion, kernel, stride, channels out, blocks.
pub(super) const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
];

/// `[wider, deeper]`: factors on the channels and on the blocks of B0.
fn features(net: &mut Net<'_>, image: &Map, [wider, deeper]: [f64; 2]) -> Result<Map, WeightsError> {
    let channels = |count: usize| whole_eights(count as f64 * wider);
    let mut x = conv_norm_act(net, image, "features.0", Filter::new(channels(32), 3, 2))?;
    for (stage, (expansion, kernel, stride, outputs, blocks)) in STAGES.into_iter().enumerate() {
        for block in 0..(blocks as f64 * deeper).ceil() as usize {
            let shape =
                Block { expansion, kernel, stride: if block == 0 { stride } else { 1 }, outputs: channels(outputs) };
            x = inverted_residual(net, &x, &format!("features.{}.{block}", stage + 1), shape)?;
        }
    }
    let last = format!("features.{}", STAGES.len() + 1);
    conv_norm_act(net, &x, &last, Filter::pointwise(4 * x.channels))
}

#[derive(Clone, Copy)]
struct Block {
    expansion: usize,
    kernel: usize,
    stride: usize,
    outputs: usize,
}

fn inverted_residual(net: &mut Net<'_>, x: &Map, name: &str, block: Block) -> Result<Map, WeightsError> {
    let Block { expansion, kernel, stride, outputs } = block;
    let mut modules = (0..).map(|module| format!("{name}.block.{module}"));
    let mut next = || modules.next().expect("the range has no end");
    let mut y = x.clone();
    if expansion != 1 {
        y = conv_norm_act(net, &y, &next(), Filter::pointwise(expansion * x.channels))?;
    }
    y = conv_norm_act(net, &y, &next(), Filter::depthwise(y.channels, kernel, stride))?;
    let module = next();
    // The squeeze is sized by what enters the block, not by what was expanded.
    let squeezed = (x.channels / 4).max(1);
    let layers = [&*format!("{module}.fc1"), &*format!("{module}.fc2")];
    y = net.squeeze_excite(&y, layers, squeezed, [Activation::Swish, Activation::Sigmoid])?;
    let module = next();
    y = net.conv_norm(&y, &format!("{module}.0"), &format!("{module}.1"), Filter::pointwise(outputs))?;
    Ok(if stride == 1 && x.channels == outputs { net.add(&y, x, name) } else { y })
}

fn conv_norm_act(net: &mut Net<'_>, x: &Map, module: &str, filter: Filter) -> Result<Map, WeightsError> {
    let x = net.conv_norm(x, &format!("{module}.0"), &format!("{module}.1"), filter)?;
    Ok(net.activate(&x, Activation::Swish))
}

/// The nearest multiple of eight, but not less than nine tenths of the count.
fn whole_eights(count: f64) -> usize {
    let nearest = ((count + 4.0) as usize / 8 * 8).max(8);
    if (nearest as f64) < 0.9 * count { nearest + 8 } else { nearest }
}
