//! What one product is inspected with: immutable, versioned. A change is a new version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use models::bundle::{Label, Manifest};
use models::image::Image;
use models::levels::{MAX_SATURATED, MIN_DEVIATION};
use models::prediction::Model;
use models::prepare::Prepare;
use models::runtime::Provider;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::check::GoldenSamples;
use crate::identify::{Identification, Origin};
use crate::prepare::{self, Align, Mask, Preparation};
use crate::quality::golden::{self, Golden, GoldenConfig};
use crate::regions::{self, Region, RegionInForce, Tiles};

/// The recipe as written in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The product's name.
    pub name: String,
    /// Grows with each change.
    pub version: u32,
    /// The model; relative to the recipe's file. Absent: the one that ships with the program.
    #[serde(default)]
    pub bundle: Option<PathBuf>,
    /// Trigger to verdict, at most.
    pub deadline_ms: u32,
    /// What `Review` means at the gate.
    #[serde(default)]
    pub review_as: Gate,
    /// Refuse to run on any other provider.
    #[serde(default)]
    pub require_provider: Option<Provider>,
    /// Replaces the bundle's thresholds, by label.
    #[serde(default)]
    pub thresholds: BTreeMap<String, f32>,
    /// Pictures that are not fit to be judged.
    #[serde(default)]
    pub quality: Quality,
    /// A calibration of the camera, as `inspectd calibrate` writes it; relative to the recipe's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<PathBuf>,
    /// How parts are brought into one pose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<Align>,
    /// Places that are not inspected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mask: Vec<Mask>,
    /// Where the model looks; none: at the whole picture at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    /// Cuts the whole picture into tiles, for small defects in large pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiles: Option<Tiles>,
    /// Which pictures are kept.
    #[serde(default)]
    pub evidence: Evidence,
    /// Which parts a person should look at.
    #[serde(default)]
    pub review: Review,
    /// Which part it is: where its serial number comes from.
    #[serde(default)]
    pub identity: Identification,
    /// Parts whose answer is known, and when they have to be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub golden_samples: Option<GoldenSamples>,
}

/// What the reject gate does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Off the line.
    #[default]
    Reject,
    /// On down the line.
    Accept,
}

/// How encoded pictures become pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decoding {
    /// Every pixel.
    #[default]
    Whole,
    /// JPEGs at a half, a quarter or an eighth of their size, as long as that is no smaller than the model's input. Scores differ a
    /// little from those of the whole picture. Where something looks at single pixels ([`Recipe::asks_for_all_pixels`]), as `Whole`.
    Reduced,
}

/// The quality gate's limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quality {
    /// Pixels across and down that every picture must have; absent: any.
    pub size: Option<[u32; 2]>,
    /// Whether encoded pictures may be decoded at a fraction of their size.
    #[serde(skip_serializing_if = "is_whole")]
    pub decode: Decoding,
    /// Grey levels of standard deviation below which a picture is blank.
    pub min_deviation: f32,
    /// Share of pixels at 0 or 255 from which a picture is saturated, 0 to 1.
    pub max_saturated: f32,
    /// Variance of the Laplacian below which a picture is out of focus.
    pub min_sharpness: f32,
    /// A picture to compare with, and how far others may be from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub golden: Option<GoldenConfig>,
}

impl Default for Quality {
    fn default() -> Self {
        let decode = Decoding::Whole;
        Quality {
            size: None,
            decode,
            min_deviation: MIN_DEVIATION,
            max_saturated: MAX_SATURATED,
            min_sharpness: 0.0,
            golden: None,
        }
    }
}

fn is_whole(decode: &Decoding) -> bool {
    *decode == Decoding::Whole
}

/// Which pictures are kept as evidence. `Fail`, `Review` and `NoDecision` always are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evidence {
    /// Share of `Pass` that is kept too, 0 to 1.
    pub pass_fraction: f32,
}

impl Default for Evidence {
    fn default() -> Self {
        Evidence { pass_fraction: 0.01 }
    }
}

/// Which parts are put before a person, to be labelled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Review {
    /// Parts an hour, at most; audited ones besides.
    pub per_hour: u32,
    /// A part that is less odd than this is not worth a look, however few odder ones there are; 0 to 1.
    pub least_value: f32,
    /// Share of all parts that is audited, whatever the model says: rates are estimated from these alone. 0 to 1.
    pub audit_fraction: f32,
}

