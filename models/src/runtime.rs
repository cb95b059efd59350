//! ONNX Runtime. The only file that names `ort`.
//!
//! ONNX Runtime falls back to the processor in silence when a provider does not load. Here a session has exactly the
//! provider it was asked for, or there is no session; who falls back, and why, is decided and kept by the
//! [`Predictor`](crate::predictor::Predictor).
//!
//! The TensorRT and CUDA paths were never run by this project's tests: no machine of theirs has a GPU. What is tested is
//! that their absence is reported.

mod engine_cache;
mod error;
mod library;
mod probe;
mod provider;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::environment::Environment;
use ort::ep::{self, ExecutionProviderDispatch};
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, SessionInputValue};
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

pub use self::error::RuntimeError;
pub use self::probe::Probe;
pub use self::provider::{Provider, SessionOptions};
use crate::bundle::{Bundle, HeadOutput, Heads};
use crate::graph::GraphBuilder;

/// Memory that TensorRT may use while it builds an engine, in bytes.
pub const DEFAULT_WORKSPACE: usize = 1 << 30;

/// Most cells along a side of a heat map, and most labels: beyond that the graph is not a model of ours.
const MAX_HEAT_SIDE: i64 = 512;
const MAX_LABELS: usize = 1000;

/// The one environment of the process. It lives until the process ends: ONNX Runtime allows no second one.
static LOADED: OnceLock<(Environment, PathBuf)> = OnceLock::new();

/// Loads the shared library once per process; later calls are free and their argument is ignored. A file named by
/// `library` or else by `ORT_DYLIB_PATH` must be the one. Otherwise it looks, in order, at `lib/` beside the program,
/// `/usr/lib/inspectd`, and `.setup/onnxruntime` in any folder above the program. Telemetry is off.
///
/// # Errors
/// [`RuntimeError::LibraryMissing`] with every place looked at, [`RuntimeError::LibraryBroken`] with the loader's words.
/// After an error it may be called again.
pub fn init(library: Option<&Path>) -> Result<(), RuntimeError> {
    environment(library).map(|_| ())
}

/// The library in use, once [`init`] has succeeded.
pub fn loaded_library() -> Option<&'static Path> {
    LOADED.get().map(|(_, path)| path.as_path())
}

/// The same, and what ONNX Runtime calls its environment: for programs that extend the runtime (`models/examples/custom_operator.rs`).
///
/// # Errors
/// As [`init`].
pub fn environment(library: Option<&Path>) -> Result<&'static Environment, RuntimeError> {
    static LOADING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((environment, _)) = LOADED.get() {
        return Ok(environment);
    }
    let variable = std::env::var_os(library::VARIABLE).map(PathBuf::from);
    let program = std::env::current_exe().unwrap_or_default();
    let path = library::find(library, variable.as_deref(), &program)
        .map_err(|looked| RuntimeError::LibraryMissing { looked })?;
    let broken = |reason: String| RuntimeError::LibraryBroken { path: path.clone(), reason };
    let environment = ort::init_from(&path)
        .map_err(|e| broken(e.to_string()))?
        .with_name("inspectd")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|e| broken(e.to_string()))?;
    Ok(&LOADED.get_or_init(|| (environment, path)).0)
}

/// Version of the library in use, as it names itself; nothing before [`init`] has succeeded.
pub fn version() -> Option<String> {
    loaded_library()?;
    let info = ort::info();
    // "ORT Build Info: git-branch=rel-1.23.0, git-commit-id=..., build type=..."
    let named = info.split("git-branch=").nth(1).and_then(|rest| rest.split(',').next());
    Some(named.map_or(info, |branch| branch.trim_start_matches("rel-")).to_owned())
}

/// ONNX Runtime's own log, in ours.
fn log(level: LogLevel, _category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Fatal | LogLevel::Error => tracing::error!(target: "onnxruntime", location, "{message}"),
        LogLevel::Warning => tracing::warn!(target: "onnxruntime", location, "{message}"),
        LogLevel::Info | LogLevel::Verbose => tracing::trace!(target: "onnxruntime", location, "{message}"),
    }
}

/// Whether a provider works here, for `inspectd doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderStatus {
    /// The provider.
    pub provider: Provider,
    /// Why it does not work.
    pub problem: Option<String>,
}

/// Tries every provider on a graph of one node. With TensorRT present this takes seconds.
///
/// # Errors
/// As [`init`]; a provider that does not work is not an error.
pub fn available_providers() -> Result<Vec<ProviderStatus>, RuntimeError> {
    let environment = environment(None)?;
    let mut graph = GraphBuilder::new("probe");
    let x = graph.input("x", &[1, 3, 8, 8]);
    let y = graph.relu(&x);
    graph.output(&y, &[1, 3, 8, 8]);
    let graph = graph.finish();
    let options = SessionOptions::default();
    let status = |provider| {
        let session = build(environment, &graph, provider, &options, EngineOptions::throw_away());
        ProviderStatus { provider, problem: session.err().map(|reason| explain(provider, reason)) }
    };
    Ok(Provider::ALL.into_iter().map(status).collect())
}

