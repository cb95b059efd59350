//! What a training tells TensorBoard: a folder of event files that TensorBoard opens as a run of its own.
//!
//! [`Run`] is what a training writes, [`hparams`] its settings and figures for the table of runs, `projector` the map of what its
//! pictures look like. Below stand the format's messages ([`proto`]) and the framing around them ([`writer`]). docs/TRAINING.md says
//! what is in it.

mod axis;
pub mod hparams;
mod projector;
pub mod proto;
mod run;
mod unfinished;
pub mod writer;

pub use run::{Ending, Run};