impl Default for Review {
    fn default() -> Self {
        Review { per_hour: 60, least_value: 0.1, audit_fraction: 0.005 }
    }
}

impl Recipe {
    /// Whether something but the model looks at a picture, at its own scale: sharpness, codes, places, masks, regions.
    pub fn asks_for_all_pixels(&self) -> bool {
        let quality = &self.quality;
        let looks = quality.min_sharpness > 0.0 || quality.golden.is_some() || self.identity.from == Origin::Code;
        let places = self.calibration.is_some() || self.align.is_some() || !self.mask.is_empty();
        looks || places || !self.regions.is_empty() || self.tiles.is_some()
    }

    /// Everything wrong with the recipe itself, without touching a file.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut refuse = |wrong: bool, words: String| {
            if wrong {
                problems.push(words);
            }
        };
        refuse(self.name.is_empty(), "`name` is empty: give the product a name".into());
        refuse(
            self.name.contains('@'),
            format!("`name` is `{}`: `@` separates name and version, so leave it out", self.name),
        );
        refuse(
            self.deadline_ms == 0,
            "`deadline_ms` is 0: no part could be in time; give trigger to verdict in ms".into(),
        );
        for (label, threshold) in &self.thresholds {
            refuse(!is_share(*threshold), format!("`thresholds.{label}` is {threshold}: it must lie between 0 and 1"));
        }
        let quality = &self.quality;
        refuse(
            quality.size.is_some_and(|[width, height]| width == 0 || height == 0),
            "`quality.size` has a 0 in it: give width and height in pixels, or leave it out".into(),
        );
        for (name, value) in [("min_deviation", quality.min_deviation), ("min_sharpness", quality.min_sharpness)] {
            refuse(
                !value.is_finite() || value < 0.0,
                format!("`quality.{name}` is {value}: it must be 0 (off) or more"),
            );
        }
        for (name, value) in [
            ("quality.max_saturated", quality.max_saturated),
            ("evidence.pass_fraction", self.evidence.pass_fraction),
            ("review.least_value", self.review.least_value),
            ("review.audit_fraction", self.review.audit_fraction),
        ] {
            refuse(!is_share(value), format!("`{name}` is {value}: it must lie between 0 and 1"));
        }
        problems.extend(self.identity.problems());
        problems.extend(regions::problems(self));
        problems.extend(prepare::problems(self));
        problems.extend(self.quality.golden.iter().flat_map(GoldenConfig::problems));
        problems.extend(self.golden_samples.iter().flat_map(GoldenSamples::problems));
        problems
    }

    /// Its files become relative to a folder, that of the recipe's own file.
    pub fn relative_to(&mut self, folder: &Path) {
        for bundle in self.regions.iter_mut().map(|region| &mut region.bundle).chain([&mut self.bundle]).flatten() {
            *bundle = folder.join(&bundle);
        }
        prepare::relative_to(self, folder);
        golden::relative_to(&mut self.quality.golden, folder);
    }

    /// `name@version`, as records carry it.
    pub fn tag(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Everything that does not fit between the recipe and a model.
    fn misfits(&self, manifest: &Manifest) -> Vec<String> {
        let names: Vec<&str> = manifest.labels.iter().map(|label| label.name.as_str()).collect();
        let known = names.join(", ");
        self.thresholds
            .keys()
            .filter(|label| !names.contains(&label.as_str()))
            .map(|label| format!("`thresholds.{label}`: model `{}` has no such label; it has: {known}", manifest.name))
            .collect()
    }
}

fn is_share(value: f32) -> bool {
    (0.0..=1.0).contains(&value)
}

/// Why a recipe cannot be put in force: every problem, one a line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("recipe `{recipe}`: {}", .problems.join("; "))]
pub struct RecipeError {
    /// `name@version`.
    pub recipe: String,
    /// Each names the key, the reason and the way out.
    pub problems: Vec<String>,
}