/// How TensorRT builds an engine.
struct EngineOptions {
    /// Bytes of GPU memory for trying out kernels.
    workspace: usize,
    /// The graph's digest and the folder that holds all caches; without it nothing is kept.
    cache: Option<(String, PathBuf)>,
}

impl EngineOptions {
    fn throw_away() -> Self {
        EngineOptions { workspace: DEFAULT_WORKSPACE, cache: None }
    }
}

/// Builds a session on exactly this provider.
fn build(
    environment: &Environment,
    graph: &[u8],
    provider: Provider,
    options: &SessionOptions,
    engine: EngineOptions,
) -> Result<ort::session::Session, String> {
    let text = |e: ort::Error<SessionBuilder>| e.to_string();
    let mut builder = SessionBuilder::new(environment)
        .map_err(|e| e.to_string())?
        .with_log_level(LogLevel::Warning)
        .map_err(text)?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(text)?
        .with_intra_threads(options.threads.max(1))
        .map_err(text)?
        .with_inter_threads(1)
        .map_err(text)?
        // Sessions idle between parts; a spinning pool would take the cores of the other stages.
        .with_intra_op_spinning(false)
        .map_err(text)?
        .with_deterministic_compute(true)
        .map_err(text)?
        .with_execution_providers([dispatch(provider, engine)?])
        .map_err(text)?;
    if provider != Provider::Cpu {
        // Otherwise nodes that the provider cannot take run on the processor, and the provider shown would be half a lie.
        builder = builder.with_disable_cpu_fallback().map_err(text)?;
    }
    builder.commit_from_memory(graph).map_err(|e| e.to_string())
}

fn dispatch(provider: Provider, engine: EngineOptions) -> Result<ExecutionProviderDispatch, String> {
    let provider = match provider {
        Provider::Cpu => ep::CPU::default().with_arena_allocator(true).build(),
        // TF32 rounds to 10 bits of mantissa. It stays off while inspecting too, so that what was verified is what runs.
        // The heuristic search is repeatable; the default one times kernels and may choose another after each start.
        Provider::Cuda => ep::CUDA::default()
            .with_tf32(false)
            .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
            .build(),
        Provider::Tensorrt => tensorrt(engine)?.build(),
    };
    Ok(provider.error_on_failure())
}

fn tensorrt(engine: EngineOptions) -> Result<ep::TensorRT, String> {
    let tensorrt = ep::TensorRT::default().with_fp16(true).with_max_workspace_size(engine.workspace);
    let Some((graph_sha256, cache_dir)) = engine.cache else { return Ok(tensorrt) };
    let folder = engine_cache::Key::read(Path::new("/proc"), &graph_sha256)
        .create(&cache_dir)
        .map_err(|e| format!("its cache folder in `{}` cannot be written: {e}", cache_dir.display()))?;
    Ok(tensorrt
        .with_engine_cache(true)
        .with_engine_cache_path(folder.display())
        .with_timing_cache(true)
        .with_timing_cache_path(folder.display()))
}

/// ONNX Runtime's words, and the way out where it is known.
fn explain(provider: Provider, reason: String) -> String {
    if provider != Provider::Cpu && reason.contains("not enabled in this build") {
        return format!(
            "this ONNX Runtime is built for the processor alone; put the library of `onnxruntime-gpu` in its place ({reason})"
        );
    }
    reason
}

/// Loads TensorRT's library, so that its version can be read. The options themselves are thrown away.
fn load_tensorrt(environment: &Environment) -> Result<(), String> {
    let builder = SessionBuilder::new(environment).map_err(|e| e.to_string())?;
    let provider = ep::TensorRT::default().build().error_on_failure();
    builder.with_execution_providers([provider]).map(|_| ()).map_err(|e| e.to_string())
}

/// A bundle's graph on one provider. Not for use by two threads at once: a [`Predictor`](crate::predictor::Predictor)
/// keeps one per thread.
pub struct Session {
    session: ort::session::Session,
    /// Asks for the outputs that the manifest names; others are not computed.
    outputs: RunOptions<HasSelectedOutputs>,
    provider: Provider,
    scores: String,
    heat: String,
    /// Names and sizes of the inputs, in the order in which they stand in a tensor.
    inputs: Vec<(String, Vec<i64>)>,
    labels: usize,
    heat_size: [usize; 2],
    /// The heads' outputs: names and sizes.
    named: Vec<(String, Vec<usize>)>,
}

