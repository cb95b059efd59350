//! The messages of onnx.proto that a plain network needs, with its field numbers.
//!
//! Written by hand, so that building needs no `protoc`. Source: `onnx/onnx.proto` of ONNX 1.14 (IR version 9). Parts that
//! this program refuses (subgraphs, functions, training, sparse tensors) are kept as bytes, so that the check sees them.
#![allow(missing_docs, reason = "fields carry onnx.proto's names and meaning")]

use half::f16;
use prost::Message;

use super::GraphError;
use crate::weights::Tensor;

/// `TensorProto.DataType.FLOAT`.
pub const FLOAT: i32 = 1;
/// `TensorProto.DataType.FLOAT16`.
pub const FLOAT16: i32 = 10;
/// `TensorProto.DataType.INT8`.
pub const INT8: i32 = 3;
/// `TensorProto.DataType.INT32`.
pub const INT32: i32 = 6;
/// `TensorProto.DataType.INT64`.
pub const INT64: i32 = 7;
/// `TensorProto.DataLocation.EXTERNAL`.
pub const EXTERNAL: i32 = 1;

/// Kinds of attribute (`AttributeProto.AttributeType`).
pub mod attribute_type {
    pub const FLOAT: i32 = 1;
    pub const INT: i32 = 2;
    pub const INTS: i32 = 7;
}

/// A model: one graph and the operator sets that it is written in.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(string, tag = "2")]
    pub producer_name: String,
    #[prost(string, tag = "3")]
    pub producer_version: String,
    #[prost(string, tag = "4")]
    pub domain: String,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
    #[prost(bytes = "vec", repeated, tag = "20")]
    pub training_info: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "25")]
    pub functions: Vec<Vec<u8>>,
}

/// The version of one domain's operators.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSetIdProto {
    #[prost(string, tag = "1")]
    pub domain: String,
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// A key and its value.
#[derive(Clone, PartialEq, Message)]
pub struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// Nodes in the order in which they run, and the tensors that they share.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "13")]
    pub value_info: Vec<ValueInfoProto>,
    #[prost(bytes = "vec", repeated, tag = "14")]
    pub quantization_annotation: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "15")]
    pub sparse_initializer: Vec<Vec<u8>>,
}

/// One operation.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// A constant of a node. `optional`, because a value of zero must still be written: readers count the fields present.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    #[prost(message, optional, tag = "5")]
    pub t: Option<TensorProto>,
    #[prost(bytes = "vec", optional, tag = "6")]
    pub g: Option<Vec<u8>>,
    #[prost(float, repeated, packed = "false", tag = "7")]
    pub floats: Vec<f32>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "10")]
    pub tensors: Vec<TensorProto>,
    #[prost(bytes = "vec", repeated, tag = "11")]
    pub graphs: Vec<Vec<u8>>,
    #[prost(int32, tag = "20")]
    pub r#type: i32,
    #[prost(string, tag = "21")]
    pub ref_attr_name: String,
    #[prost(bytes = "vec", optional, tag = "22")]
    pub sparse_tensor: Option<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "23")]
    pub sparse_tensors: Vec<Vec<u8>>,
}

/// A constant tensor: `dims` and, row-major, either `raw_data` (little-endian) or one of the typed fields.
#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    pub name: String,
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<StringStringEntryProto>,
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// A named value with its type.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
}

/// The type of a value. Only dense tensors are read; a value of another kind has no `tensor_type`.
#[derive(Clone, PartialEq, Message)]
pub struct TypeProto {
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// Element type and shape (`TypeProto.Tensor`).
#[derive(Clone, PartialEq, Message)]
pub struct TensorTypeProto {
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// Sizes, outermost first.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// One size: a number, or a name where it is only known at run time (`TensorShapeProto.Dimension`).
#[derive(Clone, PartialEq, Message)]
pub struct DimensionProto {
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
}

impl ModelProto {
    /// Reads a model. Any operator and shape is accepted: [`super::check`] is stricter.
    pub fn read(bytes: &[u8]) -> Result<ModelProto, GraphError> {
        let model = ModelProto::decode(bytes).map_err(|error| GraphError::Malformed(error.to_string()))?;
        if model.graph.is_none() {
            return Err(GraphError::Malformed("it holds no graph".into()));
        }
        Ok(model)
    }

