//! Operations that arrange, compare and choose: what a head beside the classifier is made of.

use super::GraphBuilder;
use super::build::{float, int, ints};
use super::proto::{NodeProto, TensorProto};
use crate::weights::Tensor;

impl GraphBuilder {
    /// Adds a constant list of whole numbers and returns its name.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> String {
        self.graph.initializer.push(TensorProto::from_integers(name, values));
        name.into()
    }

    /// The same values in another shape, which has no unknown size.
    pub fn reshape(&mut self, x: &str, shape: &[usize], output: &str) -> String {
        let sizes: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let sizes = self.integers(&format!("{output}.shape"), &sizes);
        self.node("Reshape", &[x, &sizes], output, Vec::new())
    }

    /// The axes in another order.
    pub fn transpose(&mut self, x: &str, order: &[i64], output: &str) -> String {
        self.node("Transpose", &[x], output, vec![ints("perm", order)])
    }

    /// Values side by side along `axis`.
    pub fn concat(&mut self, parts: &[&str], axis: i64, output: &str) -> String {
        self.node("Concat", parts, output, vec![int("axis", axis)])
    }

    /// `factor * a * bᵀ + c`; `a`: `n x k`, `b`: `m x k`, `c`: `m`.
    pub fn product_of_rows(&mut self, [a, b, c]: [&str; 3], factor: f32, output: &str) -> String {
        let attributes = vec![float("alpha", factor), float("beta", 1.0), int("transB", 1)];
        self.node("Gemm", &[a, b, c], output, attributes)
    }

    /// Mean over windows of `kernel` x `kernel` cells, `stride` apart. With padding the cells outside do not count.
    pub fn average_pool(&mut self, x: &str, kernel: usize, stride: usize, padding: usize, output: &str) -> String {
        let [k, s, p] = [kernel, stride, padding].map(|size| size as i64);
        let attributes = vec![
            int("count_include_pad", 0),
            ints("kernel_shape", &[k, k]),
            ints("pads", &[p, p, p, p]),
            ints("strides", &[s, s]),
        ];
        self.node("AveragePool", &[x], output, attributes)
    }

    /// The largest of each window of `kernel` x `kernel` cells, `stride` apart. Cells outside (`[before, after]` above and left,
    /// below and right) never win.
    pub fn max_pool(
        &mut self,
        x: &str,
        kernel: usize,
        stride: usize,
        [before, after]: [usize; 2],
        output: &str,
    ) -> String {
        let [k, s, before, after] = [kernel, stride, before, after].map(|size| size as i64);
        let attributes = vec![
            ints("kernel_shape", &[k, k]),
            ints("pads", &[before, before, after, after]),
            ints("strides", &[s, s]),
        ];
        self.node("MaxPool", &[x], output, attributes)
    }

    /// One cell of zeros on every side of `1 x channels x height x width`. Not as `Pad`: ONNX Runtime 1.31 moves that into a pooling behind
    /// it, where cells outside never win, and zero no longer wins over what is negative.
    pub fn surround_with_zeros(&mut self, x: &str, [channels, height, width]: [usize; 3], output: &str) -> String {
        let name = |part: &str| format!("{output}.{part}");
        let row = self.initializer(&name("row"), &Tensor::zeros(&[1, channels, 1, width]));
        let column = self.initializer(&name("column"), &Tensor::zeros(&[1, channels, height + 2, 1]));
        let taller = self.concat(&[&row, x, &row], 2, &name("taller"));
        self.concat(&[&column, &taller, &column], 3, output)
    }

    /// Every cell `factor` times across and down. Written as copies of the channels that are dealt out over space: exact, and
    /// without the coordinate rules of `Resize`, which runtimes read differently.
    pub fn repeat_cells(&mut self, x: &str, factor: usize, output: &str) -> String {
        let copies = self.concat(&vec![x; factor * factor], 1, &format!("{output}.copies"));
        self.node("DepthToSpace", &[&copies], output, vec![int("blocksize", factor as i64)])
    }

    /// `ReduceMin`, `ReduceMax`, `ReduceMean` or `ReduceL2` over `axes`, which stay with size 1.
    pub fn reduce(&mut self, op: &str, x: &str, axes: &[i64], output: &str) -> String {
        self.node(op, &[x], output, vec![ints("axes", axes), int("keepdims", 1)])
    }

    /// The `count` largest (or smallest) values along axis 1 of `1 x n`, in order, and their places (whole numbers): the names
    /// of both, each `1 x count`.
    pub fn top(&mut self, x: &str, count: usize, largest: bool, output: &str) -> [String; 2] {
        let wanted = self.integers(&format!("{output}.count"), &[count as i64]);
        let outputs = [format!("{output}.values"), format!("{output}.places")];
        self.graph.node.push(NodeProto {
            input: vec![x.into(), wanted],
            output: outputs.to_vec(),
            name: output.into(),
            op_type: "TopK".into(),
            attribute: vec![int("axis", 1), int("largest", i64::from(largest)), int("sorted", 1)],
            domain: String::new(),
        });
        outputs
    }

    /// `x` with the slices along `axis` that stand at these places, in this order; a place may come again.
    pub fn pick(&mut self, x: &str, axis: i64, places: &[i64], output: &str) -> String {
        let places = self.integers(&format!("{output}.places"), places);
        self.node("Gather", &[x, &places], output, vec![int("axis", axis)])
    }

    /// The rows of `x` at these places (a list of whole numbers).
    pub fn rows_at(&mut self, x: &str, places: &str, output: &str) -> String {
        self.node("Gather", &[x, places], output, vec![int("axis", 0)])
    }
}
