//! Weights in ONNX files: those that this program wrote (constants carry our names) and those of other exporters.

use std::collections::BTreeMap;

use super::{Layer, Tensor, Weights, WeightsError};
use crate::graph::ModelProto;
use crate::graph::proto::{FLOAT, FLOAT16, NodeProto, TensorProto};
use crate::zoo::mobilenet_v3_small;

impl Weights {
    /// All constants of a graph by name; of one that this program built those are trunk and head.
    pub fn from_graph(model: &[u8]) -> Result<Weights, WeightsError> {
        named(&ModelProto::read(model)?)
    }
}

fn named(model: &ModelProto) -> Result<Weights, WeightsError> {
    // Shapes, places and counts are whole numbers, not weights.
    let constants = model.graph().initializer.iter().filter(|tensor| matches!(tensor.data_type, FLOAT | FLOAT16));
    let pair = |tensor: &TensorProto| Ok((tensor.name.clone(), tensor.to_tensor()?));
    constants.map(pair).collect::<Result<BTreeMap<_, _>, WeightsError>>().map(Weights)
}

/// The trunk of a model: by name where the names are ours, else by walking its convolutions in the order in which they run.
pub(super) fn trunk(model: &[u8], layers: &[Layer]) -> Result<Weights, WeightsError> {
    let model = ModelProto::read(model)?;
    let first = format!("{}.weight", layers[0].name);
    match model.graph().initializer.iter().any(|tensor| tensor.name == first) {
        true => {
            let weights = named(&model)?;
            mobilenet_v3_small::refuse_cut(&weights)?;
            weights.only(layers)
        }
        false => by_order(&model, layers)?.only(layers),
    }
}

fn by_order(model: &ModelProto, layers: &[Layer]) -> Result<Weights, WeightsError> {
    let graph = model.graph();
    let constants: BTreeMap<&str, &TensorProto> = graph.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
    let convolutions: Vec<&NodeProto> = graph.node.iter().filter(|node| node.op_type == "Conv").collect();
    if convolutions.len() != layers.len() {
        let (found, wanted) = (convolutions.len(), layers.len());
        return Err(WeightsError::OtherNetwork(format!("it has {found} convolutions where the trunk has {wanted}")));
    }
    let constant = |node: &NodeProto, index: usize, layer: &Layer| -> Result<Tensor, WeightsError> {
        let name = node.input.get(index).map(String::as_str).unwrap_or_default();
        let tensor = constants.get(name).ok_or_else(|| {
            let kind = if index == 1 { "weight" } else { "bias (is the batch norm folded?)" };
            WeightsError::OtherNetwork(format!("the convolution for `{}` has no constant {kind}", layer.name))
        })?;
        Ok(tensor.to_tensor()?)
    };
    let mut weights = Weights::default();
    for (layer, node) in layers.iter().zip(convolutions) {
        check_geometry(layer, node)?;
        let [(weight, _), (bias, _)] = layer.tensors();
        weights.insert(weight, constant(node, 1, layer)?);
        weights.insert(bias, constant(node, 2, layer)?);
    }
    Ok(weights)
}

/// Two networks may have weights of the same shapes and yet differ: compare stride, groups, padding and dilation.
fn check_geometry(layer: &Layer, node: &NodeProto) -> Result<(), WeightsError> {
    let find = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    let all = |name: &str, wanted: usize, default: usize| match find(name) {
        Some(attribute) => attribute.ints.iter().all(|&value| value == wanted as i64),
        None => wanted == default,
    };
    let groups = find("group").and_then(|attribute| attribute.i).unwrap_or(1);
    let conv = layer.conv;
    let same = groups == conv.groups as i64
        && all("strides", conv.stride, 1)
        && all("pads", conv.kernel / 2, 0)
        && all("dilations", 1, 1);
    match same {
        true => Ok(()),
        false => Err(WeightsError::OtherNetwork(format!(
            "convolution `{}` differs from `{}` ({conv:?}) in stride, groups, padding or dilation",
            node.name, layer.name
        ))),
    }
}
