//! What people said of parts: who, when, and what holds now. Nothing is ever overwritten; an answer that was taken back stays on record
//! as that. A plain state machine without clock, thread or disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use models::bundle::Disposition;
use stages::sample::audited;
use stages::verdict::Verdict;

use super::event::{Answer, Answered, Item, Way};

/// An answer as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// What was said.
    pub answered: Answered,
    /// The part as it was on record then.
    pub item: Item,
    /// Taken back.
    pub undone: bool,
}

/// A label that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled<'a> {
    /// The label.
    pub label: &'a Arc<str>,
    /// The answer that it comes from.
    pub given: &'a Given,
}

/// All answers.
#[derive(Debug, Default)]
pub struct Labels {
    given: Vec<Given>,
    by_part: HashMap<u64, Vec<usize>>,
    /// Parts that hold each label now.
    counts: BTreeMap<Arc<str>, usize>,
    /// Share of the queue's labelled parts that somebody else looks at again.
    second_share: f32,
    second: BTreeSet<u64>,
}

/// How well people agree on the same parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Parts that two people labelled.
    pub pairs: usize,
    /// Cohen's kappa (Educational and Psychological Measurement, 1960): 1 is full agreement, 0 is what chance alone gives. `None` without a
    /// pair, and where both always say the same one label.
    pub kappa: Option<f64>,
}

/// What the audited parts say of the line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Audited {
    /// Audited parts with a label that says good or bad.
    pub parts: u64,
    /// Good ones.
    pub good: u64,
    /// Good ones that failed.
    pub overkill: u64,
    /// Bad ones.
    pub bad: u64,
    /// Bad ones that passed.
    pub escapes: u64,
}

impl Labels {
    /// None yet; `second_share` of the queue's labels will ask for a second opinion.
    pub fn new(second_share: f32) -> Labels {
        Labels { second_share, ..Labels::default() }
    }

    /// The number of the next answer.
    pub fn next_number(&self) -> u64 {
        self.given.last().map_or(1, |given| given.answered.number + 1)
    }

    /// Takes an answer in.
    pub fn answer(&mut self, answered: Answered, item: Item) {
        let id = answered.id;
        self.change(id, |labels| {
            labels.by_part.entry(id).or_default().push(labels.given.len());
            labels.given.push(Given { answered, item, undone: false });
        });
    }

    /// Takes an answer back. `None` where there is none that stands.
    pub fn undo(&mut self, number: u64) -> Option<&Given> {
        let at = self.given.iter().rposition(|given| given.answered.number == number && !given.undone)?;
        self.change(self.given[at].answered.id, |labels| labels.given[at].undone = true);
        self.given.get(at)
    }

    /// The last answer of a person that stands.
    pub fn last_by(&self, by: &str) -> Option<&Given> {
        self.given.iter().rev().find(|given| !given.undone && &*given.answered.by == by)
    }

    /// All answers, oldest first.
    pub fn given(&self) -> impl Iterator<Item = &Given> {
        self.given.iter()
    }

    /// All answers about a part, oldest first.
    pub fn about(&self, id: u64) -> impl Iterator<Item = &Given> {
        self.by_part.get(&id).into_iter().flatten().map(|&at| &self.given[at])
    }

    /// Every part of which somebody has said something that stands.
    pub fn answered(&self) -> impl Iterator<Item = u64> {
        self.by_part.keys().copied().filter(|&id| self.standing(id).next().is_some())
    }

