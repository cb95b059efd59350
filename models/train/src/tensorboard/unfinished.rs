//! How a training that goes on finds the folder of its log: a file there says whose it is, and is gone at the training's end.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::axis::Axis;
use crate::error::TrainError;

/// The file. TensorBoard passes by what it does not know.
const NAME: &str = "unfinished.json";
/// Its version.
const FORMAT: u32 = 1;

/// What it says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: u32,
    /// The bundle that will be, with its whole path.
    out: PathBuf,
    axis: Axis,
}

/// Says that the log in `folder` is that of the training of `out`, and how far that is.
pub(super) fn note(folder: &Path, out: &Path, axis: &Axis) -> Result<(), TrainError> {
    let content = Content { format: FORMAT, out: whole(out)?, axis: axis.clone() };
    let path = folder.join(NAME);
    let fresh = folder.join(format!("{NAME}.new"));
    let bytes = serde_json::to_vec(&content).map_err(std::io::Error::other).map_err(TrainError::io(&path))?;
    // Not synced: what a power cut takes of it costs a log its thread, and no training.
    std::fs::write(&fresh, bytes).map_err(TrainError::io(&fresh))?;
    std::fs::rename(&fresh, &path).map_err(TrainError::io(&path))
}

/// The newest unfinished log of the training of `out` among the folders in `logs`.
pub(super) fn find(logs: &Path, out: &Path) -> Option<(PathBuf, Axis)> {
    let out = whole(out).ok()?;
    let read = |folder: PathBuf| {
        let content: Content = serde_json::from_slice(&std::fs::read(folder.join(NAME)).ok()?).ok()?;
        (content.format == FORMAT && content.out == out).then_some((folder, content.axis))
    };
    // Their names end in the time at which they began.
    std::fs::read_dir(logs).ok()?.flatten().filter_map(|entry| read(entry.path())).max_by(|a, b| a.0.cmp(&b.0))
}

/// The training is over.
pub(super) fn remove(folder: &Path) -> Result<(), TrainError> {
    let path = folder.join(NAME);
    std::fs::remove_file(&path).map_err(TrainError::io(&path))
}

/// The path as it is from everywhere; the file itself need not be there yet.
fn whole(out: &Path) -> Result<PathBuf, TrainError> {
    std::path::absolute(out).map_err(TrainError::io(out))
}
