//! The attention classifier on MobileNetV3-Small, or on a trunk of the zoo: which defects, and where, from one forward pass.
//!
//! The last feature map is weighted channel by channel (global average -> 1x1 to 32, ReLU -> 1x1 to 576, sigmoid ->
//! multiply). The original model, which this follows, calls that *spatial attention*; it is channel attention, as in Hu et
//! al., "Squeeze-and-Excitation Networks", CVPR 2018. A dense layer of one logit per label then acts at EVERY cell, as in the
//! original: its logits are the heat map. Pooling over the cells gives one logit per label, softmax the scores. Where no
//! pixel's label was known in training, the map's outermost cells do not speak for themselves ([`super::border`]); scores do not see that.

use super::border;
use crate::bundle::Pooling;
use crate::graph::GraphBuilder;
use crate::weights::{Layer, Tensor, Weights, WeightsError, kaiming};
use crate::zoo::mobilenet_v3_small as trunk;
use crate::zoo::{Frozen, MAP, STRIDE};

/// The average that attention starts from, and that the embedding is.
const AVERAGE: &str = "attention.average";
/// Channels inside the attention, unless its weights hold another number of them.
pub const SQUEEZE: usize = 32;
/// Name of the input: `1 x 3 x height x width`.
pub const INPUT: &str = "image";
/// Name of the output of probabilities: `1 x labels`.
pub const SCORES: &str = "scores";
/// Name of the output of cell-wise logits: `1 x labels x height/32 x width/32`.
pub const HEAT: &str = "heat";
/// Name of the output of the trunk's last feature map averaged over all cells, before attention: `1 x 576`
/// on our trunk.
pub const EMBEDDING: &str = "embedding";
/// Name of the log-mean-exp's sharpness among the weights (shape `1`).
pub const SHARPNESS: &str = "pool.sharpness";
/// Name of what the pooled logits are multiplied with before the softmax, among the weights (shape `1`): one over the
/// temperature. Weights without it give the softmax as it is.
pub const INVERSE_TEMPERATURE: &str = "softmax.inverse_temperature";

/// The head's layers on a map of this many channels for this many labels, in the order in which they run.
pub fn layers(channels: usize, labels: usize) -> [Layer; 3] {
    layers_with(channels, SQUEEZE, labels)
}

/// The same with so many channels inside the attention.
pub fn layers_with(channels: usize, squeeze: usize, labels: usize) -> [Layer; 3] {
    [
        Layer::pointwise("attention.reduce", channels, squeeze),
        Layer::pointwise("attention.expand", squeeze, channels),
        Layer::pointwise("classifier", channels, labels),
    ]
}

/// Channels inside the attention that these are the weights of.
pub fn squeeze_of(weights: &Weights) -> usize {
    let reduce = weights.0.get("attention.reduce.weight");
    reduce.and_then(|weight| weight.shape.first()).copied().filter(|&squeeze| squeeze > 0).unwrap_or(SQUEEZE)
}

/// Random starting weights of the head on our trunk, from a seed (see [`kaiming`]).
pub fn init(labels: usize, seed: u64) -> Weights {
    init_on(trunk::FEATURES, labels, seed)
}

/// The same on a map of this many channels.
pub fn init_on(channels: usize, labels: usize, seed: u64) -> Weights {
    init_with(channels, SQUEEZE, labels, seed)
}

/// The same with so many channels inside the attention.
pub fn init_with(channels: usize, squeeze: usize, labels: usize, seed: u64) -> Weights {
    kaiming(&layers_with(channels, squeeze, labels), seed)
}

/// The whole network, trunk and head, as an ONNX model.
///
/// `size` is `[height, width]` in pixels, each a multiple of 32. `pooling` decides over a `pool.sharpness` among the weights;
/// the graph carries its number under that name, so that a bundle's graph gives back all weights.
///
/// # Errors
/// When a tensor is missing, of another shape or not finite, the size does not fit, there are no labels, or the
/// sharpness is not a positive number.
pub fn build(weights: &Weights, size: [usize; 2], labels: usize, pooling: Pooling) -> Result<Vec<u8>, WeightsError> {
    let [height, width] = trunk::checked_size(size)?;
    let mut graph = GraphBuilder::new("mobilenet_v3_small_attention");
    let image = graph.input(INPUT, &[1, 3, height, width]);
    let name = trunk::build(&mut graph, weights, &image)?;
    let map = Map { name: &name, channels: trunk::FEATURES, size: [height / trunk::STRIDE, width / trunk::STRIDE] };
    finish(graph, weights, &map, labels, pooling)
}

/// The same on a trunk of the zoo. `weights` holds the head alone.
///
/// # Errors
/// As [`build`].
pub fn build_on(frozen: &Frozen, weights: &Weights, labels: usize, pooling: Pooling) -> Result<Vec<u8>, WeightsError> {
    let map = Map { name: MAP, channels: frozen.channels, size: [frozen.size / STRIDE; 2] };
    finish(frozen.graph(), weights, &map, labels, pooling)
}

/// A trunk's last feature map: its name in the graph, channels, cells down and across.
pub(super) struct Map<'a> {
    pub(super) name: &'a str,
    pub(super) channels: usize,
    pub(super) size: [usize; 2],
}

