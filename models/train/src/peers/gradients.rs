//! The gradients of a step, added up over its parts and over all processes.
//!
//! They are added up in 64 bits and rounded to 32 once, at the end. A sum of 32-bit numbers is exact there unless they differ by more than
//! some eight digits, so it hardly depends on the order, and with it on the number of processes. In 32 bits it does, and the optimiser makes
//! much of it: AdamW moves a weight as far by a gradient that is next to nothing as by a large one, and whichever way the rounding points.
//!
//! They are one list of numbers: the parameters in the order in which the network names them, before each how many parts had a gradient of it
//! (a process without a part of the batch has none, and a layer that stands still has none anywhere), at the end the score.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};

use super::Peers;
use crate::error::TrainError;
use crate::loss::Score;
use crate::net::numbers;

/// Numbers of a score on its way.
const SCORE: usize = 4;

/// A sum of gradients that goes on.
pub(crate) struct Sum(Vec<f64>);

impl Sum {
    /// Of nothing yet.
    pub(crate) fn of<M: Module>(model: &M) -> Sum {
        let mut count = Count(0);
        model.visit(&mut count);
        Sum(vec![0.0; count.0])
    }

    /// And those of one more part.
    pub(crate) fn add<M: Module>(&mut self, model: &M, gradients: GradientsParams) {
        model.visit(&mut Add { sum: &mut self.0, gradients });
    }
}

/// The sum of all processes' gradients and scores: the same bytes on all of them. Alone, of this one's.
///
/// # Errors
/// The own error of this process, another's, or that one is lost.
pub(crate) fn sum<M: Module>(
    peers: &Peers,
    model: &M,
    mine: Result<(Sum, Score), TrainError>,
) -> Result<(GradientsParams, Score), TrainError> {
    let values = mine.map(|(Sum(mut values), score)| {
        values.extend([score.loss, score.weight].map(f64::from));
        values.extend([score.right, score.count].map(|count| count as f64));
        values
    });
    let values = peers.sum("gradients", values)?;
    let (values, score) = values.split_at(values.len() - SCORE);
    let mut rounded = Rounded { values, gradients: GradientsParams::new() };
    model.visit(&mut rounded);
    let [loss, weight] = [score[0], score[1]].map(|value| value as f32);
    let [right, count] = [score[2], score[3]].map(|value| value as usize);
    Ok((rounded.gradients, Score { loss, weight, right, count }))
}

/// How long the list is.
struct Count(usize);

impl ModuleVisitor for Count {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0 += 1 + param.val().shape().num_elements();
    }
}

/// From gradients to the list.
struct Add<'a> {
    sum: &'a mut [f64],
    gradients: GradientsParams,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let length = 1 + param.val().shape().num_elements();
        let (own, rest) = std::mem::take(&mut self.sum).split_at_mut(length);
        self.sum = rest;
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            own[0] += 1.0;
            own[1..].iter_mut().zip(numbers(gradient)).for_each(|(sum, value)| *sum += f64::from(value));
        }
    }
}

/// From the list to gradients.
struct Rounded<'a> {
    values: &'a [f64],
    gradients: GradientsParams,
}

impl ModuleVisitor for Rounded<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val().inner();
        let shape = value.shape();
        let (own, rest) = self.values.split_at(1 + shape.num_elements());
        self.values = rest;
        if own[0] > 0.0 {
            let rounded: Vec<f32> = own[1..].iter().map(|&value| value as f32).collect();
            let data = TensorData::new(rounded, shape);
            self.gradients.register(param.id, Tensor::<D>::from_data(data, &value.device()));
        }
    }
}
