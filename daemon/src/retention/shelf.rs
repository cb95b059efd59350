//! Which picture goes next: every kept picture by how much it is still worth, oldest first. A plain state machine without clock, thread or
//! disk.
//!
//! A picture takes some forty bytes of memory here: a million of them 40 MB.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::config::{PictureLimits, PicturesByVerdict};
use crate::store::VerdictKind;

/// How long a picture stays when room is short: the first rank goes first, [`Rank::Held`] never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Of a good part that nobody looked at, or of one that is on record no more.
    Pass,
    /// Of a part that somebody has answered for, whatever the line had said, bad parts apart.
    Reviewed,
    /// Of a part without an answer.
    NoDecision,
    /// The line wanted a person's look, and nobody looked.
    Review,
    /// Of a bad part.
    Fail,
    /// Of a part that waits in the review queue.
    Waiting,
    /// Somebody holds it.
    Held,
}

/// A kept picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Picture {
    /// Second of the trigger, since 1970.
    pub(super) at_s: i64,
    pub(super) bytes: u64,
    /// None: the part is not on record.
    pub(super) verdict: Option<VerdictKind>,
    /// Which of the endings that occur.
    pub(super) ending: u8,
}

/// Pictures of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) pictures: u64,
    pub(super) bytes: u64,
}

/// Ids and bytes of one rank and verdict.
#[derive(Debug, Default)]
struct Row {
    ids: BTreeSet<u64>,
    bytes: u64,
}

/// Every kept picture.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pictures: BTreeMap<u64, (Picture, Rank)>,
    rows: BTreeMap<(Rank, Kind), Row>,
    waiting: HashSet<u64>,
    answered: HashSet<u64>,
    endings: Vec<Box<str>>,
}

/// A verdict as a key; the last: not on record.
type Kind = u8;

fn kind(verdict: Option<VerdictKind>) -> Kind {
    match verdict {
        Some(VerdictKind::Pass) => 0,
        Some(VerdictKind::NoDecision) => 1,
        Some(VerdictKind::Review) => 2,
        Some(VerdictKind::Fail) => 3,
        None => 4,
    }
}

impl Sum {
    fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Sum {
        rows.fold(Sum::default(), |sum, row| Sum {
            pictures: sum.pictures + row.ids.len() as u64,
            bytes: sum.bytes + row.bytes,
        })
    }
}

impl Shelf {
    /// The number of a file's ending.
    pub(super) fn ending(&mut self, ending: &str) -> Option<u8> {
        let at = self.endings.iter().position(|it| **it == *ending).unwrap_or_else(|| {
            self.endings.push(ending.into());
            self.endings.len() - 1
        });
        u8::try_from(at).ok()
    }

    /// And back.
    pub(super) fn ending_of(&self, number: u8) -> &str {
        self.endings.get(usize::from(number)).map_or("", |it| it)
    }

    /// Takes a picture in, or anew.
    pub(super) fn put(&mut self, id: u64, picture: Picture) {
        self.take(id);
        let rank = self.rank(id, picture.verdict);
        self.place(id, picture, rank);
    }

    /// Takes a picture out.
    pub(super) fn take(&mut self, id: u64) -> Option<Picture> {
        let (picture, rank) = self.pictures.remove(&id)?;
        let key = (rank, kind(picture.verdict));
        if let Some(row) = self.rows.get_mut(&key) {
            row.ids.remove(&id);
            row.bytes -= picture.bytes;
            if row.ids.is_empty() {
                self.rows.remove(&key);
            }
        }
        Some(picture)
    }

    pub(super) fn has(&self, id: u64) -> bool {
        self.pictures.contains_key(&id)
    }

    pub(super) fn get(&self, id: u64) -> Option<&Picture> {
        self.pictures.get(&id).map(|(picture, _)| picture)
    }

    /// What people wait for and have answered changed: ranks follow.
    pub(super) fn people(&mut self, waiting: HashSet<u64>, answered: HashSet<u64>) {
        let changed =
            |old: &HashSet<u64>, new: &HashSet<u64>| -> Vec<u64> { old.symmetric_difference(new).copied().collect() };
        let mut moved = changed(&self.waiting, &waiting);
        moved.extend(changed(&self.answered, &answered));
        (self.waiting, self.answered) = (waiting, answered);
        for id in moved {
            if self.pictures.get(&id).is_some_and(|(_, rank)| *rank != Rank::Held)
                && let Some(picture) = self.take(id)
            {
                self.put(id, picture);
            }
        }
    }

