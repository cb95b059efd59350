//! How to extend ONNX Runtime: an operator of our own, registered through `ort`.
//!
//! `inspectd:Prepare` is put before a bundle's graph, which then takes the picture as it came (bytes, of any size, grey or colour) and resizes,
//! scales and normalises it inside: the work of the line's stage before the model, by the same code ([`Preprocess::fill`]), so that all
//! outputs are the same to the last bit. That is checked here on every picture, and both ways are timed by turns:
//!
//!     cargo run --example custom_operator [BUNDLE]
//!
//! The line does not use it. docs/EDGE.md has the figures and the reasons.

#![allow(clippy::print_stdout, reason = "figures are what this program is for")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use models::bundle::Bundle;
use models::graph::proto::{
    AttributeProto, DimensionProto, GraphProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};
use models::graph::{self, ModelProto};
use models::image::{Image, ImageView, PixelFormat};
use models::preprocess::Preprocess;
use models::runtime;
use ort::environment::Environment;
use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
    ShapeInferenceContext,
};
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::value::{Shape, SymbolicDimensions, TensorElementType, TensorRef, ValueType};
use prost::Message;

/// Where our operators live; ONNX's own have the empty name.
const DOMAIN: &str = "inspectd";
const NAME: &str = "Prepare";
/// `AttributeProto.AttributeType.FLOATS`.
const FLOATS: i32 = 6;
/// `TensorProto.DataType.UINT8`.
const UINT8: i32 = 2;
/// Rounds of the timing: one picture each way.
const ROUNDS: usize = 60;

type Failure = Box<dyn std::error::Error>;

/// What ONNX Runtime asks of an operator: its name, what goes in and out, how large that will be, and a kernel for each node.
struct Prepare;

impl Operator for Prepare {
    type Kernel<'attr> = Prepared;

    fn name(&self) -> &str {
        NAME
    }

    /// `height x width x channels`, as a camera gives it.
    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(TensorElementType::Uint8)]
    }

    /// `1 x 3 x height x width`, as the graph behind it wants it.
    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, node: &KernelContext<'attr>) -> ort::Result<Prepared> {
        Prepared::new(|name| node.get::<i64>(name), |name| node.get::<Vec<f32>>(name))
    }

    /// Without it the runtime would not know the size of anything that follows, and optimise nothing of it.
    fn infer_shape(&self, node: &mut ShapeInferenceContext) -> ort::Result<()> {
        let Prepared(preprocess) = Prepared::new(|name| node.attr(name).ok(), |name| node.attr(name).ok())?;
        let shape = Shape::new(tensor_shape(&preprocess));
        let dimension_symbols = SymbolicDimensions::empty(shape.len());
        node.set_output(0, &ValueType::Tensor { ty: TensorElementType::Float32, shape, dimension_symbols })
    }
}

/// One node's kernel.
struct Prepared(Preprocess);

impl Prepared {
    /// From a node's attributes. What a graph says is not believed: it may come from anywhere.
    fn new(
        integer: impl Fn(&'static str) -> Option<i64>,
        floats: impl Fn(&'static str) -> Option<Vec<f32>>,
    ) -> ort::Result<Prepared> {
        let missing = |name: &str| ort::Error::new(format!("{DOMAIN}:{NAME} needs the attribute `{name}`"));
        let side = |name| integer(name).and_then(|side| u32::try_from(side).ok()).ok_or_else(|| missing(name));
        let three = |name| floats(name).and_then(|values| values.try_into().ok()).ok_or_else(|| missing(name));
        let preprocess =
            Preprocess { width: side("width")?, height: side("height")?, mean: three("mean")?, std: three("std")? };
        preprocess.check().map_err(ort::Error::wrap)?;
        Ok(Prepared(preprocess))
    }
}

impl Kernel for Prepared {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let absent = || ort::Error::new(format!("{DOMAIN}:{NAME} has no input or no output"));
        let picture = context.input(0)?.ok_or_else(absent)?;
        let (shape, data) = picture.try_extract_tensor::<u8>()?;
        let view = view(shape, data).ok_or_else(|| {
            ort::Error::new(format!(
                "a picture is height x width x 1 or 3 bytes, this is {:?} and {}",
                &**shape,
                data.len()
            ))
        })?;
        let mut tensor = context.output(0, tensor_shape(&self.0))?.ok_or_else(absent)?;
        self.0.fill(view, tensor.try_extract_tensor_mut::<f32>()?.1);
        Ok(())
    }
}

fn view<'a>(shape: &[i64], data: &'a [u8]) -> Option<ImageView<'a>> {
    let [height, width, channels] = *shape else { return None };
    let format = match channels {
        1 => PixelFormat::Mono8,
        3 => PixelFormat::Rgb8,
        _ => return None,
    };
    let view = ImageView { width: u32::try_from(width).ok()?, height: u32::try_from(height).ok()?, format, data };
    view.is_consistent().then_some(view)
}

