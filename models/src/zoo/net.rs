//! Builds a network layer by layer from its source's own tensors, under the source's own names, and keeps the books: which
//! tensors it takes, and how many multiplications it does.
//!
//! A batch norm behind a convolution is folded into it: `w * gamma / sqrt(var + eps)`, `beta - mean * gamma / sqrt(var + eps)`.

use super::tensors::{Role, Source, Spec, Tensors};
use crate::graph::proto::AttributeProto;
use crate::graph::{Conv, GraphBuilder};
use crate::weights::{Tensor, WeightsError};

/// How a convolution or a pooling treats the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    /// `kernel / 2` cells on every side, as torchvision pads.
    Even,
    /// TensorFlow's SAME: as many cells as give `ceil(size / stride)`; an odd one stands below and to the right.
    Same,
    /// None.
    Valid,
}

impl Padding {
    /// Cells above and left, below and right, and the cells that come out along a side.
    fn along(self, size: usize, kernel: usize, stride: usize) -> ([usize; 2], usize) {
        let [before, after] = match self {
            Padding::Even => [kernel / 2; 2],
            Padding::Same => {
                let all = ((size.div_ceil(stride) - 1) * stride + kernel).saturating_sub(size);
                [all / 2, all - all / 2]
            }
            Padding::Valid => [0; 2],
        };
        ([before, after], (size + before + after - kernel) / stride + 1)
    }
}

/// What sets the sources apart besides the layers themselves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Style {
    /// Where the network's definition stands: it names the tensors.
    pub(super) source: Source,
    /// Added to the variance by every batch norm.
    pub(super) epsilon: f64,
    /// Of every convolution that says nothing else.
    pub(super) padding: Padding,
}

/// A convolution's size and geometry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter {
    outputs: usize,
    conv: Conv,
    padding: Option<Padding>,
}

impl Filter {
    /// A dense one: side of the kernel, step.
    pub(super) const fn new(outputs: usize, kernel: usize, stride: usize) -> Filter {
        Filter { outputs, conv: Conv { kernel, stride, groups: 1 }, padding: None }
    }

    /// On each cell alone.
    pub(super) const fn pointwise(outputs: usize) -> Filter {
        Filter::new(outputs, 1, 1)
    }

    /// On each channel alone.
    pub(super) const fn depthwise(channels: usize, kernel: usize, stride: usize) -> Filter {
        Filter { outputs: channels, conv: Conv { kernel, stride, groups: channels }, padding: None }
    }

    /// The same without padding.
    pub(super) const fn valid(self) -> Filter {
        Filter { padding: Some(Padding::Valid), ..self }
    }
}

/// A non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `clamp(x, 0, 6)`.
    Relu6,
    /// `x * sigmoid(x)`, also called SiLU.
    Swish,
    /// `x * clamp(x / 6 + 1/2, 0, 1)`.
    HardSwish,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `clamp(x / 6 + 1/2, 0, 1)`.
    HardSigmoid,
}

/// A value of `1 x channels x height x width` in the graph.
#[derive(Debug, Clone)]
pub(super) struct Map {
    /// Its name.
    pub(super) name: String,
    /// Channels.
    pub(super) channels: usize,
    /// Cells down and across: as many, since inputs are square.
    pub(super) size: [usize; 2],
}

/// A network under construction.
pub(super) struct Net<'a> {
    /// For what is no layer.
    pub(super) graph: GraphBuilder,
    style: Style,
    /// Without them only the books are kept.
    tensors: Option<&'a mut dyn Tensors>,
    /// The tensors taken so far, in order.
    pub(super) specs: Vec<Spec>,
    /// Multiplications so far, biases and activations left out.
    pub(super) multiply_adds: u64,
}