    /// Somebody holds it: it is not offered again until [`Shelf::look_again`].
    pub(super) fn hold(&mut self, id: u64) {
        if let Some(picture) = self.take(id) {
            self.place(id, picture, Rank::Held);
        }
    }

    /// Holds have changed: what was held may not be.
    pub(super) fn look_again(&mut self) {
        let held = self.rows.iter().filter(|((rank, _), _)| *rank == Rank::Held);
        let held: Vec<u64> = held.flat_map(|(_, row)| row.ids.iter().copied()).collect();
        for id in held {
            if let Some(picture) = self.take(id) {
                self.put(id, picture);
            }
        }
    }

    /// The picture that its own verdict's limits let go next. `now_s`: none where the clock cannot be trusted with ages.
    pub(super) fn beyond_limits(&self, limits: &PicturesByVerdict, now_s: Option<i64>) -> Option<u64> {
        let verdicts = [VerdictKind::Pass, VerdictKind::NoDecision, VerdictKind::Review, VerdictKind::Fail];
        verdicts.into_iter().find_map(|verdict| self.beyond(verdict, limits.of(verdict), now_s))
    }

    fn beyond(&self, verdict: VerdictKind, limits: PictureLimits, now_s: Option<i64>) -> Option<u64> {
        let of = kind(Some(verdict));
        // What waits for people and what is held is bounded by no verdict's limits.
        let loose = || self.rows.iter().filter(move |((rank, kind), _)| *kind == of && *rank < Rank::Waiting);
        let sum = Sum::of(loose().map(|(_, row)| row));
        let many = limits.count.is_some_and(|most| sum.pictures > most)
            || limits.mb.is_some_and(|most| sum.bytes > most.saturating_mul(1 << 20));
        if many {
            return loose().find_map(|(_, row)| row.ids.first().copied());
        }
        let before = now_s? - i64::from(limits.days?) * 86_400;
        loose()
            .filter_map(|(_, row)| row.ids.first().copied())
            .find(|id| self.get(*id).is_some_and(|it| it.at_s < before))
    }

    /// The picture that goes next where room is short: of the lowest rank the oldest.
    pub(super) fn least(&self) -> Option<(u64, Rank)> {
        let rank = self.rows.keys().next().map(|(rank, _)| *rank).filter(|rank| *rank < Rank::Held)?;
        let of_rank = self.rows.iter().take_while(|((it, _), _)| *it == rank);
        of_rank.filter_map(|(_, row)| row.ids.first().copied()).min().map(|id| (id, rank))
    }

    /// Shows each.
    pub(super) fn each(&self, mut each: impl FnMut(&Picture)) {
        self.pictures.values().for_each(|(picture, _)| each(picture));
    }

    /// All of them.
    pub(super) fn all(&self) -> Sum {
        Sum::of(self.rows.values())
    }

    /// Those of a rank.
    pub(super) fn of_rank(&self, of: Rank) -> Sum {
        Sum::of(self.rows.iter().filter(|((rank, _), _)| *rank == of).map(|(_, row)| row))
    }

    /// Those of a verdict, and the second of the oldest.
    pub(super) fn of_verdict(&self, verdict: VerdictKind) -> (Sum, Option<i64>) {
        let of = kind(Some(verdict));
        let rows: Vec<&Row> = self.rows.iter().filter(|((_, kind), _)| *kind == of).map(|(_, row)| row).collect();
        let sum = Sum::of(rows.iter().copied());
        let oldest = rows.iter().filter_map(|row| row.ids.first().copied()).min();
        (sum, oldest.and_then(|id| self.get(id)).map(|picture| picture.at_s))
    }

    fn rank(&self, id: u64, verdict: Option<VerdictKind>) -> Rank {
        match verdict {
            None => Rank::Pass,
            Some(_) if self.waiting.contains(&id) => Rank::Waiting,
            Some(VerdictKind::Fail) => Rank::Fail,
            Some(_) if self.answered.contains(&id) => Rank::Reviewed,
            Some(VerdictKind::Pass) => Rank::Pass,
            Some(VerdictKind::NoDecision) => Rank::NoDecision,
            Some(VerdictKind::Review) => Rank::Review,
        }
    }

    fn place(&mut self, id: u64, picture: Picture, rank: Rank) {
        let row = self.rows.entry((rank, kind(picture.verdict))).or_default();
        row.ids.insert(id);
        row.bytes += picture.bytes;
        self.pictures.insert(id, (picture, rank));
    }
}

#[cfg(test)]
mod tests;
