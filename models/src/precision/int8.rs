//! To 8-bit integers: explicit quantisation (QDQ), calibrated on the user's own pictures.
//!
//! Each convolution over a map reads its input and its weight through a QuantizeLinear/DequantizeLinear pair; a runtime with
//! integer kernels fuses them, any other computes the rounded values in floats. Weights: symmetric, one scale per output
//! channel. Activations: symmetric, one scale per tensor, zero point 0, biases in floats: that is all that TensorRT takes
//! ("Working with Quantized Types" in its developer guide). Convolutions of single cells (squeeze and excitation, attention) stay
//! in floats: they cost next to nothing and steer whole channels.
//!
//! Where to cut ranges off is tried, not believed: a small defect IS a rare large value, so the percentiles that suit
//! photographs may cut off just what is looked for, while the plain maximum wastes bits on a single outlier. Each way is run on
//! the pictures, and the one whose scores stay nearest to the original's is kept. Where verdicts still flip, the convolutions
//! that disturb the scores most (each tried alone) go back to floats, a few at a time.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;

use super::ranges::{Clip, Spread};
use super::{Precision, PrecisionError, convertible};
use crate::bundle::Bundle;
use crate::certify::{Agreement, Comparison, Rule};
use crate::graph::proto::{AttributeProto, FLOAT, GraphProto, INT8, NodeProto, TensorProto};
use crate::graph::{self, ModelProto};
use crate::image::Image;
use crate::runtime::{Outputs, Probe, Provider, Session, SessionOptions};
use crate::weights::Tensor;

/// The ways to cut ranges off that are tried.
const CLIPS: [Clip; 3] = [Clip::Largest, Clip::Share(0.99999), Clip::Share(0.9999)];
/// Pictures on which each convolution is tried alone.
const ALONE: usize = 16;

/// What came out.
#[derive(Debug, Clone)]
pub struct Quantised {
    /// The graph.
    pub graph: Vec<u8>,
    /// Where ranges are cut off.
    pub clip: Clip,
    /// Names of the convolutions over maps that stay in floats.
    pub in_float: Vec<String>,
    /// How many were quantised.
    pub quantised: usize,
    /// Against the original, on the pictures that it was calibrated with: flattering.
    pub agreement: Agreement,
}

/// Quantises the graph of a bundle. `pictures` show what the model will see; a hundred serve.
///
/// # Errors
/// When the model is not in fp32, there is no picture, or the graph does not run.
pub fn quantise(
    bundle: &Bundle,
    pictures: &[Image],
    rule: Rule,
    most_flips: usize,
) -> Result<Quantised, PrecisionError> {
    if pictures.is_empty() {
        return Err(PrecisionError::NoPictures);
    }
    let model = graph::check(&bundle.graph)?;
    let work = Work::new(bundle, &model, pictures, rule)?;
    let all: Vec<usize> = (0..work.targets.len()).collect();
    let mut best = work.attempt(&all, CLIPS[0], pictures.len())?;
    for clip in &CLIPS[1..] {
        let other = work.attempt(&all, *clip, pictures.len())?;
        if other.agreement.mean_difference < best.agreement.mean_difference {
            best = other;
        }
    }
    if best.agreement.flips <= most_flips {
        return Ok(best);
    }
    let clip = best.clip;
    let order = work.most_disturbing_first(clip)?;
    let steps = std::iter::successors(Some(1), |left| Some(2 * left)).take_while(|left| *left < order.len());
    for left in steps {
        let attempt = work.attempt(&order[left..], clip, pictures.len())?;
        if attempt.agreement.flips < best.agreement.flips {
            best = attempt;
        }
        if best.agreement.flips <= most_flips {
            break;
        }
    }
    Ok(best)
}

/// A convolution over a map.
struct Target {
    node: usize,
    input: String,
    /// Which of the spreads is the input's.
    spread: usize,
}

struct Work<'a> {
    bundle: &'a Bundle,
    model: &'a ModelProto,
    pictures: &'a [Image],
    rule: Rule,
    targets: Vec<Target>,
    spreads: Vec<Spread>,
    /// What the original says of each picture.
    reference: Vec<Outputs>,
}

impl<'a> Work<'a> {
    fn new(
        bundle: &'a Bundle,
        model: &'a ModelProto,
        pictures: &'a [Image],
        rule: Rule,
    ) -> Result<Self, PrecisionError> {
        let (targets, spreads) = (Vec::new(), Vec::new());
        let mut work = Work { bundle, model, pictures, rule, targets, spreads, reference: Vec::new() };
        (work.targets, work.spreads) = work.find_targets()?;
        if work.targets.is_empty() {
            return Err(PrecisionError::Unsupported("it has no convolution over a map with constant weights".into()));
        }
        work.reference = work.run(bundle, pictures.len())?;
        Ok(work)
    }

