//! The gradients of a step, added up over all processes.
//!
//! They travel as one list of numbers: the parameters in the order in which the network names them, before each whether there is a gradient
//! at all (a process without a part of the batch has none, and a layer that stands still has none anywhere), at the end the score.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};

use super::Peers;
use crate::error::TrainError;
use crate::loss::Score;
use crate::net::numbers;

/// Numbers of a score on its way.
const SCORE: usize = 4;

/// The sum of all processes' gradients and scores: the same bytes on all of them. Alone, what there is.
///
/// # Errors
/// The own error of this process, another's, or that one is lost.
pub(crate) fn sum<M: Module>(
    peers: &Peers,
    model: &M,
    mine: Result<(GradientsParams, Score), TrainError>,
) -> Result<(GradientsParams, Score), TrainError> {
    if peers.is_alone() {
        return mine;
    }
    let values = mine.map(|(gradients, score)| {
        let mut list = List { gradients, values: Vec::new() };
        model.visit(&mut list);
        list.values.extend([score.loss, score.weight, score.right as f32, score.count as f32]);
        list.values
    });
    let values = peers.sum("gradients", values)?;
    let (values, score) = values.split_at(values.len() - SCORE);
    let mut sums = Sums { values, gradients: GradientsParams::new() };
    model.visit(&mut sums);
    // Counts of images are whole below 2^24.
    let score = Score { loss: score[0], weight: score[1], right: score[2] as usize, count: score[3] as usize };
    Ok((sums.gradients, score))
}

/// From gradients to the list.
struct List {
    gradients: GradientsParams,
    values: Vec<f32>,
}

impl ModuleVisitor for List {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        match self.gradients.remove::<D>(param.id) {
            Some(gradient) => {
                self.values.push(1.0);
                self.values.extend(numbers(gradient));
            }
            None => {
                self.values.push(0.0);
                self.values.resize(self.values.len() + param.val().shape().num_elements(), 0.0);
            }
        }
    }
}

/// From the list to gradients.
struct Sums<'a> {
    values: &'a [f32],
    gradients: GradientsParams,
}

impl ModuleVisitor for Sums<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val().inner();
        let shape = value.shape();
        let (own, rest) = self.values.split_at(1 + shape.num_elements());
        self.values = rest;
        // As many as had one.
        if own[0] > 0.0 {
            let data = TensorData::new(own[1..].to_vec(), shape);
            self.gradients.register(param.id, Tensor::<D>::from_data(data, &value.device()));
        }
    }
}
