//! ResNet152V2 as Keras has it: norm and rectifier before each convolution, the stride in the last block of a stage, zeros
//! (not nothing) around the first pooling.
//!
//! Source: keras `applications/resnet.py` and `resnet_v2.py`; He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016.

use super::CLASSES;
use super::family::{Family, Published};
use super::frozen::Last;
use super::net::{Activation, Filter, Map, Net, Padding, Style};
use super::recipe::Recipe;
use super::tensors::Source;
use crate::weights::WeightsError;

/// 60.4 million parameters.
pub(super) const RESNET152_V2: Family = Family {
    name: "resnet152v2",
    style: Style { source: Source::Keras, epsilon: 1.001e-5, padding: Padding::Even },
    size: 224,
    least: 32,
    recipe: Recipe::MINUS_ONE_TO_ONE,
    published: Published { top1_percent: 78.0, by: "keras.io/api/applications" },
    last: Last::Cells,
    features,
    classifier: |net, last| net.classify(last, "predictions", CLASSES),
};

/// Width, blocks, and the stride of the last block of each stage.
const STAGES: [(usize, usize, usize); 4] = [(64, 3, 2), (128, 8, 2), (256, 36, 2), (512, 3, 1)];

fn features(net: &mut Net<'_>, image: &Map) -> Result<Map, WeightsError> {
    let x = net.conv(image, "conv1_conv", Filter::new(64, 7, 2))?;
    let [height, width] = x.size;
    let padded = net.graph.surround_with_zeros(&x.name, [x.channels, height, width], "pool1_pad");
    let padded = Map { name: padded, size: [height + 2, width + 2], ..x };
    let mut x = net.max_pool(&padded, 3, 2, Padding::Valid, "pool1_pool");
    for (stage, (width, blocks, stride)) in STAGES.into_iter().enumerate() {
        for block in 1..=blocks {
            let name = format!("conv{}_block{block}", stage + 2);
            x = residual(
                net,
                &x,
                &name,
                Block { width, stride: if block == blocks { stride } else { 1 }, first: block == 1 },
            )?;
        }
    }
    let x = net.norm(&x, "post_bn")?;
    Ok(net.activate(&x, Activation::Relu))
}

#[derive(Clone, Copy)]
struct Block {
    width: usize,
    stride: usize,
    /// The first of a stage widens: its shortcut is a convolution.
    first: bool,
}

fn residual(net: &mut Net<'_>, x: &Map, name: &str, block: Block) -> Result<Map, WeightsError> {
    let Block { width, stride, first } = block;
    let before = net.norm(x, &format!("{name}_preact_bn"))?;
    let before = net.activate(&before, Activation::Relu);
    let shortcut = match (first, stride) {
        (true, _) => net.conv(&before, &format!("{name}_0_conv"), Filter::new(4 * width, 1, stride))?,
        (false, 1) => x.clone(),
        // One cell of each window: the value is passed over, not averaged.
        (false, _) => net.max_pool(x, 1, stride, Padding::Valid, &format!("{name}_pool")),
    };
    let y = net.conv_norm(&before, &format!("{name}_1_conv"), &format!("{name}_1_bn"), Filter::pointwise(width))?;
    let y = net.activate(&y, Activation::Relu);
    let y = net.conv_norm(&y, &format!("{name}_2_conv"), &format!("{name}_2_bn"), Filter::new(width, 3, stride))?;
    let y = net.activate(&y, Activation::Relu);
    let y = net.conv(&y, &format!("{name}_3_conv"), Filter::pointwise(4 * width))?;
    Ok(net.add(&shortcut, &y, &format!("{name}_out")))
}
