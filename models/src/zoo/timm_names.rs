//! What timm calls a network's layers, in the order in which they are used.

use super::tensors::{Role, Source, Spec};

/// The layers of a network.
pub(super) struct Names {
    first: &'static [&'static str],
    /// The layers of a stage's blocks, and how many blocks.
    stages: &'static [(&'static [&'static str], usize)],
    /// The prefix of a block, from the stage and its place in it.
    block: fn(usize, usize) -> String,
    last: &'static [&'static str],
}

const SEPARABLE: &[&str] = &["conv_dw", "bn1", "conv_pw", "bn2"];
const SEPARABLE_SE: &[&str] = &["conv_dw", "bn1", "se.conv_reduce", "se.conv_expand", "conv_pw", "bn2"];
const INVERTED: &[&str] = &["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"];
const INVERTED_SE: &[&str] =
    &["conv_pw", "bn1", "conv_dw", "bn2", "se.conv_reduce", "se.conv_expand", "conv_pwl", "bn3"];
const PLAIN: &[&str] = &["conv", "bn1"];
const ENCODER: &[&str] = &["norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"];

/// Beginning, end and numbering of all that timm calls an EfficientNet, MobileNetV2 among them.
const fn efficientnet(stages: &'static [(&'static [&'static str], usize)]) -> Names {
    Names {
        first: &["conv_stem", "bn1"],
        stages,
        block: |stage, block| format!("blocks.{stage}.{block}"),
        last: &["conv_head", "bn2", "classifier"],
    }
}

/// MobileNetV3 has its last convolution before the average in one more stage, and `conv_head` behind it.
const fn mobilenet_v3(stages: &'static [(&'static [&'static str], usize)]) -> Names {
    Names { last: &["conv_head", "classifier"], ..efficientnet(stages) }
}

pub(super) const B0: Names = efficientnet(&[
    (SEPARABLE_SE, 1),
    (INVERTED_SE, 2),
    (INVERTED_SE, 2),
    (INVERTED_SE, 3),
    (INVERTED_SE, 3),
    (INVERTED_SE, 4),
    (INVERTED_SE, 1),
]);
pub(super) const B4: Names = efficientnet(&[
    (SEPARABLE_SE, 2),
    (INVERTED_SE, 4),
    (INVERTED_SE, 4),
    (INVERTED_SE, 6),
    (INVERTED_SE, 6),
    (INVERTED_SE, 8),
    (INVERTED_SE, 2),
]);
pub(super) const B7: Names = efficientnet(&[
    (SEPARABLE_SE, 4),
    (INVERTED_SE, 7),
    (INVERTED_SE, 7),
    (INVERTED_SE, 10),
    (INVERTED_SE, 10),
    (INVERTED_SE, 13),
    (INVERTED_SE, 4),
]);
pub(super) const LITE0: Names = efficientnet(&[
    (SEPARABLE, 1),
    (INVERTED, 2),
    (INVERTED, 2),
    (INVERTED, 3),
    (INVERTED, 3),
    (INVERTED, 4),
    (INVERTED, 1),
]);
pub(super) const MOBILENET_V2: Names = efficientnet(&[
    (SEPARABLE, 1),
    (INVERTED, 2),
    (INVERTED, 3),
    (INVERTED, 4),
    (INVERTED, 3),
    (INVERTED, 3),
    (INVERTED, 1),
]);
pub(super) const V3_LARGE: Names = mobilenet_v3(&[
    (SEPARABLE, 1),
    (INVERTED, 2),
    (INVERTED_SE, 3),
    (INVERTED, 4),
    (INVERTED_SE, 2),
    (INVERTED_SE, 3),
    (PLAIN, 1),
]);
pub(super) const V3_SMALL: Names =
    mobilenet_v3(&[(SEPARABLE_SE, 1), (INVERTED, 2), (INVERTED_SE, 3), (INVERTED_SE, 2), (INVERTED_SE, 3), (PLAIN, 1)]);
pub(super) const VIT: Names = Names {
    first: &["patch_embed.proj", "cls_token", "pos_embed"],
    stages: &[(ENCODER, 12)],
    block: |_, block| format!("blocks.{block}"),
    last: &["norm", "head"],
};

impl Names {
    /// What stands in timm's file for each of a network's tensors.
    pub(super) fn of(&self, specs: &[Spec]) -> Vec<Spec> {
        let mut layers = self.layers();
        let mut layer = String::new();
        let theirs = specs.iter().map(|&Spec { ref shape, role, .. }| {
            // The first tensor of a layer.
            if matches!(role, Role::Kernel | Role::Gamma | Role::Embedding) {
                layer = layers.next().expect("timm's network has as many layers: a test compares every name");
            }
            let mut shape = shape.clone();
            // A dense layer of ours on the average is a convolution on each cell there.
            if layer == "conv_head" && shape.len() == 2 {
                shape.extend([1, 1]);
            }
            Spec { name: Source::Torchvision.tensor(&layer, role), shape, role }
        });
        theirs.collect()
    }

    fn layers(&self) -> impl Iterator<Item = String> {
        let &Names { first, stages, block: name, last } = self;
        let blocks = stages.iter().enumerate().flat_map(move |(stage, &(layers, count))| {
            (0..count).flat_map(move |block| {
                let block = name(stage, block);
                layers.iter().map(move |layer| format!("{block}.{layer}"))
            })
        });
        let names = |layers: &'static [&'static str]| layers.iter().map(|layer| (*layer).to_owned());
        names(first).chain(blocks).chain(names(last))
    }
}
