//! What labelled and waiting parts look like to the model in force, where another one decided them, or none: after a promotion the old
//! sketches say nothing to the new ones, a part that the line had no time for has none, and either would find no labelled part like it.
//! So would any other part on record that somebody opens: it is looked at when it is asked for.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use models::prediction::Model;
use models::predictor::Predictor;
use models::runtime::{Provider, SessionOptions};
use models::sketch::Sketch;

use super::event::Item;
use super::{Learning, seen};
use crate::supervise::Board;
use crate::words;

/// The newest labelled parts that are looked at again, and as many that wait.
const MOST: usize = 500;
/// Looks that are kept: those above, and parts that somebody asked for. Beyond them all is looked at anew.
const KEPT: usize = 4 * MOST;
/// Parts in one round: it shares its thread with the registration of kinds, which somebody waits for.
const AT_ONCE: usize = 4;

/// See the module. Not kept: after a restart it takes some seconds to look again.
#[derive(Default)]
pub(super) struct Looks {
    /// Whose eyes these are.
    trunk: Arc<str>,
    /// By part; none where its picture is gone or the model gives no embedding.
    of: HashMap<u64, Option<Sketch>>,
    /// Parts that somebody wants to see labelled ones like, and that are neither labelled nor wait.
    asked: BTreeSet<u64>,
    /// The desk's revision at which there was nothing left to do.
    done: Option<u64>,
    /// Kept while there is work. On the processor, and not the line's own sessions: the line must never wait for one.
    eye: Option<Predictor>,
}

impl Learning {
    /// What a part looks like to a model, as far as it is known.
    pub fn look_of(&self, item: &Item, trunk: &Arc<str>) -> Option<Sketch> {
        self.own_look(item, trunk).or_else(|| {
            let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
            looks.of.get(&item.id).copied().flatten().filter(|_| looks.trunk == *trunk)
        })
    }

    /// Has the model in force look at a part soon, unless it has.
    pub fn ask_for_look(&self, id: u64) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.asked.len() < MOST && !looks.of.contains_key(&id) {
            looks.asked.insert(id);
        }
    }

    /// What it looked like on the line, if to this model.
    fn own_look(&self, item: &Item, trunk: &Arc<str>) -> Option<Sketch> {
        item.sketch.filter(|_| self.registry.trunk_of(&item.model) == *trunk)
    }

    /// One round: looks at some parts that the model in force has not seen.
    pub(super) fn look_again(&self, board: &Board) {
        let prepared = board.recipe.load_full();
        let trunk = self.registry.trunk_of(prepared.in_force.model.digest());
        // Who asks about a part holds the desk while the looks are read: never the other way round.
        let now = self.desk.lock().revision;
        let (seen, mut eye, mut asked) = {
            let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
            if looks.trunk != trunk || looks.of.len() > KEPT {
                let asked = std::mem::take(&mut looks.asked);
                *looks = Looks { trunk: trunk.clone(), asked, ..Looks::default() };
            }
            if looks.asked.is_empty() && looks.done == Some(now) {
                return;
            }
            let seen = looks.of.keys().copied().collect::<HashSet<u64>>();
            (seen, looks.eye.take(), std::mem::take(&mut looks.asked))
        };
        asked.retain(|id| !seen.contains(id));
        let unseen = |item: &&Item| {
            !seen.contains(&item.id) && !asked.contains(&item.id) && self.own_look(item, &trunk).is_none()
        };
        let (work, revision): (Vec<u64>, u64) = {
            let desk = self.desk.lock();
            let labelled: Vec<&Item> = desk.labels.all().map(|(_, labelled)| &labelled.given.item).collect();
            let newest = labelled.into_iter().rev().take(MOST).chain(desk.queue.items().take(MOST));
            let newest = newest.filter(unseen).map(|item| item.id);
            (asked.iter().copied().chain(newest).take(AT_ONCE).collect(), desk.revision)
        };
        if work.is_empty() {
            self.looks.lock().unwrap_or_else(PoisonError::into_inner).done = Some(revision);
            return;
        }
        if eye.is_none() {
            let model = self.registry.find(prepared.in_force.model.digest()).map_err(anyhow::Error::from);
            let bundle = model.and_then(|model| self.bundle_of(&prepared, &model));
            let options = SessionOptions { require: Some(Provider::Cpu), threads: 1, ..SessionOptions::default() };
            match bundle.and_then(|bundle| Ok(Predictor::load(bundle, &options)?)) {
                Ok(loaded) => eye = Some(loaded),
                Err(error) => tracing::warn!("labelled parts keep their old looks: {}", words::of(&error)),
            }
        }
        let look = |id: &u64| {
            let (eye, image) = (eye.as_ref()?, seen::picture(&board.store, &prepared.in_force, *id).ok()?);
            let mut tensor = vec![0.0; eye.tensor_len()];
            eye.manifest().fill(image.view(), &mut tensor);
            Sketch::of(&eye.predict(&tensor).ok()?.embedding?)
        };
        let found: Vec<(u64, Option<Sketch>)> = work.iter().map(|id| (*id, look(id))).collect();
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.trunk == trunk {
            looks.of.extend(found);
            let Looks { of, asked: left, .. } = &mut *looks;
            left.extend(asked.into_iter().filter(|id| !of.contains_key(id)));
            looks.eye = eye.filter(|_| work.len() == AT_ONCE);
        }
    }
}
