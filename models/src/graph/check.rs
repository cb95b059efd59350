//! Refuses graphs that would surprise: before any runtime sees them.

use std::collections::BTreeSet;

use super::proto::{AttributeProto, FLOAT, FLOAT16, GraphProto, NodeProto, TensorProto};
use super::{GraphError, MAX_IR_VERSION, ModelProto, OPSET};

/// Operators of the ONNX domain that TensorRT's parser runs on dense floating-point tensors of static shape, without
/// control flow, random numbers or sequences. Source: the support matrix of onnx-tensorrt, `docs/operators.md` (TensorRT 8.4).
#[rustfmt::skip]
pub const TENSORRT_OPERATORS: &[&str] = &[
    "Abs", "Add", "ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat", "Constant",
    "Conv", "ConvTranspose", "DepthToSpace", "DequantizeLinear", "Div", "Elu", "Equal", "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather",
    "Gemm", "GlobalAveragePool", "GlobalMaxPool", "Greater", "HardSigmoid", "Identity", "InstanceNormalization",
    "LeakyRelu", "Less", "Log", "LogSoftmax", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mul", "Neg", "PRelu", "Pad",
    "Pow", "QuantizeLinear", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Relu",
    "Reshape", "Resize", "Round", "Selu", "Shape", "Sigmoid", "Slice", "Softmax", "Softplus", "SpaceToDepth", "Split",
    "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile", "TopK", "Transpose", "Unsqueeze", "Where",
];

/// Oldest opset that is accepted: the one in which broadcasting and batch norm took their present form.
const MIN_OPSET: i64 = 7;

/// Reads a model and refuses it unless it is one plain network: ONNX's own operators (those of [`TENSORRT_OPERATORS`]), opset
/// and format not too new, all weights inside, every input and output of fixed size, every value made before it is used.
pub fn check(model: &[u8]) -> Result<ModelProto, GraphError> {
    let model = ModelProto::read(model)?;
    if model.ir_version < 1 {
        return Err(GraphError::Malformed("it names no format version".into()));
    }
    if model.ir_version > MAX_IR_VERSION {
        return Err(GraphError::TooNew { what: "ir_version", found: model.ir_version, limit: MAX_IR_VERSION });
    }
    refuse_any("training information", &model.training_info)?;
    refuse_any("functions", &model.functions)?;
    check_opsets(&model)?;
    check_graph(model.graph())?;
    Ok(model)
}

fn check_opsets(model: &ModelProto) -> Result<(), GraphError> {
    let mut own = None;
    for opset in &model.opset_import {
        if !is_own(&opset.domain) {
            return Err(GraphError::Domain(opset.domain.clone()));
        }
        if opset.version > OPSET {
            return Err(GraphError::TooNew { what: "opset", found: opset.version, limit: OPSET });
        }
        if opset.version < MIN_OPSET {
            return Err(GraphError::Unsupported(format!(
                "operators of opset {}, older than {MIN_OPSET}",
                opset.version
            )));
        }
        if own.replace(opset.version).is_some() {
            return Err(GraphError::Malformed("it names its operator set twice".into()));
        }
    }
    own.map(drop).ok_or_else(|| GraphError::Malformed("it does not name its operator set".into()))
}

fn check_graph(graph: &GraphProto) -> Result<(), GraphError> {
    refuse_any("sparse weights", &graph.sparse_initializer)?;
    refuse_any("quantization annotations", &graph.quantization_annotation)?;
    for value in graph.input.iter().chain(&graph.output) {
        value.static_shape().ok_or_else(|| GraphError::DynamicShape(value.name.clone()))?;
    }
    let mut known = BTreeSet::new();
    for tensor in &graph.initializer {
        check_tensor(tensor)?;
        define(&mut known, &tensor.name)?;
    }
    for input in &graph.input {
        // Before IR version 4 initializers were listed among the inputs too. Here that would make a weight replaceable.
        define(&mut known, &input.name)?;
    }
    for node in &graph.node {
        check_node(node)?;
        // An empty name stands for an optional input that is left out.
        if let Some(missing) = node.input.iter().find(|name| !name.is_empty() && !known.contains(name.as_str())) {
            return Err(GraphError::Malformed(format!(
                "node `{}` uses `{missing}`, which nothing made before",
                label(node)
            )));
        }
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            define(&mut known, output)?;
        }
    }
    match graph.output.iter().find(|output| !known.contains(output.name.as_str())) {
        Some(output) => Err(GraphError::Malformed(format!("nothing makes its output `{}`", output.name))),
        None => Ok(()),
    }
}

fn check_node(node: &NodeProto) -> Result<(), GraphError> {
    if !is_own(&node.domain) {
        return Err(GraphError::Domain(node.domain.clone()));
    }
    if !TENSORRT_OPERATORS.contains(&node.op_type.as_str()) {
        return Err(GraphError::Operator { op: node.op_type.clone(), node: label(node).into() });
    }
    node.attribute.iter().try_for_each(|attribute| check_attribute(node, attribute))
}

fn check_attribute(node: &NodeProto, attribute: &AttributeProto) -> Result<(), GraphError> {
    let refuse = |what: &str| Err(GraphError::Unsupported(format!("{what} in node `{}`", label(node))));
    if attribute.g.is_some() || !attribute.graphs.is_empty() {
        return refuse("a subgraph");
    }
    if attribute.sparse_tensor.is_some() || !attribute.sparse_tensors.is_empty() {
        return refuse("sparse weights");
    }
    if !attribute.ref_attr_name.is_empty() {
        return refuse("a reference to a function's attribute");
    }
    attribute.t.iter().chain(&attribute.tensors).try_for_each(check_tensor)
}

fn check_tensor(tensor: &TensorProto) -> Result<(), GraphError> {
    if tensor.is_external() {
        return Err(GraphError::ExternalData(tensor.name.clone()));
    }
    // Of float tensors the values are checked too; a runtime would find the wrong count only later, with less to say.
    match tensor.data_type {
        FLOAT | FLOAT16 => tensor.to_tensor().map(drop),
        _ => Ok(()),
    }
}

fn define<'a>(known: &mut BTreeSet<&'a str>, name: &'a str) -> Result<(), GraphError> {
    match known.insert(name) {
        true => Ok(()),
        false => Err(GraphError::Malformed(format!("two values are named `{name}`"))),
    }
}

fn refuse_any(what: &str, found: &[Vec<u8>]) -> Result<(), GraphError> {
    if found.is_empty() { Ok(()) } else { Err(GraphError::Unsupported(what.into())) }
}

fn is_own(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn label(node: &NodeProto) -> &str {
    match (node.name.as_str(), node.output.first()) {
        ("", Some(output)) => output,
        (name, _) => name,
    }
}
