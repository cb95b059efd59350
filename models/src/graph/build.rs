//! Writes a graph node by node.

use prost::Message;

use super::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto, attribute_type,
};
use super::{IR_VERSION, OPSET};
use crate::weights::Tensor;

/// A convolution's geometry. Padding is `kernel / 2` on every side unless it is given ([`GraphBuilder::conv_padded`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv {
    /// Side of the square kernel, odd.
    pub kernel: usize,
    /// Step between output cells.
    pub stride: usize,
    /// Channel groups: 1, or the number of channels for a depthwise convolution.
    pub groups: usize,
}

/// A graph under construction. Each operation takes the names of its inputs and returns the name of its output.
#[derive(Debug)]
pub struct GraphBuilder {
    pub(super) graph: GraphProto,
}

impl GraphBuilder {
    /// An empty graph of this name.
    pub fn new(name: &str) -> Self {
        GraphBuilder { graph: GraphProto { name: name.into(), ..GraphProto::default() } }
    }

    /// A finished model, to be added to: a head onto a network that was built before.
    pub fn from_model(model: ModelProto) -> Self {
        GraphBuilder { graph: model.graph.unwrap_or_default() }
    }

    /// Whether a node of the graph makes this value.
    pub fn makes(&self, name: &str) -> bool {
        self.graph.node.iter().any(|node| node.output.iter().any(|output| output == name))
    }

    /// Takes out every constant, node and output whose name begins with `prefix`: a head that is to be built anew.
    pub fn remove(&mut self, prefix: &str) {
        let GraphProto { node, initializer, output, .. } = &mut self.graph;
        node.retain(|node| !node.name.starts_with(prefix));
        initializer.retain(|tensor| !tensor.name.starts_with(prefix));
        output.retain(|value| !value.name.starts_with(prefix));
    }

