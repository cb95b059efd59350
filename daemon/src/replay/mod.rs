//! Stored parts decided anew, under another model or other thresholds. Since when was it wrong, and which serials?
//!
//! - [`answer`]: the replay itself, in a worker process. Records are read beside a running line, without a lock and without changing
//!   anything, at idle priority and on the processor alone, so that the line keeps its deadlines.
//! - [`report`]: what it found; `timeline`: since when.
//! - [`runs`]: the replays that were asked for over HTTP: one runs, the newest are kept.
//! - [`file`]: what the worker of such a replay leaves behind: the whole report, a table of serial numbers, an excerpt for the page.
//!
//! docs/REPLAY.md has the whole picture.

pub(crate) mod file;
mod kept;
mod manifests;
mod pictures;
mod range;
mod recipes;
pub(crate) mod report;
mod runs;
mod scores;
mod timeline;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use models::bundle::{Manifest, Trust};
use models::prediction::Model;
use models::predictor::Predictor;
use models::runtime::{Provider, SessionOptions};
use serde::{Deserialize, Serialize};
use stages::inspection::Inspection;
use stages::recipe::Recipe;

use self::pictures::ByPictures;
use self::range::Survey;
use self::recipes::Recipes;
use self::report::{Asked, Basis, Fate, ModelName, Report, Tried};
use self::scores::ByScores;
use self::timeline::Timeline;
use crate::store::Filter;
use crate::supervise::Kitchen;
use crate::worker::child::Reporter;

pub use self::kept::{Replay, ReplayState};
pub(crate) use self::runs::Asking;
pub use self::runs::{Progress, ReplayError, Replays};

/// Between two words of progress.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// What is to be decided anew, and with what. A command line says it, or the daemon in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Question {
    /// The state directory, where the records are.
    pub(crate) state: PathBuf,
    /// Which parts.
    pub(crate) range: Asked,
    /// Other thresholds, by label.
    pub(crate) thresholds: BTreeMap<String, f32>,
    /// Another model: the pictures that were kept are decided by it. None: the scores on record are.
    pub(crate) bundle: Option<PathBuf>,
    /// A recipe. Alone: its thresholds are tried on all parts. Beside a model or thresholds: it is taken for recipes that are not known.
    pub(crate) given: Option<Recipe>,
    /// The recipe that the line has today.
    pub(crate) configured: Option<Recipe>,
}

/// Decides anew. `None`: it was asked to stop.
///
/// # Errors
/// There is no answer, and why: no such parts, a label that no model has, a model that cannot be used, records that cannot be read.
pub(crate) fn answer(question: &Question, trust: Trust, reporter: &Reporter) -> anyhow::Result<Option<Report>> {
    let Question { state, range, thresholds, bundle, given, configured } = question;
    // A recipe that stands alone is what is tried, and says nothing of the past.
    let tried = given.clone().filter(|_| bundle.is_none() && thresholds.is_empty());
    let mut report = Report::new(
        range.clone(),
        Tried {
            from: if bundle.is_some() { Basis::Pictures } else { Basis::Scores },
            model: None,
            thresholds: thresholds.clone(),
            recipe: tried.as_ref().map(Recipe::tag),
        },
    );
    let filter = range.filter()?;
    let stop = || reporter.asked_to_stop();
    let Some(survey) = range::survey(state, &filter, range.limit.unwrap_or(u64::MAX), &stop)? else {
        return Ok(None);
    };
    let recipes = Recipes::new(given.clone(), configured.clone(), state, &mut report.notes);
    report.parts.asked_for = survey.asked_for;
    report.parts.beyond_limit = survey.asked_for - survey.looked_at;
    report.recipes = survey.recipes.iter().map(|(tag, &parts)| recipes.used(tag, parts)).collect();
    report.damaged_bytes = survey.damaged_bytes;
    report.timeline = Timeline::over(survey.looked_at_span);
    let place = Place { state, filter: &filter, parts: survey.looked_at };
    let whole = match bundle {
        None => {
            let papers = manifests::of(survey.models.keys(), state, &recipes);
            let manifests: Vec<&Manifest> = papers.values().map(|paper| paper.manifest()).collect();
            known_labels(&survey, thresholds, &manifests)?;
            let mut scores = ByScores::new(&recipes, papers, thresholds, tried);
            place.decide(&mut report, reporter, &mut |part| scores.fate(part))?
        }
        Some(path) => {
            let model = load(path, trust)?;
            let manifest = model.manifest();
            let digest = manifest.graph_sha256.clone();
            report.tried.model = Some(ModelName { name: manifest.name.clone(), digest });
            known_labels(&survey, thresholds, &[manifest])?;
            report.notes.extend(left_out(&survey, &recipes, manifest));
            let mut pictures = ByPictures::new(state, &recipes, model.clone(), thresholds);
            place.decide(&mut report, reporter, &mut |part| pictures.fate(part))?
        }
    };
    if !whole {
        return Ok(None);
    }
    report.finish();
    Ok(Some(report))
}

