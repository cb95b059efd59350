//! What an interrupted training leaves behind, and how it goes on.
//!
//! The folder `OUT.partial/` holds the present weights and the best ones, as ONNX models, and a small JSON file. The
//! optimiser's moments are not kept: they settle again within some dozen steps.

use std::path::{Path, PathBuf};
use std::time::Duration;

use models::bundle::Pooling;
use models::heads::attention;
use models::weights::Weights;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::loss::Score;

const FORMAT: u32 = 1;
const STATE: &str = "state.json";

/// How far a training was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    format: u32,
    /// What was being trained: data, seed, labels, input size, settings. Another one cannot go on from here.
    pub fingerprint: String,
    /// Epochs of stage two that are done.
    pub epochs: usize,
    /// Time spent so far.
    pub spent: Duration,
    /// The head's score after stage one.
    pub stage_one: Score,
    /// The best score so far.
    pub best: Score,
}

impl State {
    /// A state of this format.
    pub fn new(fingerprint: String, epochs: usize, spent: Duration, stage_one: Score, best: Score) -> State {
        State { format: FORMAT, fingerprint, epochs, spent, stage_one, best }
    }
}

/// A checkpoint's folder.
pub struct Checkpoint {
    folder: PathBuf,
}

impl Checkpoint {
    /// The folder for a bundle that will be `out`: `OUT.partial`.
    pub fn beside(out: &Path) -> Checkpoint {
        let mut name = out.as_os_str().to_owned();
        name.push(".partial");
        Checkpoint { folder: name.into() }
    }

    /// Whether there is something to go on from.
    pub fn exists(&self) -> bool {
        self.folder.join(STATE).exists()
    }

    /// Writes the weights and the state. Each file is replaced in one step, the state last, so that a training that dies here
    /// leaves the older checkpoint or the newer one.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, state: &State, present: &Weights, best: &Weights, labels: usize) -> Result<(), TrainError> {
        std::fs::create_dir_all(&self.folder).map_err(TrainError::io(&self.folder))?;
        self.write("present.onnx", &model(present, labels)?)?;
        self.write("best.onnx", &model(best, labels)?)?;
        let text = serde_json::to_vec_pretty(state).expect("a state is plain numbers and text");
        self.write(STATE, &text)
    }

    /// The present weights, the best ones, and the state.
    ///
    /// # Errors
    /// When there is none, it is damaged, or it belongs to another training than `fingerprint` says.
    pub fn load(&self, fingerprint: &str) -> Result<(State, Weights, Weights), TrainError> {
        let path = self.folder.join(STATE);
        let bytes = std::fs::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => TrainError::Settings(format!(
                "nothing to resume: `{}` is not there; start without `--resume`",
                path.display()
            )),
            _ => TrainError::Io { path: path.clone(), source },
        })?;
        let state: State = serde_json::from_slice(&bytes)
            .map_err(|error| TrainError::Settings(format!("checkpoint `{}`: {error}", path.display())))?;
        if state.format != FORMAT {
            let (found, path) = (state.format, path.display());
            return Err(TrainError::Settings(format!(
                "checkpoint `{path}` has format {found}, this program knows {FORMAT}"
            )));
        }
        if state.fingerprint != fingerprint {
            return Err(TrainError::Settings(format!(
                "checkpoint `{}` belongs to a training with other data, labels, size or settings; start without `--resume`",
                self.folder.display()
            )));
        }
        Ok((state, self.read("present.onnx")?, self.read("best.onnx")?))
    }

    /// Removes the folder, once the bundle is written.
    pub fn remove(&self) {
        // What stays behind wastes some megabytes and harms nothing: the next training overwrites it.
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::debug!("checkpoint `{}`: {error}", self.folder.display());
        }
    }

    fn read(&self, name: &str) -> Result<Weights, TrainError> {
        let path = self.folder.join(name);
        Ok(Weights::from_graph(&std::fs::read(&path).map_err(TrainError::io(&path))?)?)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        let (path, fresh) = (self.folder.join(name), self.folder.join(format!("{name}.new")));
        std::fs::write(&fresh, bytes).map_err(TrainError::io(&fresh))?;
        std::fs::rename(&fresh, &path).map_err(TrainError::io(&path))
    }
}

/// The weights as a whole model at the smallest size, from which they are read back by name.
fn model(weights: &Weights, labels: usize) -> Result<Vec<u8>, TrainError> {
    Ok(attention::build(weights, [32, 32], labels, pooling(weights))?)
}

/// The pooling that these weights were learned with.
pub fn pooling(weights: &Weights) -> Pooling {
    match weights.0.get(attention::SHARPNESS).and_then(|tensor| tensor.data.first()) {
        Some(&sharpness) => Pooling::LogMeanExp(sharpness),
        None => Pooling::Mean,
    }
}
