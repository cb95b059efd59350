//! Number formats of a graph: which one it is in, and how it gets into another.
//!
//! A trained graph is in 32-bit floats. [`to_half`] gives one whose convolutions run in 16-bit floats, [`int8::quantise`] one whose
//! convolutions run in 8-bit integers. Both keep 32-bit inputs and outputs, so that nothing around the graph changes, and
//! both stay within what TensorRT reads. What a conversion costs is measured, never assumed: [`crate::certify`].

mod half;
pub mod int8;
mod ranges;

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use half::to_half;
pub use ranges::Clip;

use crate::graph::proto::{FLOAT, FLOAT16, GraphProto, INT8, INT32, INT64, TensorProto};
use crate::graph::{GraphError, ModelProto};
use crate::runtime::RuntimeError;

/// The number format that a graph's convolutions compute in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// 16-bit floats.
    Fp16,
    /// 8-bit integers between explicit quantisation steps (QDQ).
    Int8,
}

impl Precision {
    /// For manifests, which do not mention the usual case.
    pub fn is_fp32(&self) -> bool {
        *self == Precision::Fp32
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Precision::Fp32 => "fp32",
            Precision::Fp16 => "fp16",
            Precision::Int8 => "int8",
        })
    }
}

/// Why a graph was not converted.
#[derive(Debug, Error)]
pub enum PrecisionError {
    /// The graph cannot be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// It did not run.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// It is converted already.
    #[error("the model is in {0} already: convert the original, which is in fp32")]
    Converted(Precision),
    /// A weight that 16-bit floats cannot hold.
    #[error("weight `{name}` holds {value}, beyond what 16-bit floats hold (65504): this model cannot run in fp16")]
    TooLarge {
        /// The tensor.
        name: String,
        /// Its largest value.
        value: f32,
    },
    /// Nothing to quantise with.
    #[error("int8 needs pictures to find the ranges of values from, and there is none: give --data")]
    NoPictures,
    /// The graph holds something that the editor would lose or spoil.
    #[error("the graph cannot be converted: {0}")]
    Unsupported(String),
}

/// Refuses a graph that is not in this format: its weights, its casts and its quantisation steps must all be of it, and its
/// inputs and outputs in 32-bit floats.
///
/// # Errors
/// In words: what was found, and where.
pub fn check(model: &ModelProto, wanted: Precision) -> Result<(), String> {
    let graph = model.graph();
    let ends = graph.input.iter().chain(&graph.output);
    for end in ends {
        let kind = end.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref()).map(|tensor| tensor.elem_type);
        if kind != Some(FLOAT) {
            return Err(format!("`{}` is not in 32-bit floats, as inputs and outputs must be", end.name));
        }
    }
    let (found, sign) = found(graph)?;
    match found == wanted {
        true => Ok(()),
        false => Err(format!(
            "the manifest says {wanted}, but the graph is in {found} ({sign}): take the bundle as inspectd wrote it, or \
             convert the original with `inspectd models export`"
        )),
    }
}

/// The format that a graph is in, and what shows it.
fn found(graph: &GraphProto) -> Result<(Precision, String), String> {
    let (mut half, mut quantised) = (None, None);
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    for tensor in graph.initializer.iter().chain(attributes.filter_map(|attribute| attribute.t.as_ref())) {
        match tensor.data_type {
            FLOAT | INT64 => {}
            FLOAT16 => drop(half.get_or_insert(format!("weight `{}` is in 16-bit floats", tensor.name))),
            INT8 | INT32 => drop(quantised.get_or_insert(format!("weight `{}` is in integers", tensor.name))),
            other => return Err(format!("weight `{}` is of data type {other}, which is none of ours", tensor.name)),
        }
    }
    for node in &graph.node {
        let casts_to = |kind: i32| node.attribute.iter().any(|it| it.name == "to" && it.i == Some(i64::from(kind)));
        match node.op_type.as_str() {
            "QuantizeLinear" | "DequantizeLinear" => drop(quantised.get_or_insert(format!("node `{}`", node.name))),
            "Cast" if casts_to(FLOAT16) => drop(half.get_or_insert(format!("node `{}`", node.name))),
            _ => {}
        }
    }
    match (half, quantised) {
        (None, None) => Ok((Precision::Fp32, "all its weights are in 32-bit floats".into())),
        (Some(sign), None) => Ok((Precision::Fp16, sign)),
        (None, Some(sign)) => Ok((Precision::Int8, sign)),
        (Some(half), Some(quantised)) => Err(format!("the graph mixes formats: {half}, {quantised}")),
    }
}

/// The graph of a model that can be converted: in 32-bit floats, and read without loss.
fn convertible(model: &ModelProto) -> Result<&GraphProto, PrecisionError> {
    let graph = model.graph();
    let (found, _) = found(graph).map_err(PrecisionError::Unsupported)?;
    if found != Precision::Fp32 {
        return Err(PrecisionError::Converted(found));
    }
    let attributes = graph.node.iter().flat_map(|node| &node.attribute).filter_map(|attribute| attribute.t.as_ref());
    // Our messages know two ways to store values. A tensor that uses a third would come out empty.
    let lost = |tensor: &&TensorProto| {
        let values: i64 = tensor.dims.iter().product();
        values > 0 && tensor.raw_data.is_empty() && tensor.float_data.is_empty() && tensor.int64_data.is_empty()
    };
    match graph.initializer.iter().chain(attributes).find(lost) {
        Some(tensor) => Err(PrecisionError::Unsupported(format!("constant `{}` is stored in a rare way", tensor.name))),
        None => Ok(graph),
    }
}
