//! `--recipe`: pictures of a command are prepared as a line's recipe asks for it, so that all see the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use models::image::Image;
use models::prepare::Prepare;
use models_train::TrainError;
use models_train::dataset::Folder;
use stages::prepare::Preparation;

use crate::config;

/// See the field.
#[derive(Debug, Clone, Default, clap::Args)]
pub(in crate::cli) struct RecipeArg {
    /// Prepare the pictures as this recipe's `[align]`, `[[mask]]` and `calibration` ask for, as its line does. Pictures that cannot be
    /// aligned are left out.
    #[arg(long = "recipe", value_name = "FILE")]
    path: Option<PathBuf>,
}

/// What is done to pictures first, if anything.
pub(in crate::cli) type Preparing = Option<Arc<dyn Prepare>>;

impl RecipeArg {
    /// Loads what the recipe names.
    pub(in crate::cli) fn preparation(&self) -> anyhow::Result<Preparing> {
        let Some(path) = &self.path else { return Ok(None) };
        let recipe = config::load_recipe(path)?;
        let loaded = Preparation::load(&recipe);
        let loaded = loaded.map_err(|all| anyhow::anyhow!("recipe `{}`: {}", path.display(), all.join("; ")))?;
        Ok(loaded.map(|preparation| Arc::new(preparation) as Arc<dyn Prepare>))
    }

    /// As it was given.
    pub(in crate::cli) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

/// A data folder with its pictures prepared; tells what was left out.
pub(in crate::cli) fn prepared(folder: Folder, preparing: &Preparing) -> Result<Folder, TrainError> {
    let Some(preparation) = preparing else { return Ok(folder) };
    let before = folder.notes.len();
    let folder = folder.prepared_by(preparation.clone())?;
    tell(&folder.notes[before..]);
    Ok(folder)
}

/// Says what was left out: the first few, and how many.
pub(in crate::cli) fn tell(left_out: &[String]) {
    left_out.iter().take(5).for_each(|note| tracing::warn!("{note}"));
    if !left_out.is_empty() {
        tracing::warn!("{} pictures were left out: on the line such parts get no decision", left_out.len());
    }
}

/// One picture as the model is to see it.
pub(in crate::cli) fn seen(picture: Image, preparing: &Preparing) -> anyhow::Result<Image> {
    match preparing {
        Some(preparation) => Ok(preparation.prepare(picture.view()).map_err(anyhow::Error::msg)?.image),
        None => Ok(picture),
    }
}
