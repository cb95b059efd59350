//! A trunk under a projection: what learns without labels. Only the trunk is kept.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use models::graph::ModelProto;
use models::graph::proto::TensorProto;
use models::weights::{Layer, Weights, WeightsError, kaiming};
use models::zoo::mobilenet_v3_small as zoo;
use prost::Message;

use crate::input::Batch;
use crate::net::{Conv, Trunk};
use crate::ops::{self, Activation};

/// Values of a projection.
pub(super) const DIMENSIONS: usize = 128;
/// Values between the two layers of the projection.
const HIDDEN: usize = 256;
/// Squares of a length below this count as this: a division by nothing.
const NOTHING: f32 = 1e-12;

/// The projection's layers. It is thrown away: what is good for telling views apart (colour, place) is forgotten in it, and not in the trunk.
fn projection() -> [Layer; 2] {
    [
        Layer::pointwise("projection.hidden", zoo::FEATURES, HIDDEN),
        Layer::pointwise("projection.out", HIDDEN, DIMENSIONS),
    ]
}

/// See the module.
#[derive(Module, Debug)]
pub(super) struct Learner {
    trunk: Trunk,
    hidden: Conv,
    out: Conv,
}

impl Learner {
    /// A trunk's weights, and a projection that knows nothing yet.
    pub(super) fn begin(trunk: &Weights, seed: u64) -> Result<Weights, WeightsError> {
        let mut weights = trunk.only(&zoo::layers())?;
        weights.merge(kaiming(&projection(), seed));
        Ok(weights)
    }

    pub(super) fn load(weights: &Weights, device: &Device) -> Result<Learner, WeightsError> {
        let [hidden, out] = projection().map(|layer| Conv::load(&layer, weights, device));
        Ok(Learner { trunk: Trunk::load(weights, device)?, hidden: hidden?, out: out? })
    }

    pub(super) fn trunk(&self) -> &Trunk {
        &self.trunk
    }

    pub(super) fn to_weights(&self) -> Weights {
        let mut weights = Weights::default();
        self.trunk.save(&mut weights);
        let [hidden, out] = projection();
        self.hidden.save(&hidden, &mut weights);
        self.out.save(&out, &mut weights);
        weights
    }

    /// The projections of a batch, each of length 1: `images x DIMENSIONS`.
    pub(super) fn project(&self, batch: &Batch, device: &Device) -> Tensor<2> {
        let map = self.trunk.forward(batch, device);
        let [images, height, width, channels] = map.dims();
        let average = ops::average(map.reshape([images, height * width, channels]));
        let projection = self.out.pointwise(self.hidden.pointwise(average, Activation::Relu), Activation::Linear);
        let length = (projection.clone().powf_scalar(2.0).sum_dim(1) + NOTHING).sqrt();
        projection / length
    }
}

/// All weights as a model, from which they are read back by name: the trunk's graph, the projection as constants that nobody reads.
pub(super) fn model(weights: &Weights) -> Result<Vec<u8>, WeightsError> {
    let trunk = zoo::build_map(&weights.only(&zoo::layers())?, [zoo::STRIDE; 2])?;
    let mut model = ModelProto::read(&trunk)?;
    if let Some(graph) = &mut model.graph {
        let tensors = projection().into_iter().flat_map(|layer| layer.tensors());
        for (name, shape) in tensors {
            graph.initializer.push(TensorProto::from_tensor(&name, weights.expect(&name, &shape)?));
        }
    }
    Ok(model.encode_to_vec())
}
