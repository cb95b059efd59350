//! The optimiser of stage two: AdamW, each layer at its own share of the learning rate.
//!
//! AdamW: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019. Layer-wise decay: Howard and Ruder,
//! "Universal Language Model Fine-tuning" (discriminative fine-tuning), ACL 2018: layers near the input hold what all images
//! share and should move less than those near the output.

use burn::grad_clipping::GradientClippingConfig;
use burn::optim::{AdamW, AdamWConfig, AdamWState, ModuleOptimizer, Optimizer};
use burn::tensor::{Bytes, Device, Tensor};

use crate::error::TrainError;
use crate::net::{Net, Trunk};

/// AdamW at a share of the learning rate.
#[derive(Clone)]
struct Share {
    adam: AdamW,
    share: f64,
}

impl Optimizer for Share {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: f64,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        self.adam.step(rate * self.share, tensor, gradient, state)
    }

    fn to_device<const D: usize>(state: AdamWState<D>, device: &Device) -> AdamWState<D> {
        AdamW::to_device(state, device)
    }
}

/// The optimiser of a network. The head learns at the full rate, each depth below at `layer_decay` times the one above: the
/// last convolution, then each block, then the first convolution.
pub(crate) fn optimizer(net: &Net, weight_decay: f32, layer_decay: f64) -> ModuleOptimizer {
    of_trunk(&net.trunk, weight_decay, layer_decay)
}

/// The same of a trunk with whatever stands on it.
pub(crate) fn of_trunk(trunk: &Trunk, weight_decay: f32, layer_decay: f64) -> ModuleOptimizer {
    let adam = AdamWConfig::new().with_weight_decay(weight_decay).build();
    let clipping = GradientClippingConfig::Norm(1.0).init();
    let full = ModuleOptimizer::from(Share { adam: adam.clone(), share: 1.0 }).with_grad_clipping(clipping.clone());
    if layer_decay == 1.0 {
        return full;
    }
    (1..).zip(trunk.depths()).fold(full, |all, (depth, group)| {
        all.with_group(group, Share { adam: adam.clone(), share: layer_decay.powi(depth) }, Some(clipping.clone()))
    })
}

/// The moments as bytes, for a checkpoint. Parameters are known by their names (see [`crate::net`]).
pub(crate) fn moments(optimizer: &ModuleOptimizer) -> Result<Vec<u8>, TrainError> {
    let bytes =
        optimizer.into_bytes().map_err(|error| TrainError::Settings(format!("the optimiser's moments: {error}")))?;
    Ok(bytes.to_vec())
}

/// The optimiser with the moments of a checkpoint.
pub(crate) fn with_moments(optimizer: ModuleOptimizer, moments: Vec<u8>) -> Result<ModuleOptimizer, TrainError> {
    optimizer
        .from_bytes(Bytes::from_bytes_vec(moments))
        .map_err(|error| TrainError::Settings(format!("the checkpoint's moments: {error}; start without `--resume`")))
}
