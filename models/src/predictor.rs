//! A bundle made ready to run: provider chosen, expected scores reproduced, sessions pooled.

use std::sync::{Arc, Mutex, PoisonError};

use crate::bundle::{Bundle, Expectation, Manifest, Reference};
use crate::graph;
use crate::image::Image;
use crate::precision;
use crate::prediction::{Model, Prediction};
use crate::reproduce::{self, Difference, finite};
use crate::runtime::{Provider, RuntimeError, Session, SessionOptions};

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
        let tensor = vec![0.0; self.tensor_len()];
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
        let expected = self.tensor_len();
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
        Ok(Prediction::new(outputs, &self.bundle.manifest.heads, self.provider, Arc::clone(&self.digest)))
    }
}

/// What the processor says of these images: what a bundle then promises to say of them anywhere.
///
/// # Errors
/// When the graph does not run.
pub fn expectations(bundle: &Bundle, images: Vec<Image>) -> Result<Vec<Expectation>, RuntimeError> {
    let mut session = Session::new(bundle, Provider::Cpu, &SessionOptions::default())?;
    let manifest = &bundle.manifest;
    let mut tensor = vec![0.0; manifest.tensor_len()];
    let expect = |image: Image| {
        manifest.fill(image.view(), &mut tensor);
        let outputs = session.run(&tensor)?;
        finite(&outputs)?;
        let named = outputs.named.into_iter().map(|(name, output)| (name, output.data)).collect();
        Ok(Expectation { image, scores: outputs.scores, heat: outputs.heat, named })
    };
    images.into_iter().map(expect).collect()
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

/// Replays the calibration images and refuses the first difference that is too large.
pub(crate) fn verify(bundle: &Bundle, provider: Provider, session: &mut Session) -> Result<(), RuntimeError> {
    let tolerance = reproduce::tolerance(&bundle.manifest, provider.precision());
    let judge = |found: Difference| {
        let difference = found.size();
        if difference <= tolerance {
            return Ok(());
        }
        let Difference { image, what, expected, got } = found;
        Err(RuntimeError::Mismatch { provider, image, what, expected, got, difference, tolerance })
    };
    reproduce::replay(bundle, |tensor| session.run(tensor), judge)
}