fn tensor_shape(preprocess: &Preprocess) -> [i64; 4] {
    [1, 3, i64::from(preprocess.height), i64::from(preprocess.width)]
}

/// The graph with the operator in front: its input is the picture.
fn with_picture(model: &ModelProto, preprocess: &Preprocess, input: &str) -> ModelProto {
    let floats = |name: &str, floats: [f32; 3]| AttributeProto {
        name: name.into(),
        floats: floats.into(),
        r#type: FLOATS,
        ..AttributeProto::default()
    };
    let attributes = vec![
        AttributeProto::int("height", preprocess.height.into()),
        AttributeProto::int("width", preprocess.width.into()),
        floats("mean", preprocess.mean),
        floats("std", preprocess.std),
    ];
    let node = NodeProto { domain: DOMAIN.into(), ..NodeProto::new(NAME, &["picture"], input, attributes) };
    let dim =
        ["rows", "columns", "channels"].map(|name| DimensionProto { dim_param: Some(name.into()), dim_value: None });
    let tensor_type = TensorTypeProto { elem_type: UINT8, shape: Some(TensorShapeProto { dim: dim.into() }) };
    let picture = ValueInfoProto { name: "picture".into(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) };

    let mut model = model.clone();
    model.opset_import.push(OperatorSetIdProto { domain: DOMAIN.into(), version: 1 });
    let whole = model.graph.take().unwrap_or_default();
    let node = std::iter::once(node).chain(whole.node).collect();
    model.graph = Some(GraphProto { node, input: vec![picture], ..whole });
    model
}

/// A session on one thread of the processor; with our operators, where asked.
fn session(environment: &Environment, graph: &[u8], ours: bool) -> Result<Session, Failure> {
    let mut builder = SessionBuilder::new(environment)?.with_intra_threads(1)?.with_deterministic_compute(true)?;
    if ours {
        builder = builder.with_operators(OperatorDomain::new(DOMAIN)?.add(Prepare)?)?;
    }
    Ok(builder.commit_from_memory(graph)?)
}

type Outputs = BTreeMap<String, Vec<f32>>;

fn outputs(values: &ort::session::SessionOutputs<'_>) -> Result<Outputs, Failure> {
    let read = |(name, value): (&str, ort::value::ValueRef<'_>)| {
        Ok((name.to_owned(), value.try_extract_tensor::<f32>()?.1.to_vec()))
    };
    values.iter().map(read).collect()
}

/// The same graph twice: behind a tensor that is filled outside, and behind the picture.
struct Both {
    preprocess: Preprocess,
    plain: Session,
    ours: Session,
}

impl Both {
    fn load(bundle: &Bundle) -> Result<Both, Failure> {
        let environment = runtime::environment(None)?;
        let preprocess = bundle.manifest.preprocess.clone();
        let model = graph::check(&bundle.graph)?;
        let ours = with_picture(&model, &preprocess, &bundle.manifest.input).encode_to_vec();
        Ok(Both {
            plain: session(environment, &bundle.graph, false)?,
            ours: session(environment, &ours, true)?,
            preprocess,
        })
    }

    fn by_tensor(&mut self, picture: &Image) -> Result<Outputs, Failure> {
        let mut tensor = vec![0.0; self.preprocess.tensor_len()];
        self.preprocess.fill(picture.view(), &mut tensor);
        let input = TensorRef::from_array_view((tensor_shape(&self.preprocess), &*tensor))?;
        outputs(&self.plain.run([input.into()])?)
    }

