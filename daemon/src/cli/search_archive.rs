//! `inspectd search-archive`: parts on record by words, or by their likeness to a part or a picture, of the line that runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use models::image::{decode, encode_jpeg};
use serde_json::Value;

use super::line::{LineArgs, text};
use super::{SUCCESS, out};
use crate::store::shrink;

/// Pictures of more bytes are made smaller before they are sent: the line takes 4 MiB.
const MOST_BYTES: usize = 4 << 20;
/// Then their longer side has so many pixels at most.
const SIDE: u32 = 2048;

/// Arguments of `search-archive`.
#[derive(Debug, clap::Args)]
#[command(
    group(clap::ArgGroup::new("asked").required(true).args(["words", "like", "picture"])),
    after_help = "`inspectd search-archive \"long scratch near the edge\"`; `inspectd search-archive \"Kratzer oben links\" --verdict fail`; `inspectd \
                  search-archive --like 4711`. docs/RETRIEVAL.md says which words are understood."
)]
pub struct Args {
    #[command(flatten)]
    line: LineArgs,
    /// What is looked for, in English, German or Chinese: what is wrong, where, how large, on what.
    #[arg(value_name = "WORDS")]
    words: Option<String>,
    /// Parts like this one.
    #[arg(long, value_name = "PART")]
    like: Option<u64>,
    /// Parts like the one on this picture, which the model in force looks at; it is not kept.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Parts at most.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
    /// pass, fail, review or no_decision.
    #[arg(long, value_name = "VERDICT")]
    verdict: Option<String>,
    /// A label that was found.
    #[arg(long)]
    label: Option<String>,
    /// Triggered at or after this, as 2026-11-24T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Triggered before this.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Exit code 0 when the line has answered, whatever it found.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let address = args.address();
    let found = match &args.picture {
        Some(path) => args.line.post_bytes(&address, &picture(path)?)?,
        None => args.line.get(&address)?,
    };
    if args.json {
        out::json(&found)?;
        return Ok(ExitCode::from(SUCCESS));
    }
    let names = |key: &str, of: &dyn Fn(&Value) -> String| {
        let all = found[key].as_array().into_iter().flatten();
        all.map(of).collect::<Vec<String>>().join(", ")
    };
    let understood = names("understood", &|it| text(it, "en").to_owned());
    if !understood.is_empty() {
        out::line(format_args!("understood: {understood}"))?;
    }
    let unknown = names("unknown", &|it| it.as_str().unwrap_or_default().to_owned());
    if !unknown.is_empty() {
        out::line(format_args!("not understood, and left out: {unknown}"))?;
    }
    let items = found["items"].as_array().map_or(&[][..], Vec::as_slice);
    for item in items {
        let part = &item["part"];
        let likeness = item["likeness"].as_f64().unwrap_or(0.0);
        let (id, at) = (&part["id"], text(part, "triggered_at"));
        let (serial, verdict, label) =
            (part["serial"].as_str().unwrap_or("-"), text(part, "verdict"), text(part, "label"));
        out::line(format_args!("{likeness:.2}  {id:>9}  {at:<27}  {serial:<14} {verdict:<12} {label}"))?;
    }
    if items.is_empty() {
        out::line(format_args!("nothing on record fits"))?;
    }
    if found["rebuilding"] == true {
        tracing::warn!("the index is being built: older parts may be missing");
    }
    Ok(ExitCode::from(SUCCESS))
}

impl Args {
    fn address(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.limit.to_string());
        let like = self.like.map(|id| id.to_string());
        for (key, value) in [
            ("words", &self.words),
            ("like", &like),
            ("verdict", &self.verdict),
            ("label", &self.label),
            ("from", &self.from),
            ("to", &self.to),
        ] {
            value.iter().for_each(|value| {
                query.append_pair(key, value);
            });
        }
        format!("inspections/found?{}", query.finish())
    }
}

/// The file as it is, or made smaller where it has more bytes than the line takes.
fn picture(path: &Path) -> anyhow::Result<Vec<u8>> {
    let words = || format!("the picture `{}`", path.display());
    let bytes = std::fs::read(path).with_context(words)?;
    if bytes.len() <= MOST_BYTES {
        return Ok(bytes);
    }
    let image = decode(&bytes).with_context(words)?;
    let small = shrink(image.view(), SIDE);
    encode_jpeg(small.as_ref().map_or(image.view(), |small| small.view()), 92).with_context(words)
}
