//! What labelled and waiting parts look like to the model in force, where another one decided them: after a promotion the old sketches say
//! nothing to the new ones, and a part that waits would find no labelled part like it.

use std::collections::{HashMap, HashSet};
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
/// Parts in one round: it shares its thread with the registration of kinds, which somebody waits for.
const AT_ONCE: usize = 4;

/// See the module. Not kept: after a restart it takes some seconds to look again.
#[derive(Default)]
pub(super) struct Looks {
    /// Whose eyes these are.
    trunk: Arc<str>,
    /// By part; none where its picture is gone or the model gives no embedding.
    of: HashMap<u64, Option<Sketch>>,
    /// The desk's revision at which there was nothing left to do.
    done: Option<u64>,
    /// Kept while there is work. On the processor, and not the line's own sessions: the line must never wait for one.
    eye: Option<Predictor>,
}

impl Learning {
    /// What a part looks like to a model.
    pub fn look_of(&self, item: &Item, trunk: &Arc<str>) -> Option<Sketch> {
        if self.registry.trunk_of(&item.model) == *trunk {
            return item.sketch;
        }
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.of.get(&item.id).copied().flatten().filter(|_| looks.trunk == *trunk)
    }

    /// One round: looks at some parts that the model in force has not seen.
    pub(super) fn look_again(&self, board: &Board) {
        let prepared = board.recipe.load_full();
        let trunk = self.registry.trunk_of(prepared.in_force.model.digest());
        let (seen, mut eye) = {
            let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
            if looks.trunk != trunk {
                *looks = Looks { trunk: trunk.clone(), ..Looks::default() };
            }
            if looks.done == Some(self.desk.lock().revision) {
                return;
            }
            (looks.of.keys().copied().collect::<HashSet<u64>>(), looks.eye.take())
        };
        let unseen = |item: &&Item| !seen.contains(&item.id) && self.registry.trunk_of(&item.model) != trunk;
        let (work, revision): (Vec<u64>, u64) = {
            let desk = self.desk.lock();
            let labelled: Vec<&Item> = desk.labels.all().map(|(_, labelled)| &labelled.given.item).collect();
            let newest = labelled.into_iter().rev().take(MOST).chain(desk.queue.items().take(MOST));
            (newest.filter(unseen).take(AT_ONCE).map(|item| item.id).collect(), desk.revision)
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
            let mut tensor = vec![0.0; eye.preprocess().tensor_len()];
            eye.preprocess().fill(image.view(), &mut tensor);
            Sketch::of(&eye.predict(&tensor).ok()?.embedding?)
        };
        let found: Vec<(u64, Option<Sketch>)> = work.iter().map(|id| (*id, look(id))).collect();
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.trunk == trunk {
            looks.of.extend(found);
            looks.eye = eye.filter(|_| work.len() == AT_ONCE);
        }
    }
}