    fn by_picture(&mut self, shape: [i64; 3], data: &[u8]) -> Result<Outputs, Failure> {
        let input = TensorRef::from_array_view((shape, data))?;
        outputs(&self.ours.run([input.into()])?)
    }
}

/// Shape of a picture for the operator.
fn shape(picture: &Image) -> [i64; 3] {
    [picture.height.into(), picture.width.into(), picture.format.channels() as i64]
}

/// A picture with something on it everywhere.
fn drawn(width: u32, height: u32, format: PixelFormat) -> Image {
    let bytes = width as usize * height as usize * format.channels();
    let data = (0..bytes).map(|at| ((at * 7919 + at / 3001 * 31) % 251) as u8).collect();
    Image { width, height, format, data }
}

fn main() -> Result<(), Failure> {
    let shipped = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/weights/default.bundle"));
    let path = std::env::args_os().nth(1).map_or_else(shipped, PathBuf::from);
    let mut both = Both::load(&Bundle::open(&path)?)?;
    for (width, height) in [(512, 512), (2448, 2048)] {
        let picture = drawn(width, height, PixelFormat::Rgb8);
        let mut took = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let started = Instant::now();
            let tensor = both.by_tensor(&picture)?;
            took[0].push(started.elapsed());
            let started = Instant::now();
            let ours = both.by_picture(shape(&picture), &picture.data)?;
            took[1].push(started.elapsed());
            if tensor != ours {
                return Err("the operator gives other outputs than the tensor".into());
            }
        }
        let [tensor, ours] = took.map(median);
        let ratio = ours.as_secs_f64() / tensor.as_secs_f64();
        println!(
            "{width} x {height}: tensor {tensor:.2?}, operator {ours:.2?}, ratio {ratio:.3}; outputs equal to the last bit"
        );
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Bundle {
        Bundle::open(concat!(env!("CARGO_MANIFEST_DIR"), "/weights/default.bundle").as_ref())
            .expect("it is in the tree")
    }

    #[test]
    fn the_graph_with_the_operator_gives_the_same_bits_for_pictures_of_any_size_and_colour() {
        let mut both = Both::load(&shipped()).expect("both load");
        for (width, height) in [(512, 512), (1, 1), (37, 700), (1000, 333)] {
            for format in [PixelFormat::Mono8, PixelFormat::Rgb8] {
                let picture = drawn(width, height, format);
                let tensor = both.by_tensor(&picture).expect("runs");
                assert!(tensor.len() > 1 && tensor.values().all(|values| values.iter().all(|value| value.is_finite())));
                assert_eq!(
                    both.by_picture(shape(&picture), &picture.data).expect("runs"),
                    tensor,
                    "{width} x {height}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_picture_is_an_error_of_the_run_and_the_session_goes_on() {
        let mut both = Both::load(&shipped()).expect("both load");
        for (wrong, bytes) in [([8, 8, 2], 128), ([8, 8, 4], 256), ([0, 8, 3], 0)] {
            let error = both.by_picture(wrong, &vec![0; bytes]).expect_err("no picture").to_string();
            assert!(error.contains("height x width x 1 or 3") || error.contains("dimension"), "{wrong:?}: {error}");
        }
        let picture = drawn(20, 20, PixelFormat::Rgb8);
        assert!(both.by_picture(shape(&picture), &picture.data).is_ok());
    }

    #[test]
    fn a_node_whose_attributes_are_no_recipe_is_refused_when_the_graph_is_loaded() {
        let environment = runtime::environment(None).expect("ONNX Runtime");
        let bundle = shipped();
        let model = graph::check(&bundle.graph).expect("a sound graph");
        let sound = bundle.manifest.preprocess.clone();
        for wrong in [Preprocess { width: 0, ..sound.clone() }, Preprocess { std: [0.0; 3], ..sound }] {
            let graph = with_picture(&model, &wrong, &bundle.manifest.input).encode_to_vec();
            let error = session(environment, &graph, true).map(|_| ()).expect_err("no recipe").to_string();
            assert!(error.contains("preprocess"), "{error}");
        }
        let graph = with_picture(&model, &bundle.manifest.preprocess, &bundle.manifest.input).encode_to_vec();
        assert!(session(environment, &graph, false).is_err(), "without the operator no graph of it loads");
        assert!(graph::check(&graph).is_err(), "and no bundle may hold one");
    }
}
