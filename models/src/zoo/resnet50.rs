//! ResNet50 as torchvision has it, "v1.5": a block strides in its 3x3 convolution, not in the first one.
//!
//! Source: torchvision `models/resnet.py`; He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.

use super::CLASSES;
use super::family::{Family, Published};
use super::frozen::Last;
use super::net::{Activation, Filter, Map, Net, Padding, Style};
use super::recipe::Recipe;
use super::tensors::Source;
use crate::weights::WeightsError;

/// 25.6 million parameters.
pub(super) const RESNET50: Family = Family {
    name: "resnet50",
    style: Style { source: Source::Torchvision, epsilon: 1e-5, padding: Padding::Even },
    size: 224,
    least: 32,
    recipe: Recipe::TORCHVISION,
    published: Published { top1_percent: 80.858, by: "torchvision, IMAGENET1K_V2" },
    last: Last::Cells,
    features,
    classifier: |net, last| net.classify(last, "fc", CLASSES),
};

/// Width, blocks and stride of each stage.
const STAGES: [(usize, usize, usize); 4] = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)];

fn features(net: &mut Net<'_>, image: &Map) -> Result<Map, WeightsError> {
    let x = net.conv_norm(image, "conv1", "bn1", Filter::new(64, 7, 2))?;
    let x = net.activate(&x, Activation::Relu);
    let mut x = net.max_pool(&x, 3, 2, Padding::Even, "maxpool");
    for (stage, (width, blocks, stride)) in STAGES.into_iter().enumerate() {
        for block in 0..blocks {
            let name = format!("layer{}.{block}", stage + 1);
            x = bottleneck(net, &x, &name, width, if block == 0 { stride } else { 1 })?;
        }
    }
    Ok(x)
}

fn bottleneck(net: &mut Net<'_>, x: &Map, name: &str, width: usize, stride: usize) -> Result<Map, WeightsError> {
    let mut layer = |x: &Map, at: usize, filter| {
        net.conv_norm(x, &format!("{name}.conv{at}"), &format!("{name}.bn{at}"), filter)
            .map(|x| if at < 3 { net.activate(&x, Activation::Relu) } else { x })
    };
    let y = layer(x, 1, Filter::pointwise(width))?;
    let y = layer(&y, 2, Filter::new(width, 3, stride))?;
    let y = layer(&y, 3, Filter::pointwise(4 * width))?;
    let shortcut = if x.channels == y.channels && stride == 1 {
        x.clone()
    } else {
        let filter = Filter::new(4 * width, 1, stride);
        net.conv_norm(x, &format!("{name}.downsample.0"), &format!("{name}.downsample.1"), filter)?
    };
    let sum = net.add(&y, &shortcut, name);
    Ok(net.activate(&sum, Activation::Relu))
}
