//! Architectures, one file each, as data.
//!
//! [`mobilenet_v3_small`] is the trunk that this program trains and ships. [`ALL`] are the families of published ImageNet
//! classifiers, each in the variant of one source: torchvision and Keras differ in padding, in what batch norms add to the
//! variance, in biases, in where a block strides, in how pixels are scaled. Tensors have the source's names, so that its
//! weights load by name.

pub mod mobilenet_v3_small;

mod efficientnet;
mod efficientnet_lite;
mod efficientnet_v2;
mod family;
mod frozen;
mod mobilenet_v2;
mod mobilenet_v3;
mod net;
mod recipe;
mod resnet50;
mod resnet_v2;
mod tensors;
mod timm;
mod timm_config;
mod timm_names;
mod vgg19;
mod vit;
mod xception;

pub use family::{Books, Family, INPUT, LOGITS, Published};
pub use frozen::{Frozen, MAP, STRIDE};
pub use recipe::{Order, Recipe};
pub use tensors::{Random, Role, Source, Spec, Tensors};
pub(crate) use timm::Timm;
pub(crate) use timm_config::Beside;

/// Classes of ImageNet.
pub const CLASSES: usize = 1000;

/// All families, by name.
pub const ALL: &[&Family] = &[
    &efficientnet::B0,
    &efficientnet::B4,
    &efficientnet::B7,
    &efficientnet_lite::LITE0,
    &efficientnet_v2::B3,
    &mobilenet_v2::MOBILENET_V2,
    &mobilenet_v3::LARGE,
    &mobilenet_v3::SMALL,
    &resnet50::RESNET50,
    &resnet_v2::RESNET152_V2,
    &vgg19::VGG19,
    &vit::VIT_B_16,
    &xception::XCEPTION,
];