    /// The graph; empty where the file holds none.
    pub fn graph(&self) -> &GraphProto {
        static EMPTY: GraphProto = GraphProto {
            node: Vec::new(),
            name: String::new(),
            initializer: Vec::new(),
            input: Vec::new(),
            output: Vec::new(),
            value_info: Vec::new(),
            quantization_annotation: Vec::new(),
            sparse_initializer: Vec::new(),
        };
        self.graph.as_ref().unwrap_or(&EMPTY)
    }
}

impl AttributeProto {
    /// A whole number.
    pub fn int(name: &str, value: i64) -> AttributeProto {
        AttributeProto { name: name.into(), i: Some(value), r#type: attribute_type::INT, ..AttributeProto::default() }
    }

    /// A number.
    pub fn float(name: &str, value: f32) -> AttributeProto {
        AttributeProto { name: name.into(), f: Some(value), r#type: attribute_type::FLOAT, ..AttributeProto::default() }
    }
}

impl NodeProto {
    /// A node of ONNX's own operators with one output, which names it.
    pub fn new(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
        NodeProto {
            input: inputs.iter().map(|&name| name.into()).collect(),
            output: vec![output.into()],
            name: output.into(),
            op_type: op.into(),
            attribute,
            domain: String::new(),
        }
    }
}

impl TensorProto {
    /// A dense f32 tensor as a constant of this name.
    pub fn from_tensor(name: &str, tensor: &Tensor) -> TensorProto {
        TensorProto {
            dims: tensor.shape.iter().map(|&size| size as i64).collect(),
            data_type: FLOAT,
            name: name.into(),
            raw_data: tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..TensorProto::default()
        }
    }

    /// A list of whole numbers: a shape, or places in another tensor.
    pub fn from_integers(name: &str, values: &[i64]) -> TensorProto {
        TensorProto {
            dims: vec![values.len() as i64],
            data_type: INT64,
            name: name.into(),
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..TensorProto::default()
        }
    }

    /// Keeps its values in another file.
    pub fn is_external(&self) -> bool {
        self.data_location == EXTERNAL || !self.external_data.is_empty()
    }

    /// The values of a float32 or float16 tensor. Refuses other types, external data and a wrong number of values.
    pub fn to_tensor(&self) -> Result<Tensor, GraphError> {
        if self.is_external() {
            return Err(GraphError::ExternalData(self.name.clone()));
        }
        let (data, whole): (Vec<f32>, bool) = match self.data_type {
            FLOAT if !self.float_data.is_empty() => (self.float_data.clone(), self.raw_data.is_empty()),
            FLOAT => {
                let (values, rest) = self.raw_data.as_chunks::<4>();
                (values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(), rest.is_empty())
            }
            FLOAT16 => {
                let (values, rest) = self.raw_data.as_chunks::<2>();
                (values.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(), rest.is_empty())
            }
            other => {
                return Err(GraphError::Unsupported(format!("tensor `{}` of data type {other}, not float", self.name)));
            }
        };
        let shape = self.shape();
        let product = |shape: &Vec<usize>| shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        match shape.filter(|shape| whole && product(shape) == Some(data.len())) {
            Some(shape) => Ok(Tensor { shape, data }),
            None => {
                Err(GraphError::Malformed(format!("tensor `{}` does not hold as many values as its shape", self.name)))
            }
        }
    }

    /// The sizes, or nothing where one is negative.
    pub fn shape(&self) -> Option<Vec<usize>> {
        self.dims.iter().map(|&size| usize::try_from(size).ok()).collect()
    }
}

impl ValueInfoProto {
    /// A dense f32 value.
    pub fn float(name: &str, shape: &[usize]) -> ValueInfoProto {
        let dim = shape.iter().map(|&n| DimensionProto { dim_value: Some(n as i64), dim_param: None }).collect();
        let tensor_type = Some(TensorTypeProto { elem_type: FLOAT, shape: Some(TensorShapeProto { dim }) });
        ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
    }

    /// The sizes, or nothing where the value is no tensor or one of its sizes is not a fixed positive number.
    pub fn static_shape(&self) -> Option<Vec<usize>> {
        let shape = self.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
        let size = |dim: &DimensionProto| usize::try_from(dim.dim_value?).ok().filter(|&size| size > 0);
        shape.dim.iter().map(size).collect()
    }
}