/// What one run of a graph gives, unchecked.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {
    /// Probabilities, one per label.
    pub scores: Vec<f32>,
    /// Cell-wise logits, `labels x height x width`, row-major.
    pub heat: Vec<f32>,
    /// Cells down and across.
    pub heat_size: [usize; 2],
    /// The outputs that the manifest's heads read ([`crate::bundle::Heads::outputs`]), by name.
    pub named: BTreeMap<String, NamedOutput>,
}

/// A further output of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedOutput {
    /// Its sizes, outermost first.
    pub shape: Vec<usize>,
    /// Its values, row-major, as many as the product of the sizes.
    pub data: Vec<f32>,
}

impl Session {
    /// Loads the bundle's graph on exactly `provider` and compares the graph's inputs and outputs with the manifest. The
    /// library is looked for as by [`init`] if it is not loaded yet.
    ///
    /// # Errors
    /// As [`init`]; [`RuntimeError::ProviderUnavailable`], [`RuntimeError::GraphRefused`].
    pub fn new(bundle: &Bundle, provider: Provider, options: &SessionOptions) -> Result<Session, RuntimeError> {
        Self::with_workspace(bundle, provider, options, DEFAULT_WORKSPACE)
    }

    fn with_workspace(
        bundle: &Bundle,
        provider: Provider,
        options: &SessionOptions,
        workspace: usize,
    ) -> Result<Session, RuntimeError> {
        let environment = environment(None)?;
        let failed = |reason: String| match provider {
            // The processor is always there, so it is the graph that is at fault.
            Provider::Cpu => RuntimeError::GraphRefused(reason),
            _ => RuntimeError::ProviderUnavailable { provider, reason: explain(provider, reason) },
        };
        let manifest = &bundle.manifest;
        manifest.preprocess.check().map_err(|e| RuntimeError::GraphRefused(e.to_string()))?;
        if provider == Provider::Tensorrt {
            load_tensorrt(environment).map_err(failed)?;
        }
        let cache = options.cache_dir.clone().map(|folder| (manifest.graph_sha256.clone(), folder));
        let engine = EngineOptions { workspace, cache };
        let session = build(environment, &bundle.graph, provider, options, engine).map_err(failed)?;

        let sizes = |(name, shape): (String, Vec<usize>)| (name, shape.into_iter().map(|size| size as i64).collect());
        let inputs: Vec<(String, Vec<i64>)> = manifest.inputs().into_iter().map(sizes).collect();
        let labels = manifest.labels.len();
        expect_inputs(session.inputs(), &inputs)?;
        expect_scores(session.outputs(), &manifest.scores, labels)?;
        let heat_size = expect_heat(session.outputs(), &manifest.heat, labels)?;
        let named = expect_named(session.outputs(), &manifest.heads)?;
        let mut selected = OutputSelector::no_default().with(&manifest.scores).with(&manifest.heat);
        for (name, _) in &named {
            selected = selected.with(name);
        }
        let outputs = RunOptions::new().map_err(|e| failed(e.to_string()))?.with_outputs(selected);
        let (scores, heat) = (manifest.scores.clone(), manifest.heat.clone());
        Ok(Session { session, outputs, provider, scores, heat, inputs, labels, heat_size, named })
    }

    /// Runs one input of [`Manifest::tensor_len`](crate::bundle::Manifest::tensor_len) values, which is not copied.
    ///
    /// # Errors
    /// [`RuntimeError::Input`] for another length, [`RuntimeError::Run`].
    pub fn run(&mut self, tensor: &[f32]) -> Result<Outputs, RuntimeError> {
        let length = |shape: &[i64]| shape.iter().product::<i64>() as usize;
        let expected = self.inputs.iter().map(|(_, shape)| length(shape)).sum();
        if tensor.len() != expected {
            return Err(RuntimeError::Input { expected, got: tensor.len() });
        }
        let provider = self.provider;
        let failed = |reason: String| RuntimeError::Run { provider, reason };
        let mut rest = tensor;
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(self.inputs.len());
        for (name, shape) in &self.inputs {
            let (own, others) = rest.split_at(length(shape));
            rest = others;
            let value = TensorRef::from_array_view((shape.as_slice(), own)).map_err(|e| failed(e.to_string()))?;
            inputs.push((name, value.into()));
        }
        let values = self.session.run_with_options(inputs, &self.outputs).map_err(|e| failed(e.to_string()))?;
        let read = |name: &str, len: usize| {
            let value = values.get(name).ok_or_else(|| failed(format!("no output `{name}`")))?;
            let (_, data) = value.try_extract_tensor::<f32>().map_err(|e| failed(e.to_string()))?;
            if data.len() != len {
                return Err(failed(format!("output `{name}` has {} values instead of {len}", data.len())));
            }
            Ok(data.to_vec())
        };
        let [height, width] = self.heat_size;
        let further = |(name, shape): &(String, Vec<usize>)| {
            let data = read(name, shape.iter().product())?;
            Ok((name.clone(), NamedOutput { shape: shape.clone(), data }))
        };
        Ok(Outputs {
            scores: read(&self.scores, self.labels)?,
            heat: read(&self.heat, self.labels * height * width)?,
            heat_size: self.heat_size,
            named: self.named.iter().map(further).collect::<Result<_, _>>()?,
        })
    }
}

