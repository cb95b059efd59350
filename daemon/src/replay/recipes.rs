//! Which recipe was in force when a part was inspected. Records carry its name and version; what stands in it is known from a recipe
//! file of that version, or from the audit trail, which notes the thresholds at every reload. Else something has to be taken for
//! it, and the report says what.

use std::collections::BTreeMap;
use std::path::Path;

use models::bundle::Label;
use stages::recipe::{Quality, Recipe};

use super::report::{RecipeUsed, Source};
use crate::audit;

/// Every recipe that is known here.
pub(super) struct Recipes {
    given: Option<Recipe>,
    configured: Option<Recipe>,
    /// Thresholds by `name@version`, as the newest entry has them.
    trail: BTreeMap<String, BTreeMap<String, f32>>,
}

impl Recipes {
    /// `state` is where the audit trail lies. A trail that cannot be read is told of in `notes`: it is the program's own file, and
    /// other users may not read it.
    pub(super) fn new(
        given: Option<Recipe>,
        configured: Option<Recipe>,
        state: &Path,
        notes: &mut Vec<String>,
    ) -> Recipes {
        let mut trail = BTreeMap::new();
        match audit::Export::open(state, false) {
            Ok(entries) => {
                let reloads = entries.filter(|entry| entry.what == "recipe.reload");
                for said in reloads.flat_map(|entry| [entry.before, entry.after]).flatten() {
                    let thresholds = serde_json::from_value(said["thresholds"].clone());
                    if let (Some(tag), Ok(thresholds)) = (said["recipe"].as_str(), thresholds) {
                        trail.insert(tag.to_owned(), thresholds);
                    }
                }
            }
            Err(error) => notes.push(format!("former recipes are not looked up: {error}")),
        }
        Recipes { given, configured, trail }
    }

    /// The recipe files that are known.
    pub(super) fn files(&self) -> impl Iterator<Item = &Recipe> {
        self.given.iter().chain(&self.configured)
    }

    /// What was in force as `tag`, or what is taken for it.
    pub(super) fn of(&self, tag: &str) -> (Recipe, Source) {
        if let Some(recipe) = self.files().find(|recipe| recipe.tag() == tag) {
            return (recipe.clone(), Source::File);
        }
        if let Some(thresholds) = self.trail.get(tag) {
            // The trail has the thresholds alone; a product is seldom laid otherwise from one version to the next.
            let name = tag.rsplit_once('@').map_or(tag, |(name, _)| name);
            let same = self.files().find(|recipe| recipe.name == name).cloned().unwrap_or_else(|| unlimited(tag));
            let Recipe { calibration, align, mask, regions, tiles, .. } = same;
            let thresholds = thresholds.clone();
            let recipe = Recipe { thresholds, calibration, align, mask, regions, tiles, ..unlimited(tag) };
            return (recipe, Source::Trail);
        }
        match (&self.given, &self.configured) {
            (Some(recipe), _) => (recipe.clone(), Source::Given),
            (None, Some(recipe)) => (recipe.clone(), Source::Configured),
            (None, None) => (unlimited(tag), Source::Model),
        }
    }

    /// For the report.
    pub(super) fn used(&self, tag: &str, parts: u64) -> RecipeUsed {
        let (recipe, source) = self.of(tag);
        let taken = match source {
            Source::File | Source::Given | Source::Configured => recipe.tag(),
            Source::Trail => tag.to_owned(),
            Source::Model => "the model's own thresholds".to_owned(),
        };
        RecipeUsed { recipe: tag.to_owned(), parts, source, taken }
    }
}

/// A recipe that asks nothing.
fn unlimited(tag: &str) -> Recipe {
    let (name, version) = tag.rsplit_once('@').unwrap_or((tag, "0"));
    Recipe {
        name: if name.is_empty() { "unknown".to_owned() } else { name.replace('@', "-") },
        version: version.parse().unwrap_or_default(),
        bundle: None,
        // Nobody waits for a stored part.
        deadline_ms: u32::MAX,
        review_as: Default::default(),
        require_provider: None,
        thresholds: BTreeMap::new(),
        quality: no_limits(),
        calibration: None,
        align: None,
        mask: Vec::new(),
        evidence: Default::default(),
        regions: Vec::new(),
        tiles: None,
        review: Default::default(),
        identity: Default::default(),
        golden_samples: None,
    }
}

/// A quality gate that lets every picture through that can be decoded.
pub(super) fn no_limits() -> Quality {
    Quality { min_deviation: 0.0, max_saturated: 1.0, ..Quality::default() }
}

/// `recipe` for a model with these labels, with `thresholds` in the place of its own. What the model has no label for is left out: a
/// range may have seen several models.
pub(super) fn fitted(recipe: &Recipe, thresholds: &BTreeMap<String, f32>, labels: &[Label]) -> Recipe {
    let known = |name: &String| labels.iter().any(|label| label.name == *name);
    let mut all = recipe.thresholds.clone();
    all.extend(thresholds.clone());
    all.retain(|name, _| known(name));
    // The replay has a processor of its own choice, whatever the line runs on.
    Recipe { thresholds: all, require_provider: None, ..recipe.clone() }
}
