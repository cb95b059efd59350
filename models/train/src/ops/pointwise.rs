//! A 1x1 convolution with bias and non-linearity: one matrix product over all cells of all images.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use super::gemm::{Matrix, multiply_add};
use super::{Activation, Recorded, node, sum_of_rows, tensor, values};

/// `activation(x * weight + bias)`: `cells x in`, `in x out`, `out` give `cells x out`.
pub fn pointwise(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>, activation: Activation) -> Tensor<2> {
    let (Some(x_node), Some(weight_node), Some(bias_node)) = (node(&x), node(&weight), node(&bias)) else {
        return activation.plain(x.matmul(weight) + bias.unsqueeze());
    };
    let [cells, inputs] = x.dims();
    let [_, outputs] = weight.dims();
    let (x, x_guard) = x_node.into_parts();
    let (weight, weight_guard) = weight_node.into_parts();
    let (bias, bias_guard) = bias_node.into_parts();

    let mut y = Vec::with_capacity(cells * outputs);
    let bias = values(&bias);
    (0..cells).for_each(|_| y.extend_from_slice(&bias));
    let (x_values, weight_values) = (values(&x), values(&weight));
    multiply_add(Matrix::new(&x_values, cells, inputs), Matrix::new(&weight_values, inputs, outputs), &mut y);
    let (y, kept) = activation.forward(y);
    let y = tensor(y, [cells, outputs]);
    drop((x_values, weight_values));

    let step = Pointwise { activation, shape: [cells, inputs, outputs] };
    let prepared = step.prepare::<NoCheckpointing>([x_guard, weight_guard, bias_guard]).compute_bound().stateful();
    Tensor::from_primitive::<Recorded>(match prepared {
        OpsKind::Tracked(prepared) => {
            let kept = kept.map_or_else(|| y.clone(), |kept| tensor(kept, [cells, outputs]));
            prepared.finish(Kept { x, weight, kept }, y)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    })
}

#[derive(Debug)]
struct Pointwise {
    activation: Activation,
    /// Cells, channels in, channels out.
    shape: [usize; 3],
}

#[derive(Debug, Clone)]
struct Kept {
    x: FlexTensor,
    weight: FlexTensor,
    kept: FlexTensor,
}

impl Backward<Flex, 3> for Pointwise {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [cells, inputs, outputs] = self.shape;
        let gradient = gradients.consume::<Flex>(&ops.node);
        let mut gradient = values(&gradient).into_owned();
        self.activation.backward(&mut gradient, &values(&ops.state.kept));
        let matrix = Matrix::new(&gradient, cells, outputs);
        let [x, weight, bias] = ops.parents;
        if let Some(parent) = x {
            let weight = values(&ops.state.weight);
            let mut out = vec![0.0; cells * inputs];
            multiply_add(matrix, Matrix::new(&weight, inputs, outputs).transposed(), &mut out);
            gradients.register::<Flex>(parent.id, tensor(out, [cells, inputs]));
        }
        if let Some(parent) = weight {
            let x = values(&ops.state.x);
            let mut out = vec![0.0; inputs * outputs];
            multiply_add(Matrix::new(&x, cells, inputs).transposed(), matrix, &mut out);
            gradients.register::<Flex>(parent.id, tensor(out, [inputs, outputs]));
        }
        if let Some(parent) = bias {
            gradients.register::<Flex>(parent.id, tensor(sum_of_rows(&gradient, outputs), [outputs]));
        }
    }
}
