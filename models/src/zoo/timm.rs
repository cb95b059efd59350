//! Weights that timm (pytorch-image-models) saved, where it has a family's network under names of its own.
//!
//! Names and shapes do not say which network they are of: timm's `tf_efficientnet_b0` has those of its `efficientnet_b0` and pads
//! otherwise. So the [`Config`] that timm saves beside its weights has to. What can be put into the weights exactly is put there:
//! what a batch norm adds to the variance, and for a first convolution without padding what the pixels were made by.
//!
//! Source: timm 1.0 `models/efficientnet.py`, `models/mobilenetv3.py`, `models/vision_transformer.py`.

use std::collections::HashMap;

use super::family::Family;
use super::net::Padding;
use super::tensors::{Role, Spec};
use super::timm_config::{Beside, Config};
use super::timm_names::{self as names, Names};
use crate::weights::{Tensor, WeightsError};

/// A family among timm's networks.
struct Variant {
    family: &'static str,
    /// What timm calls the networks that compute the same.
    architectures: &'static [&'static str],
    /// Their layers' names; none where they are the source's own.
    names: Option<Names>,
    /// Added to the variance by their batch norms.
    epsilon: f64,
}

/// Of timm's own batch norms.
const EPSILON: f64 = 1e-5;
/// Of those that mirror TensorFlow's.
const TENSORFLOWS: f64 = 1e-3;

#[rustfmt::skip]
const VARIANTS: &[Variant] = &[
    Variant { family: "efficientnet_b0", architectures: &["efficientnet_b0"], names: Some(names::B0), epsilon: EPSILON },
    Variant { family: "efficientnet_b4", architectures: &["efficientnet_b4"], names: Some(names::B4), epsilon: EPSILON },
    Variant { family: "efficientnet_b7", architectures: &["efficientnet_b7"], names: Some(names::B7), epsilon: EPSILON },
    Variant { family: "efficientnet_lite0", architectures: &["tf_efficientnet_lite0"], names: Some(names::LITE0), epsilon: TENSORFLOWS },
    Variant { family: "mobilenet_v2", architectures: &["mobilenetv2_100"], names: Some(names::MOBILENET_V2), epsilon: EPSILON },
    Variant { family: "mobilenet_v3_large", architectures: &["mobilenetv3_large_100"], names: Some(names::V3_LARGE), epsilon: EPSILON },
    Variant { family: "mobilenet_v3_small", architectures: &["mobilenetv3_small_100"], names: Some(names::V3_SMALL), epsilon: EPSILON },
    Variant { family: "resnet50", architectures: &["resnet50"], names: None, epsilon: EPSILON },
    // The layer norms add the same, and it has no others.
    Variant { family: "vit_b_16", architectures: &["vit_base_patch16_224", "deit_base_patch16_224"], names: Some(names::VIT), epsilon: 1e-6 },
];

/// Networks of timm's that a family resembles and is not: a tensor that only they have, and why they cannot take its place.
const OTHERS: &[(&str, &str, &str)] = &[
    ("resnet152v2", "stages.0.blocks.0.conv1.weight", "it strides at the beginning of a stage, Keras' at the end"),
    (
        "vgg19",
        "pre_logits.fc1.weight",
        "it takes red first and torchvision's mean and deviation, Keras' takes blue first",
    ),
    ("xception", "block1.skip.weight", "it pads on both sides where Keras' pads below and to the right"),
];

/// How a file with timm's names gives a family's tensors.
pub(crate) struct Timm {
    /// What stands in the file, by the source's name.
    tensors: HashMap<String, Spec>,
    /// What the file's batch norms add to a variance beyond what the family's add.
    epsilon: f64,
    /// What pixels the first convolution was learned with, where others come.
    pixels: Option<Pixels>,
}

impl Timm {
    /// Looks at the names that a file `holds`; nothing where they are not timm's.
    ///
    /// # Errors
    /// Where they are timm's and not known to be of a network that computes what the family does.
    pub(crate) fn of(
        family: &Family,
        holds: impl Fn(&str) -> bool,
        beside: &Beside,
    ) -> Result<Option<Timm>, WeightsError> {
        if let Some((_, tensor, why)) = OTHERS.iter().find(|(name, tensor, _)| *name == family.name && holds(tensor)) {
            return Err(WeightsError::Invalid(format!(
                "the weights hold timm's `{tensor}`, and timm's network is not this {}: {why}; give {}'s own file",
                family.name,
                family.source()
            )));
        }
        let Some(variant) = VARIANTS.iter().find(|variant| variant.family == family.name) else { return Ok(None) };
        let Some(names) = &variant.names else {
            // Only timm's description can tell `resnetblur50` from `resnet50`, where it is there.
            return beside
                .config()
                .map_or(Ok(None), |config| config.fits(family, variant.architectures).map(|()| None));
        };
        let specs = family.books(family.least)?.tensors;
        let tensors = names.of(&specs);
        let Some(theirs) = tensors.iter().find(|spec| holds(&spec.name)) else { return Ok(None) };
        let theirs = &theirs.name;
        if let Some(ours) = specs.iter().find(|spec| holds(&spec.name)) {
            let ours = &ours.name;
            return Err(WeightsError::Invalid(format!(
                "the weights hold both timm's `{theirs}` and {}'s `{ours}`: save the `state_dict()` of one network alone",
                family.source()
            )));
        }
        let config = beside.required(theirs, family, variant.architectures)?;
        config.fits(family, variant.architectures)?;
        let pixels = Pixels::of(family, &config)?;
        let tensors = specs.into_iter().map(|spec| spec.name).zip(tensors).collect();
        Ok(Some(Timm { tensors, epsilon: variant.epsilon - family.style.epsilon, pixels }))
    }

