//! Puts a model in force between two parts, and takes it back. The register has it on disk before the line sees it.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use models::bundle::{Bundle, Manifest};
use serde_json::json;
use thiserror::Error;

use super::registry::{Model, Origin, Promotion, RegistryError};
use super::{Learning, event, tidy};
use crate::access::Who;
use crate::audit::{AuditError, Deed};
use crate::supervise::{Board, Prepared};
use crate::words;

/// The model that was in force before, still loaded.
pub(super) struct Warm {
    prepared: Prepared,
    since: Instant,
}

/// Why no model was put in force. The one before stays.
#[derive(Debug, Error)]
pub enum PromoteError {
    /// It decides already.
    #[error("model `{0}` is in force already")]
    InForce(Arc<str>),
    /// It was not shown to be as good.
    #[error(
        "model `{0}` has not passed the gate against the model that is in force; an engineer may promote it all the same, with a written reason"
    )]
    NotPassed(Arc<str>),
    /// There is no way back.
    #[error("no model was promoted here, so there is none to go back to")]
    NoWayBack,
    /// Its file is gone.
    #[error(
        "the file of model `{digest}` was removed on {at}: only the newest kinds and candidates are kept; label parts or train anew for another such model"
    )]
    Removed {
        /// Which.
        digest: Arc<str>,
        /// When.
        at: Timestamp,
    },
    /// It cannot be used.
    #[error("the model cannot be put in force: {0}")]
    Unfit(String),
    /// The register refuses.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The audit trail refuses.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// On whose word a model is put in force.
pub(super) struct Word<'a> {
    /// Whose.
    pub who: &'a Who,
    /// Why.
    pub reason: Option<String>,
    /// The gate does not have to have passed.
    pub forced: bool,
    /// It is a way back.
    pub rollback: bool,
}

impl Learning {
    /// Puts a model of the register in force. A model that has not passed the gate needs a reason.
    ///
    /// # Errors
    /// It cannot be; the one before stays in force.
    pub fn promote(
        &self,
        board: &Board,
        digest: &str,
        who: &Who,
        reason: Option<String>,
    ) -> Result<Promotion, PromoteError> {
        let model = self.registry.find(digest)?;
        is_there(&model)?;
        let reason = reason.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let now = board.recipe.load().in_force.model.digest().clone();
        let passed = has_passed(&model, &now, |digest| self.registry.trunk_of(digest));
        if !passed && reason.is_none() {
            return Err(PromoteError::NotPassed(model.digest));
        }
        let word = Word { who, reason, forced: !passed, rollback: false };
        let promotion = self.put_in_force(board, &model, word)?;
        self.ask_for_missing_kinds(board);
        Ok(promotion)
    }

    /// Goes back to the model that was in force before. Within `warm_min` of a promotion it is still loaded.
    ///
    /// # Errors
    /// There is none, or it cannot be used any more.
    pub fn rollback(&self, board: &Board, who: &Who, reason: Option<String>) -> Result<Promotion, PromoteError> {
        let now = board.recipe.load().in_force.model.digest().clone();
        let promotions = self.registry.promotions();
        let previous = tidy::before(&promotions, &now).ok_or(PromoteError::NoWayBack)?;
        let model = self.registry.find(previous)?;
        self.put_in_force(board, &model, Word { who, reason, forced: false, rollback: true })
    }

    /// Loads a model, writes down that it is in force, and hands it to the line: from the next part on it decides.
    pub(super) fn put_in_force(&self, board: &Board, model: &Model, word: Word<'_>) -> Result<Promotion, PromoteError> {
        let mut warm = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = board.recipe.load_full();
        let previous = before.in_force.model.digest().clone();
        if model.digest == previous {
            return Err(PromoteError::InForce(previous));
        }
        // As it stands now, while nobody tidies up.
        is_there(&self.registry.find(&model.digest)?)?;
        let prepared = match warm.take().filter(|warm| *warm.prepared.in_force.model.digest() == model.digest) {
            Some(warm) if warm.prepared.in_force.recipe == before.in_force.recipe => warm.prepared,
            _ => self.load(&before, model).map_err(|error| PromoteError::Unfit(words::of(&error)))?,
        };
        let Word { who, reason, forced, rollback } = word;
        let what = if rollback { "model.rollback" } else { "model.promote" };
        let deed = Deed::new(what, model.digest.as_ref()).before(json!({ "model": previous }));
        let deed = deed.after(json!({ "model": model.digest, "forced": forced })).because(reason.clone());
        board.access.trail().append(who, deed)?;
        let promotion = Promotion {
            digest: model.digest.clone(),
            previous: previous.clone(),
            base: before.base.clone(),
            at: Timestamp::now(),
            by: who.name.clone(),
            reason,
            forced,
            rollback,
        };
        self.registry.promoted(promotion.clone())?;
        board.line.swap_recipe(prepared.in_force.clone());
        board.recipe.store(Arc::new(prepared));
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        match model.origin {
            // A new kind is there to hold parts back that passed before.
            Origin::FewShot { .. } => guard.rest(),
            _ if rollback => guard.rest(),
            _ => guard.promoted(&model.digest, &previous),
        }
        drop(guard);
        tracing::info!("model {} is in force from the next part on, instead of {previous}", model.digest);
        *warm = Some(Warm { prepared: (*before).clone(), since: Instant::now() });
        Ok(promotion)
    }

