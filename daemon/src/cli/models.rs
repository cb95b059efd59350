//! `inspectd models`: what is to be done with models besides training and running them, one file an action.

mod build_engine;
mod certify;
mod export;
mod few_shot;
mod keys;
mod list;
mod register;
mod registry;
mod show;
pub(super) mod zoo;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use models::bundle::{Bundle, Label};
use models_train::samples::Class;

use crate::supervise::{open_bundle, read_bundle, shipped_bundle, shipped_bytes};

/// Arguments of `models`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build TensorRT's engine for a model, so that the line starts at once. Takes minutes, and needs an NVIDIA card.
    ///
    /// This was never run by the project's own tests, which have no such card.
    BuildEngine(build_engine::Args),
    /// Say whether a model gives the same verdicts on every provider of this machine, and record it.
    Certify(certify::Args),
    /// Write a model in another number format, unless its verdicts change.
    Export(export::Args),
    /// Compare a candidate with the model in force: labels, and what the gate found.
    Diff(registry::Diff),
    /// Try out registration on labelled images: how often is the right kind the nearest?
    FewShot(few_shot::FewShot),
    /// Make a pair of keys: a secret one that signs models, a public one that lines trust.
    Keygen(keys::Keygen),
    /// Say what models there are: the one that ships with the program, and those in files and folders.
    List(list::Args),
    /// Put a model of the line's register in force, from the next part on.
    Promote(registry::Promote),
    /// Teach a model a new kind of defect from 1 to 20 pictures, without training: writes a new bundle.
    Register(register::Register),
    /// Go back to the model that was in force before, from the next part on.
    Rollback(registry::Rollback),
    /// Say what a model is: labels, thresholds, preprocessing, heads, provenance, certificate.
    Show(show::Args),
    /// Sign a model with a secret key. The signature lies beside it, in minisign's format.
    Sign(keys::Sign),
    /// Take a registered kind out of a model again.
    Unregister(register::Unregister),
    /// Say whether a model's signature is by one of these public keys.
    Verify(keys::Verify),
    /// Say what published networks there are to build graphs of, what they take, and what they cost.
    Zoo(zoo::Args),
}

/// Exit code 0 when the action went as asked.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::BuildEngine(args) => build_engine::run(args),
        Action::Certify(args) => certify::run(args),
        Action::Diff(args) => registry::diff(args),
        Action::Export(args) => export::run(args),
        Action::FewShot(args) => few_shot::run(args),
        Action::Keygen(args) => keys::keygen(args),
        Action::List(args) => list::run(args),
        Action::Promote(args) => registry::promote(args),
        Action::Register(args) => register::register(args),
        Action::Rollback(args) => registry::rollback(args),
        Action::Show(args) => show::run(args),
        Action::Sign(args) => keys::sign(args),
        Action::Unregister(args) => register::unregister(args),
        Action::Verify(args) => keys::verify(args),
        Action::Zoo(args) => zoo::run(args),
    }
}

/// The model in a file, or the one that ships with the program.
fn bundle_or_shipped(path: Option<&Path>) -> anyhow::Result<Bundle> {
    match path {
        Some(path) => open_bundle(path),
        None => shipped_bundle(),
    }
}

/// The same with the bytes of its file.
fn file_and_bundle(path: Option<&Path>) -> anyhow::Result<(Vec<u8>, Bundle)> {
    match path {
        Some(path) => read_bundle(path),
        None => Ok((shipped_bytes()?.to_vec(), shipped_bundle()?)),
    }
}

/// The labels as data folders know them.
fn classes(bundle: &Bundle) -> Vec<Class> {
    let class = |label: &Label| Class { name: label.name.clone(), verdict: label.verdict };
    bundle.manifest.labels.iter().map(class).collect()
}