/// Builds TensorRT's engine for a bundle and leaves it in the cache folder, so that the line starts at once. Takes minutes;
/// call it in a process of its own. `workspace` is in bytes, see [`DEFAULT_WORKSPACE`].
///
/// Never run by this project's tests, for want of a GPU.
///
/// # Errors
/// [`RuntimeError::ProviderUnavailable`], also where `options` names no cache folder; [`RuntimeError::GraphRefused`].
pub fn build_engine(bundle: &Bundle, options: &SessionOptions, workspace: usize) -> Result<(), RuntimeError> {
    let provider = Provider::Tensorrt;
    if options.cache_dir.is_none() {
        let reason = "there is no cache folder to keep the engine in; name one".to_owned();
        return Err(RuntimeError::ProviderUnavailable { provider, reason });
    }
    let mut session = Session::with_workspace(bundle, provider, options, workspace)?;
    session.run(&vec![0.0; bundle.manifest.tensor_len()]).map(|_| ())
}

fn expect_inputs(inputs: &[Outlet], wanted: &[(String, Vec<i64>)]) -> Result<(), RuntimeError> {
    let names: Vec<&str> = inputs.iter().map(Outlet::name).collect();
    if !names.iter().eq(wanted.iter().map(|(name, _)| name)) {
        let wanted: Vec<String> = wanted.iter().map(|(name, _)| format!("`{name}`")).collect();
        let wanted = wanted.join(", ");
        return Err(RuntimeError::GraphRefused(format!("it takes {names:?}, where the manifest names {wanted}")));
    }
    for (input, (name, shape)) in inputs.iter().zip(wanted) {
        let found = shape_of(input)?;
        if found != shape.as_slice() {
            return Err(RuntimeError::GraphRefused(format!(
                "its input `{name}` is {found:?}, where the manifest's preprocessing gives {shape:?}"
            )));
        }
    }
    Ok(())
}

fn expect_scores(outputs: &[Outlet], name: &str, labels: usize) -> Result<(), RuntimeError> {
    if labels == 0 || labels > MAX_LABELS {
        return Err(RuntimeError::GraphRefused(format!("{labels} labels are outside 1 to {MAX_LABELS}")));
    }
    let found = shape_of(find(outputs, name)?)?;
    if *found != [1, labels as i64] {
        return Err(RuntimeError::GraphRefused(format!(
            "its scores `{name}` are {found:?}, where the manifest has {labels} labels"
        )));
    }
    Ok(())
}

fn expect_heat(outputs: &[Outlet], name: &str, labels: usize) -> Result<[usize; 2], RuntimeError> {
    let found = shape_of(find(outputs, name)?)?;
    let side = 1..=MAX_HEAT_SIDE;
    match *found {
        [1, k, height, width] if k == labels as i64 && side.contains(&height) && side.contains(&width) => {
            Ok([height as usize, width as usize])
        }
        _ => Err(RuntimeError::GraphRefused(format!(
            "its heat map `{name}` is {found:?} instead of [1, {labels}, height, width], each side 1 to {MAX_HEAT_SIDE}"
        ))),
    }
}

/// Names and sizes of the heads' outputs.
fn expect_named(outputs: &[Outlet], heads: &Heads) -> Result<Vec<(String, Vec<usize>)>, RuntimeError> {
    let expect = |head: HeadOutput| {
        let found = shape_of(find(outputs, &head.name)?)?;
        // A size that is only known at run time is negative: it reads 0, which no head takes.
        let found: Vec<usize> = found.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
        head.values(&found).map_err(RuntimeError::GraphRefused)?;
        Ok((head.name, found))
    };
    heads.outputs().into_iter().map(expect).collect()
}

fn find<'a>(outputs: &'a [Outlet], name: &str) -> Result<&'a Outlet, RuntimeError> {
    outputs.iter().find(|output| output.name() == name).ok_or_else(|| {
        let names: Vec<&str> = outputs.iter().map(Outlet::name).collect();
        RuntimeError::GraphRefused(format!("it gives {names:?}, where the manifest names `{name}`"))
    })
}

/// The sizes of an f32 tensor; a size that is only known at run time reads -1 and matches nothing.
fn shape_of(outlet: &Outlet) -> Result<&[i64], RuntimeError> {
    match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => Ok(shape),
        other => Err(RuntimeError::GraphRefused(format!("`{}` is {other} instead of f32 numbers", outlet.name()))),
    }
}
