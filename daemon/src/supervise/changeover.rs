//! Another version of a recipe comes into force, from the next part on, without a restart.

use std::sync::Arc;

use thiserror::Error;

use super::board::Board;
use super::recipe::Prepared;
use crate::access::Who;
use crate::audit::{AuditError, Deed};
use crate::recipes::RecipesError;
use crate::words;

/// Why the one before stays in force.
#[derive(Debug, Error)]
pub enum ChangeoverError {
    /// There is no such version, it is in force, or it could not be kept.
    #[error(transparent)]
    Recipes(#[from] RecipesError),
    /// Its model cannot be used, or the two do not fit.
    #[error("the recipe cannot be put in force: {0}")]
    Unfit(String),
    /// The audit trail refuses.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// What the audit trail says of a recipe: what decides about parts.
pub(super) fn in_words(prepared: &Prepared) -> serde_json::Value {
    let recipe = &prepared.in_force.recipe;
    serde_json::json!({
        "recipe": recipe.tag(),
        "model": prepared.manifest().graph_sha256,
        "deadline_ms": recipe.deadline_ms,
        "thresholds": recipe.thresholds,
    })
}

/// Puts a version in force. Its model is loaded and verified before any part sees it.
///
/// # Errors
/// See [`ChangeoverError`].
pub fn changeover(board: &Board, tag: &str, who: &Who, reason: Option<String>) -> Result<(), ChangeoverError> {
    board.learning.while_nothing_changes(|| {
        let before = board.recipe.load_full();
        if *before.in_force.tag == *tag {
            return Err(RecipesError::InForce(tag.to_owned()).into());
        }
        let text = board.recipes.lock().get(tag)?.text.clone();
        let recipe = board.recipes.parse(&text)?;
        let prepared = board.learning.kitchen.prepare(recipe, Some(&before));
        let prepared = prepared.map_err(|error| ChangeoverError::Unfit(words::of(&error)))?;
        let deed = Deed::new("recipe.changeover", tag).before(in_words(&before)).after(in_words(&prepared));
        board.access.trail().append(who, deed.because(reason.clone()))?;
        board.recipes.enforce(tag, &who.name, reason)?;
        if let Err(error) = board.learning.know(&prepared) {
            tracing::error!("{error}");
        }
        tracing::info!("recipe {tag} is in force from the next part on, instead of {}", before.in_force.tag);
        board.line.swap_recipe(prepared.in_force.clone());
        board.recipe.store(Arc::new(prepared));
        Ok(())
    })
}
