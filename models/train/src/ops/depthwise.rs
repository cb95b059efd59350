//! A depthwise convolution with bias and non-linearity, channels last.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, module, ops::ConvOptions};

use super::{Activation, Recorded, node, sum_of_rows, tensor, values};

/// Geometry of a depthwise convolution: a square kernel of odd side, padded by half of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depthwise {
    /// Side of the kernel.
    pub kernel: usize,
    /// Cells from one output to the next, each way.
    pub stride: usize,
}

/// `activation(x (*) weight + bias)`: `images x height x width x channels`, `kernel² x channels`, `channels` give `images x
/// ceil(height / stride) x ceil(width / stride) x channels`.
pub fn depthwise(
    x: Tensor<4>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    geometry: Depthwise,
    activation: Activation,
) -> Tensor<4> {
    let (Some(x_node), Some(weight_node), Some(bias_node)) = (node(&x), node(&weight), node(&bias)) else {
        return plain(x, weight, bias, geometry, activation);
    };
    let plan = Plan::new(x.dims(), geometry);
    let (x, x_guard) = x_node.into_parts();
    let (weight, weight_guard) = weight_node.into_parts();
    let (bias, bias_guard) = bias_node.into_parts();

    let mut y = vec![0.0; plan.output_len()];
    {
        let (x, weight, bias) = (values(&x), values(&weight), values(&bias));
        assert_eq!(x.len(), plan.input_len(), "a depthwise convolution's input");
        assert_eq!(weight.len(), geometry.kernel.pow(2) * plan.channels, "a depthwise convolution's weight");
        assert_eq!(bias.len(), plan.channels, "a depthwise convolution's bias");
        pulp::Arch::new().dispatch(|| plan.forward(&x, &weight, &bias, &mut y));
    }
    let (y, kept) = activation.forward(y);
    let y = tensor(y, plan.output_shape());

    let step = Step { activation, plan };
    let prepared = step.prepare::<NoCheckpointing>([x_guard, weight_guard, bias_guard]).compute_bound().stateful();
    Tensor::from_primitive::<Recorded>(match prepared {
        OpsKind::Tracked(prepared) => {
            let kept = kept.map_or_else(|| y.clone(), |kept| tensor(kept, plan.output_shape()));
            prepared.finish(Kept { x, weight, kept }, y)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    })
}

/// The same with burn's own operations.
fn plain(x: Tensor<4>, weight: Tensor<2>, bias: Tensor<1>, geometry: Depthwise, activation: Activation) -> Tensor<4> {
    let Depthwise { kernel, stride } = geometry;
    let [_, _, _, channels] = x.dims();
    let options = ConvOptions::new([stride; 2], [kernel / 2; 2], [1; 2], channels);
    let weight = weight.transpose().reshape([channels, 1, kernel, kernel]);
    let y = module::conv2d(x.permute([0, 3, 1, 2]), weight, Some(bias), options);
    activation.plain(y.permute([0, 2, 3, 1]))
}

#[derive(Debug)]
struct Step {
    activation: Activation,
    plan: Plan,
}

#[derive(Debug, Clone)]
struct Kept {
    x: FlexTensor,
    weight: FlexTensor,
    kept: FlexTensor,
}

impl Backward<Flex, 3> for Step {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let plan = self.plan;
        let gradient = gradients.consume::<Flex>(&ops.node);
        let mut gradient = values(&gradient).into_owned();
        self.activation.backward(&mut gradient, &values(&ops.state.kept));
        let (x, weight) = (values(&ops.state.x), values(&ops.state.weight));
        // Both gradients walk the same cells, so one pass computes both.
        let mut x_gradient = vec![0.0; x.len()];
        let mut weight_gradient = vec![0.0; weight.len()];
        pulp::Arch::new().dispatch(|| plan.backward(&x, &weight, &gradient, &mut x_gradient, &mut weight_gradient));
        let [x, weight, bias] = ops.parents;
        if let Some(parent) = x {
            gradients.register::<Flex>(parent.id, tensor(x_gradient, plan.input_shape()));
        }
        if let Some(parent) = weight {
            let taps = plan.geometry.kernel.pow(2);
            gradients.register::<Flex>(parent.id, tensor(weight_gradient, [taps, plan.channels]));
        }
        if let Some(parent) = bias {
            gradients.register::<Flex>(parent.id, tensor(sum_of_rows(&gradient, plan.channels), [plan.channels]));
        }
    }
}

