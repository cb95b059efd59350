//! A bundle made ready to run: provider chosen, expected scores reproduced, sessions pooled.

use std::sync::Arc;

use crate::bundle::{Bundle, Manifest};
use crate::prediction::{Model, Prediction};
use crate::runtime::{Provider, RuntimeError, SessionOptions};

/// A verified model with a pool of sessions, one per thread that predicts at once.
pub struct Predictor {
    manifest: Manifest,
    digest: Arc<str>,
}

impl Predictor {
    /// Walks the provider ladder, replays the calibration images on the first provider that loads and refuses a mismatch.
    pub fn load(_bundle: Bundle, _options: &SessionOptions) -> Result<Predictor, RuntimeError> {
        todo!()
    }
}

impl Model for Predictor {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    fn provider(&self) -> Provider {
        todo!()
    }

    fn predict(&self, _tensor: &[f32]) -> Result<Prediction, RuntimeError> {
        todo!()
    }
}