    /// The label that holds of a part: the last one, unless a second opinion contradicts it. What is in dispute teaches nothing.
    pub fn of(&self, id: u64) -> Option<Labelled<'_>> {
        let given = self.standing(id).last()?;
        let label = given.answered.answer.label()?;
        if given.answered.way == Way::SecondOpinion {
            let first = self.standing(id).rev().nth(1).and_then(|given| given.answered.answer.label());
            if first.is_some_and(|first| first != label) {
                return None;
            }
        }
        Some(Labelled { label, given })
    }

    /// Every part with the label that holds of it, oldest part first.
    pub fn all(&self) -> impl Iterator<Item = (u64, Labelled<'_>)> {
        let ids: BTreeSet<u64> = self.by_part.keys().copied().collect();
        ids.into_iter().filter_map(|id| Some((id, self.of(id)?)))
    }

    /// Parts that hold each label.
    pub fn counts(&self) -> &BTreeMap<Arc<str>, usize> {
        &self.counts
    }

    /// What a new kind means for a part, as the last person said who said so.
    pub fn means(&self, label: &str) -> Option<Disposition> {
        self.given.iter().rev().filter(|given| !given.undone).find_map(|given| match &given.answered.answer {
            Answer::Label { label: said, means } if **said == *label => *means,
            _ => None,
        })
    }

    /// How seldom a label was given, 0 (the most often given) to 1 (never).
    pub fn rarity(&self, label: &str) -> f32 {
        let most = self.counts.values().copied().max().unwrap_or(0).max(1);
        1.0 - self.counts.get(label).copied().unwrap_or(0) as f32 / most as f32
    }

    /// Standing answers that satisfy something.
    pub fn count(&self, what: impl Fn(&Answered) -> bool) -> usize {
        self.given.iter().filter(|given| !given.undone && what(&given.answered)).count()
    }

    /// Parts on which `by` is asked for a second opinion.
    pub fn second_opinions<'a>(&'a self, by: &'a str) -> impl Iterator<Item = &'a Item> {
        let waiting = self.second.iter().filter_map(|&id| self.standing(id).last());
        waiting.filter(move |given| &*given.answered.by != by).map(|given| &given.item)
    }

    /// Whether a part waits for a second opinion of somebody else than `by`.
    pub fn wants_second(&self, id: u64, by: &str) -> bool {
        self.second.contains(&id) && self.standing(id).last().is_some_and(|given| &*given.answered.by != by)
    }

    /// How well people agree.
    pub fn agreement(&self) -> Agreement {
        let pairs: Vec<[&str; 2]> = self.by_part.keys().filter_map(|&id| self.pair(id)).collect();
        let share = |count: usize| count as f64 / pairs.len() as f64;
        let same = share(pairs.iter().filter(|[a, b]| a == b).count());
        let labels: BTreeSet<&str> = pairs.iter().flatten().copied().collect();
        let by_chance = labels.iter().map(|label| {
            let said = |who: usize| share(pairs.iter().filter(|pair| pair[who] == *label).count());
            said(0) * said(1)
        });
        let by_chance: f64 = by_chance.sum();
        let kappa = (!pairs.is_empty() && by_chance < 1.0).then(|| (same - by_chance) / (1.0 - by_chance));
        Agreement { pairs: pairs.len(), kappa }
    }

    /// What the audited parts say. `is_good` tells what a label means for the part; of labels that it does not know nothing is counted.
    pub fn audited(&self, is_good: impl Fn(&str) -> Option<bool>) -> Audited {
        self.audited_of(is_good, |_| true)
    }

    /// The same of some parts.
    pub fn audited_of(&self, is_good: impl Fn(&str) -> Option<bool>, of: impl Fn(&Item) -> bool) -> Audited {
        let mut audited = Audited::default();
        let parts = self.all().filter(|(_, labelled)| labelled.given.item.is_audited() && of(&labelled.given.item));
        for (_, labelled) in parts {
            let Some(good) = is_good(labelled.label) else { continue };
            let verdict = labelled.given.item.verdict;
            audited.parts += 1;
            audited.good += u64::from(good);
            audited.bad += u64::from(!good);
            audited.overkill += u64::from(good && verdict == Verdict::Fail);
            audited.escapes += u64::from(!good && verdict == Verdict::Pass);
        }
        audited
    }

    /// The first label and the second opinion on a part.
    fn pair(&self, id: u64) -> Option<[&str; 2]> {
        let mut standing =
            self.standing(id).filter_map(|given| Some((given.answered.way, given.answered.answer.label()?)));
        let (_, first) = standing.next()?;
        standing.find(|(way, _)| *way == Way::SecondOpinion).map(|(_, second)| [&**first, &**second])
    }

    fn standing(&self, id: u64) -> impl DoubleEndedIterator<Item = &Given> {
        let about = self.by_part.get(&id).into_iter().flatten().map(|&at| &self.given[at]);
        // To skip a part is to say nothing of it.
        about.filter(|given| !given.undone && given.answered.answer != Answer::Skip)
    }

    /// Changes what is known of one part, and what follows from it.
    fn change(&mut self, id: u64, change: impl FnOnce(&mut Labels)) {
        if let Some(label) = self.of(id).map(|labelled| labelled.label.clone())
            && let Some(count) = self.counts.get_mut(&label)
        {
            *count -= 1;
        }
        change(self);
        self.counts.retain(|_, count| *count > 0);
        if let Some(label) = self.of(id).map(|labelled| labelled.label.clone()) {
            *self.counts.entry(label).or_default() += 1;
        }
        let mut standing = self.standing(id);
        let only = standing.next().filter(|_| standing.next().is_none());
        let asks = only.is_some_and(|given| {
            given.answered.way == Way::Queue
                && given.answered.answer.label().is_some()
                && audited(id ^ SECOND, self.second_share)
        });
        drop(standing);
        if asks {
            self.second.insert(id);
        } else {
            self.second.remove(&id);
        }
    }
}

/// Keeps this lot apart from that of the audit.
const SECOND: u64 = 0x0073_6563_6f6e_6400;

#[cfg(test)]
mod tests;
