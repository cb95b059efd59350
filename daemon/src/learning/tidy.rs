//! What is kept has bounds: bundles of models that nobody will put in force again, and the data of trainings long past, make room.
//! The register and the jobs go on listing them.
//!
//! Kept is what is in force, what a restart or any of the last [`WAY_BACK`] steps back would put in force, the newest kinds and candidates,
//! and what those candidates were measured against.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use super::Learning;
use super::registry::{Model, Origin, Promotion};
use crate::supervise::Board;

/// Steps back for which the models stay.
pub(super) const WAY_BACK: usize = 5;
/// Registrations of kinds that stay, the newest.
const KINDS: usize = 10;
/// Candidates of trainings that stay, the newest.
const CANDIDATES: usize = 20;

impl Learning {
    /// Makes room, after something was added.
    pub(super) fn tidy(&self, board: &Board) {
        self.while_nothing_changes(|| {
            let prepared = board.recipe.load();
            let needed = [prepared.in_force.model.digest(), &prepared.base];
            let gone = dispensable(&self.registry.models(), &self.registry.promotions(), &needed);
            for digest in gone {
                match self.registry.remove_file(&digest) {
                    Ok(()) => tracing::info!("the file of model {digest} is removed: newer ones are kept"),
                    Err(error) => tracing::error!("{error}"),
                }
            }
        });
        self.jobs.tidy();
    }
}

/// The model that a way back from this one leads to.
pub(super) fn before<'a>(promotions: &'a [Promotion], digest: &str) -> Option<&'a Arc<str>> {
    let last = promotions.iter().rev().find(|promotion| *promotion.digest == *digest && !promotion.rollback)?;
    Some(&last.previous)
}

/// Models whose files may go; `models` are the newest first, `needed` are needed in any case.
fn dispensable(models: &[Model], promotions: &[Promotion], needed: &[&Arc<str>]) -> Vec<Arc<str>> {
    let mut keep: HashSet<&str> = needed.iter().map(|digest| &***digest).collect();
    let last = &promotions[promotions.len().saturating_sub(WAY_BACK)..];
    keep.extend(last.iter().flat_map(|it| [&*it.digest, &*it.previous, &*it.base]));
    for start in needed.iter().copied().chain(last.last().map(|last| &last.digest)) {
        let back = std::iter::successors(Some(start), |digest| before(promotions, digest));
        keep.extend(back.take(WAY_BACK + 1).map(|digest| &**digest));
    }
    let newest = |of: fn(&Origin) -> bool, count: usize| {
        let mut those: Vec<&Model> = models.iter().filter(|model| of(&model.origin)).collect();
        // One that came back counts from then on, wherever the register has it.
        those.sort_by_key(|model| Reverse(model.at));
        those.truncate(count);
        those
    };
    keep.extend(newest(|it| matches!(it, Origin::FewShot { .. }), KINDS).into_iter().map(|model| &*model.digest));
    for model in newest(|it| matches!(it, Origin::Job { .. }), CANDIDATES) {
        keep.extend([Some(&*model.digest), model.parent.as_deref()].into_iter().flatten());
    }
    // The recipe's own lies elsewhere.
    let ours = models.iter().filter(|model| model.origin != Origin::Recipe && model.removed_at.is_none());
    ours.filter(|model| !keep.contains(&*model.digest)).map(|model| model.digest.clone()).collect()
}

#[cfg(test)]
mod tests;
