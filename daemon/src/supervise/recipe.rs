//! Puts a recipe in force: its model is loaded, verified and warmed up before any part sees it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use models::bundle::{Bundle, BundleError, Manifest};
use models::prediction::Model;
use models::predictor::Predictor;
use models::runtime::{Provider, SessionOptions};
use stages::recipe::{Recipe, RecipeInForce};

use super::shipped::shipped_bundle;

/// A recipe ready for the line.
#[derive(Clone)]
pub struct Prepared {
    /// For the line.
    pub in_force: Arc<RecipeInForce>,
    /// Providers that were wished for and do not work here, with the reason.
    pub fallbacks: Arc<[(Provider, String)]>,
}

impl Prepared {
    /// What is known of the model.
    pub fn manifest(&self) -> &Manifest {
        self.in_force.model.manifest()
    }
}

/// Reads and verifies a bundle's file.
///
/// # Errors
/// The file, what is wrong with it, the way out.
pub fn open_bundle(path: &Path) -> anyhow::Result<Bundle> {
    Bundle::open(path).map_err(|error| match error {
        // It names its file itself.
        BundleError::Io { .. } => anyhow!("the model's {error}; check the path"),
        other => anyhow!("model `{}`: {other}", path.display()),
    })
}

/// How models are made ready here.
#[derive(Debug, Clone)]
pub struct Kitchen {
    /// Sessions made and warmed up before the first part.
    pub workers: usize,
    /// Where TensorRT keeps its engines.
    pub cache_dir: Option<PathBuf>,
}

impl Kitchen {
    /// Loads the recipe's model and joins the two. A model that `before` has already loaded is used again.
    ///
    /// # Errors
    /// ONNX Runtime is missing, the bundle is refused, or recipe and model do not fit.
    pub fn prepare(&self, recipe: Recipe, before: Option<&Prepared>) -> anyhow::Result<Prepared> {
        let bundle = match &recipe.bundle {
            Some(path) => open_bundle(path)?,
            None => shipped_bundle()?,
        };
        let same = |before: &&Prepared| {
            let demanded = recipe.require_provider;
            *before.manifest() == bundle.manifest && demanded.is_none_or(|it| it == before.in_force.model.provider())
        };
        if let Some(before) = before.filter(same) {
            let in_force = RecipeInForce::new(recipe, before.in_force.model.clone())?;
            return Ok(Prepared { in_force: Arc::new(in_force), fallbacks: before.fallbacks.clone() });
        }
        models::runtime::init(None)?;
        let options = SessionOptions {
            require: recipe.require_provider,
            threads: 1,
            cache_dir: self.cache_dir.clone(),
            ..SessionOptions::default()
        };
        let name = bundle.manifest.name.clone();
        let predictor = Predictor::load(bundle, &options).with_context(|| format!("model `{name}`"))?;
        predictor.warm_up(self.workers)?;
        let fallbacks = predictor.fallbacks().into();
        let model: Arc<dyn Model> = Arc::new(predictor);
        Ok(Prepared { in_force: Arc::new(RecipeInForce::new(recipe, model)?), fallbacks })
    }
}
