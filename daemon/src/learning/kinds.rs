//! A label that no model knows becomes a kind at once: registered from the parts that carry it, beside the network that decides.
//!
//! That needs no gate: a kind never makes a verdict milder, so no part passes that would not have passed before (a property test of
//! `models::ruling`). What it can do is hold back good parts, and the way back is one step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};

use anyhow::{Context, ensure};
use models::bundle::{Disposition, Manifest};
use models::heads::appearance::{Eye, Views};
use models::heads::prototypes::MAX_SHOTS;

use super::promote::{Word, entry_of};
use super::registry::Origin;
use super::{Learning, seen, shots};
use crate::access::Who;
use crate::supervise::Board;
use crate::words;

/// Numbers of pictures at which a kind is registered anew: more would change little and load a model each time.
const STEPS: [usize; 7] = [1, 2, 3, 5, 8, 13, MAX_SHOTS];

/// How a kind stands that is not registered as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    /// It is to be registered, on this person's word.
    asked: Option<Arc<str>>,
    /// Why it could not be, the last time.
    failed: Option<String>,
}

impl Learning {
    /// A person said or took back a label: its kind is registered anew, soon.
    pub fn ask_for_kind(&self, label: &Arc<str>, by: &Arc<str>) {
        self.kinds().entry(label.clone()).or_default().asked = Some(by.clone());
    }

    /// Why a kind could not be registered, the last time.
    pub fn kind_trouble(&self, label: &str) -> Option<String> {
        self.kinds().get(label)?.failed.clone()
    }

    /// One round: registers what was asked for.
    pub(super) fn register_kinds(&self, board: &Arc<Board>) {
        self.cool_down();
        let mut kinds = self.kinds();
        let asked = kinds.iter_mut().find_map(|(label, state)| Some((label.clone(), state.asked.take()?)));
        drop(kinds);
        let Some((label, by)) = asked else { return };
        let failed = self.register_kind(board, &label, &by).err().map(|error| words::of(&error));
        if let Some(words) = &failed {
            tracing::error!("the kind `{label}` is not registered: {words}");
        }
        self.kinds().entry(label).or_default().failed = failed;
        self.kinds().retain(|_, state| *state != State::default());
        self.tidy(board);
    }

    /// Registers a kind from the parts that carry its label, or takes it out where none does.
    fn register_kind(&self, board: &Board, label: &Arc<str>, by: &Arc<str>) -> anyhow::Result<()> {
        let before = board.recipe.load_full();
        let manifest = before.manifest();
        if manifest.labels.iter().any(|own| own.name == **label) {
            return Ok(());
        }
        let (parts, means) = {
            let desk = self.desk.lock();
            let those = desk.labels.all().filter(|(_, labelled)| labelled.label == label);
            let means = desk.labels.means(label).unwrap_or(Disposition::Fail);
            (those.map(|(id, _)| id).collect::<Vec<u64>>(), means)
        };
        // The newest: a kind may drift, too.
        let newest = &parts[parts.len().saturating_sub(MAX_SHOTS)..];
        let known = registered_shots(manifest, label);
        if !is_due(known, newest.len()) {
            return Ok(());
        }
        let model = self.registry.find(before.in_force.model.digest()).context("the model in force")?;
        let mut bundle = self.bundle_of(&before, &model)?;
        let mut head = shots::head_of(&bundle)?;
        if known.is_some() {
            head.unregister(label)?;
        }
        if !newest.is_empty() {
            let mut eye = Eye::of(&bundle)?;
            let look = |id: &u64| -> anyhow::Result<Vec<Vec<f32>>> {
                Ok(eye.look_at_views(seen::picture(&board.store, &before.in_force, *id)?.view(), Views::Turns)?)
            };
            let looks: Vec<_> = newest.iter().map(look).collect();
            let lost = looks.iter().filter_map(|look| look.as_ref().err()).next().map(|error| format!("{error:#}"));
            let looks: Vec<_> = looks.into_iter().flatten().collect();
            ensure!(!looks.is_empty(), "no picture of its parts can be read: {}", lost.unwrap_or_default());
            head.register(label, means, &looks)?;
        }
        shots::put(&mut bundle, &head)?;
        let origin = Origin::FewShot { label: label.clone(), shots: newest.len() };
        let entry = entry_of(&bundle.manifest, origin, Some(model.digest.clone()), by.clone());
        self.registry.add(&mut bundle, entry.clone())?;
        let reason = match newest.len() {
            0 => format!("no part carries the label `{label}` any more"),
            shots => format!("the kind `{label}` from {shots} labelled parts; no verdict becomes milder by it"),
        };
        let who = Who::program_for(by.clone());
        let word = Word { who: &who, reason: Some(reason), forced: false, rollback: false };
        self.put_in_force(board, &entry, word)?;
        Ok(())
    }

    /// Asks for every kind that people named and the model in force does not know as well as it could: after a restart, and after
    /// another model was put in force. Not after a way back: that may have been because of a kind.
    pub(super) fn ask_for_missing_kinds(&self, board: &Board) {
        if self.registry.promotions().last().is_some_and(|last| last.rollback) {
            return;
        }
        let prepared = board.recipe.load();
        let own: BTreeSet<&str> = prepared.manifest().labels.iter().map(|label| label.name.as_str()).collect();
        let counts = self.desk.lock().labels.counts().clone();
        for (label, count) in counts.into_iter().filter(|(label, _)| !own.contains(&**label)) {
            if is_due(registered_shots(prepared.manifest(), &label), count.min(MAX_SHOTS)) {
                self.ask_for_kind(&label, &Who::program().name);
            }
        }
    }

    fn kinds(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, State>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pictures that a kind was registered from; `None`: it is not.
fn registered_shots(manifest: &Manifest, label: &str) -> Option<usize> {
    let mut kinds = manifest.heads.prototypes.iter().flat_map(|spec| spec.registered());
    kinds.find(|(_, kind)| kind.name == label).map(|(_, kind)| kind.shots)
}

/// Whether a kind should be registered from so many pictures, having been so from `known`.
fn is_due(known: Option<usize>, pictures: usize) -> bool {
    let step = |pictures: usize| STEPS.iter().filter(|&&step| step <= pictures).count();
    step(known.unwrap_or(0)) != step(pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_registered_at_once_and_anew_at_each_step() {
        let due: Vec<usize> = (1..=MAX_SHOTS).filter(|&pictures| is_due(Some(pictures - 1), pictures)).collect();
        assert_eq!(due, STEPS);
        assert!(is_due(None, 1) && !is_due(None, 0) && is_due(Some(1), 0), "what nobody says any more is taken out");
        assert!(!is_due(Some(5), 5) && is_due(Some(5), 4), "a label was taken back");
    }
}
