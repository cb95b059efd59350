//! `inspectd models show`: what a model is, without running it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use models::bundle::{Bundle, Certificate, Compared, Disposition, Label, Manifest, sha256, signature_beside};
use serde::Serialize;
use serde_json::Value;

use super::{certify, file_and_bundle, registry};
use crate::cli::line::LineArgs;
use crate::cli::{SUCCESS, out};
use crate::config;

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The model; default: the one that ships with the program. With `--line` its digest, or enough of its beginning.
    #[arg(value_name = "BUNDLE")]
    bundle: Option<PathBuf>,
    /// A model of the register of the line that runs there instead, as `http://127.0.0.1:8787`.
    #[arg(long, value_name = "URL", requires = "bundle")]
    line: Option<String>,
    /// A file with a token that may look there; not needed where access is open.
    #[arg(long, value_name = "FILE", requires = "line")]
    token_file: Option<PathBuf>,
    /// The state directory, where `certify` records what it finds.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// One JSON line.
    #[arg(long)]
    json: bool,
}

/// What is known of a model.
#[derive(Debug, Serialize)]
struct Summary {
    bundle: Option<PathBuf>,
    sha256: String,
    bytes: usize,
    graph_bytes: usize,
    calibration_images: usize,
    /// Whether a signature lies beside it; whose it is, `verify` says.
    signature: bool,
    manifest: Manifest,
    certificate: Option<Certificate>,
    /// What `certify` found on this machine.
    certified_here: Option<Value>,
}

/// Exit code 0 when the bundle is whole.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let (Some(url), Some(digest)) = (&args.line, &args.bundle) {
        let line = LineArgs { url: url.clone(), token_file: args.token_file.clone() };
        return registry::show(&line, &digest.to_string_lossy(), args.json);
    }
    let (bytes, bundle) = file_and_bundle(args.bundle.as_deref())?;
    let state = args.state.clone().unwrap_or_else(config::default_state_dir);
    let summary = Summary::new(args.bundle.as_deref(), &bytes, bundle, &state);
    match args.json {
        true => out::json(&summary)?,
        false => summary.tell()?,
    }
    Ok(ExitCode::from(SUCCESS))
}

impl Summary {
    fn new(path: Option<&Path>, bytes: &[u8], bundle: Bundle, state: &Path) -> Summary {
        let digest = sha256(bytes);
        // A record that is damaged says nothing; `certify` writes it anew.
        let record = std::fs::read(certify::place(state, &digest)).ok();
        Summary {
            bundle: path.map(Path::to_owned),
            bytes: bytes.len(),
            graph_bytes: bundle.graph.len(),
            calibration_images: bundle.expectations.len(),
            signature: path.is_some_and(|path| signature_beside(path).exists()),
            manifest: bundle.manifest,
            certificate: bundle.certificate,
            certified_here: record.and_then(|json| serde_json::from_slice(&json).ok()),
            sha256: digest,
        }
    }

    fn tell(&self) -> anyhow::Result<()> {
        let Manifest { name, precision, preprocess, pooling, heads, provenance, labels, .. } = &self.manifest;
        let rows = [
            ("model", name.clone()),
            ("sha256", self.sha256.clone()),
            ("size", format!("{:.2} MB, graph {:.2} MB in {precision}", mega(self.bytes), mega(self.graph_bytes))),
            (
                "input",
                format!(
                    "{} x {} px, mean {:?}, std {:?}",
                    preprocess.width, preprocess.height, preprocess.mean, preprocess.std
                ),
            ),
            ("pooling", format!("{pooling:?}")),
            ("heads", heads_in_words(&serde_json::to_value(heads)?)),
            ("made by", format!("{}, inspectd {}", provenance.command, provenance.version)),
            ("data", provenance.data_digest.clone()),
            ("trunk", provenance.trunk.clone()),
            ("replay", format!("{} calibration images", self.calibration_images)),
            ("certificate", self.certificate.as_ref().map_or("none".into(), in_words)),
            ("here", self.here()),
            ("signature", if self.signature { "beside it (`models verify` says whose)" } else { "none" }.into()),
        ];
        for (key, value) in rows {
            out::line(format_args!("{key:<12} {value}"))?;
        }
        if !provenance.network.is_empty() {
            out::line(format_args!("{:<12} {}", "network", provenance.network))?;
        }
        let width = labels.iter().map(|label| label.name.chars().count()).max().unwrap_or(0).max(5);
        out::line(format_args!("\n{:width$}  verdict  threshold", "label"))?;
        for Label { name, verdict, threshold } in labels {
            out::line(format_args!("{name:width$}  {:<7}  {threshold:.2}", word(*verdict)))?;
        }
        Ok(())
    }

    fn here(&self) -> String {
        let Some(record) = &self.certified_here else { return "not certified on this machine yet".into() };
        let word = if record["certified"] == true { "certified" } else { "NOT certified" };
        format!("{word} {}", record["at"].as_str().unwrap_or_default())
    }
}

fn mega(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn word(verdict: Disposition) -> &'static str {
    match verdict {
        Disposition::Pass => "pass",
        Disposition::Review => "review",
        Disposition::Fail => "fail",
    }
}

/// The heads by the names of their keys in the manifest.
fn heads_in_words(heads: &Value) -> String {
    let names: Vec<&str> = heads.as_object().map(|it| it.keys().map(String::as_str).collect()).unwrap_or_default();
    let mut all = vec!["classifier"];
    all.extend(names);
    all.join(", ")
}

fn in_words(certificate: &Certificate) -> String {
    let Certificate { compared_with, agreement, provider, machine, .. } = certificate;
    let with = match compared_with {
        Compared::TrainedNetwork => "the trained network".to_owned(),
        Compared::Original { graph_sha256, precision } => {
            format!("the original in {precision} ({}...)", graph_sha256.get(..12).unwrap_or(graph_sha256))
        }
    };
    format!("beside {with}: {agreement} ({provider}, {machine})")
}