    /// Lets go of a model that was kept loaded for long enough.
    pub(super) fn cool_down(&self) {
        let keep = Duration::from_secs(60 * u64::from(self.section.warm_min));
        let mut warm = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = warm.take_if(|warm| warm.since.elapsed() >= keep);
    }

    /// Keeps others from changing what is in force while `work` does.
    pub fn while_nothing_changes<T>(&self, work: impl FnOnce() -> T) -> T {
        let _guard = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }

    /// Takes the model in force into the register, where it is not yet: as the recipe's own.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn know(&self, prepared: &Prepared) -> Result<(), RegistryError> {
        let digest = prepared.in_force.model.digest();
        if *digest == prepared.base {
            self.registry.know(entry_of(prepared.manifest(), Origin::Recipe, None, "recipe".into()))?;
        }
        Ok(())
    }

    /// The bundle of a model of the register, as it lies on disk.
    ///
    /// # Errors
    /// It is refused, or not there any more.
    pub fn bundle_of(&self, before: &Prepared, model: &Model) -> anyhow::Result<Bundle> {
        if model.digest == before.base {
            return self.kitchen.own(&before.in_force.recipe);
        }
        self.kitchen.open(&self.registry.path_of(&model.digest))
    }

    fn load(&self, before: &Prepared, model: &Model) -> anyhow::Result<Prepared> {
        self.kitchen.with_model(before, &self.bundle_of(before, model)?)
    }
}

fn is_there(model: &Model) -> Result<(), PromoteError> {
    match model.removed_at {
        Some(at) => Err(PromoteError::Removed { digest: model.digest.clone(), at }),
        None => Ok(()),
    }
}

/// Where the gate's findings say which model was the champion.
pub(super) const CHAMPION: &str = "champion";

/// Whether the gate has passed a model against the one in force, or against one that differs from it by registered kinds alone.
fn has_passed(model: &Model, now: &Arc<str>, trunk_of: impl Fn(&Arc<str>) -> Arc<str>) -> bool {
    let Some(gate) = &model.gate else { return false };
    let champion = gate[CHAMPION].as_str().map(Arc::from);
    gate["passed"] == true && champion.is_some_and(|champion| trunk_of(&champion) == trunk_of(now))
}

/// What the register says of a model.
pub(super) fn entry_of(manifest: &Manifest, origin: Origin, parent: Option<Arc<str>>, by: Arc<str>) -> Model {
    Model {
        digest: manifest.graph_sha256.as_str().into(),
        name: manifest.name.clone(),
        labels: event::names(manifest).map(|(name, _)| name.to_owned()).collect(),
        parent,
        origin,
        at: Timestamp::now(),
        by,
        gate: None,
        removed_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_was_passed_against_another_champion_does_not_count() {
        let model = |gate| Model {
            digest: "new".into(),
            name: String::new(),
            labels: Vec::new(),
            parent: None,
            origin: Origin::Recipe,
            at: Timestamp::UNIX_EPOCH,
            by: "eve".into(),
            gate,
            removed_at: None,
        };
        // `kind` is `old` with one more kind.
        let trunk_of = |digest: &Arc<str>| if &**digest == "kind" { "old".into() } else { digest.clone() };
        let passed = |gate, now: &str| has_passed(&model(gate), &now.into(), trunk_of);
        let gate = |passed: bool| Some(json!({ "passed": passed, CHAMPION: "old" }));
        assert!(passed(gate(true), "old") && passed(gate(true), "kind"));
        assert!(!passed(gate(true), "other") && !passed(gate(false), "old") && !passed(None, "old"));
        assert!(!passed(Some(json!({ "passed": true })), "old"), "nobody knows against which");
    }
}