    /// Declares an f32 input and returns its name.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> String {
        self.graph.input.push(ValueInfoProto::float(name, shape));
        name.into()
    }

    /// Declares that the value `name` is an f32 output of this shape.
    pub fn output(&mut self, name: &str, shape: &[usize]) {
        self.graph.output.push(ValueInfoProto::float(name, shape));
    }

    /// Adds a constant and returns its name.
    pub fn initializer(&mut self, name: &str, tensor: &Tensor) -> String {
        self.graph.initializer.push(TensorProto::from_tensor(name, tensor));
        name.into()
    }

    /// Adds a node of any kind; `output` names both the node and its one output.
    pub fn node(&mut self, op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> String {
        self.graph.node.push(NodeProto::new(op, inputs, output, attribute));
        output.into()
    }

    /// Convolution with bias. `x`: `1 x in x height x width`; the constants are `{output}.weight` (`out x in/groups x
    /// kernel x kernel`) and `{output}.bias` (`out`), which the caller has added.
    pub fn conv(&mut self, x: &str, conv: Conv, output: &str) -> String {
        let inputs = [x, &format!("{output}.weight"), &format!("{output}.bias")];
        self.conv_padded(&inputs, conv, [conv.kernel / 2; 2], output)
    }

    /// Convolution of `inputs`: the value, the weight and, where there is one, the bias. `[before, after]` cells of zeros are
    /// added above and left, below and right.
    pub fn conv_padded(&mut self, inputs: &[&str], conv: Conv, [before, after]: [usize; 2], output: &str) -> String {
        let Conv { kernel, stride, groups } = conv;
        let [k, s, before, after] = [kernel, stride, before, after].map(|size| size as i64);
        let attributes = vec![
            ints("dilations", &[1, 1]),
            int("group", groups as i64),
            ints("kernel_shape", &[k, k]),
            ints("pads", &[before, before, after, after]),
            ints("strides", &[s, s]),
        ];
        self.node("Conv", inputs, output, attributes)
    }

    /// `max(x, 0)`.
    pub fn relu(&mut self, x: &str) -> String {
        self.node("Relu", &[x], &format!("{x}.relu"), Vec::new())
    }

    /// `clamp(x, low, high)`.
    pub fn clip(&mut self, x: &str, low: f32, high: f32) -> String {
        let bound = |value| Tensor { shape: Vec::new(), data: vec![value] };
        let low = self.initializer(&format!("{x}.low"), &bound(low));
        let high = self.initializer(&format!("{x}.high"), &bound(high));
        self.node("Clip", &[x, &low, &high], &format!("{x}.clip"), Vec::new())
    }

    /// `clamp(x / 6 + 1/2, 0, 1)`.
    pub fn hard_sigmoid(&mut self, x: &str) -> String {
        let attributes = vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)];
        self.node("HardSigmoid", &[x], &format!("{x}.hard_sigmoid"), attributes)
    }

    /// `x * hard_sigmoid(x)`. Two nodes, because ONNX's own `HardSwish` is newer than some TensorRT parsers; ONNX Runtime takes
    /// the same time for either (512x512, one thread).
    pub fn hard_swish(&mut self, x: &str) -> String {
        let gate = self.hard_sigmoid(x);
        self.mul(x, &gate, &format!("{x}.hard_swish"))
    }

    /// `1 / (1 + exp(-x))`.
    pub fn sigmoid(&mut self, x: &str) -> String {
        self.node("Sigmoid", &[x], &format!("{x}.sigmoid"), Vec::new())
    }

    /// Element-wise product, with broadcasting.
    pub fn mul(&mut self, a: &str, b: &str, output: &str) -> String {
        self.node("Mul", &[a, b], output, Vec::new())
    }

    /// Element-wise sum, with broadcasting.
    pub fn add(&mut self, a: &str, b: &str, output: &str) -> String {
        self.node("Add", &[a, b], output, Vec::new())
    }

    /// Mean over all cells: `1 x c x h x w` becomes `1 x c x 1 x 1`.
    pub fn global_average(&mut self, x: &str, output: &str) -> String {
        self.node("GlobalAveragePool", &[x], output, Vec::new())
    }

    /// `1 x c x 1 x 1` becomes `1 x c`.
    pub fn flatten(&mut self, x: &str, output: &str) -> String {
        self.node("Flatten", &[x], output, vec![int("axis", 1)])
    }

    /// Probabilities over the channels of `1 x c`.
    pub fn softmax(&mut self, x: &str, output: &str) -> String {
        self.node("Softmax", &[x], output, vec![int("axis", 1)])
    }

    /// `log(mean(exp(r * x))) / r` over all cells: `1 x c x h x w` becomes `1 x c x 1 x 1`. `sharpness` names the constant
    /// `r` (shape `1`). The maximum is taken out first, so that nothing overflows, in half precision either.
    pub fn log_mean_exp(&mut self, x: &str, sharpness: &str, output: &str) -> String {
        let over_cells = || vec![ints("axes", &[2, 3]), int("keepdims", 1)];
        let scaled = self.mul(x, sharpness, &format!("{output}.scaled"));
        let top = self.node("ReduceMax", &[&scaled], &format!("{output}.top"), over_cells());
        let below = self.node("Sub", &[&scaled, &top], &format!("{output}.below"), Vec::new());
        let exp = self.node("Exp", &[&below], &format!("{output}.exp"), Vec::new());
        let mean = self.node("ReduceMean", &[&exp], &format!("{output}.mean"), over_cells());
        let log = self.node("Log", &[&mean], &format!("{output}.log"), Vec::new());
        let sum = self.add(&log, &top, &format!("{output}.sum"));
        self.node("Div", &[&sum, sharpness], output, Vec::new())
    }

    /// Mean along one axis, which stays with size 1 if `keep`.
    pub fn mean_along(&mut self, x: &str, axis: i64, keep: bool, output: &str) -> String {
        self.node("ReduceMean", &[x], output, vec![ints("axes", &[axis]), int("keepdims", i64::from(keep))])
    }

    /// The standard deviation over all cells: `1 x c x h x w` becomes `1 x c x 1 x 1`. `mean` is [`global_average`](Self::global_average) of
    /// `x`. The mean is taken out first: the difference of two large squares would lose all digits in half precision.
    pub fn deviation(&mut self, x: &str, mean: &str, output: &str) -> String {
        let off = self.node("Sub", &[x, mean], &format!("{output}.off"), Vec::new());
        let square = self.mul(&off, &off, &format!("{output}.square"));
        let variance = self.global_average(&square, &format!("{output}.variance"));
        self.node("Sqrt", &[&variance], output, Vec::new())
    }

    /// A `1 x c x 1 x 1` value at length 1 over its channels, as `1 x c`. `least` names a constant that keeps zeros from dividing by
    /// zero.
    pub fn unit_length(&mut self, x: &str, least: &str, output: &str) -> String {
        let flat = self.flatten(x, &format!("{output}.flat"));
        let attributes = vec![ints("axes", &[1]), int("keepdims", 1)];
        let length = self.node("ReduceL2", &[&flat], &format!("{output}.length"), attributes);
        let length = self.add(&length, least, &format!("{output}.least"));
        self.node("Div", &[&flat, &length], output, Vec::new())
    }

    /// Matrix product, with broadcasting over leading axes.
    pub fn product(&mut self, a: &str, b: &str, output: &str) -> String {
        self.node("MatMul", &[a, b], output, Vec::new())
    }

    /// The model's bytes. The same calls give the same bytes.
    pub fn finish(self) -> Vec<u8> {
        ModelProto {
            ir_version: IR_VERSION,
            producer_name: "inspectd".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.graph),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            ..ModelProto::default()
        }
        .encode_to_vec()
    }
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto::int(name, value)
}

pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: values.into(), r#type: attribute_type::INTS, ..AttributeProto::default() }
}

pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto::float(name, value)
}
