//! Several views of one part, seen by one trunk and weighed against each other before the head decides.
//!
//! Every view passes the same trunk. Of each last feature map the mean and the largest value of every channel go through a dense
//! layer of 128 with ReLU to one number; the softmax over the views that are there makes weights of these numbers. The head of
//! [`super::attention`] then sees the weighted sum of the maps. A view that is not there weighs exactly 0.

use super::attention::{self, Map};
use crate::bundle::Pooling;
use crate::graph::GraphBuilder;
use crate::weights::{Layer, Tensor, Weights, WeightsError, kaiming};
use crate::zoo::mobilenet_v3_small as trunk;

/// Name of the input that says which views there are: `1 x views`.
pub const PRESENT: &str = "present";
/// Name of the output of the views' weights: `1 x views`.
pub const WEIGHTS: &str = "views";
/// Width of the dense layer.
pub const DENSE: usize = 128;
/// What a view that is not there loses before the softmax, so that it is never the largest. Half precision holds it.
pub const ABSENT: f32 = 3e4;
/// Below the largest by more than this a view weighs as if by this: next to nothing, but in half precision, too, more than one that is not
/// there, even beside eight others.
pub const LEAST: f32 = -12.0;

/// The layers that weigh a view by its map of so many channels, in the order in which they run.
pub fn layers(channels: usize) -> [Layer; 2] {
    [Layer::pointwise("fusion.dense", 2 * channels, DENSE), Layer::pointwise("fusion.score", DENSE, 1)]
}

/// Random starting weights of them, from a seed.
pub fn init(channels: usize, seed: u64) -> Weights {
    kaiming(&layers(channels), seed)
}

/// The whole network as an ONNX model: inputs `image.0`, `image.1`, ... and [`PRESENT`], outputs as [`attention::build`] has them and
/// [`WEIGHTS`].
///
/// # Errors
/// As [`attention::build`]; fewer than two views.
pub fn build(
    weights: &Weights,
    views: usize,
    size: [usize; 2],
    labels: usize,
    pooling: Pooling,
) -> Result<Vec<u8>, WeightsError> {
    if views < 2 {
        return Err(WeightsError::Invalid(format!("{views} views: give two or more, or train without views")));
    }
    let [height, width] = trunk::checked_size(size)?;
    let mut graph = GraphBuilder::new("mobilenet_v3_small_fusion");
    let image = |view: usize| format!("{}.{view}", attention::INPUT);
    let images: Vec<String> = (0..views).map(|view| graph.input(&image(view), &[1, 3, height, width])).collect();
    let present = graph.input(PRESENT, &[1, views]);
    // One trunk sees them as it sees several pictures at once: its weights stand in the graph once.
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let stacked = graph.concat(&images, 0, "fusion.images");
    let maps = trunk::build(&mut graph, weights, &stacked)?;
    let weighed = weigh(&mut graph, weights, &maps, &present, views)?;
    graph.output(WEIGHTS, &[1, views]);
    // The sum as a mean of so many: every runtime has that along any axis.
    let times = graph.initializer("fusion.times", &Tensor::scalar(views as f32));
    let times = graph.mul(&weighed, &times, "fusion.shares");
    let times = graph.reshape(&times, &[views, 1, 1, 1], "fusion.shares.column");
    let scaled = graph.mul(&maps, &times, "fusion.scaled");
    let fused = graph.mean_along(&scaled, 0, true, "fusion.map");
    let map = Map { name: &fused, channels: trunk::FEATURES, size: [height / trunk::STRIDE, width / trunk::STRIDE] };
    attention::finish(graph, weights, &map, labels, pooling)
}

/// What each view weighs, `1 x views`.
fn weigh(
    graph: &mut GraphBuilder,
    weights: &Weights,
    maps: &str,
    present: &str,
    views: usize,
) -> Result<String, WeightsError> {
    let [dense, score] = layers(trunk::FEATURES);
    let mean = graph.global_average(maps, "fusion.mean");
    let top = graph.node("GlobalMaxPool", &[maps], "fusion.top", Vec::new());
    let both = graph.concat(&[&mean, &top], 1, "fusion.pooled");
    let hidden = dense.build(graph, weights, &both)?;
    let hidden = graph.relu(&hidden);
    let scores = score.build(graph, weights, &hidden)?;
    let scores = graph.reshape(&scores, &[1, views], "fusion.scores");
    let one = graph.initializer("fusion.one", &Tensor::scalar(1.0));
    let far = graph.initializer("fusion.far", &Tensor::scalar(ABSENT));
    let lack = graph.node("Sub", &[present, &one], "fusion.lack", Vec::new());
    let lack = graph.mul(&lack, &far, "fusion.lacking");
    let scores = graph.add(&scores, &lack, "fusion.there");
    let largest = graph.reduce("ReduceMax", &scores, &[1], "fusion.largest");
    let below = graph.node("Sub", &[&scores, &largest], "fusion.below", Vec::new());
    let below = graph.clip(&below, LEAST, 0.0);
    let parts = graph.node("Exp", &[&below], "fusion.exp", Vec::new());
    let parts = graph.mul(&parts, present, "fusion.parts");
    let sum = graph.reduce("ReduceL1", &parts, &[1], "fusion.sum");
    Ok(graph.node("Div", &[&parts, &sum], WEIGHTS, Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph;

    #[test]
    fn fusion_graphs_pass_the_check() {
        let mut weights = kaiming(&trunk::layers(), 1);
        weights.merge(attention::init(4, 2));
        weights.merge(init(trunk::FEATURES, 3));
        let bytes = build(&weights, 3, [64, 96], 4, Pooling::LogMeanExp(2.0)).unwrap();
        let model = graph::check(&bytes).unwrap();
        let inputs: Vec<_> = model.graph().input.iter().map(|it| (it.name.as_str(), it.static_shape())).collect();
        let picture = || Some(vec![1, 3, 64, 96]);
        let wanted =
            [("image.0", picture()), ("image.1", picture()), ("image.2", picture()), (PRESENT, Some(vec![1, 3]))];
        assert_eq!(inputs, wanted);
        let said = build(&weights, 1, [64, 96], 4, Pooling::Mean).unwrap_err().to_string();
        assert!(said.contains("two or more"), "{said}");
    }
}
