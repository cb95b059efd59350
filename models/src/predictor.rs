//! A bundle made ready to run: provider chosen, expected scores reproduced, sessions pooled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::bundle::{Bundle, Expectation, Manifest, MemorySpec, PrototypeSpec, Reference};
use crate::graph;
use crate::heads::prototypes::Likeness;
use crate::image::Image;
use crate::precision::{self, Precision};
use crate::prediction::{Anomaly, HeatMap, Model, Prediction};
use crate::runtime::{NamedOutput, Outputs, Provider, RuntimeError, Session, SessionOptions};

/// How far a calibration image's probabilities may sum from 1 before they are no probabilities.
const SUM_TOLERANCE: f32 = 1e-2;

/// A verified model with a pool of sessions, one per thread that predicts at once.
pub struct Predictor {
    bundle: Bundle,
    digest: Arc<str>,
    provider: Provider,
    options: SessionOptions,
    fallbacks: Vec<(Provider, String)>,
    /// Sessions that no thread is using. One whose thread panicked or hangs never comes back; another takes its place.
    idle: Mutex<Vec<Session>>,
}

impl Predictor {
    /// Walks the provider ladder, replays the calibration images on the first provider that loads and refuses a mismatch.
    /// `options.require` replaces the ladder: that provider or none.
    ///
    /// A mismatch is not a reason to try the next provider: one that loads and computes something else is a fault that a
    /// person must see.
    ///
    /// # Errors
    /// The library: [`RuntimeError::LibraryMissing`], [`RuntimeError::LibraryBroken`]. The provider:
    /// [`RuntimeError::ProviderUnavailable`] for a required one, else [`RuntimeError::NoProvider`]. The bundle:
    /// [`RuntimeError::GraphRefused`], [`RuntimeError::Mismatch`], [`RuntimeError::NotFinite`].
    pub fn load(bundle: Bundle, options: &SessionOptions) -> Result<Predictor, RuntimeError> {
        // Again, though the bundle was checked when it was read: a bundle can also be put together in memory, and a graph
        // that refers to files outside must not reach the runtime.
        let model = graph::check(&bundle.graph).map_err(|e| RuntimeError::GraphRefused(e.to_string()))?;
        precision::check(&model, bundle.manifest.precision).map_err(RuntimeError::GraphRefused)?;
        let (mut session, provider, fallbacks) = climb(&bundle, options)?;
        verify(&bundle, provider, &mut session)?;
        for (skipped, reason) in &fallbacks {
            // No warning: a machine without a graphics card is a normal one. Whoever demands a provider gets an error instead.
            tracing::info!(model = %bundle.manifest.name, "{skipped} is not used: {reason}");
        }
        tracing::info!(model = %bundle.manifest.name, provider = %provider, "the model reproduces its calibration images");
        Ok(Predictor {
            digest: Arc::from(bundle.manifest.graph_sha256.as_str()),
            provider,
            options: options.clone(),
            fallbacks,
            idle: Mutex::new(vec![session]),
            bundle,
        })
    }

    /// The providers of the ladder that came before the active one, and why they are not used.
    pub fn fallbacks(&self) -> &[(Provider, String)] {
        &self.fallbacks
    }

    /// Makes sure that `sessions` sessions are idle, each of which has run once, so that no part pays for it.
    ///
    /// # Errors
    /// As [`load`](Self::load), as long as the sessions are concerned.
    pub fn warm_up(&self, sessions: usize) -> Result<(), RuntimeError> {
        let tensor = vec![0.0; self.preprocess().tensor_len()];
        while self.idle_sessions() < sessions {
            let mut session = self.new_session()?;
            session.run(&tensor)?;
            self.put_back(session);
        }
        Ok(())
    }

    /// Sessions that no thread is using now.
    pub fn idle_sessions(&self) -> usize {
        self.pool().len()
    }

    fn new_session(&self) -> Result<Session, RuntimeError> {
        Session::new(&self.bundle, self.provider, &self.options)
    }

    fn put_back(&self, session: Session) {
        self.pool().push(session);
    }

