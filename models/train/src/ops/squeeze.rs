//! The two ends of squeeze and excitation (and of channel attention): the average of each channel over an image's cells, and
//! the multiplication of each channel by its gate.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::tensor::{FloatDType, Tensor};

use super::{Recorded, node, tensor, values};

/// The average over the cells: `images x cells x channels` gives `images x channels`.
pub fn average(x: Tensor<3>) -> Tensor<2> {
    let Some(x_node) = node(&x) else {
        // The sum of some thousand cells is too large for 16 bits.
        let floats = x.dtype();
        return x.cast(FloatDType::F32).mean_dim(1).squeeze_dim::<2>(1).cast(floats);
    };
    let [images, cells, channels] = x.dims();
    let (x, guard) = x_node.into_parts();
    let mut y = vec![0.0; images * channels];
    let x = values(&x);
    pulp::Arch::new().dispatch(|| {
        for (image, y) in x.chunks_exact(cells * channels).zip(y.chunks_exact_mut(channels)) {
            for cell in image.chunks_exact(channels) {
                add(y, cell);
            }
            y.iter_mut().for_each(|y| *y /= cells as f32);
        }
    });
    let y = tensor(y, [images, channels]);
    let step = Average { shape: [images, cells, channels] };
    Tensor::from_primitive::<Recorded>(step.prepare::<NoCheckpointing>([guard]).compute_bound().stateless(y))
}

#[derive(Debug)]
struct Average {
    shape: [usize; 3],
}

impl Backward<Flex, 1> for Average {
    type State = ();

    fn backward(self, ops: Ops<(), 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [images, cells, channels] = self.shape;
        let gradient = gradients.consume::<Flex>(&ops.node);
        let [Some(parent)] = ops.parents else { return };
        let mut gradient = values(&gradient).into_owned();
        gradient.iter_mut().for_each(|gradient| *gradient /= cells as f32);
        let mut out = Vec::with_capacity(images * cells * channels);
        for image in gradient.chunks_exact(channels) {
            (0..cells).for_each(|_| out.extend_from_slice(image));
        }
        gradients.register::<Flex>(parent.id, tensor(out, self.shape));
    }
}

/// Each channel times its gate: `images x cells x channels` and `images x channels`.
pub fn scale(x: Tensor<3>, gate: Tensor<2>) -> Tensor<3> {
    let (Some(x_node), Some(gate_node)) = (node(&x), node(&gate)) else {
        return x * gate.unsqueeze_dim(1);
    };
    let shape @ [_, cells, channels] = x.dims();
    let (x, x_guard) = x_node.into_parts();
    let (gate, gate_guard) = gate_node.into_parts();
    let y = scaled(&values(&x), &values(&gate), cells, channels);
    let y = tensor(y, shape);
    let prepared = Scale { shape }.prepare::<NoCheckpointing>([x_guard, gate_guard]).compute_bound().stateful();
    Tensor::from_primitive::<Recorded>(match prepared {
        OpsKind::Tracked(prepared) => prepared.finish((x, gate), y),
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    })
}

#[derive(Debug)]
struct Scale {
    shape: [usize; 3],
}

impl Backward<Flex, 2> for Scale {
    type State = (FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [images, cells, channels] = self.shape;
        let gradient = gradients.consume::<Flex>(&ops.node);
        let gradient = values(&gradient);
        let (x, gate) = &ops.state;
        let [x_parent, gate_parent] = ops.parents;
        if let Some(parent) = gate_parent {
            let x = values(x);
            let mut out = vec![0.0; images * channels];
            pulp::Arch::new().dispatch(|| {
                let pairs = x.chunks_exact(cells * channels).zip(gradient.chunks_exact(cells * channels));
                for ((x, gradient), out) in pairs.zip(out.chunks_exact_mut(channels)) {
                    for (x, gradient) in x.chunks_exact(channels).zip(gradient.chunks_exact(channels)) {
                        for (out, (x, gradient)) in out.iter_mut().zip(x.iter().zip(gradient)) {
                            *out += x * gradient;
                        }
                    }
                }
            });
            gradients.register::<Flex>(parent.id, tensor(out, [images, channels]));
        }
        if let Some(parent) = x_parent {
            let out = scaled(&gradient, &values(gate), cells, channels);
            gradients.register::<Flex>(parent.id, tensor(out, self.shape));
        }
    }
}

/// Every cell's channels times the gates of its image.
fn scaled(x: &[f32], gate: &[f32], cells: usize, channels: usize) -> Vec<f32> {
    let mut y = x.to_vec();
    pulp::Arch::new().dispatch(|| {
        for (image, gate) in y.chunks_exact_mut(cells * channels).zip(gate.chunks_exact(channels)) {
            for cell in image.chunks_exact_mut(channels) {
                cell.iter_mut().zip(gate).for_each(|(y, gate)| *y *= gate);
            }
        }
    });
    y
}

#[inline(always)]
fn add(sum: &mut [f32], values: &[f32]) {
    sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}
