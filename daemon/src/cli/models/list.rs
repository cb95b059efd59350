//! `inspectd models list`: the models that are here, one line each.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use models::bundle::{Bundle, sha256, signature_beside};
use serde_json::{Value, json};

use super::{file_and_bundle, registry};
use crate::cli::line::LineArgs;
use crate::cli::{FAILURE, SUCCESS, out};
use crate::words;

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Bundles, and folders that hold some (`*.bundle`).
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The register of the line that runs there instead, as `http://127.0.0.1:8787`: which model decides, where each comes from.
    #[arg(long, value_name = "URL", conflicts_with = "paths")]
    line: Option<String>,
    /// A file with a token that may look there; not needed where access is open.
    #[arg(long, value_name = "FILE", requires = "line")]
    token_file: Option<PathBuf>,
    /// One JSON line per model.
    #[arg(long)]
    json: bool,
}

/// Exit code 0 when all of them are whole.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(url) = &args.line {
        let line = LineArgs { url: url.clone(), token_file: args.token_file.clone() };
        return registry::list(&line, args.json);
    }
    let mut files = Vec::new();
    for path in &args.paths {
        files.extend(bundles(path)?.into_iter().map(Some));
    }
    // The shipped model is always there, so it comes first; a build without one has none to list.
    let shipped = file_and_bundle(None).is_ok().then_some(None);
    let mut broken = false;
    for path in shipped.into_iter().chain(files) {
        let place = path.as_ref().map_or("built in".to_owned(), |path| path.display().to_string());
        match file_and_bundle(path.as_deref()) {
            Ok((bytes, bundle)) => {
                let signed = path.is_some_and(|path| signature_beside(&path).exists());
                tell(&place, &describe(&place, &bytes, &bundle, signed), args.json)?;
            }
            Err(error) => {
                broken = true;
                let reason = words::of(&error);
                match args.json {
                    true => out::json(&json!({ "bundle": place, "problem": reason }))?,
                    false => out::line(format_args!("{place}  REFUSED: {reason}"))?,
                }
            }
        }
    }
    Ok(ExitCode::from(if broken { FAILURE } else { SUCCESS }))
}

fn describe(place: &str, bytes: &[u8], bundle: &Bundle, signed: bool) -> Value {
    let manifest = &bundle.manifest;
    let labels: Vec<&str> = manifest.labels.iter().map(|label| label.name.as_str()).collect();
    json!({
        "bundle": place,
        "model": manifest.name,
        "sha256": sha256(bytes),
        "bytes": bytes.len(),
        "precision": manifest.precision,
        "size": [manifest.preprocess.width, manifest.preprocess.height],
        "labels": labels,
        "certificate": bundle.certificate.is_some(),
        "signature": signed,
    })
}

fn tell(place: &str, model: &Value, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return out::json(model);
    }
    let text = |key: &str| model[key].as_str().unwrap_or_default().to_owned();
    let yes = |key: &str, word: &'static str| if model[key] == true { word } else { "" };
    let labels = model["labels"].as_array().map_or(0, Vec::len);
    Ok(out::line(format_args!(
        "{place}  {}  {}  {labels} labels  {}{}{}",
        text("model"),
        text("precision"),
        text("sha256").get(..12).unwrap_or_default(),
        yes("certificate", "  certificate"),
        yes("signature", "  signature"),
    ))?)
}

/// A file as it is; of a folder, its bundles by name.
fn bundles(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let words = || format!("folder `{}` cannot be read", path.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).with_context(words)? {
        let file = entry.with_context(words)?.path();
        if file.extension().is_some_and(|ending| ending == "bundle") {
            found.push(file);
        }
    }
    found.sort();
    Ok(found)
}
