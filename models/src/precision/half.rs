//! To 16-bit floats: weights stored in half the bytes, convolutions and what lies between them computed in half precision.
//!
//! What is sensitive stays in 32-bit floats: exponentials, logarithms, divisions, softmax, sigmoid and reductions (the
//! log-mean-exp pooling is made of them), and every cheap step that only leads to or from them. A cast stands at each border.
//! The list of sensitive operators is the usual one of mixed-precision training (Micikevicius et al., "Mixed Precision Training",
//! ICLR 2018, section 3.3: reductions and what feeds a softmax in full precision).

use std::collections::{BTreeMap, BTreeSet};

use half::f16;
use prost::Message;

use super::{PrecisionError, convertible};
use crate::graph::proto::{AttributeProto, FLOAT, FLOAT16, GraphProto, NodeProto, TensorProto};
use crate::graph::{self, ModelProto};

/// What may run in half precision. A matrix product is not here: in these networks it compares an embedding with a bank, where
/// large numbers nearly cancel.
const HALF: &[&str] = &[
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Flatten",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "Identity",
    "LeakyRelu",
    "MaxPool",
    "Mul",
    "Relu",
    "Sub",
];
/// What is worth a cast on either side.
const HEAVY: &[&str] = &["Conv", "ConvTranspose"];
/// Operators whose outputs are not floats, or not of their inputs' type.
const OTHER_KIND: &[&str] = &["ArgMax", "ArgMin", "Cast", "Equal", "Greater", "Less", "Shape", "TopK"];

/// A graph whose convolutions run in 16-bit floats. Inputs and outputs stay in 32 bits.
///
/// # Errors
/// When the graph is no plain one in 32-bit floats, or holds a weight beyond 65504.
pub fn to_half(graph: &[u8]) -> Result<Vec<u8>, PrecisionError> {
    let model = graph::check(graph)?;
    let graph = convertible(&model)?;
    let half = half_nodes(graph);
    let mut converter = Converter::new(graph, &half);
    for (node, &half) in graph.node.iter().zip(&half) {
        converter.node(node, half)?;
    }
    let Converter { nodes, mut constants, .. } = converter;
    // Constants that nothing reads any more in 32 bits are gone; the order stays that of their first use.
    let kept = graph.initializer.iter().filter(|tensor| tensor.data_type != FLOAT).cloned();
    constants.extend(kept);
    let graph = GraphProto { node: nodes, initializer: constants, value_info: Vec::new(), ..graph.clone() };
    Ok(ModelProto { graph: Some(graph), ..model.clone() }.encode_to_vec())
}

/// Which nodes run in half precision.
fn half_nodes(graph: &GraphProto) -> Vec<bool> {
    let floats = float_values(graph);
    let constants: BTreeSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let inputs = |node: &NodeProto| node.input.iter().filter(|name| !name.is_empty()).cloned().collect::<Vec<_>>();
    let all_floats = |node: &NodeProto| inputs(node).iter().all(|name| floats.contains(name.as_str()));
    let is = |list: &[&str], node: &NodeProto| list.contains(&node.op_type.as_str());
    let mut half: Vec<bool> = graph.node.iter().map(|node| is(HALF, node) && all_floats(node)).collect();
    // A cheap node between full ones, or between full ones and an end, is not worth two casts. Each round turns at least one
    // node to full precision, so this ends.
    loop {
        let made_in_half = |name: &str| {
            let maker = graph.node.iter().position(|node| node.output.iter().any(|output| output == name));
            maker.is_some_and(|maker| half[maker])
        };
        let read_in_half = |node: &NodeProto| {
            let reads = |reader: &NodeProto| node.output.iter().any(|output| reader.input.contains(output));
            graph.node.iter().zip(&half).any(|(reader, &half)| half && reads(reader))
        };
        let lonely = graph.node.iter().zip(&half).position(|(node, &half)| {
            let fed_in_half = inputs(node).iter().any(|name| !constants.contains(name.as_str()) && made_in_half(name));
            half && !is(HEAVY, node) && (!fed_in_half || !read_in_half(node))
        });
        match lonely {
            Some(node) => half[node] = false,
            None => return half,
        }
    }
}

/// Names of all values that are floats.
fn float_values(graph: &GraphProto) -> BTreeSet<&str> {
    let mut floats: BTreeSet<&str> = graph.input.iter().map(|input| input.name.as_str()).collect();
    floats
        .extend(graph.initializer.iter().filter(|tensor| tensor.data_type == FLOAT).map(|tensor| tensor.name.as_str()));
    for node in graph.node.iter().filter(|node| !OTHER_KIND.contains(&node.op_type.as_str())) {
        // Of the operators left, each gives what its first input is; a `Constant` has none and is asked for its tensor.
        let constant = node.attribute.iter().any(|it| it.t.as_ref().is_some_and(|tensor| tensor.data_type == FLOAT));
        let float = node.input.first().map_or(constant, |first| floats.contains(first.as_str()));
        if float {
            floats.extend(node.output.iter().map(String::as_str));
        }
    }
    floats
}

