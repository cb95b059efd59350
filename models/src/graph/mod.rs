//! ONNX graphs: our own small writer and reader over the field numbers of onnx.proto.
//!
//! Networks are written for the oldest runtime that must load them: TensorRT reads opset 17, static shapes and the
//! operators of [`TENSORRT_OPERATORS`]. [`GraphBuilder`] writes such a graph, [`check`] refuses any other, and
//! [`ModelProto`] reads what other programs wrote.

mod arrange;
mod build;
mod check;
pub mod proto;

use thiserror::Error;

pub use build::{Conv, GraphBuilder};
pub use check::{TENSORRT_OPERATORS, check};
pub use proto::ModelProto;

/// The operator set that graphs are written in, and the newest that is accepted.
pub const OPSET: i64 = 17;
/// The file format version that graphs are written in: the one that came with [`OPSET`].
pub const IR_VERSION: i64 = 8;
/// The newest file format version that is accepted.
pub const MAX_IR_VERSION: i64 = 9;

/// Why bytes are not a graph that this program runs or reads.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GraphError {
    /// The bytes are not a protobuf message of this shape.
    #[error("not an ONNX file: {0}")]
    Malformed(String),
    /// Weights that lie in another file: the digest of this one would not cover them.
    #[error("tensor `{0}` keeps its data in another file: save the model with its weights inside (no external data)")]
    ExternalData(String),
    /// An operator set that is not ONNX's own.
    #[error("operators of domain `{0}` are not ONNX's own: export the model without custom operators")]
    Domain(String),
    /// An operator that TensorRT does not know.
    #[error("operator `{op}` (node `{node}`) is not among those that every provider runs: export the model without it")]
    Operator {
        /// The operator's name.
        op: String,
        /// The node's name, or its first output where it has none.
        node: String,
    },
    /// A size that is only known at run time.
    #[error("`{0}` has a dimension without a fixed size: export the model with fixed input sizes and batch 1")]
    DynamicShape(String),
    /// Newer than what all providers read.
    #[error("{what} {found} is newer than {limit}: export the model with {what} {limit} or older")]
    TooNew {
        /// What is too new: `opset` or `ir_version`.
        what: &'static str,
        /// The file's version.
        found: i64,
        /// The newest accepted.
        limit: i64,
    },
    /// Anything else that a plain network does not hold.
    #[error("the graph holds {0}, which plain networks do not: export the model for inference")]
    Unsupported(String),
}