impl<'a> Net<'a> {
    pub(super) fn new(name: &str, style: Style, tensors: Option<&'a mut dyn Tensors>) -> Net<'a> {
        Net { graph: GraphBuilder::new(name), style, tensors, specs: Vec::new(), multiply_adds: 0 }
    }

    /// Takes a tensor of the source; nothing where only the books are kept.
    pub(super) fn take(&mut self, name: String, shape: &[usize], role: Role) -> Result<Option<Tensor>, WeightsError> {
        let spec = Spec { name, shape: shape.to_vec(), role };
        let tensor = self.tensors.as_mut().map(|tensors| tensors.tensor(&spec)).transpose()?;
        self.specs.push(spec);
        Ok(tensor)
    }

    /// Adds a constant, where there are values.
    pub(super) fn constant(&mut self, name: &str, tensor: Option<Tensor>) -> String {
        match tensor {
            Some(tensor) => self.graph.initializer(name, &tensor),
            None => name.into(),
        }
    }

    /// The weight of a layer.
    fn kernel(&mut self, layer: &str, shape: &[usize]) -> Result<Option<Tensor>, WeightsError> {
        self.take(self.style.source.tensor(layer, Role::Kernel), shape, Role::Kernel)
    }

    /// A convolution with bias, named as its layer.
    pub(super) fn conv(&mut self, x: &Map, layer: &str, filter: Filter) -> Result<Map, WeightsError> {
        let weight = self.kernel(layer, &shape(x, filter))?;
        let bias = self.take(self.style.source.tensor(layer, Role::Bias), &[filter.outputs], Role::Bias)?;
        Ok(self.convolve(x, layer, filter, weight, Some(bias)))
    }

    /// A convolution without bias, of the tensor `kernel`.
    pub(super) fn conv_alone(&mut self, x: &Map, kernel: &str, filter: Filter) -> Result<Map, WeightsError> {
        let weight = self.take(kernel.into(), &shape(x, filter), Role::Kernel)?;
        Ok(self.convolve(x, kernel, filter, weight, None))
    }

    /// A convolution without bias and the batch norm `norm` behind it, in one. The value has the convolution's name.
    pub(super) fn conv_norm(&mut self, x: &Map, layer: &str, norm: &str, filter: Filter) -> Result<Map, WeightsError> {
        let weight = self.kernel(layer, &shape(x, filter))?;
        self.fold(x, layer, norm, filter, weight)
    }

    /// As [`conv_norm`](Self::conv_norm), of the tensor `kernel`.
    pub(super) fn conv_alone_norm(
        &mut self,
        x: &Map,
        kernel: &str,
        norm: &str,
        filter: Filter,
    ) -> Result<Map, WeightsError> {
        let weight = self.take(kernel.into(), &shape(x, filter), Role::Kernel)?;
        self.fold(x, kernel, norm, filter, weight)
    }

    fn fold(
        &mut self,
        x: &Map,
        name: &str,
        norm: &str,
        filter: Filter,
        mut weight: Option<Tensor>,
    ) -> Result<Map, WeightsError> {
        let parts = self.norm_tensors(norm, filter.outputs)?;
        let mut bias = None;
        if let ([Some(gamma), Some(beta), Some(mean), Some(variance)], Some(weight)) = (parts, &mut weight) {
            let per_output = weight.data.len() / filter.outputs;
            let mut shift = Tensor::zeros(&[filter.outputs]);
            for (channel, values) in weight.data.chunks_exact_mut(per_output).enumerate() {
                let deviation = (f64::from(variance.data[channel]) + self.style.epsilon).sqrt();
                let scale = f64::from(gamma.data[channel]) / deviation;
                values.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
                shift.data[channel] = (f64::from(beta.data[channel]) - f64::from(mean.data[channel]) * scale) as f32;
            }
            bias = Some(shift);
        }
        Ok(self.convolve(x, name, filter, weight, Some(bias)))
    }

    /// Scale, shift, mean and variance of a batch norm.
    fn norm_tensors(&mut self, norm: &str, channels: usize) -> Result<[Option<Tensor>; 4], WeightsError> {
        let mut one = |role| self.take(self.style.source.tensor(norm, role), &[channels], role);
        Ok([one(Role::Gamma)?, one(Role::Beta)?, one(Role::Mean)?, one(Role::Variance)?])
    }

    fn convolve(
        &mut self,
        x: &Map,
        name: &str,
        filter: Filter,
        weight: Option<Tensor>,
        bias: Option<Option<Tensor>>,
    ) -> Map {
        let Filter { outputs, conv, padding } = filter;
        let padding = padding.unwrap_or(self.style.padding);
        let [(pads, height), (_, width)] = x.size.map(|size| padding.along(size, conv.kernel, conv.stride));
        let mut inputs = vec![x.name.clone(), self.constant(&format!("{name}.weight"), weight)];
        inputs.extend(bias.map(|bias| self.constant(&format!("{name}.bias"), bias)));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let name = self.graph.conv_padded(&inputs, conv, pads, name);
        let per_cell = outputs * shape(x, filter)[1..].iter().product::<usize>();
        self.multiply_adds += (per_cell * height * width) as u64;
        Map { name, channels: outputs, size: [height, width] }
    }

    /// A batch norm that stands alone.
    pub(super) fn norm(&mut self, x: &Map, layer: &str) -> Result<Map, WeightsError> {
        let parts = self.norm_tensors(layer, x.channels)?;
        let names = ["gamma", "beta", "mean", "variance"].map(|part| format!("{layer}.{part}"));
        let mut inputs = vec![x.name.clone()];
        inputs.extend(names.iter().zip(parts).map(|(name, tensor)| self.constant(name, tensor)));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let epsilon = vec![AttributeProto::float("epsilon", self.style.epsilon as f32)];
        Ok(Map { name: self.graph.node("BatchNormalization", &inputs, layer, epsilon), ..x.clone() })
    }

    /// A non-linearity, cell by cell.
    pub(super) fn activate(&mut self, x: &Map, activation: Activation) -> Map {
        let graph = &mut self.graph;
        let name = match activation {
            Activation::Relu => graph.relu(&x.name),
            Activation::Relu6 => graph.clip(&x.name, 0.0, 6.0),
            Activation::Swish => {
                let gate = graph.sigmoid(&x.name);
                graph.mul(&x.name, &gate, &format!("{}.swish", x.name))
            }
            Activation::HardSwish => graph.hard_swish(&x.name),
            Activation::Sigmoid => graph.sigmoid(&x.name),
            Activation::HardSigmoid => graph.hard_sigmoid(&x.name),
        };
        Map { name, ..x.clone() }
    }

    /// Squeeze and excitation: the global average passes two layers on each cell, `inside` between them; what `gate` makes of
    /// it scales the channels. Source: Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018.
    pub(super) fn squeeze_excite(
        &mut self,
        x: &Map,
        layers: [&str; 2],
        squeezed: usize,
        [inside, gate]: [Activation; 2],
    ) -> Result<Map, WeightsError> {
        let [reduce, expand] = layers;
        let average = self.graph.global_average(&x.name, &format!("{reduce}.average"));
        let average = Map { name: average, channels: x.channels, size: [1, 1] };
        let squeezed = self.conv(&average, reduce, Filter::pointwise(squeezed))?;
        let squeezed = self.activate(&squeezed, inside);
        let scale = self.conv(&squeezed, expand, Filter::pointwise(x.channels))?;
        let scale = self.activate(&scale, gate);
        Ok(Map { name: self.graph.mul(&x.name, &scale.name, &format!("{expand}.scaled")), ..x.clone() })
    }

    /// The sum of two values of one shape.
    pub(super) fn add(&mut self, a: &Map, b: &Map, output: &str) -> Map {
        Map { name: self.graph.add(&a.name, &b.name, output), ..a.clone() }
    }

    /// The largest of each window.
    pub(super) fn max_pool(&mut self, x: &Map, kernel: usize, stride: usize, padding: Padding, output: &str) -> Map {
        let [(pads, height), (_, width)] = x.size.map(|size| padding.along(size, kernel, stride));
        let name = self.graph.max_pool(&x.name, kernel, stride, pads, output);
        Map { name, channels: x.channels, size: [height, width] }
    }

    /// The classifier on the global average.
    pub(super) fn classify(&mut self, x: &Map, layer: &str, classes: usize) -> Result<String, WeightsError> {
        let average = self.global_average(x);
        self.dense(&average, [x.channels, classes], layer)
    }

    /// The global average as `1 x channels`.
    pub(super) fn global_average(&mut self, x: &Map) -> String {
        let average = self.graph.global_average(&x.name, "average");
        self.graph.flatten(&average, "average.flat")
    }

    /// A dense layer on `1 x inputs`.
    pub(super) fn dense(
        &mut self,
        x: &str,
        [inputs, outputs]: [usize; 2],
        layer: &str,
    ) -> Result<String, WeightsError> {
        let weight = self.kernel(layer, &[outputs, inputs])?;
        let bias = self.take(self.style.source.tensor(layer, Role::Bias), &[outputs], Role::Bias)?;
        Ok(self.rows(x, 1, layer, [weight, bias], [inputs, outputs]))
    }

    /// A dense layer on each of `count` rows, of these tensors (`outputs x inputs`, `outputs`).
    pub(super) fn rows(
        &mut self,
        x: &str,
        count: usize,
        layer: &str,
        [weight, bias]: [Option<Tensor>; 2],
        [inputs, outputs]: [usize; 2],
    ) -> String {
        let weight = self.constant(&format!("{layer}.weight"), weight);
        let bias = self.constant(&format!("{layer}.bias"), bias);
        self.multiply_adds += (count * inputs * outputs) as u64;
        self.graph.product_of_rows([x, &weight, &bias], 1.0, layer)
    }
}

/// Shape of a convolution's weight.
fn shape(x: &Map, filter: Filter) -> [usize; 4] {
    let Conv { kernel, groups, .. } = filter.conv;
    [filter.outputs, x.channels / groups, kernel, kernel]
}