/// Puts the head on a trunk.
pub(super) fn finish(
    mut graph: GraphBuilder,
    weights: &Weights,
    map: &Map<'_>,
    labels: usize,
    pooling: Pooling,
) -> Result<Vec<u8>, WeightsError> {
    if labels == 0 {
        return Err(WeightsError::Invalid("a classifier needs at least one label".into()));
    }
    let [rows, columns] = map.size;
    let logits = build_cells(&mut graph, weights, labels, map)?;
    match border::is_untaught(weights) {
        true => border::build(&mut graph, &logits, [rows, columns], HEAT),
        false => graph.node("Identity", &[&logits], HEAT, Vec::new()),
    };
    let pooled = build_pooling(&mut graph, pooling, &logits)?;
    let mut logits = graph.flatten(&pooled, "logits");
    if weights.0.contains_key(INVERSE_TEMPERATURE) {
        let inverse = graph.initializer(INVERSE_TEMPERATURE, weights.expect(INVERSE_TEMPERATURE, &[1])?);
        logits = graph.mul(&logits, &inverse, "logits.calibrated");
    }
    graph.softmax(&logits, SCORES);
    graph.output(SCORES, &[1, labels]);
    graph.output(HEAT, &[1, labels, rows, columns]);
    graph.flatten(AVERAGE, EMBEDDING);
    graph.output(EMBEDDING, &[1, map.channels]);
    Ok(graph.finish())
}

/// Attention and the dense layer at every cell; returns the logits' name.
fn build_cells(
    graph: &mut GraphBuilder,
    weights: &Weights,
    labels: usize,
    map: &Map<'_>,
) -> Result<String, WeightsError> {
    let [reduce, expand, classifier] = layers_with(map.channels, squeeze_of(weights), labels);
    let average = graph.global_average(map.name, AVERAGE);
    let squeezed = reduce.build(graph, weights, &average)?;
    let squeezed = graph.relu(&squeezed);
    let gate = expand.build(graph, weights, &squeezed)?;
    let gate = graph.sigmoid(&gate);
    let weighted = graph.mul(map.name, &gate, "attention");
    classifier.build(graph, weights, &weighted)
}

fn build_pooling(graph: &mut GraphBuilder, pooling: Pooling, logits: &str) -> Result<String, WeightsError> {
    match pooling {
        Pooling::Mean => Ok(graph.global_average(logits, "pool")),
        Pooling::LogMeanExp(sharpness) if sharpness.is_finite() && sharpness > 0.0 => {
            let sharpness = graph.initializer(SHARPNESS, &Tensor::scalar(sharpness));
            Ok(graph.log_mean_exp(logits, &sharpness, "pool"))
        }
        Pooling::LogMeanExp(sharpness) => Err(WeightsError::Invalid(format!(
            "the sharpness of log-mean-exp is {sharpness}: it must be a positive number"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{self, TENSORRT_OPERATORS};

    fn random_network(labels: usize) -> Weights {
        let mut weights = kaiming(&trunk::layers(), 1);
        weights.merge(init(labels, 2));
        weights
    }

    #[test]
    fn built_graphs_pass_the_check_and_hold_only_operators_of_the_list() {
        let weights = random_network(10);
        for pooling in [Pooling::Mean, Pooling::LogMeanExp(4.0)] {
            let bytes = build(&weights, [512, 384], 10, pooling).unwrap();
            let model = graph::check(&bytes).unwrap();
            let graph = model.graph();
            assert!(graph.node.iter().all(|node| TENSORRT_OPERATORS.contains(&node.op_type.as_str())));
            assert_eq!(graph.input[0].static_shape(), Some(vec![1, 3, 512, 384]));
            assert_eq!(graph.output[0].static_shape(), Some(vec![1, 10]));
            assert_eq!(graph.output[1].static_shape(), Some(vec![1, 10, 16, 12]));
            assert_eq!(graph.output[2].static_shape(), Some(vec![1, 576]));
        }
    }

    #[test]
    fn the_same_weights_give_the_same_bytes() {
        let build = || build(&random_network(3), [64, 64], 3, Pooling::LogMeanExp(2.0)).unwrap();
        assert_eq!(build(), build());
    }

    #[test]
    fn unfit_weights_sizes_and_poolings_are_named() {
        let good = random_network(3);
        let message = |weights: &Weights, size, labels, pooling| {
            build(weights, size, labels, pooling).expect_err("must be refused").to_string()
        };
        assert!(message(&good, [64, 64], 4, Pooling::Mean).contains("`classifier.weight` is [3, 576, 1, 1]"));
        assert!(message(&good, [64, 65], 3, Pooling::Mean).contains("65 x 64"));
        assert!(message(&good, [0, 64], 3, Pooling::Mean).contains("multiple of 32"));
        assert!(message(&good, [64, 64], 0, Pooling::Mean).contains("at least one label"));
        for sharpness in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(message(&good, [64, 64], 3, Pooling::LogMeanExp(sharpness)).contains("sharpness"));
        }
        let mut lacking = good.clone();
        lacking.0.remove("blocks.4.se.reduce.bias");
        assert!(message(&lacking, [64, 64], 3, Pooling::Mean).contains("`blocks.4.se.reduce.bias`"));
        let mut diverged = good;
        diverged.0.get_mut("last.weight").unwrap().data[7] = f32::NAN;
        assert!(message(&diverged, [64, 64], 3, Pooling::Mean).contains("`last.weight`"));
    }
}
