//! Champion and candidate on the same labelled parts, for the gate. Runs in a worker process.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use models::bundle::{Bundle, Disposition, sha256};
use models::predictor::Predictor;
use models::runtime::{Provider, SessionOptions};
use models_train::dataset::Folder;
use models_train::gate::{self, Judgement, Outcome, Said, Set, Terms, Truth};
use models_train::samples::Class;
use models_train::split::Side;
use serde::{Deserialize, Serialize};
use stages::decide::decide;
use stages::recipe::{Recipe, RecipeInForce};
use stages::verdict::Verdict;

use super::dataset::{LINE, LIST};
use crate::learning::{names, seen};

/// What is to be compared. Written by the daemon, read by the worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Case {
    /// Bundle of the model in force.
    pub champion: PathBuf,
    /// SHA-256 of its graph.
    pub champion_digest: String,
    /// Bundle of the one proposed.
    pub candidate: PathBuf,
    /// The frozen data set.
    pub data: PathBuf,
    /// Parts that were labelled after that, as another folder with a list.
    #[serde(default)]
    pub later: Option<PathBuf>,
    /// Pictures of parts of the live line that were drawn by lot, whatever became of them: nobody knows the truth, but how much would
    /// change.
    #[serde(default)]
    pub shadow: Vec<PathBuf>,
    /// The recipe: its thresholds count for both.
    pub recipe: Recipe,
    /// Margins and the rest.
    pub terms: Terms,
}

impl Case {
    /// Tells one case from another. A worker in a unit may still be at the case before, whose findings say nothing of another champion,
    /// recipe or look; which parts of the live line are seen makes no other case.
    ///
    /// # Errors
    /// A path is no text.
    pub fn identity(&self) -> serde_json::Result<String> {
        Ok(sha256(&serde_json::to_vec(&Case { shadow: Vec::new(), ..self.clone() })?))
    }
}

/// Runs both on every part of the test side, and judges.
///
/// # Errors
/// A model or the data cannot be used. `false` from `go_on` ends it.
pub fn judge(case: &Case, go_on: &mut dyn FnMut(f64) -> bool) -> anyhow::Result<Option<Judgement>> {
    models::runtime::init(None)?;
    let load = |path: &PathBuf| -> anyhow::Result<RecipeInForce> {
        let bundle = Bundle::open(path).with_context(|| format!("model {}", path.display()))?;
        // The graphics card is the line's.
        let options = SessionOptions { require: Some(Provider::Cpu), ..SessionOptions::default() };
        let model = Predictor::load(bundle, &options)?;
        let recipe = match seen::is_cut(&case.recipe) {
            // The pictures are tiles of prepared ones.
            true => {
                let (regions, mask) = (Vec::new(), Vec::new());
                Recipe { regions, tiles: None, calibration: None, align: None, mask, ..case.recipe.clone() }
            }
            false => case.recipe.clone(),
        };
        Ok(RecipeInForce::new(recipe, std::sync::Arc::new(model))?)
    };
    let (champion, candidate) = (load(&case.champion)?, load(&case.candidate)?);
    let digest = champion.model.digest();
    ensure!(**digest == *case.champion_digest, "the champion's file holds another model, {digest}: judge it again");
    let folders: Vec<Folder> = [Some(&case.data), case.later.as_ref()]
        .into_iter()
        .flatten()
        .map(|dir| Folder::open(dir, Some(&dir.join(LIST))))
        .collect::<Result<_, _>>()?;
    let good = |label: &str| {
        let known = |recipe: &RecipeInForce| {
            names(recipe.model.manifest()).find(|(name, _)| *name == label).map(|(_, verdict)| verdict)
        };
        known(&candidate).or_else(|| known(&champion)).unwrap_or(Class::named(label).verdict) == Disposition::Pass
    };
    let entries: Vec<_> = folders
        .iter()
        .flat_map(|folder| folder.entries().iter().map(move |entry| (folder, entry)))
        .filter(|(_, entry)| entry.side == Side::Test)
        .collect();
    let all = entries.len() + case.shadow.len();
    let mut outcomes = Vec::with_capacity(all);
    for (folder, entry) in entries {
        if !go_on(outcomes.len() as f64 / all as f64) {
            return Ok(None);
        }
        let label = entry.label().to_owned();
        let truth = Some(Truth { good: good(&label), label });
        let set = if entry.path.starts_with(LINE) { Set::Newest } else { Set::Golden };
        let [champion, candidate] = said([&champion, &candidate], &folder.path_of(entry))?;
        outcomes.push(Outcome { set, key: entry.path.clone(), truth, champion, candidate });
    }
    for path in &case.shadow {
        if !go_on(outcomes.len() as f64 / all as f64) {
            return Ok(None);
        }
        // The store may have let go of it meanwhile.
        if path.is_file() {
            let [champion, candidate] = said([&champion, &candidate], path)?;
            outcomes.push(Outcome {
                set: Set::Shadow,
                key: path.display().to_string(),
                truth: None,
                champion,
                candidate,
            });
        }
    }
    Ok(Some(gate::judge(&outcomes, &case.terms)?))
}

/// What each of the models says of a picture, on the line's own path.
fn said(models: [&RecipeInForce; 2], path: &Path) -> anyhow::Result<[Said; 2]> {
    let words = || format!("picture {}", path.display());
    let image = models::image::decode(&std::fs::read(path).with_context(words)?).with_context(words)?;
    // Both have the same recipe. A part that cannot be aligned gets no decision, whatever the model.
    let Ok(image) = models[0].seen_by_model(image) else {
        return Ok([(); 2].map(|()| Said { verdict: Disposition::Review, label: String::new() }));
    };
    let one = |recipe: &RecipeInForce| -> anyhow::Result<Said> {
        let mut tensor = vec![0.0; recipe.model.tensor_len()];
        recipe.model.manifest().fill(image.view(), &mut tensor);
        let decision = decide(&recipe.model.predict(&tensor)?, recipe);
        let verdict = match decision.verdict {
            Verdict::Pass => Disposition::Pass,
            Verdict::Fail => Disposition::Fail,
            Verdict::Review | Verdict::NoDecision(_) => Disposition::Review,
        };
        Ok(Said { verdict, label: decision.label.map_or_else(String::new, |label| label.to_string()) })
    };
    Ok([one(models[0])?, one(models[1])?])
}
