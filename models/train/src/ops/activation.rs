//! The non-linearities, with their derivatives.

use burn::tensor::{Tensor, activation};

/// A non-linearity that follows a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// None.
    Linear,
    /// `max(x, 0)`.
    Relu,
    /// `x * clamp(x / 6 + 1/2, 0, 1)`.
    HardSwish,
    /// `clamp(x / 6 + 1/2, 0, 1)`.
    HardSigmoid,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

impl From<models::zoo::mobilenet_v3_small::Activation> for Activation {
    fn from(activation: models::zoo::mobilenet_v3_small::Activation) -> Self {
        use models::zoo::mobilenet_v3_small::Activation as Zoo;
        match activation {
            Zoo::Relu => Activation::Relu,
            Zoo::HardSwish => Activation::HardSwish,
        }
    }
}

impl Activation {
    /// Applies the non-linearity. Gives the output, and what [`Activation::backward`] needs: the input of a hard swish, which
    /// its output does not determine, and the output of all others.
    pub(super) fn forward(self, mut x: Vec<f32>) -> (Vec<f32>, Option<Vec<f32>>) {
        let arch = pulp::Arch::new();
        match self {
            Activation::Linear => {}
            Activation::Relu => arch.dispatch(|| each(&mut x, |x| x.max(0.0))),
            Activation::HardSigmoid => arch.dispatch(|| each(&mut x, |x| (x / 6.0 + 0.5).clamp(0.0, 1.0))),
            Activation::Sigmoid => each(&mut x, |x| 1.0 / (1.0 + (-x).exp())),
            Activation::HardSwish => {
                let mut y = x.clone();
                arch.dispatch(|| each(&mut y, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)));
                return (y, Some(x));
            }
        }
        (x, None)
    }

    /// Turns the gradient of the output into the gradient of the input, in place. `kept` is what `forward` kept, or else
    /// its output.
    pub(super) fn backward(self, gradient: &mut [f32], kept: &[f32]) {
        let arch = pulp::Arch::new();
        match self {
            Activation::Linear => {}
            Activation::Relu => arch.dispatch(|| both(gradient, kept, |g, y| if y > 0.0 { g } else { 0.0 })),
            Activation::HardSigmoid => {
                arch.dispatch(|| both(gradient, kept, |g, y| if y > 0.0 && y < 1.0 { g / 6.0 } else { 0.0 }));
            }
            Activation::Sigmoid => arch.dispatch(|| both(gradient, kept, |g, y| g * y * (1.0 - y))),
            Activation::HardSwish => arch.dispatch(|| {
                both(gradient, kept, |g, x| {
                    let inner = if x < 3.0 { x / 3.0 + 0.5 } else { 1.0 };
                    g * if x > -3.0 { inner } else { 0.0 }
                });
            }),
        }
    }

    /// The same with burn's own operations.
    pub(super) fn plain<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        let gate = |x: Tensor<D>| (x / 6.0 + 0.5).clamp(0.0, 1.0);
        match self {
            Activation::Linear => x,
            Activation::Relu => activation::relu(x),
            Activation::HardSigmoid => gate(x),
            Activation::Sigmoid => activation::sigmoid(x),
            Activation::HardSwish => x.clone() * gate(x),
        }
    }
}

#[inline(always)]
fn each(values: &mut [f32], f: impl Fn(f32) -> f32) {
    for value in values {
        *value = f(*value);
    }
}

#[inline(always)]
fn both(gradient: &mut [f32], kept: &[f32], f: impl Fn(f32, f32) -> f32) {
    for (gradient, kept) in gradient.iter_mut().zip(kept) {
        *gradient = f(*gradient, *kept);
    }
}
