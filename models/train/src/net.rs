//! The network of [`models::zoo::mobilenet_v3_small`] and [`models::heads::attention`] with weights that learn.
//!
//! It is built from the same tables as the ONNX graph and takes and gives the same [`Weights`]. As in the graph there is no
//! batch norm: the trunk comes with its batch norm folded, and is fine-tuned that way, so that nothing differs between
//! training and inference. Layout: channels last.

use burn::module::{Module, Param, ParamGroup, ParamId};
use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};
use models::heads::attention;
use models::weights::{Layer, Tensor as Array, Weights, WeightsError};
use models::zoo::mobilenet_v3_small::{self as zoo, BlockLayers};
use sha2::{Digest, Sha256};

use crate::input::Batch;
use crate::mixed::Precision;
use crate::ops::{self, Activation, Depthwise};

/// A convolution with bias. The weight is `in x out` for a 1x1 convolution and the stem (whose "in" is a 3x3 patch of
/// three channels), `kernel² x channels` for a depthwise one.
#[derive(Module, Debug)]
pub struct Conv {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Conv {
    pub(crate) fn load(layer: &Layer, weights: &Weights, device: &Device) -> Result<Conv, WeightsError> {
        let [(weight, shape), (bias, bias_shape)] = layer.tensors();
        let inputs = shape[1..].iter().product();
        let values = transpose(&weights.expect(&weight, &shape)?.data, layer.outputs, inputs);
        let weight = parameter(&weight, values, [inputs, layer.outputs], device);
        let values = weights.expect(&bias, &bias_shape)?.data.clone();
        Ok(Conv { weight, bias: parameter(&bias, values, [layer.outputs], device) })
    }

    pub(crate) fn save(&self, layer: &Layer, weights: &mut Weights) {
        let [(weight, shape), (bias, bias_shape)] = layer.tensors();
        let inputs = shape[1..].iter().product();
        let data = transpose(&numbers(self.weight.val()), inputs, layer.outputs);
        weights.insert(weight, Array { shape, data });
        weights.insert(bias, Array { shape: bias_shape, data: numbers(self.bias.val()) });
    }

    pub(crate) fn pointwise(&self, x: Tensor<2>, activation: Activation) -> Tensor<2> {
        let (weight, bias) = self.like(x.dtype());
        ops::pointwise(x, weight, bias, activation)
    }

    /// Weight and bias in the floats of what they meet: in 16 bits where the trunk computes so.
    fn like(&self, floats: DType) -> (Tensor<2>, Tensor<1>) {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        match floats == weight.dtype() {
            true => (weight, bias),
            false => (weight.cast(floats), bias.cast(floats)),
        }
    }

    fn cells(&self, x: Tensor<4>, activation: Activation) -> Tensor<4> {
        let [images, height, width, channels] = x.dims();
        let cells = images * height * width;
        self.pointwise(x.reshape([cells, channels]), activation).reshape([
            images as i32,
            height as i32,
            width as i32,
            -1,
        ])
    }
}

/// An inverted residual block.
#[derive(Module, Debug)]
pub struct Block {
    /// Its place in [`zoo::BLOCKS`].
    #[module(skip)]
    index: usize,
    /// What stands there, or what a cut left of it.
    #[module(skip)]
    table: zoo::Block,
    expand: Option<Conv>,
    depthwise: Conv,
    reduce: Option<Conv>,
    excite: Option<Conv>,
    project: Conv,
}

impl Block {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let block = &self.table;
        let activation = block.activation.into();
        let mut x = input.clone();
        if let Some(expand) = &self.expand {
            x = expand.cells(x, activation);
        }
        let geometry = Depthwise { kernel: block.kernel, stride: block.stride };
        let (weight, bias) = self.depthwise.like(x.dtype());
        x = ops::depthwise(x, weight, bias, geometry, activation);
        if let (Some(reduce), Some(excite)) = (&self.reduce, &self.excite) {
            x = gated(x, |average| {
                excite.pointwise(reduce.pointwise(average, Activation::Relu), Activation::HardSigmoid)
            });
        }
        x = self.project.cells(x, Activation::Linear);
        if block.has_shortcut() { x + input } else { x }
    }
}

/// Everything before the last feature map.
#[derive(Module, Debug)]
pub struct Trunk {
    stem: Conv,
    blocks: Vec<Block>,
    last: Conv,
}

impl Trunk {
    /// Reads the trunk's weights, cut as they are; tensors that it does not know are left alone.
    ///
    /// # Errors
    /// When a tensor is missing, of another shape or not finite.
    pub fn load(weights: &Weights, device: &Device) -> Result<Trunk, WeightsError> {
        let load = |layer: &Layer| Conv::load(layer, weights, device);
        let block = |(index, table)| {
            let BlockLayers { expand, depthwise, squeeze, project } = BlockLayers::of_block(index, &table);
            let (reduce, excite) = squeeze.unzip();
            Ok::<_, WeightsError>(Block {
                index,
                table,
                expand: expand.as_ref().map(load).transpose()?,
                depthwise: load(&depthwise)?,
                reduce: reduce.as_ref().map(load).transpose()?,
                excite: excite.as_ref().map(load).transpose()?,
                project: load(&project)?,
            })
        };
        let blocks = zoo::blocks_of(weights).into_iter().map(block).collect::<Result<_, _>>()?;
        Ok(Trunk { stem: load(&zoo::stem())?, blocks, last: load(&zoo::last())? })
    }