    /// The source's tensor, by what `read` finds in the file.
    ///
    /// # Errors
    /// What `read` says.
    pub(crate) fn tensor(
        &self,
        spec: &Spec,
        mut read: impl FnMut(&Spec) -> Result<Tensor, WeightsError>,
    ) -> Result<Tensor, WeightsError> {
        let theirs = |name: &str| self.tensors.get(name).ok_or_else(|| WeightsError::Missing(name.into()));
        let mut tensor = Tensor { shape: spec.shape.clone(), ..read(theirs(&spec.name)?)? };
        if spec.role == Role::Variance && self.epsilon != 0.0 {
            tensor.data.iter_mut().for_each(|value| *value = (f64::from(*value) + self.epsilon) as f32);
        }
        match &self.pixels {
            Some(pixels) if spec.name == pixels.kernel => pixels.scale(&mut tensor),
            Some(pixels) if spec.name == pixels.bias => pixels.shift(&mut tensor, &read(theirs(&pixels.kernel)?)?),
            _ => {}
        }
        Ok(tensor)
    }
}

/// Pixels that the family makes, as the weights want them: `x * scale + shift` for each channel.
struct Pixels {
    /// The source's names of the first convolution's tensors.
    kernel: String,
    bias: String,
    scale: [f64; 3],
    shift: [f64; 3],
}

/// Half a grey level: timm says 0.5 where EfficientNet-Lite was learned with 127 / 255.
const ALIKE: f32 = 0.005;

impl Pixels {
    fn of(family: &Family, config: &Config) -> Result<Option<Pixels>, WeightsError> {
        let (recipe, Config { mean, std, .. }) = (family.recipe, config);
        let alike = |ours: [f32; 3], theirs: &[f32; 3]| ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() <= ALIKE);
        if alike(recipe.mean, mean) && alike(recipe.std, std) {
            return Ok(None);
        }
        // Zeros around the image would be another grey.
        if family.style.padding != Padding::Valid {
            return Err(WeightsError::Invalid(format!(
                "timm's `{}`: these weights were learned with pixels of mean {mean:?} and deviation {std:?}, {} is given those of \
                 {:?} and {:?}: take weights that were learned with these",
                config.architecture, family.name, recipe.mean, recipe.std
            )));
        }
        let mut first = family.books(family.least)?.tensors.into_iter().map(|spec| spec.name);
        let mut next = || first.next().expect("a network begins with a convolution's kernel and bias");
        let [kernel, bias] = [next(), next()];
        let [theirs, ours] =
            [[mean, std], [&recipe.mean, &recipe.std]].map(|both| both.map(|three| three.map(f64::from)));
        let scale = [0, 1, 2].map(|channel| ours[1][channel] / theirs[1][channel]);
        let shift = [0, 1, 2].map(|channel| (ours[0][channel] - theirs[0][channel]) / theirs[1][channel]);
        Ok(Some(Pixels { kernel, bias, scale, shift }))
    }

    fn scale(&self, kernel: &mut Tensor) {
        let cells: usize = kernel.shape[2..].iter().product();
        for (values, scale) in kernel.data.chunks_exact_mut(cells).zip(self.scale.iter().cycle()) {
            values.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
        }
    }

    fn shift(&self, bias: &mut Tensor, kernel: &Tensor) {
        let cells: usize = kernel.shape[2..].iter().product();
        let per_output = kernel.data.chunks_exact(3 * cells);
        for (bias, values) in bias.data.iter_mut().zip(per_output) {
            let channels = values.chunks_exact(cells).map(|values| values.iter().copied().map(f64::from).sum::<f64>());
            *bias = (f64::from(*bias) + channels.zip(self.shift).map(|(sum, shift)| sum * shift).sum::<f64>()) as f32;
        }
    }
}