    /// Convolutions with constant weights whose input has more than one cell, with the spread of that input.
    fn find_targets(&self) -> Result<(Vec<Target>, Vec<Spread>), PrecisionError> {
        if !self.bundle.manifest.views().is_empty() {
            let why = "it sees several views together, whose ranges nobody measures yet; leave it in fp32 or take fp16";
            return Err(PrecisionError::Unsupported(why.into()));
        }
        let graph = convertible(self.model)?;
        let weights: BTreeMap<&str, &TensorProto> = graph.initializer.iter().map(|it| (it.name.as_str(), it)).collect();
        let conv = |(at, node): (usize, &NodeProto)| {
            let weight = weights.get(node.input.get(1)?.as_str()).filter(|it| it.data_type == FLOAT)?;
            let group = node.attribute.iter().find(|it| it.name == "group").and_then(|it| it.i).unwrap_or(1);
            let channels = usize::try_from(group.checked_mul(*weight.dims.get(1)?)?).ok()?;
            let constant = weights.contains_key(node.input[0].as_str());
            (node.op_type == "Conv" && weight.dims.len() == 4 && !constant)
                .then(|| (at, node.input[0].clone(), channels))
        };
        let convs: Vec<(usize, String, usize)> = graph.node.iter().enumerate().filter_map(conv).collect();
        let values: BTreeSet<String> = convs.iter().map(|(_, input, _)| input.clone()).collect();
        let values: Vec<String> = values.into_iter().collect();
        let mut spreads: Vec<Spread> = values.iter().map(|_| Spread::new()).collect();
        let mut sizes = vec![0; values.len()];
        // The input is no value that a node makes, so it is not asked for but added here.
        let inner: Vec<usize> = (0..values.len()).filter(|&at| values[at] != self.bundle.manifest.input).collect();
        let names: Vec<String> = inner.iter().map(|&at| values[at].clone()).collect();
        let outer = values.iter().position(|name| *name == self.bundle.manifest.input);
        let preprocess = &self.bundle.manifest.preprocess;
        let shape = [1, 3, preprocess.height as usize, preprocess.width as usize];
        let mut probe = if names.is_empty() { None } else { Some(Probe::new(self.model, shape, &names)?) };
        let mut tensor = vec![0.0; preprocess.tensor_len()];
        for picture in self.pictures {
            preprocess.fill(picture.view(), &mut tensor);
            let mut see = |at: usize, data: &[f32]| {
                spreads[at].add(data);
                sizes[at] = data.len();
            };
            if let Some(outer) = outer {
                see(outer, &tensor);
            }
            if let Some(probe) = &mut probe {
                probe.run(&tensor, |index, data| see(inner[index], data))?;
            }
        }
        let target = |(node, input, channels)| {
            let spread = values.binary_search(&input).expect("every input is among the values, which are sorted");
            (sizes[spread] > channels).then_some(Target { node, input, spread })
        };
        let targets = convs.into_iter().filter_map(target).collect();
        Ok((targets, spreads))
    }

    fn run(&self, bundle: &Bundle, pictures: usize) -> Result<Vec<Outputs>, PrecisionError> {
        let mut session = Session::new(bundle, Provider::Cpu, &SessionOptions::default())?;
        let preprocess = &bundle.manifest.preprocess;
        let mut tensor = vec![0.0; preprocess.tensor_len()];
        let run = |picture: &Image| {
            preprocess.fill(picture.view(), &mut tensor);
            Ok(session.run(&tensor)?)
        };
        self.pictures[..pictures].iter().map(run).collect()
    }

    /// Quantises these targets and compares with the original on the first pictures.
    fn attempt(&self, chosen: &[usize], clip: Clip, pictures: usize) -> Result<Quantised, PrecisionError> {
        let chosen: Vec<&Target> = chosen.iter().map(|&at| &self.targets[at]).collect();
        let mut bundle = self.bundle.clone();
        bundle.graph = self.rewrite(&chosen, clip)?.encode_to_vec();
        bundle.manifest.precision = Precision::Int8;
        let mut comparison = Comparison::new(&self.bundle.manifest.labels, self.rule);
        for (index, (said, reference)) in self.run(&bundle, pictures)?.iter().zip(&self.reference).enumerate() {
            comparison.note(&format!("picture {index}"), reference.into(), said.into());
        }
        let nodes: BTreeSet<usize> = chosen.iter().map(|target| target.node).collect();
        let name = |target: &Target| self.model.graph().node[target.node].name.clone();
        Ok(Quantised {
            graph: bundle.graph,
            clip,
            in_float: self.targets.iter().filter(|target| !nodes.contains(&target.node)).map(name).collect(),
            quantised: nodes.len(),
            agreement: comparison.finish(),
        })
    }

