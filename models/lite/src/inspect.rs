//! One picture from its file to a verdict: the steps of the line (decode, is there something on it, prepare, infer, decide) without the line.

use std::path::Path;
use std::sync::Arc;

use models::bundle::Saying;
use models::image::{self, Image, ImageError};
use models::levels::{Levels, MAX_SATURATED, MIN_DEVIATION};
use models::prediction::Prediction;
use models::reproduce;
use models::ruling::{self, KindSays, Ruling};
use models::runtime::Provider;

use crate::checked::Checked;

/// What a picture means for its part.
pub(crate) struct Decided {
    pub(crate) ruling: Ruling,
    /// One probability per label.
    pub(crate) scores: Vec<f32>,
    /// What the verdict rests on.
    pub(crate) label: String,
    /// In words, where the scores alone do not say it.
    pub(crate) detail: Option<String>,
}

/// Why there is no verdict: the cause by the names that records of a line have, and in words.
pub(crate) struct Undecided {
    pub(crate) cause: &'static str,
    pub(crate) detail: String,
}

/// Decides a file.
///
/// # Errors
/// [`Undecided`]; never a guess.
pub(crate) fn decide(checked: &Checked, file: &Path) -> Result<Decided, Undecided> {
    let bytes = read(file).map_err(|detail| Undecided { cause: "unreadable", detail })?;
    let image =
        image::decode(&bytes).map_err(|error| Undecided { cause: cause_of(&error), detail: error.to_string() })?;
    look(&image)?;
    let manifest = &checked.bundle.manifest;
    let mut tensor = vec![0.0; manifest.preprocess.tensor_len()];
    manifest.preprocess.fill(image.view(), &mut tensor);
    let outputs = checked.network.run(&tensor).and_then(|outputs| reproduce::finite(&outputs).map(|()| outputs));
    let outputs = outputs.map_err(|error| Undecided { cause: "stage_failed", detail: error.to_string() })?;
    // The processor in full precision: what the other runtime would have called itself here.
    let digest = Arc::from(manifest.graph_sha256.as_str());
    let prediction = Prediction::new(outputs, &manifest.heads, Provider::Cpu, digest);
    let ruling = ruling::decide(&prediction.scores, prediction.beside(), &manifest.labels, &manifest.heads);
    let (label, detail) = words(checked, &prediction, &ruling);
    Ok(Decided { ruling, scores: prediction.scores, label, detail })
}

/// A file's bytes, unless it is larger than any picture.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    /// As in the line's folders.
    const MOST: u64 = 256 << 20;
    let meta = std::fs::metadata(file).map_err(|error| error.to_string())?;
    match (meta.is_file(), meta.len()) {
        (false, _) => Err("not a regular file".to_owned()),
        (_, size) if size > MOST => Err(format!("{size} bytes are more than a picture has")),
        _ => std::fs::read(file).map_err(|error| error.to_string()),
    }
}

fn cause_of(error: &ImageError) -> &'static str {
    match error {
        ImageError::Truncated(_) => "truncated",
        _ => "unreadable",
    }
}

/// Refuses a picture without anything on it, by the limits of a recipe that names none.
fn look(image: &Image) -> Result<(), Undecided> {
    let Levels { deviation, saturated, .. } = Levels::of(image.view());
    if saturated > MAX_SATURATED {
        let detail = format!("{:.0} % of the picture is black or white: check exposure and light", saturated * 100.0);
        return Err(Undecided { cause: "saturated", detail });
    }
    if deviation < MIN_DEVIATION {
        return Err(Undecided {
            cause: "blank",
            detail: format!("picture is blank: grey levels vary by {deviation:.1}"),
        });
    }
    Ok(())
}

/// The label that the verdict rests on, and what is to be said besides. Who speaks last is who counts: scores, memory, registered kinds.
fn words(checked: &Checked, prediction: &Prediction, ruling: &Ruling) -> (String, Option<String>) {
    let manifest = &checked.bundle.manifest;
    let unsure = (ruling.saying == Saying::Unsure).then(|| "no label is sure".to_owned());
    let (label, detail) = match &prediction.anomaly {
        Some(anomaly) if ruling.by_memory => {
            ("anomaly".to_owned(), Some(format!("anomaly {:.2} of its threshold", anomaly.share)))
        }
        _ => (manifest.labels[ruling.label].name.clone(), unsure),
    };
    match (ruling.by_kind, &prediction.prototypes, &manifest.heads.prototypes) {
        (Some(KindSays::Unknown), ..) => (label, Some("unlike every kind of picture that the model knows".to_owned())),
        (Some(KindSays::Like(kind)), Some(likeness), Some(spec)) => {
            let name = &spec.kinds[kind].name;
            (
                name.clone(),
                Some(format!("looks like `{name}` ({:.2}), a registered kind", likeness.probabilities[kind])),
            )
        }
        _ => (label, detail),
    }
}
