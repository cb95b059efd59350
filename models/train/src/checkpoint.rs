//! What an interrupted training leaves behind, and how it goes on.
//!
//! ONE file beside the bundle, `OUT.partial`: the state as a line of JSON, then the present weights and the best ones as ONNX
//! models and the optimiser's moments (of a pretraining: its weights and moments), all under one SHA-256. It is written whole beside the old one, synced, and put in its
//! place by one rename, so that a training that dies at any moment leaves the older checkpoint or the newer, never a mixture.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use models::bundle::Pooling;
use models::heads::attention;
use models::weights::Weights;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::TrainError;
use crate::loss::Score;
use crate::peers::{Peers, wire};
use crate::sampler::Standing;
use crate::stage_two::Position;
use crate::train::Start;

/// First line of a checkpoint; the number is the format's.
const MAGIC: &str = "inspectd checkpoint 2\n";
/// Hexadecimal digits of a SHA-256, and the end of their line.
const DIGEST_LEN: usize = 64 + 1;
/// How often, and with what pause, a claim is tried.
const CLAIM_TRIES: usize = 20;
const CLAIM_PAUSE: Duration = Duration::from_millis(100);

/// How far a training was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// What was being trained: data, trunk, seed, labels, input size, settings. Another one cannot go on from here.
    pub fingerprint: String,
    /// How far stage two is.
    pub position: Position,
    /// Time spent so far.
    pub spent: Duration,
    /// The head's score after stage one.
    pub stage_one: Score,
    /// The score of the network kept so far.
    pub best: Score,
    /// Where the sampler stands, where batches follow from what was learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
}

/// All that a training needs to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// How far it was.
    pub state: State,
    /// The present weights.
    pub present: Weights,
    /// Those to keep so far: the best ones by the selection set, or the latest.
    pub best: Weights,
    /// The optimiser's moments; empty before its first step.
    pub moments: Vec<u8>,
}

/// The state and the lengths of what follows it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<S> {
    state: S,
    lengths: [usize; 3],
}

/// A checkpoint's file.
pub struct Checkpoint {
    path: PathBuf,
}

/// The right to write a checkpoint; ends with the process at the latest.
pub struct Claim {
    _lock: File,
}

impl Checkpoint {
    /// The file for a bundle that will be `out`: `OUT.partial`.
    pub fn beside(out: &Path) -> Checkpoint {
        Checkpoint { path: with_ending(out, ".partial") }
    }

    /// Whether there is something to go on from.
    pub fn exists(&self) -> bool {
        self.path.exists()
    }

    /// Makes sure that no other training writes the same bundle.
    ///
    /// # Errors
    /// When one does, or the folder cannot be written.
    pub fn claim(&self) -> Result<Claim, TrainError> {
        let path = self.lock_path();
        let lock = File::create(&path).map_err(TrainError::io(&path))?;
        // A training that was killed just now may need a moment to go.
        for _ in 0..CLAIM_TRIES {
            match lock.try_lock() {
                Ok(()) => return Ok(Claim { _lock: lock }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(CLAIM_PAUSE),
                Err(TryLockError::Error(source)) => return Err(TrainError::Io { path, source }),
            }
        }
        Err(TrainError::Settings(format!(
            "another training is at work on `{}`: wait for it, stop it, or give another --out",
            self.path.display()
        )))
    }

    /// Writes all or nothing, and returns when it is on the disk.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, snapshot: &Snapshot, labels: usize) -> Result<(), TrainError> {
        let (present, best) = (model(&snapshot.present, labels)?, model(&snapshot.best, labels)?);
        self.write(&snapshot.state, [&present, &best, &snapshot.moments])
    }

    /// The same for a state and parts of any kind.
    pub(crate) fn write<S: Serialize>(&self, state: &S, parts: [&[u8]; 3]) -> Result<(), TrainError> {
        let header = Header { state, lengths: parts.map(<[u8]>::len) };
        let mut body = serde_json::to_vec(&header).expect("a state is plain numbers and text");
        body.push(b'\n');
        parts.iter().for_each(|part| body.extend_from_slice(part));
        let fresh = with_ending(&self.path, ".new");
        write_synced(&fresh, &body).map_err(TrainError::io(&fresh))?;
        std::fs::rename(&fresh, &self.path).map_err(TrainError::io(&self.path))?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(TrainError::io(folder))
    }

    /// What was saved last.
    ///
    /// # Errors
    /// When there is none, it is damaged, or it belongs to another training than `fingerprint` says.
    pub fn load(&self, fingerprint: &str) -> Result<Snapshot, TrainError> {
        self.read()?.snapshot(fingerprint)
    }

    pub(crate) fn read(&self) -> Result<Saved, TrainError> {
        let path = self.path.display().to_string();
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(Saved { path, bytes }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(TrainError::Settings(format!("nothing to resume: `{path}` is not there; start without `--resume`")))
            }
            Err(source) => Err(TrainError::Io { path: self.path.clone(), source }),
        }
    }

    /// Keeps a copy of what is there beside it, unless there is one from before.
    pub(crate) fn put_aside(&self) -> Result<(), TrainError> {
        let aside = self.aside();
        if !self.exists() || aside.exists() {
            return Ok(());
        }
        let new = with_ending(&self.path, ".aside.new");
        std::fs::copy(&self.path, &new).and_then(|_| std::fs::rename(&new, &aside)).map_err(TrainError::io(aside))
    }

    /// Puts the copy back in its place. Where nothing was there when it should have been made (`was` says), nothing is there again.
    pub(crate) fn take_back(&self, was: bool) -> Result<(), TrainError> {
        let taken = match was {
            true => std::fs::rename(self.aside(), &self.path),
            false => std::fs::remove_file(&self.path),
        };
        match taken {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(TrainError::io(&self.path)(error)),
            _ => Ok(()),
        }
    }

    /// The copy is needed no more.
    pub(crate) fn forget_aside(&self) {
        let _there_may_be_none = std::fs::remove_file(self.aside());
    }

    fn aside(&self) -> PathBuf {
        with_ending(&self.path, ".aside")
    }

    /// Removes it, once the bundle is written.
    pub fn remove(&self) {
        for path in [self.path.clone(), with_ending(&self.path, ".new"), self.lock_path()] {
            match std::fs::remove_file(&path) {
                // What stays behind wastes some megabytes and harms nothing: the next training overwrites it.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::debug!("checkpoint `{}`: {error}", path.display());
                }
                _ => {}
            }
        }
    }

    fn lock_path(&self) -> PathBuf {
        with_ending(&self.path, ".lock")
    }
}