    /// Nothing that can panic runs under this lock, so what a poisoned one guards is still whole.
    fn pool(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Model for Predictor {
    fn manifest(&self) -> &Manifest {
        &self.bundle.manifest
    }

    fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    fn provider(&self) -> Provider {
        self.provider
    }

    fn reference(&self) -> Option<&Reference> {
        self.bundle.reference.as_ref()
    }

    fn predict(&self, tensor: &[f32]) -> Result<Prediction, RuntimeError> {
        let expected = self.preprocess().tensor_len();
        if tensor.len() != expected {
            return Err(RuntimeError::Input { expected, got: tensor.len() });
        }
        let idle = self.pool().pop();
        let mut session = match idle {
            Some(session) => session,
            None => self.new_session()?,
        };
        // A session that failed is dropped here: after a device error it would fail for ever.
        let outputs = session.run(tensor)?;
        self.put_back(session);
        finite(&outputs)?;
        let Outputs { scores, heat, heat_size: [height, width], mut named } = outputs;
        let heat = HeatMap { labels: scores.len(), height, width, logits: heat };
        let heads = &self.bundle.manifest.heads;
        let embedding = heads.embedding.as_ref().and_then(|name| named.remove(name)).map(|output| output.data);
        let likeness = |spec: &PrototypeSpec| Some(Likeness::new(spec, named.remove(&spec.output)?.data));
        let prototypes = heads.prototypes.as_ref().and_then(likeness);
        let anomaly = heads.memory.as_ref().and_then(|memory| anomaly(memory, &mut named));
        let (provider, model_digest) = (self.provider, Arc::clone(&self.digest));
        Ok(Prediction { scores, heat, embedding, prototypes, anomaly, provider, model_digest })
    }
}

/// What the processor says of these images: what a bundle then promises to say of them anywhere.
///
/// # Errors
/// When the graph does not run.
pub fn expectations(bundle: &Bundle, images: Vec<Image>) -> Result<Vec<Expectation>, RuntimeError> {
    let mut session = Session::new(bundle, Provider::Cpu, &SessionOptions::default())?;
    let preprocess = &bundle.manifest.preprocess;
    let mut tensor = vec![0.0; preprocess.tensor_len()];
    let expect = |image: Image| {
        preprocess.fill(image.view(), &mut tensor);
        let outputs = session.run(&tensor)?;
        finite(&outputs)?;
        let named = outputs.named.into_iter().map(|(name, output)| (name, output.data)).collect();
        Ok(Expectation { image, scores: outputs.scores, heat: outputs.heat, named })
    };
    images.into_iter().map(expect).collect()
}

/// What the memory's outputs say; their shapes were checked when the session was made.
fn anomaly(memory: &MemorySpec, named: &mut BTreeMap<String, NamedOutput>) -> Option<Anomaly> {
    let share = *named.remove(&memory.anomaly)?.data.first()?;
    let NamedOutput { shape, data } = named.remove(&memory.distances)?;
    let [.., height, width] = *shape.as_slice() else { return None };
    Some(Anomaly { share, height, width, cells: data })
}

/// A session, its provider, and the providers that did not work before it.
type Rung = (Session, Provider, Vec<(Provider, String)>);

/// The first provider of the ladder that loads.
fn climb(bundle: &Bundle, options: &SessionOptions) -> Result<Rung, RuntimeError> {
    if let Some(required) = options.require {
        return Ok((Session::new(bundle, required, options)?, required, Vec::new()));
    }
    let mut tried = Vec::new();
    for &provider in &options.ladder {
        match Session::new(bundle, provider, options) {
            Ok(session) => return Ok((session, provider, tried)),
            Err(RuntimeError::ProviderUnavailable { provider, reason }) => tried.push((provider, reason)),
            Err(other) => return Err(other),
        }
    }
    Err(RuntimeError::NoProvider { tried })
}

/// Replays the calibration images: probabilities, the heat map's probabilities cell by cell, and the heads' outputs, whose
/// differences are relative to the largest value expected of each.
pub(crate) fn verify(bundle: &Bundle, provider: Provider, session: &mut Session) -> Result<(), RuntimeError> {
    if bundle.expectations.is_empty() {
        return Err(RuntimeError::GraphRefused("the bundle has no calibration images to verify it with".to_owned()));
    }
    let preprocess = &bundle.manifest.preprocess;
    let mut tensor = vec![0.0; preprocess.tensor_len()];
    for (image, expectation) in bundle.expectations.iter().enumerate() {
        if !expectation.image.view().is_consistent() {
            return Err(RuntimeError::GraphRefused(format!("calibration image {image} contradicts its own size")));
        }
        preprocess.fill(expectation.image.view(), &mut tensor);
        let outputs = session.run(&tensor)?;
        finite(&outputs)?;
        check_probabilities(&outputs.scores)?;
        compare(bundle, provider, image, expectation, outputs)?;
    }
    Ok(())
}

fn compare(
    bundle: &Bundle,
    provider: Provider,
    image: usize,
    expectation: &Expectation,
    outputs: Outputs,
) -> Result<(), RuntimeError> {
    let labels = &bundle.manifest.labels;
    if expectation.scores.len() != outputs.scores.len() || expectation.heat.len() != outputs.heat.len() {
        return Err(RuntimeError::GraphRefused(format!(
            "calibration image {image} expects {} scores and {} heat values; the graph gives {} and {}",
            expectation.scores.len(),
            expectation.heat.len(),
            outputs.scores.len(),
            outputs.heat.len()
        )));
    }
    let expected = expectation.named.iter().map(|(name, values)| (name, values.len()));
    if !expected.eq(outputs.named.iter().map(|(name, output)| (name, output.data.len()))) {
        let names: Vec<&String> = expectation.named.keys().collect();
        return Err(RuntimeError::GraphRefused(format!(
            "calibration image {image} expects other values of the further outputs {names:?} than the manifest's heads name"
        )));
    }
    // The coarser of what the graph is in and what the provider computes with.
    let tolerance = match bundle.manifest.precision.max(provider.precision()) {
        Precision::Fp32 => bundle.manifest.tolerance.fp32,
        Precision::Fp16 | Precision::Int8 => bundle.manifest.tolerance.fp16,
    };
    let mismatch = |what: String, expected: f32, got: f32| RuntimeError::Mismatch {
        provider,
        image,
        what,
        expected,
        got,
        difference: (got - expected).abs(),
        tolerance,
    };
    if let Some(label) = worst_beyond(&expectation.scores, &outputs.scores, tolerance) {
        let what = format!("probability of `{}`", labels[label].name);
        return Err(mismatch(what, expectation.scores[label], outputs.scores[label]));
    }
    let [height, width] = outputs.heat_size;
    let map = |logits| HeatMap { labels: labels.len(), height, width, logits }.probabilities();
    let (expected, got) = (map(expectation.heat.clone()), map(outputs.heat));
    if let Some(at) = worst_beyond(&expected, &got, tolerance) {
        let (label, row, column) = (at / (height * width), at / width % height, at % width);
        let what = format!("heat map's probability of `{}` at row {row}, column {column}", labels[label].name);
        return Err(mismatch(what, expected[at], got[at]));
    }
    for (name, expected) in &expectation.named {
        let got = &outputs.named[name].data;
        let scale = expected.iter().fold(f32::MIN_POSITIVE, |top, value| top.max(value.abs()));
        let relative = |values: &[f32]| values.iter().map(|value| value / scale).collect::<Vec<_>>();
        let (expected, got) = (relative(expected), relative(got));
        if let Some(at) = worst_beyond(&expected, &got, tolerance) {
            let what = format!("value {at} of output `{name}`, as a share of its largest");
            return Err(mismatch(what, expected[at], got[at]));
        }
    }
    Ok(())
}

/// Index of the largest difference, if it is beyond `tolerance`. A difference that is no number is beyond any.
fn worst_beyond(expected: &[f32], got: &[f32], tolerance: f32) -> Option<usize> {
    let difference = |at: &usize| {
        let difference = (got[*at] - expected[*at]).abs();
        if difference.is_nan() { f32::INFINITY } else { difference }
    };
    let worst = (0..expected.len()).max_by(|a, b| difference(a).total_cmp(&difference(b)))?;
    let within = difference(&worst) <= tolerance;
    (!within).then_some(worst)
}

fn check_probabilities(scores: &[f32]) -> Result<(), RuntimeError> {
    let sum: f32 = scores.iter().sum();
    if scores.iter().any(|score| !(0.0..=1.0 + SUM_TOLERANCE).contains(score)) || (sum - 1.0).abs() > SUM_TOLERANCE {
        return Err(RuntimeError::GraphRefused(format!(
            "its scores {scores:?} are not probabilities: they sum to {sum}"
        )));
    }
    Ok(())
}

pub(crate) fn finite(outputs: &Outputs) -> Result<(), RuntimeError> {
    if !outputs.scores.iter().all(|value| value.is_finite()) {
        return Err(RuntimeError::NotFinite("scores"));
    }
    if !outputs.heat.iter().all(|value| value.is_finite()) {
        return Err(RuntimeError::NotFinite("heat map's values"));
    }
    if !outputs.named.values().flat_map(|output| &output.data).all(|value| value.is_finite()) {
        return Err(RuntimeError::NotFinite("further outputs' values"));
    }
    Ok(())
}
