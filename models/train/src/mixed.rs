//! Mixed precision: the trunk's passes forward and back in 16-bit floats, which GPUs multiply several times faster; the weights that learn,
//! their gradients' sum, the head, the loss and the optimiser in 32 bits. Small gradients would be zero in 16 bits, so the loss is multiplied
//! by a factor before the pass back and the gradients are divided by it after. Source: Micikevicius et al., "Mixed Precision Training", ICLR
//! 2018.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::error::TrainError;
use crate::net::numbers;

/// In which floats a step computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits throughout.
    #[default]
    Full,
    /// The trunk in 16 bits, see [`self`].
    Mixed,
}

/// The factor on the loss. It is found while learning: halved by a step whose gradients overflow, which is left out, doubled after many that
/// did not. The numbers are PyTorch's (`torch.amp.GradScaler`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Factor {
    now: f32,
    /// Steps since it changed.
    since: u32,
}

/// Sound steps before a larger factor is tried.
const STEADY: u32 = 2000;
/// Nothing learns to any use from gradients that overflow even so.
const LEAST: f32 = 1.0 / 16384.0;
/// Twice that times a loss near 1 is no finite number in the end.
const MOST: f32 = 16_777_216.0;

impl Default for Factor {
    fn default() -> Self {
        Factor { now: 65_536.0, since: 0 }
    }
}

impl Factor {
    /// What the loss is multiplied by.
    pub(crate) fn now(self) -> f32 {
        self.now
    }

    /// Takes the factor out of a step's gradients and learns from them how it may be. `None`: they overflowed, the step is left out.
    ///
    /// # Errors
    /// [`TrainError::Diverged`]: they overflow whatever the factor.
    pub(crate) fn take_out<M: Module>(
        &mut self,
        model: &M,
        gradients: GradientsParams,
    ) -> Result<Option<GradientsParams>, TrainError> {
        let mut divide = Divide { gradients, by: self.now, sum: None };
        model.visit(&mut divide);
        // Whatever is no number makes the sum none.
        let finite = divide.sum.is_none_or(|sum| numbers(sum)[0].is_finite());
        self.learn(finite)?;
        Ok(finite.then_some(divide.gradients))
    }

    fn learn(&mut self, finite: bool) -> Result<(), TrainError> {
        match finite {
            false => (self.now, self.since) = (self.now / 2.0, 0),
            true if self.since + 1 >= STEADY => (self.now, self.since) = ((self.now * 2.0).min(MOST), 0),
            true => self.since += 1,
        }
        if self.now < LEAST { Err(TrainError::Diverged(f32::INFINITY)) } else { Ok(()) }
    }
}

/// Divides each gradient, and adds up their sizes where they are, so that one number comes back from the device.
struct Divide {
    gradients: GradientsParams,
    by: f32,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Divide {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return };
        let gradient = gradient / self.by;
        let size = gradient.clone().abs().sum();
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum + size,
            None => size,
        });
        self.gradients.register(param.id, gradient);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_falls_with_an_overflow_and_rises_after_many_sound_steps() {
        let mut factor = Factor::default();
        factor.learn(false).expect("left out");
        assert_eq!(factor.now(), 32_768.0);
        for step in 1..STEADY {
            factor.learn(true).expect("sound");
            assert_eq!(factor.now(), 32_768.0, "after {step}");
        }
        factor.learn(true).expect("sound");
        assert_eq!(factor.now(), 65_536.0);
        (0..100 * STEADY).for_each(|_| factor.learn(true).expect("sound"));
        assert_eq!(factor.now(), MOST);
        let overflows = (0..100).position(|_| factor.learn(false).is_err());
        assert_eq!(overflows, Some(38), "from 2^24 to below 2^-14");
    }
}