/// A checkpoint's bytes, as they were read.
pub(crate) struct Saved {
    /// From where, in words.
    path: String,
    bytes: Vec<u8>,
}

impl Saved {
    /// What a training goes on from, if it shall. Of several processes the first one alone decides and reads: only its disk holds the file.
    ///
    /// # Errors
    /// When the file cannot be read; another process's error, or that one is lost.
    pub(crate) fn of(start: &Start<'_>, peers: &Peers) -> Result<Option<Saved>, TrainError> {
        let read = || match (start.resume, start.checkpoint) {
            (false, _) => Ok(Vec::new()),
            (true, None) => Err(TrainError::Settings("nothing to resume: no checkpoint file".into())),
            (true, Some(checkpoint)) => {
                let Saved { path, bytes } = checkpoint.read()?;
                Ok(wire::bytes(&(path.into_bytes(), bytes)))
            }
        };
        let saved = peers.first_says("checkpoint", read)?;
        let saved: Option<(Vec<u8>, Vec<u8>)> = wire::value(&saved);
        Ok(saved.map(|(path, bytes)| Saved { path: String::from_utf8_lossy(&path).into_owned(), bytes }))
    }

    /// What a training of labelled images needs.
    ///
    /// # Errors
    /// See [`Checkpoint::load`].
    pub(crate) fn snapshot(&self, fingerprint: &str) -> Result<Snapshot, TrainError> {
        let (state, [present, best, moments]) = self.open(|state: &State| state.fingerprint == fingerprint)?;
        let (present, best) = (Weights::from_graph(&present)?, Weights::from_graph(&best)?);
        Ok(Snapshot { state, present, best, moments })
    }

    /// A state and parts of any kind; `ours` says whether the state is that of the training that asks.
    ///
    /// # Errors
    /// See [`Checkpoint::load`].
    pub(crate) fn open<S: DeserializeOwned>(&self, ours: impl Fn(&S) -> bool) -> Result<(S, [Vec<u8>; 3]), TrainError> {
        let path = &self.path;
        let refuse = |reason: String| Err(TrainError::Settings(reason));
        let Some((header, parts)) = open::<S>(&self.bytes) else {
            return refuse(format!(
                "checkpoint `{path}` is damaged, or another version's; start without `--resume` (it will be replaced)"
            ));
        };
        if !ours(&header.state) {
            return refuse(format!(
                "checkpoint `{path}` belongs to a training with other data, labels, trunk, size or settings; start without \
                 `--resume`"
            ));
        }
        Ok((header.state, parts.map(<[u8]>::to_vec)))
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn write_synced(path: &Path, body: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(MAGIC.as_bytes())?;
    file.write_all(digest_line(body).as_bytes())?;
    file.write_all(body)?;
    file.sync_all()
}

fn digest_line(body: &[u8]) -> String {
    let digits: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    digits + "\n"
}

/// The parts of a checkpoint; `None` where a byte of it is not what was written.
fn open<S: DeserializeOwned>(bytes: &[u8]) -> Option<(Header<S>, [&[u8]; 3])> {
    let (digest, body) = bytes.strip_prefix(MAGIC.as_bytes())?.split_at_checked(DIGEST_LEN)?;
    if digest != digest_line(body).as_bytes() {
        return None;
    }
    let end = body.iter().position(|&byte| byte == b'\n')?;
    let header: Header<S> = serde_json::from_slice(&body[..end]).ok()?;
    let (present, rest) = body[end + 1..].split_at_checked(header.lengths[0])?;
    let (best, moments) = rest.split_at_checked(header.lengths[1])?;
    (moments.len() == header.lengths[2]).then_some((header, [present, best, moments]))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_aside_comes_back_and_is_not_replaced_by_what_came_after() {
        let folder = tempfile::tempdir().expect("a folder");
        let checkpoint = Checkpoint::beside(&folder.path().join("trial"));
        let now = || std::fs::read_to_string(&checkpoint.path).ok();
        // Nothing was there, and is again.
        checkpoint.put_aside().expect("nothing to do");
        std::fs::write(&checkpoint.path, "half").expect("written");
        checkpoint.take_back(false).expect("removed");
        assert_eq!(now(), None);
        checkpoint.take_back(false).expect("gone already");

        std::fs::write(&checkpoint.path, "result").expect("written");
        checkpoint.put_aside().expect("copied");
        std::fs::write(&checkpoint.path, "half").expect("written");
        // After a kill in the middle of it.
        checkpoint.put_aside().expect("there already");
        checkpoint.take_back(true).expect("back");
        assert_eq!(now().as_deref(), Some("result"));

        checkpoint.put_aside().expect("copied");
        std::fs::write(&checkpoint.path, "next").expect("written");
        checkpoint.forget_aside();
        checkpoint.take_back(true).expect("nothing to take");
        assert_eq!(now().as_deref(), Some("next"));
    }
}