/// Sizes of one call.
#[derive(Debug, Clone, Copy)]
struct Plan {
    geometry: Depthwise,
    images: usize,
    height: usize,
    width: usize,
    channels: usize,
}

/// A tap that falls inside the image: its offset in the input, and in the weight.
struct Tap {
    x: usize,
    weight: usize,
}

impl Plan {
    fn new([images, height, width, channels]: [usize; 4], geometry: Depthwise) -> Plan {
        Plan { geometry, images, height, width, channels }
    }

    fn input_shape(&self) -> [usize; 4] {
        [self.images, self.height, self.width, self.channels]
    }

    fn output_shape(&self) -> [usize; 4] {
        let stride = self.geometry.stride;
        [self.images, self.height.div_ceil(stride), self.width.div_ceil(stride), self.channels]
    }

    fn input_len(&self) -> usize {
        self.input_shape().iter().product()
    }

    fn output_len(&self) -> usize {
        self.output_shape().iter().product()
    }

    #[inline(always)]
    fn forward(&self, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
        self.each_cell(|cell, taps| {
            let y = &mut y[cell..cell + self.channels];
            y.copy_from_slice(bias);
            for tap in taps {
                let x = &x[tap.x..tap.x + self.channels];
                let weight = &weight[tap.weight..tap.weight + self.channels];
                for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
                    *y += x * weight;
                }
            }
        });
    }

    #[inline(always)]
    fn backward(
        &self,
        x: &[f32],
        weight: &[f32],
        gradient: &[f32],
        x_gradient: &mut [f32],
        weight_gradient: &mut [f32],
    ) {
        self.each_cell(|cell, taps| {
            let gradient = &gradient[cell..cell + self.channels];
            for tap in taps {
                let x = &x[tap.x..tap.x + self.channels];
                let weight = &weight[tap.weight..tap.weight + self.channels];
                let x_gradient = &mut x_gradient[tap.x..tap.x + self.channels];
                let weight_gradient = &mut weight_gradient[tap.weight..tap.weight + self.channels];
                for (x_gradient, (gradient, weight)) in x_gradient.iter_mut().zip(gradient.iter().zip(weight)) {
                    *x_gradient += gradient * weight;
                }
                for (weight_gradient, (gradient, x)) in weight_gradient.iter_mut().zip(gradient.iter().zip(x)) {
                    *weight_gradient += gradient * x;
                }
            }
        });
    }

    /// Calls `f` with the offset of each output cell and the taps that fall inside the image.
    #[inline(always)]
    fn each_cell(&self, mut f: impl FnMut(usize, &[Tap])) {
        let Depthwise { kernel, stride } = self.geometry;
        let [_, rows, columns, channels] = self.output_shape();
        let mut taps = Vec::with_capacity(kernel * kernel);
        let mut cell = 0;
        for image in 0..self.images {
            for row in 0..rows {
                for column in 0..columns {
                    taps.clear();
                    for ky in inside(row * stride, kernel, self.height) {
                        let y = image * self.height + row * stride + ky - kernel / 2;
                        for kx in inside(column * stride, kernel, self.width) {
                            let x = y * self.width + column * stride + kx - kernel / 2;
                            taps.push(Tap { x: x * channels, weight: (ky * kernel + kx) * channels });
                        }
                    }
                    f(cell, &taps);
                    cell += channels;
                }
            }
        }
    }
}

/// The kernel's positions that fall inside `size` when it stands centred at `at`.
#[inline(always)]
fn inside(at: usize, kernel: usize, size: usize) -> std::ops::Range<usize> {
    let half = kernel / 2;
    half.saturating_sub(at)..kernel.min(size + half - at)
}