    pub(crate) fn save(&self, weights: &mut Weights) {
        self.stem.save(&zoo::stem(), weights);
        for block in &self.blocks {
            let BlockLayers { expand, depthwise, squeeze, project } = BlockLayers::of_block(block.index, &block.table);
            let (reduce, excite) = squeeze.unzip();
            let parts = [(&block.expand, expand), (&block.reduce, reduce), (&block.excite, excite)];
            for (conv, layer) in parts.iter().filter_map(|(conv, layer)| conv.as_ref().zip(layer.as_ref())) {
                conv.save(layer, weights);
            }
            block.depthwise.save(&depthwise, weights);
            block.project.save(&project, weights);
        }
        self.last.save(&zoo::last(), weights);
    }

    /// The same trunk of which only the last `count` convolutions learn, counted from its end. What stands still before them is
    /// not recorded, so no gradient is computed for it.
    pub fn learning_last(self, count: usize) -> Trunk {
        let mut still = self.convolutions().saturating_sub(count);
        let mut next = |conv: Conv| match still {
            0 => conv,
            _ => {
                still -= 1;
                conv.no_grad()
            }
        };
        // In the order in which they run.
        let stem = next(self.stem);
        let mut block = |block: Block| Block {
            index: block.index,
            table: block.table,
            expand: block.expand.map(&mut next),
            depthwise: next(block.depthwise),
            reduce: block.reduce.map(&mut next),
            excite: block.excite.map(&mut next),
            project: next(block.project),
        };
        let blocks = self.blocks.into_iter().map(&mut block).collect();
        Trunk { stem, blocks, last: next(self.last) }
    }

    fn convolutions(&self) -> usize {
        let of = |block: &Block| {
            let optional = [&block.expand, &block.reduce, &block.excite];
            2 + optional.iter().filter(|conv| conv.is_some()).count()
        };
        2 + self.blocks.iter().map(of).sum::<usize>()
    }

    /// Its parameters by depth below the head: the last convolution, each block from the last to the first, the first
    /// convolution.
    pub(crate) fn depths(&self) -> Vec<ParamGroup> {
        let blocks = self.blocks.iter().rev().map(|block| ParamGroup::ids_from_module(block.clone()));
        let ends = |conv: &Conv| ParamGroup::ids_from_module(conv.clone());
        std::iter::once(ends(&self.last)).chain(blocks).chain([ends(&self.stem)]).collect()
    }

    /// The last feature map of a batch, `images x height/32 x width/32 x 576`.
    pub fn forward(&self, batch: &Batch, device: &Device) -> Tensor<4> {
        self.forward_in(Precision::Full, batch, device)
    }

    /// The same in a precision; the map is in 32 bits in any.
    pub fn forward_in(&self, precision: Precision, batch: &Batch, device: &Device) -> Tensor<4> {
        let patches = batch.patches(device);
        let patches = match precision {
            Precision::Full => patches,
            Precision::Mixed => patches.cast(FloatDType::F16),
        };
        let stem = self.stem.pointwise(patches, Activation::HardSwish);
        let map = stem.reshape([batch.images, batch.height / 2, batch.width / 2, zoo::STEM]);
        let map = self.forward_from(0, map);
        if precision == Precision::Full { map } else { map.cast(FloatDType::F32) }
    }

    /// The same from the input of block `first` on, `images x height x width x channels` as [`zoo::BLOCKS`] has them: for maps
    /// that were computed before.
    pub fn forward_from(&self, first: usize, map: Tensor<4>) -> Tensor<4> {
        let blocks = self.blocks.iter().filter(|block| block.index >= first);
        self.last.cells(blocks.fold(map, |map, block| block.forward(map)), Activation::HardSwish)
    }
}

/// What the head says of a batch.
pub struct Outputs {
    /// One logit per label: `images x labels`.
    pub logits: Tensor<2>,
    /// One logit per label and cell: `images x cells x labels`.
    pub cells: Tensor<3>,
}

/// Attention, a dense layer at every cell, pooling.
#[derive(Module, Debug)]
pub struct Head {
    reduce: Conv,
    expand: Conv,
    classifier: Conv,
    /// Logarithm of the log-mean-exp's sharpness; `None` where the pooling is a plain mean.
    log_sharpness: Option<Param<Tensor<1>>>,
}