/// Where the parts are.
struct Place<'a> {
    state: &'a Path,
    filter: &'a Filter,
    parts: u64,
}

impl Place<'_> {
    /// Counts what becomes of each part. `false`: it was asked to stop.
    fn decide(
        &self,
        report: &mut Report,
        reporter: &Reporter,
        fate: &mut dyn FnMut(&Inspection) -> Fate,
    ) -> anyhow::Result<bool> {
        let started = Instant::now();
        let (mut told, mut seen, mut go_on) = (started, 0_u64, true);
        range::walk(self.state, self.filter, self.parts, |part| {
            report.count(part, fate(part));
            seen += 1;
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                let done = seen as f64 / self.parts as f64;
                go_on = reporter.share(done, started.elapsed().mul_f64((1.0 - done).max(0.0) / done));
            }
            go_on
        })?;
        Ok(go_on && !reporter.asked_to_stop())
    }
}

/// Loads another model. On the processor: what other devices there are belongs to the line.
fn load(path: &Path, trust: Trust) -> anyhow::Result<Arc<dyn Model>> {
    let bundle = Kitchen { trust, ..Kitchen::default() }.open(path)?;
    models::runtime::init(None)?;
    let options = SessionOptions { require: Some(Provider::Cpu), ..SessionOptions::default() };
    let name = bundle.manifest.name.clone();
    Ok(Arc::new(Predictor::load(bundle, &options).with_context(|| format!("model `{name}`"))?))
}

/// Refuses a threshold that no model has a label for.
fn known_labels(survey: &Survey, thresholds: &BTreeMap<String, f32>, manifests: &[&Manifest]) -> anyhow::Result<()> {
    if manifests.is_empty() {
        ensure!(
            !survey.models.is_empty(),
            "no part in this range has scores on record: nothing can be decided from them; \
            replay the pictures that were kept, with a model (`--bundle`)"
        );
        let digests: Vec<&str> = survey.models.keys().map(|digest| digest.get(..12).unwrap_or(digest)).collect();
        bail!(
            "the model that decided these parts is not here (digest {}), so nobody knows what its labels mean: replay the pictures \
             with a model (`--bundle`), or in a terminal name the line's `--config` or a `--recipe` with its bundle",
            digests.join(", ")
        );
    }
    thresholds.keys().try_for_each(|label| {
        label_of(label, manifests.iter().copied())
            .map_err(|words| anyhow::anyhow!("the threshold of `{label}`: {words}"))
    })
}

/// Whether one of these models has a label that can have a threshold; else what is wrong with it.
pub(crate) fn label_of<'a>(label: &str, manifests: impl Iterator<Item = &'a Manifest> + Clone) -> Result<(), String> {
    if manifests.clone().any(|manifest| manifest.label_index(label).is_some()) {
        return Ok(());
    }
    let mut kinds = manifests.clone().filter_map(|manifest| manifest.heads.prototypes.as_ref());
    if kinds.any(|spec| spec.registered().any(|(_, kind)| kind.name == *label)) {
        return Err(format!("`{label}` is a kind registered from a few pictures, and such have no threshold"));
    }
    let mut known: Vec<&str> = Vec::new();
    for label in manifests.flat_map(|manifest| &manifest.labels) {
        if !known.contains(&label.name.as_str()) {
            known.push(&label.name);
        }
    }
    Err(format!("the model has no label `{label}`; it has: {}", known.join(", ")))
}

/// In words, thresholds of former recipes that the new model has no label for.
fn left_out(survey: &Survey, recipes: &Recipes, manifest: &Manifest) -> Vec<String> {
    let unknown = |tag: &Arc<str>| {
        let names: Vec<String> =
            recipes.of(tag).0.thresholds.into_keys().filter(|name| manifest.label_index(name).is_none()).collect();
        let words = format!(
            "recipe {tag} has thresholds for labels that model `{}` does not have; they are left out: {}",
            manifest.name,
            names.join(", ")
        );
        (!names.is_empty()).then_some(words)
    };
    survey.recipes.keys().filter_map(unknown).collect()
}

#[cfg(test)]
mod tests;
