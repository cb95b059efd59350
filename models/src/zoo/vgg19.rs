//! VGG19 as Keras has it. Its first dense layer sees the whole last map, so its size depends on the input's.
//!
//! Source: keras `applications/vgg19.py`; Simonyan and Zisserman, "Very Deep Convolutional Networks", ICLR 2015.

use super::CLASSES;
use super::family::{Family, Published};
use super::frozen::Last;
use super::net::{Activation, Filter, Map, Net, Padding, Style};
use super::recipe::Recipe;
use super::tensors::Source;
use crate::weights::WeightsError;

/// 143.7 million parameters.
pub(super) const VGG19: Family = Family {
    name: "vgg19",
    style: Style { source: Source::Keras, epsilon: 0.0, padding: Padding::Same },
    size: 224,
    least: 32,
    recipe: Recipe::CAFFE,
    published: Published { top1_percent: 71.3, by: "keras.io/api/applications" },
    last: Last::Cells,
    features,
    classifier,
};

/// Width and convolutions of each block.
const BLOCKS: [(usize, usize); 5] = [(64, 2), (128, 2), (256, 4), (512, 4), (512, 4)];
const HIDDEN: usize = 4096;

fn features(net: &mut Net<'_>, image: &Map) -> Result<Map, WeightsError> {
    let mut x = image.clone();
    for (block, (width, convolutions)) in (1..).zip(BLOCKS) {
        for at in 1..=convolutions {
            x = net.conv(&x, &format!("block{block}_conv{at}"), Filter::new(width, 3, 1))?;
            x = net.activate(&x, Activation::Relu);
        }
        x = net.max_pool(&x, 2, 2, Padding::Valid, &format!("block{block}_pool"));
    }
    Ok(x)
}

fn classifier(net: &mut Net<'_>, x: &Map) -> Result<String, WeightsError> {
    // A dense layer on the flattened map is a convolution as large as the map; so the order of flattening does not matter.
    let x = net.conv(x, "fc1", Filter::new(HIDDEN, x.size[0], 1).valid())?;
    let x = net.activate(&x, Activation::Relu);
    let x = net.conv(&x, "fc2", Filter::pointwise(HIDDEN))?;
    let x = net.activate(&x, Activation::Relu);
    let flat = net.graph.flatten(&x.name, "flat");
    net.dense(&flat, [HIDDEN, CLASSES], "predictions")
}
