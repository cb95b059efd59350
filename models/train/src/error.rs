//! Why a training or an evaluation did not happen.

use std::path::PathBuf;

use models::bundle::BundleError;
use models::certify::Agreement;
use models::heads::prototypes::PrototypeError;
use models::image::ImageError;
use models::runtime::RuntimeError;
use models::weights::WeightsError;
use thiserror::Error;

/// Why a training or an evaluation did not happen.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A file or folder could not be read or written.
    #[error("`{path}`: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A training image could not be decoded.
    #[error("image `{path}`: {source}; take it out of the data or replace it")]
    Image {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: ImageError,
    },
    /// The split file is not what it should be.
    #[error("split `{path}`, line {line}: {reason}")]
    Split {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; 0 for the whole file.
        line: u64,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The data cannot be learned from, or not measured on.
    #[error("{0}")]
    Data(String),
    /// Settings that cannot be.
    #[error("{0}")]
    Settings(String),
    /// The weights do not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// ONNX Runtime did not run the network.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The bundle could not be read or written.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The exported graph is not the network that was trained.
    #[error(
        "the exported graph is not the trained network: {agreement} (at most {tolerance} may differ, no verdict may flip); no bundle \
         was written. This is a fault of inspectd or of ONNX Runtime: please report it; `inspectd doctor` says which library runs"
    )]
    Export {
        /// How far the two agree.
        agreement: Agreement,
        /// The largest difference of a probability that the bundle allows.
        tolerance: f32,
    },
    /// The few-shot head could not be made.
    #[error(transparent)]
    Prototypes(#[from] PrototypeError),
    /// The loss is no number any more.
    #[error("training diverged: the loss is {0}; try a smaller learning rate")]
    Diverged(f32),
    /// The network is no better than a guess.
    #[error(
        "the network learned nothing: its loss on the selection set (on the training images, where few groups are no judge) is \
         {loss:.3}, a guess has {guess:.3}; look whether the labels are right, and give more images or more time"
    )]
    NothingLearned {
        /// Mean loss on the selection set, or on what was learned last.
        loss: f32,
        /// The loss of finding all labels alike likely.
        guess: f32,
    },
    /// The observer stopped it.
    #[error("training was stopped; `--resume` goes on from the last checkpoint")]
    Stopped,
    /// Another of the processes that learn together failed.
    #[error("process {rank} of the training: {words}")]
    Peer {
        /// Its number.
        rank: usize,
        /// Its error.
        words: String,
    },
    /// One of the processes that learn together is gone, or says nothing.
    #[error(
        "a process of the training is lost{at}: {reason}; what was learned until the last checkpoint holds: start the same command again \
         with `--resume`, on any number of processes"
    )]
    Lost {
        /// Where in the training this one was: empty, or ` at` and the step.
        at: String,
        /// What the link between them says.
        reason: String,
    },
    /// The processes that learn together do not do the same.
    #[error(
        "process {rank} of the training does not do what the others do: {words}; start all with the same program, options and data, on \
         processors of one kind, and go on with `--resume`"
    )]
    Apart {
        /// The number of one that differs.
        rank: usize,
        /// In what.
        words: String,
    },
}

impl TrainError {
    /// The same error, which says where the training was when a process was lost.
    pub(crate) fn at(self, place: impl FnOnce() -> String) -> TrainError {
        match self {
            TrainError::Lost { reason, .. } => TrainError::Lost { at: format!(" at {}", place()), reason },
            error => error,
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> TrainError {
        let path = path.into();
        move |source| TrainError::Io { path, source }
    }
}