/// A recipe with its model loaded and verified.
pub struct RecipeInForce {
    /// The recipe.
    pub recipe: Recipe,
    /// `name@version`.
    pub tag: Arc<str>,
    /// Its model.
    pub model: Arc<dyn Model>,
    /// Name of each label, in the model's order.
    pub label_names: Vec<Arc<str>>,
    /// The model's labels, with the recipe's thresholds where it has some.
    pub labels: Vec<Label>,
    /// Where models look; none: its own at the whole picture at once.
    pub regions: Vec<RegionInForce>,
    /// What pictures are compared with, where the recipe has such.
    pub golden: Option<Golden>,
    /// What is done to pictures first, where the recipe asks for something.
    pub preparation: Option<Arc<Preparation>>,
}

impl RecipeInForce {
    /// Joins a recipe and its model, or says all that does not fit.
    ///
    /// # Errors
    /// What is wrong with the recipe, and what does not fit; a region has a model of its own.
    pub fn new(recipe: Recipe, model: Arc<dyn Model>) -> Result<Self, RecipeError> {
        RecipeInForce::with_others(recipe, model, &BTreeMap::new())
    }

    /// The same where regions have models of their own: by the path in the recipe.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_others(
        recipe: Recipe,
        model: Arc<dyn Model>,
        others: &BTreeMap<PathBuf, Arc<dyn Model>>,
    ) -> Result<Self, RecipeError> {
        let mut problems = recipe.problems();
        problems.extend(recipe.misfits(model.manifest()));
        if let Some(demanded) = recipe.require_provider
            && demanded != model.provider()
        {
            problems.push(format!(
                "`require_provider` is {demanded:?}, but the model runs on {:?}: see `inspectd doctor`",
                model.provider()
            ));
        }
        // What is wrong with the settings themselves was said already.
        let preparation = match problems.is_empty() {
            true => Preparation::load(&recipe),
            false => Ok(None),
        };
        let preparation = preparation.unwrap_or_else(|said| {
            problems.extend(said);
            None
        });
        let golden = match &recipe.quality.golden {
            Some(golden) if problems.is_empty() => Golden::load(golden).map_err(|words| problems.push(words)).ok(),
            _ => None,
        };
        let regions = RegionInForce::all(&recipe, &model, others).unwrap_or_else(|words| {
            // What is wrong with the whole recipe is said once.
            let new = words.into_iter().filter(|word| !problems.iter().any(|known| word.ends_with(known)));
            let new: Vec<String> = new.collect();
            problems.extend(new);
            Vec::new()
        });
        if !problems.is_empty() {
            return Err(RecipeError { recipe: recipe.tag(), problems });
        }
        let mut labels = model.manifest().labels.clone();
        for label in &mut labels {
            label.threshold = recipe.thresholds.get(&label.name).copied().unwrap_or(label.threshold);
        }
        Ok(RecipeInForce {
            tag: recipe.tag().into(),
            label_names: labels.iter().map(|label| label.name.as_str().into()).collect(),
            labels,
            recipe,
            model,
            regions,
            golden,
            preparation: preparation.map(Arc::new),
        })
    }

    /// A picture as the model is to see it, outside of a line.
    ///
    /// # Errors
    /// In words: it cannot be aligned, so the line would give it no decision.
    pub fn seen_by_model(&self, picture: Image) -> Result<Image, String> {
        match &self.preparation {
            Some(preparation) => Ok(preparation.prepare(picture.view())?.image),
            None => Ok(picture),
        }
    }

    /// In words, where the model learned from pictures that were prepared in another way than the recipe asks for.
    pub fn unlike_learned(&self) -> Option<String> {
        // What is learned for tiles is cut from prepared pictures beforehand.
        if !self.regions.is_empty() {
            return None;
        }
        let learned = &self.model.manifest().provenance.preparation;
        let asked = self.preparation.as_ref().map_or("", |preparation| preparation.digest());
        let of = |digest: &str| {
            if digest.is_empty() { "as they came".to_owned() } else { format!("prepared by {:.12}", digest) }
        };
        (learned != asked).then(|| {
            format!(
                "model `{}` learned from pictures {}, recipe `{}` gives it pictures {} (`align`, `mask`, `calibration`): learn it anew \
                 with `--recipe`, or give it the recipe that it was learned with",
                self.model.manifest().name,
                of(learned),
                self.tag,
                of(asked)
            )
        })
    }
}