    /// Targets in order of what quantising each alone does to the scores.
    fn most_disturbing_first(&self, clip: Clip) -> Result<Vec<usize>, PrecisionError> {
        let pictures = ALONE.min(self.pictures.len());
        let alone = |target| Ok((self.attempt(&[target], clip, pictures)?.agreement.mean_difference, target));
        let mut order = (0..self.targets.len()).map(alone).collect::<Result<Vec<(f64, usize)>, PrecisionError>>()?;
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        Ok(order.into_iter().map(|(_, target)| target).collect())
    }

    /// The graph with these convolutions between quantisation steps.
    fn rewrite(&self, chosen: &[&Target], clip: Clip) -> Result<ModelProto, PrecisionError> {
        let graph = self.model.graph();
        let by_node: BTreeMap<usize, &&Target> = chosen.iter().map(|target| (target.node, target)).collect();
        let weights: BTreeMap<&str, &TensorProto> = graph.initializer.iter().map(|it| (it.name.as_str(), it)).collect();
        let mut new = Rewriter { nodes: Vec::new(), constants: Vec::new(), done: BTreeSet::new() };
        for (at, node) in graph.node.iter().enumerate() {
            let Some(target) = by_node.get(&at) else {
                new.nodes.push(node.clone());
                continue;
            };
            let mut node = node.clone();
            node.input[0] = new.activation(&target.input, self.spreads[target.spread].end(clip));
            let weight = weights[node.input[1].as_str()];
            node.input[1] = new.weight(weight)?;
            new.nodes.push(node);
        }
        let Rewriter { nodes, constants, .. } = new;
        let read: BTreeSet<&str> = nodes.iter().flat_map(|node| node.input.iter().map(String::as_str)).collect();
        let kept = graph.initializer.iter().filter(|tensor| read.contains(tensor.name.as_str())).cloned();
        let initializer: Vec<TensorProto> = kept.chain(constants).collect();
        let graph = GraphProto { node: nodes, initializer, value_info: Vec::new(), ..graph.clone() };
        Ok(ModelProto { graph: Some(graph), ..self.model.clone() })
    }
}

struct Rewriter {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// Values that have their steps already: several convolutions may read one.
    done: BTreeSet<String>,
}

impl Rewriter {
    /// Steps for a value whose magnitudes end at `end`; returns the name to read instead.
    fn activation(&mut self, value: &str, end: f32) -> String {
        let name = |part: &str| format!("{value}.int8.{part}");
        if self.done.insert(value.to_owned()) {
            let (scale, zero) = (name("scale"), name("zero"));
            // A value that is always 0 needs a scale all the same.
            let step = if end > 0.0 { end / 127.0 } else { 1.0 };
            self.constants
                .push(TensorProto { dims: Vec::new(), ..TensorProto::from_tensor(&scale, &Tensor::scalar(step)) });
            self.constants.push(integers(&zero, &[], vec![0]));
            self.nodes.push(NodeProto::new("QuantizeLinear", &[value, &scale, &zero], &name("quantised"), Vec::new()));
            self.nodes.push(NodeProto::new(
                "DequantizeLinear",
                &[&name("quantised"), &scale, &zero],
                &name("value"),
                Vec::new(),
            ));
        }
        name("value")
    }

    /// The weight in integers, one scale per output channel.
    fn weight(&mut self, weight: &TensorProto) -> Result<String, PrecisionError> {
        let name = |part: &str| format!("{}.int8.{part}", weight.name);
        if self.done.insert(weight.name.clone()) {
            let Tensor { shape, data } = weight.to_tensor()?;
            let channel = data.len() / shape[0].max(1);
            let mut scales = Vec::with_capacity(shape[0]);
            let mut values = Vec::with_capacity(data.len());
            for channel in data.chunks_exact(channel.max(1)) {
                let end = channel.iter().fold(0.0_f32, |top, value| top.max(value.abs()));
                let scale = if end > 0.0 { end / 127.0 } else { 1.0 };
                values.extend(channel.iter().map(|value| (value / scale).round_ties_even() as i8));
                scales.push(scale);
            }
            let (scale, zero) = (name("scale"), name("zero"));
            self.constants.push(integers(&name("quantised"), &weight.dims, values));
            self.constants.push(integers(&zero, &weight.dims[..1], vec![0; scales.len()]));
            let scales = Tensor { shape: vec![scales.len()], data: scales };
            self.constants.push(TensorProto::from_tensor(&scale, &scales));
            let by_channel = vec![AttributeProto::int("axis", 0)];
            let inputs = [name("quantised"), scale, zero];
            let inputs = inputs.each_ref().map(String::as_str);
            self.nodes.push(NodeProto::new("DequantizeLinear", &inputs, &name("value"), by_channel));
        }
        Ok(name("value"))
    }
}

fn integers(name: &str, dims: &[i64], values: Vec<i8>) -> TensorProto {
    let raw_data = values.into_iter().map(|value| value.to_le_bytes()[0]).collect();
    TensorProto { dims: dims.into(), data_type: INT8, name: name.into(), raw_data, ..TensorProto::default() }
}