/// Under which name a value exists in either format.
#[derive(Default)]
struct Forms {
    full: Option<String>,
    half: Option<String>,
}

/// Writes the new graph, node by node.
struct Converter<'a> {
    floats: BTreeSet<&'a str>,
    originals: BTreeMap<&'a str, &'a TensorProto>,
    /// Constants that full nodes read.
    read_in_full: BTreeSet<&'a str>,
    ends: BTreeSet<&'a str>,
    forms: BTreeMap<String, Forms>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl<'a> Converter<'a> {
    fn new(graph: &'a GraphProto, half: &[bool]) -> Self {
        let full = graph.node.iter().zip(half).filter(|(_, half)| !**half);
        let ends: BTreeSet<&str> = graph.output.iter().map(|output| output.name.as_str()).collect();
        let forms =
            graph.input.iter().map(|input| (input.name.clone(), Forms { full: Some(input.name.clone()), half: None }));
        Converter {
            floats: float_values(graph),
            originals: graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect(),
            read_in_full: full
                .flat_map(|(node, _)| node.input.iter().map(String::as_str))
                .chain(ends.iter().copied())
                .collect(),
            ends,
            forms: forms.collect(),
            nodes: Vec::new(),
            constants: Vec::new(),
        }
    }

    fn node(&mut self, node: &NodeProto, half: bool) -> Result<(), PrecisionError> {
        let inputs = node.input.iter().map(|name| self.input(name, half)).collect::<Result<_, _>>()?;
        let mut new = NodeProto { input: inputs, ..node.clone() };
        for output in &mut new.output {
            let name = output.clone();
            let forms = self.forms.entry(name.clone()).or_default();
            if !half {
                forms.full = Some(name);
                continue;
            }
            // An output of the graph keeps its name for the 32-bit form.
            *output = if self.ends.contains(name.as_str()) { format!("{name}.half") } else { name };
            forms.half = Some(output.clone());
        }
        self.nodes.push(new);
        for name in node.output.iter().filter(|name| half && self.ends.contains(name.as_str())) {
            // The node that made it keeps its own name.
            self.nodes
                .push(NodeProto { name: format!("{name}.to_full"), ..cast(&format!("{name}.half"), name, FLOAT) });
            self.forms.entry(name.clone()).or_default().full = Some(name.clone());
        }
        Ok(())
    }

    /// The name under which a node reads this value.
    fn input(&mut self, name: &str, half: bool) -> Result<String, PrecisionError> {
        if name.is_empty() || !self.floats.contains(name) {
            return Ok(name.to_owned());
        }
        let forms = self.forms.entry(name.to_owned()).or_default();
        let (wanted, other) = match half {
            true => (&mut forms.half, &forms.full),
            false => (&mut forms.full, &forms.half),
        };
        if let Some(known) = wanted {
            return Ok(known.clone());
        }
        let new = match (self.originals.get(name), half) {
            (Some(tensor), false) => {
                self.constants.push((*tensor).clone());
                name.to_owned()
            }
            (Some(tensor), true) => {
                let new = if self.read_in_full.contains(name) { format!("{name}.half") } else { name.to_owned() };
                self.constants.push(half_tensor(&new, tensor)?);
                new
            }
            (None, _) => {
                let from = other
                    .clone()
                    .ok_or_else(|| PrecisionError::Unsupported(format!("nothing makes `{name}` before it is used")))?;
                let (new, kind) = match half {
                    true => (format!("{name}.to_half"), FLOAT16),
                    false => (format!("{name}.to_full"), FLOAT),
                };
                self.nodes.push(cast(&from, &new, kind));
                new
            }
        };
        *wanted = Some(new.clone());
        Ok(new)
    }
}

fn cast(from: &str, to: &str, kind: i32) -> NodeProto {
    NodeProto::new("Cast", &[from], to, vec![AttributeProto::int("to", i64::from(kind))])
}

/// A constant in 16-bit floats, rounded to the nearest.
fn half_tensor(name: &str, tensor: &TensorProto) -> Result<TensorProto, PrecisionError> {
    let values = tensor.to_tensor()?.data;
    let largest = values.iter().fold(0.0_f32, |top, value| top.max(value.abs()));
    if !f16::from_f32(largest).is_finite() {
        return Err(PrecisionError::TooLarge { name: tensor.name.clone(), value: largest });
    }
    Ok(TensorProto {
        dims: tensor.dims.clone(),
        data_type: FLOAT16,
        name: name.into(),
        raw_data: values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        ..TensorProto::default()
    })
}
