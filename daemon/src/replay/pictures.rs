//! Decides parts anew from the pictures that were kept, through the line's own stages, with another model.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use models::prediction::Model;
use stages::inspection::Inspection;
use stages::recipe::{Recipe, RecipeInForce};
use stages::verdict::{Cause, Verdict};

use super::recipes::{Recipes, fitted, no_limits};
use super::report::{Fate, Said, Source};
use crate::inspector::Inspector;
use crate::store::evidence_path;

/// A recipe joined with the other model, or why the two do not fit.
type Ready = Result<Arc<RecipeInForce>, String>;

/// Decides from pictures.
pub(super) struct ByPictures<'a> {
    state: &'a Path,
    recipes: &'a Recipes,
    model: Arc<dyn Model>,
    thresholds: &'a BTreeMap<String, f32>,
    inspector: Option<Inspector>,
    /// By recipe on record, and whether the quality gate is asked.
    terms: HashMap<(Arc<str>, bool), Ready>,
}

impl<'a> ByPictures<'a> {
    pub(super) fn new(
        state: &'a Path,
        recipes: &'a Recipes,
        model: Arc<dyn Model>,
        thresholds: &'a BTreeMap<String, f32>,
    ) -> ByPictures<'a> {
        ByPictures { state, recipes, model, thresholds, inspector: None, terms: HashMap::new() }
    }

    pub(super) fn fate(&mut self, part: &Inspection) -> Fate {
        if let Verdict::NoDecision(Cause::WrongSize | Cause::Blank | Cause::Saturated | Cause::OutOfFocus) =
            part.verdict
        {
            // The quality gate refused the picture before any model saw it.
            return Fate::Decided { after: Said::new(part.verdict, None), top: None, reproduced: None };
        }
        let Some(named) = &part.evidence else { return Fate::WithoutPicture };
        let Some(path) = evidence_path(self.state, part) else {
            return Fate::Unreadable(format!("the record names `{named}`, which is not in the evidence folder"));
        };
        match std::fs::metadata(&path) {
            Ok(file) if file.is_file() && file.len() > 0 => {}
            Ok(file) if file.is_file() => return Fate::Missing("the file is empty".into()),
            Ok(_) => return Fate::Unreadable("it is no file".into()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Fate::Missing("the file is not there: it was deleted, or never reached the disk".into());
            }
            Err(error) => {
                return Fate::Unreadable(format!("{error}; give this user leave to read the state directory"));
            }
        }
        // A part that was judged had passed the quality gate; what is kept may be compressed and need not pass it again.
        let asks_quality = matches!(part.verdict, Verdict::NoDecision(_));
        let terms = match self.terms(&part.recipe, asks_quality) {
            Ok(terms) => terms,
            Err(reason) => return Fate::Undecidable(reason),
        };
        let inspector = self.inspector.get_or_insert_with(|| Inspector::new(terms.clone()));
        inspector.swap_recipe(terms);
        let decision = inspector.decide(&path);
        match decision.verdict {
            Verdict::NoDecision(Cause::Unreadable | Cause::Truncated | Cause::StageFailed)
                if decision.verdict != part.verdict =>
            {
                Fate::Unreadable(decision.detail.unwrap_or_default())
            }
            _ => Fate::decided(&decision),
        }
    }

    fn terms(&mut self, tag: &Arc<str>, asks_quality: bool) -> Ready {
        let key = (tag.clone(), asks_quality);
        if let Some(terms) = self.terms.get(&key) {
            return terms.clone();
        }
        let (recipe, source) = self.recipes.of(tag);
        let mut recipe = fitted(&recipe, self.thresholds, &self.model.manifest().labels);
        if !asks_quality || source != Source::File {
            recipe = Recipe { quality: no_limits(), ..recipe };
        }
        let terms = RecipeInForce::new(recipe, self.model.clone()).map(Arc::new).map_err(|error| error.to_string());
        self.terms.insert(key, terms.clone());
        terms
    }
}
