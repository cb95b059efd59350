//! What is printed: the lines of `inspectd inspect`, with the time that each picture took.

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use models::bundle::Disposition;
use serde::Serialize;
use serde_json::json;

use crate::checked::Checked;
use crate::inspect::{self, Decided, Undecided};
use crate::network;

/// What is printed of one file; as JSON, the keys of `inspectd inspect --json`.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    path: String,
    verdict: &'static str,
    cause: Option<&'static str>,
    detail: Option<String>,
    label: Option<String>,
    found: Vec<Score>,
    scores: serde_json::Map<String, serde_json::Value>,
    latency_ms: f64,
}

#[derive(Debug, Serialize)]
struct Score {
    label: String,
    score: f32,
}

impl Line {
    /// Decides a file and takes the time, reading and decoding included.
    pub(crate) fn of(checked: &Checked, file: &Path) -> Line {
        let started = Instant::now();
        let decided = inspect::decide(checked, file);
        let latency_ms = (started.elapsed().as_secs_f64() * 1e6).round() / 1000.0;
        let path = file.to_string_lossy().into_owned();
        match decided {
            Ok(decided) => Line { path, latency_ms, ..Line::decided(checked, decided) },
            Err(Undecided { cause, detail }) => Line { path, latency_ms, ..Line::undecided(cause, detail) },
        }
    }

    /// A file that something went wrong with which is not the file's fault.
    pub(crate) fn failed(file: &Path, detail: &str) -> Line {
        Line { path: file.to_string_lossy().into_owned(), ..Line::undecided("stage_failed", detail.to_owned()) }
    }

    fn decided(checked: &Checked, decided: Decided) -> Line {
        let Decided { ruling, scores, label, detail } = decided;
        let labels = &checked.bundle.manifest.labels;
        let score = |&at: &usize| Score { label: labels[at].name.clone(), score: scores[at] };
        Line {
            path: String::new(),
            verdict: match ruling.verdict {
                Disposition::Pass => "pass",
                Disposition::Review => "review",
                Disposition::Fail => "fail",
            },
            cause: None,
            detail,
            label: Some(label),
            found: ruling.found.iter().map(score).collect(),
            scores: labels.iter().zip(&scores).map(|(it, &score)| (it.name.clone(), score.into())).collect(),
            latency_ms: 0.0,
        }
    }

    fn undecided(cause: &'static str, detail: String) -> Line {
        Line {
            path: String::new(),
            verdict: "no_decision",
            cause: Some(cause),
            detail: Some(detail),
            label: None,
            found: Vec::new(),
            scores: serde_json::Map::new(),
            latency_ms: 0.0,
        }
    }

    pub(crate) fn is_undecided(&self) -> bool {
        self.cause.is_some()
    }

    /// Writes it to standard output.
    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            return line(serde_json::to_string(self)?);
        }
        let Line { verdict, path, latency_ms, .. } = self;
        line(format_args!("{verdict:<12}{path}  {}  {latency_ms:.1} ms", self.why()))
    }

    /// What was found, or else the label that the verdict rests on, with the scores; what else there is to say behind them.
    fn why(&self) -> String {
        let scored = |label: &str, score: f32| format!("{label} {score:.2}");
        let mut words: Vec<String> = self.found.iter().map(|it| scored(&it.label, it.score)).collect();
        if let (true, Some(label)) = (words.is_empty(), &self.label) {
            // A registered kind is no label of the classifier, so it has no score.
            let score = self.scores.get(label).and_then(serde_json::Value::as_f64);
            words.push(score.map_or_else(|| label.clone(), |score| scored(label, score as f32)));
        }
        words.extend(self.detail.clone());
        words.join(", ")
    }
}

/// Writes how well the bundle's own scores come out.
pub(crate) fn check(checked: &Checked, as_json: bool) -> anyhow::Result<()> {
    let Checked { bundle, worst, tolerance, .. } = checked;
    let (name, precision, images) = (&bundle.manifest.name, bundle.manifest.precision, bundle.expectations.len());
    if as_json {
        let found = json!({ "image": worst.image, "what": worst.what, "expected": worst.expected, "got": worst.got });
        return line(json!({
            "name": name, "precision": precision, "runtime": network::NAME, "images": images,
            "largest_difference": worst.size(), "tolerance": tolerance, "at": found,
        }));
    }
    line(format_args!(
        "`{name}` ({precision}) gives its scores under {}: {images} pictures, largest difference {:.2e} of at most {tolerance} \
         (picture {}, {})",
        network::NAME,
        worst.size(),
        worst.image,
        worst.what
    ))
}

fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

/// Whether the reader of standard output went away, as `head` does.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<io::Error>().map(io::Error::kind);
    error.chain().any(|cause| kind(cause) == Some(io::ErrorKind::BrokenPipe))
}
