//! What one product is inspected with: immutable, versioned. A change is a new version.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use models::prediction::Model;
use models::runtime::Provider;
use serde::{Deserialize, Serialize};

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
    /// Which pictures are kept.
    #[serde(default)]
    pub evidence: Evidence,
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

/// The quality gate's limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quality {
    /// Pixels across and down that every picture must have; absent: any.
    pub size: Option<[u32; 2]>,
    /// Grey levels of standard deviation below which a picture is blank.
    pub min_deviation: f32,
    /// Share of pixels at 0 or 255 from which a picture is saturated, 0 to 1.
    pub max_saturated: f32,
    /// Variance of the Laplacian below which a picture is out of focus.
    pub min_sharpness: f32,
}

impl Default for Quality {
    fn default() -> Self {
        Quality { size: None, min_deviation: 2.0, max_saturated: 0.5, min_sharpness: 0.0 }
    }
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

/// A recipe with its model loaded and verified.
pub struct RecipeInForce {
    /// The recipe.
    pub recipe: Recipe,
    /// `name@version`.
    pub tag: Arc<str>,
    /// Its model.
    pub model: Arc<dyn Model>,
    /// Threshold of each label, in the model's order: the bundle's, replaced by the recipe's.
    pub thresholds: Vec<f32>,
}
