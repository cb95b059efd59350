//! A provider that can be lost while the line runs, with the processor behind it.
//!
//! A graphics card falls off its bus, its driver is updated, its memory fails: from then on each call ends in an error or never
//! comes back. A part whose call ends in an error is computed on the processor at once; after [`ERRORS_IN_A_ROW`] such calls, or one that
//! does not come back within the patience, the provider is given up until the recipe is loaded anew. Whether the processor
//! is quick enough to stand in is for the caller to know.
//!
//! What was never run: a real card that is lost. The tests lose a scripted one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::bundle::{Manifest, Reference};
use crate::prediction::{Model, Prediction};
use crate::runtime::{Provider, RuntimeError};

/// Calls that end in an error, one after the other, before a provider is given up: one alone may be a moment's.
pub const ERRORS_IN_A_ROW: u32 = 2;

/// See the module.
pub struct WithFallback {
    first: Arc<dyn Model>,
    processor: Arc<dyn Model>,
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    errors: u32,
    /// Calls that have not come back, by number.
    open: BTreeMap<u64, Instant>,
    calls: u64,
    /// Why the provider was given up.
    lost: Option<String>,
}

/// A call to the first provider; ended when it is dropped, however that happens.
struct Call<'a> {
    of: &'a WithFallback,
    number: u64,
}

impl WithFallback {
    /// `processor` must be the same model. A call that takes longer than `patience` is taken for one that never comes back.
    pub fn new(first: Arc<dyn Model>, processor: Arc<dyn Model>, patience: Duration) -> WithFallback {
        WithFallback { first, processor, patience, state: Mutex::default() }
    }

    /// None: the provider is lost, also by what this call finds.
    fn begin(&self) -> Option<Call<'_>> {
        let mut state = self.state();
        let now = Instant::now();
        let oldest = state.open.values().next().map(|began| now.saturating_duration_since(*began));
        if let Some(waited) = oldest.filter(|waited| *waited > self.patience) {
            self.give_up(&mut state, format!("a call has not come back for {:.1} s", waited.as_secs_f64()));
        }
        if state.lost.is_some() {
            return None;
        }
        state.calls += 1;
        let number = state.calls;
        state.open.insert(number, now);
        Some(Call { of: self, number })
    }

    fn failed(&self, error: &RuntimeError) {
        let mut state = self.state();
        state.errors += 1;
        tracing::warn!(provider = %self.first.provider(), "computed on the processor instead: {error}");
        if state.errors >= ERRORS_IN_A_ROW {
            self.give_up(&mut state, error.to_string());
        }
    }

    fn give_up(&self, state: &mut State, reason: String) {
        if state.lost.is_none() {
            tracing::error!("{} is lost, the processor takes over: {reason}", self.first.provider());
            state.lost = Some(reason);
        }
    }

    /// Nothing that can panic runs under this lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.of.state().open.remove(&self.number);
    }
}

impl Model for WithFallback {
    fn manifest(&self) -> &Manifest {
        self.first.manifest()
    }

    fn digest(&self) -> &Arc<str> {
        self.first.digest()
    }

    fn provider(&self) -> Provider {
        if self.state().lost.is_some() { self.processor.provider() } else { self.first.provider() }
    }

    fn reference(&self) -> Option<&Reference> {
        self.first.reference()
    }

    fn lost(&self) -> Option<(Provider, String)> {
        self.state().lost.clone().map(|reason| (self.first.provider(), reason))
    }

    fn predict(&self, tensor: &[f32]) -> Result<Prediction, RuntimeError> {
        let Some(call) = self.begin() else { return self.processor.predict(tensor) };
        let answer = self.first.predict(tensor);
        drop(call);
        match answer {
            // The caller's mistake, on any provider.
            Err(RuntimeError::Input { .. }) => answer,
            Err(error) => {
                self.failed(&error);
                self.processor.predict(tensor)
            }
            Ok(prediction) => {
                self.state().errors = 0;
                Ok(prediction)
            }
        }
    }
}
