//! The retraining queue: which parts wait for a person's look. A plain state machine without clock, thread or disk.
//!
//! - At most [`Budget::per_hour`] parts of any hour (of the parts' own times) are ever put before people; audited ones besides, since
//!   rates are estimated from these and a budget would make them a choice. What a person asks for is outside of it, too.
//! - When an hour's budget is spent, a part takes the place of the least worthy that still waits of that hour, if it is worth more.
//! - Worth is the value of the look, times diversity (how far the part lies from the nearest other that waits or was answered lately;
//!   farthest point first: Gonzalez, 1985, and Sener and Savarese, "Active learning for CNNs: a core-set approach", ICLR 2018), times
//!   rarity (labels that people gave seldom come first).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::event::Item;

/// What may wait.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Parts of an hour.
    pub per_hour: usize,
    /// Parts at all, audited ones apart.
    pub waiting: usize,
}

/// What became of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// It waits; these wait no more.
    Taken(Vec<u64>),
    /// It does not.
    Refused,
}

/// The parts that wait.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: BTreeMap<u64, Item>,
    /// Answered parts of late, which the next ones should differ from.
    answered: Vec<(u64, Arc<str>, models::sketch::Sketch)>,
    /// Parts of each hour that were answered: their places stay taken.
    spent: HashMap<i64, usize>,
    /// All that were ever here.
    known: HashSet<u64>,
}

/// Answered parts that are remembered for diversity.
const REMEMBERED: usize = 256;
/// Distance of sketches from which two parts count as different altogether.
const APART: f32 = 0.05;

impl Queue {
    /// Offers a part. `rarity` says of a label how seldom people gave it, 0 to 1.
    pub fn offer(&mut self, item: Item, budget: &Budget, rarity: &dyn Fn(&str) -> f32) -> Offer {
        if self.known.contains(&item.id) || item.reasons.is_empty() {
            return Offer::Refused;
        }
        if item.is_audited() {
            self.put(item);
            return Offer::Taken(Vec::new());
        }
        let hour = hour(item.at);
        let worth = self.worth(&item, rarity);
        let mut dropped = Vec::new();
        let of_hour = self.chosen().filter(|other| self::hour(other.at) == hour).count();
        if of_hour + self.spent.get(&hour).copied().unwrap_or(0) >= budget.per_hour {
            match self.least(Some(hour), rarity) {
                Some((id, least)) if least < worth => dropped.push(id),
                _ => return Offer::Refused,
            }
        } else if self.chosen().count() >= budget.waiting {
            match self.least(None, rarity) {
                Some((id, least)) if least < worth => dropped.push(id),
                _ => return Offer::Refused,
            }
        }
        for id in &dropped {
            self.drop(*id);
        }
        self.put(item);
        Offer::Taken(dropped)
    }

    /// Puts a part in, whatever the budget: it was in before, or a person asked for it.
    pub fn put(&mut self, item: Item) {
        self.known.insert(item.id);
        self.waiting.insert(item.id, item);
    }

    /// A part waits no more.
    pub fn drop(&mut self, id: u64) {
        self.waiting.remove(&id);
    }

    /// A part was answered.
    pub fn answer(&mut self, item: &Item) {
        self.known.insert(item.id);
        if self.waiting.remove(&item.id).is_some() && item.is_chosen() {
            *self.spent.entry(hour(item.at)).or_default() += 1;
        }
        if let Some(sketch) = item.sketch {
            if self.answered.len() == REMEMBERED {
                self.answered.remove(0);
            }
            self.answered.push((item.id, item.model.clone(), sketch));
        }
    }

    /// An answer was taken back: the part waits again.
    pub fn undo(&mut self, item: Item) {
        if let Some(spent) = self.spent.get_mut(&hour(item.at)).filter(|_| item.is_chosen()) {
            *spent = spent.saturating_sub(1);
        }
        self.answered.retain(|(id, ..)| *id != item.id);
        self.put(item);
    }

    /// A part that waits.
    pub fn get(&self, id: u64) -> Option<&Item> {
        self.waiting.get(&id)
    }

    /// Parts that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Those that wait, in no order that matters.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.waiting.values()
    }

    /// Those that wait with their worth, the worthiest first.
    pub fn by_worth(&self, rarity: &dyn Fn(&str) -> f32) -> Vec<(f32, &Item)> {
        let mut all: Vec<(f32, &Item)> = self.items().map(|item| (self.worth(item, rarity), item)).collect();
        // Among equals the oldest first.
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.id.cmp(&b.1.id)));
        all
    }

    /// Places of this hour that are taken.
    pub fn taken_in_hour(&self, now: Timestamp) -> usize {
        let hour = hour(now);
        self.chosen().filter(|item| self::hour(item.at) == hour).count() + self.spent.get(&hour).copied().unwrap_or(0)
    }

    /// Those that were chosen, not drawn by lot or asked for.
    fn chosen(&self) -> impl Iterator<Item = &Item> {
        self.items().filter(|item| item.is_chosen())
    }

    /// The least worthy of an hour, or of all, with its worth.
    fn least(&self, of: Option<i64>, rarity: &dyn Fn(&str) -> f32) -> Option<(u64, f32)> {
        let those = self.chosen().filter(|item| of.is_none_or(|it| hour(item.at) == it));
        those.map(|item| (item.id, self.worth(item, rarity))).min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)))
    }

    /// How much a look is worth: value, diversity and rarity. A twin of one that waits is worth half.
    fn worth(&self, item: &Item, rarity: &dyn Fn(&str) -> f32) -> f32 {
        let rare = item.label.as_deref().map_or(1.0, rarity);
        item.value() * (0.5 + 0.5 * self.distance(item)) * (0.75 + 0.25 * rare)
    }

    /// From the nearest other part that the same model saw, 0 (a twin) to 1 (different altogether).
    fn distance(&self, item: &Item) -> f32 {
        let Some(sketch) = item.sketch else { return 1.0 };
        let waiting = self.items().filter_map(|other| Some((other.id, &other.model, other.sketch?)));
        let answered = self.answered.iter().map(|(id, model, sketch)| (*id, model, *sketch));
        let others = waiting.chain(answered).filter(|(id, model, _)| *id != item.id && **model == item.model);
        others.map(|(.., other)| sketch.distance(&other)).fold(APART, f32::min) / APART
    }
}

fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3600)
}

#[cfg(test)]
mod tests;
