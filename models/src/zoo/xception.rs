//! Xception as Keras has it. Four shortcuts have no name there: Keras counts them (`conv2d`, `conv2d_1`, ...).
//!
//! Source: keras `applications/xception.py`; Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017.

use super::CLASSES;
use super::family::{Family, Published};
use super::frozen::Last;
use super::net::{Activation, Filter, Map, Net, Padding, Style};
use super::recipe::Recipe;
use super::tensors::Source;
use crate::weights::WeightsError;

/// 22.9 million parameters.
pub(super) const XCEPTION: Family = Family {
    name: "xception",
    style: Style { source: Source::Keras, epsilon: 1e-3, padding: Padding::Same },
    size: 299,
    least: 71,
    recipe: Recipe::MINUS_ONE_TO_ONE,
    published: Published { top1_percent: 79.0, by: "keras.io/api/applications" },
    last: Last::Cells,
    features,
    classifier: |net, last| net.classify(last, "predictions", CLASSES),
};

fn features(net: &mut Net<'_>, image: &Map) -> Result<Map, WeightsError> {
    let x = net.conv_norm(image, "block1_conv1", "block1_conv1_bn", Filter::new(32, 3, 2).valid())?;
    let x = net.activate(&x, Activation::Relu);
    let x = net.conv_norm(&x, "block1_conv2", "block1_conv2_bn", Filter::new(64, 3, 1).valid())?;
    let mut x = net.activate(&x, Activation::Relu);
    for (block, widths) in [(2, [128, 128]), (3, [256, 256]), (4, [728, 728])] {
        x = reducing(net, &x, block, widths)?;
    }
    for block in 5..13 {
        let mut y = x.clone();
        for at in 1..=3 {
            y = net.activate(&y, Activation::Relu);
            y = separable(net, &y, &format!("block{block}_sepconv{at}"), 728)?;
        }
        x = net.add(&y, &x, &format!("block{block}"));
    }
    x = reducing(net, &x, 13, [728, 1024])?;
    for (at, width) in [(1, 1536), (2, 2048)] {
        x = separable(net, &x, &format!("block14_sepconv{at}"), width)?;
        x = net.activate(&x, Activation::Relu);
    }
    Ok(x)
}

/// Two separable convolutions and a pooling, beside a strided shortcut.
fn reducing(net: &mut Net<'_>, x: &Map, block: usize, widths: [usize; 2]) -> Result<Map, WeightsError> {
    let count = match block {
        2 => String::new(),
        13 => "_3".into(),
        block => format!("_{}", block - 2),
    };
    let [conv, norm] = ["conv2d", "batch_normalization"].map(|layer| format!("{layer}{count}"));
    let shortcut = net.conv_norm(x, &conv, &norm, Filter::new(widths[1], 1, 2))?;
    let mut y = x.clone();
    for (at, width) in (1..).zip(widths) {
        // What enters block 2 has passed a rectifier already.
        if (block, at) != (2, 1) {
            y = net.activate(&y, Activation::Relu);
        }
        y = separable(net, &y, &format!("block{block}_sepconv{at}"), width)?;
    }
    let y = net.max_pool(&y, 3, 2, Padding::Same, &format!("block{block}_pool"));
    Ok(net.add(&y, &shortcut, &format!("block{block}")))
}

/// A depthwise and a pointwise convolution with nothing between them, and a batch norm.
fn separable(net: &mut Net<'_>, x: &Map, layer: &str, outputs: usize) -> Result<Map, WeightsError> {
    let y = net.conv_alone(x, &format!("{layer}/depthwise_kernel"), Filter::depthwise(x.channels, 3, 1))?;
    let kernel = format!("{layer}/pointwise_kernel");
    net.conv_alone_norm(&y, &kernel, &format!("{layer}_bn"), Filter::pointwise(outputs))
}