impl Head {
    /// Reads the weights of a head on a map of so many channels. Where they hold a sharpness the pooling is a log-mean-exp, else a mean.
    ///
    /// # Errors
    /// When a tensor is missing, of another shape or not finite, or the sharpness is not positive.
    pub fn load(weights: &Weights, channels: usize, labels: usize, device: &Device) -> Result<Head, WeightsError> {
        let layers = attention::layers_with(channels, attention::squeeze_of(weights), labels);
        let [reduce, expand, classifier] = layers.map(|layer| Conv::load(&layer, weights, device));
        let log_sharpness = match weights.0.contains_key(attention::SHARPNESS) {
            false => None,
            true => match weights.expect(attention::SHARPNESS, &[1])?.data[0] {
                sharpness if sharpness > 0.0 => {
                    Some(parameter(attention::SHARPNESS, vec![sharpness.ln()], [1], device))
                }
                sharpness => {
                    return Err(WeightsError::Invalid(format!(
                        "the pooling's sharpness is {sharpness}, not a positive number"
                    )));
                }
            },
        };
        Ok(Head { reduce: reduce?, expand: expand?, classifier: classifier?, log_sharpness })
    }

    pub(crate) fn save(&self, weights: &mut Weights) {
        let [channels, labels] = self.classifier.weight.val().dims();
        let [_, squeeze] = self.reduce.weight.val().dims();
        let [reduce, expand, classifier] = attention::layers_with(channels, squeeze, labels);
        self.reduce.save(&reduce, weights);
        self.expand.save(&expand, weights);
        self.classifier.save(&classifier, weights);
        if let Some(log_sharpness) = &self.log_sharpness {
            let sharpness = numbers(log_sharpness.val())[0].exp();
            weights.insert(attention::SHARPNESS, Array::scalar(sharpness));
        }
    }

    /// Logits of a batch of last feature maps, `images x height x width x channels`.
    pub fn forward(&self, map: Tensor<4>) -> Outputs {
        let [images, height, width, _] = map.dims();
        let weighted = gated(map, |average| {
            self.expand.pointwise(self.reduce.pointwise(average, Activation::Relu), Activation::Sigmoid)
        });
        let cells = self.classifier.pointwise(flat(weighted), Activation::Linear);
        let cells: Tensor<3> = cells.reshape([images as i32, (height * width) as i32, -1]);
        Outputs { logits: self.pool(cells.clone()), cells }
    }

    /// `images x cells x labels` to `images x labels`.
    fn pool(&self, cells: Tensor<3>) -> Tensor<2> {
        let Some(log_sharpness) = &self.log_sharpness else {
            return cells.mean_dim(1).squeeze_dim(1);
        };
        let sharpness = log_sharpness.val().exp().unsqueeze::<3>();
        let sharp = cells * sharpness.clone();
        // The maximum is taken out so that no exponential overflows; its gradient cancels, so it is a constant.
        let top = sharp.clone().detach().max_dim(1);
        let pooled = ((sharp - top.clone()).exp().mean_dim(1).log() + top) / sharpness;
        pooled.squeeze_dim(1)
    }
}

/// Trunk and head.
#[derive(Module, Debug)]
pub struct Net {
    /// Everything before the last feature map.
    pub trunk: Trunk,
    /// Attention, classifier, pooling.
    pub head: Head,
}

impl Net {
    /// Reads all weights.
    ///
    /// # Errors
    /// When a tensor is missing, of another shape or not finite.
    pub fn from_weights(weights: &Weights, labels: usize, device: &Device) -> Result<Net, WeightsError> {
        Ok(Net { trunk: Trunk::load(weights, device)?, head: Head::load(weights, zoo::FEATURES, labels, device)? })
    }

    /// All weights, under the names of the graph.
    pub fn to_weights(&self) -> Weights {
        let mut weights = Weights::default();
        self.trunk.save(&mut weights);
        self.head.save(&mut weights);
        weights
    }

    /// Logits of a batch.
    pub fn forward(&self, batch: &Batch, device: &Device) -> Outputs {
        self.head.forward(self.trunk.forward(batch, device))
    }
}

/// A parameter that learns. Its identity follows from its name, so that an optimiser's moments find it again in another process.
fn parameter<const D: usize>(name: &str, values: Vec<f32>, shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let digest = Sha256::digest(name.as_bytes());
    let id = u64::from_le_bytes(digest[..8].try_into().expect("a SHA-256 has 32 bytes"));
    let (_, tensor, mapper) = Param::<Tensor<D>>::from_data(TensorData::new(values, shape), device).consume();
    Param::from_mapped_value(ParamId::from(id), tensor, mapper)
}

/// Multiplies each channel by a gate that is computed from the channels' averages.
fn gated(x: Tensor<4>, gate: impl Fn(Tensor<2>) -> Tensor<2>) -> Tensor<4> {
    let shape @ [images, height, width, channels] = x.dims();
    let x = x.reshape([images, height * width, channels]);
    ops::scale(x.clone(), gate(ops::average(x))).reshape(shape)
}

/// All cells of all images as rows.
fn flat(x: Tensor<4>) -> Tensor<2> {
    let [images, height, width, channels] = x.dims();
    x.reshape([images * height * width, channels])
}

/// `rows x columns` to `columns x rows`.
fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

/// A tensor's values.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("all tensors here hold f32")
}
