//! Named tensors: what a trainer hands to the graph builder, and what is read from other programs' files.

use std::collections::BTreeMap;

/// A dense tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Sizes, outermost first. A convolution is `out x in/groups x height x width`, a dense layer `out x in`.
    pub shape: Vec<usize>,
    /// The values.
    pub data: Vec<f32>,
}

/// Tensors by name. Convolutions carry no batch norm: it is folded into `.weight` and `.bias`.
///
/// Trunk: `stem`, `blocks.{i}.{expand,depthwise,se.reduce,se.expand,project}`, `last`; head: `attention.{reduce,expand}`,
/// `classifier`, each with `.weight` and `.bias`; `pool.sharpness` (one value).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights(pub BTreeMap<String, Tensor>);
