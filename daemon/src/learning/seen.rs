//! What of a part's picture its model saw: all of it, aligned as the recipe asks, or of a recipe with regions the tile that the verdict rests
//! on. What is learned from a part is that.

use anyhow::Context;
use models::image::{self, Image};
use stages::inspection::Inspection;
use stages::recipe::{Recipe, RecipeInForce};
use stages::regions::Area;

use crate::store::Store;

/// The pixels of a part that the recipe's own model learns from.
///
/// # Errors
/// There is no such part or no picture of it, or it rests on another model's word.
pub(super) fn picture(store: &Store, recipe: &RecipeInForce, id: u64) -> anyhow::Result<Image> {
    let part = store.get(id)?.with_context(|| format!("part {id} is not on record"))?.inspection;
    let tile = tile(&part).with_context(|| {
        format!("part {id} rests on the word of a region with a model of its own, or on several views together")
    })?;
    cut(&store.picture(id)?.bytes, recipe, tile).with_context(|| format!("the picture of part {id}"))
}

/// Whether what is learned from parts is tiles: cut here, from prepared pictures. Else a training prepares whole pictures itself.
pub(super) fn is_cut(recipe: &Recipe) -> bool {
    recipe.tiles.is_some() || !recipe.regions.is_empty()
}

/// Which tile of a part's picture its recipe's own model learns from; `Some(None)`: all of it. `None`: its verdict rests on another model,
/// or on several views together.
#[allow(clippy::option_option)] // three answers, each of them usual
pub(super) fn tile(part: &Inspection) -> Option<Option<Area>> {
    match part.regions.first() {
        None => Some(None),
        // Several views decided it together: the place of one of them is not what the model saw.
        Some(deciding) if !deciding.weights.is_empty() => None,
        Some(deciding) if deciding.model == part.model => Some(Some(deciding.tile.into())),
        Some(_) => None,
    }
}

/// Decodes a picture, prepares it and keeps the tile of it.
///
/// # Errors
/// No picture, one that cannot be aligned, or one that is smaller than its record says.
pub(super) fn cut(bytes: &[u8], recipe: &RecipeInForce, tile: Option<Area>) -> anyhow::Result<Image> {
    let whole = recipe.seen_by_model(image::decode(bytes)?).map_err(anyhow::Error::msg)?;
    let Some(tile) = tile else { return Ok(whole) };
    let mut cut = Image::empty();
    tile.cut(whole.view(), &mut cut)?;
    Ok(cut)
}
