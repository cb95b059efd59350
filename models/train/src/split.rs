//! Which image is for learning, which for measuring, and which must stay on one side together.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// The two sides of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// To learn from.
    Train,
    /// To measure on, never to learn or to choose from.
    Test,
}

impl Side {
    /// Its name in a split file.
    pub fn name(self) -> &'static str {
        match self {
            Side::Train => "train",
            Side::Test => "test",
        }
    }
}

/// Which of `n` things belong together: sets that grow by joining (union-find with path halving).
#[derive(Debug, Clone)]
pub struct Together {
    parent: Vec<usize>,
}

impl Together {
    /// Each thing alone.
    pub fn new(len: usize) -> Together {
        Together { parent: (0..len).collect() }
    }

    fn root(&mut self, mut at: usize) -> usize {
        while self.parent[at] != at {
            self.parent[at] = self.parent[self.parent[at]];
            at = self.parent[at];
        }
        at
    }

    /// `a` and `b` belong together, and with them all that belonged to either.
    pub fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        // The smaller index leads, so that the result does not depend on the order of joining.
        self.parent[a.max(b)] = a.min(b);
    }

    /// Joins all that have the same key.
    pub fn join_equal<K: std::hash::Hash + Eq>(&mut self, keys: impl IntoIterator<Item = (usize, K)>) {
        let mut first: HashMap<K, usize> = HashMap::new();
        for (index, key) in keys {
            let leader = *first.entry(key).or_insert(index);
            self.join(leader, index);
        }
    }

    /// The number of the group of each thing, counted from 0 in order of first appearance.
    pub fn groups(&mut self) -> Vec<usize> {
        let mut numbers: HashMap<usize, usize> = HashMap::new();
        let len = self.parent.len();
        let number = |index| {
            let root = self.root(index);
            let next = numbers.len();
            *numbers.entry(root).or_insert(next)
        };
        (0..len).map(number).collect()
    }
}

/// Cuts the selection set out of the training set: `(learn, select)`, indices into `labels`. Every label with at least
/// two samples gives `share` of them, at least one and never all.
pub fn cut_selection(labels: &[usize], share: f32, seed: u64) -> (Vec<usize>, Vec<usize>) {
    cut_by_group(labels, &(0..labels.len()).collect::<Vec<_>>(), share, seed)
}

/// The same with groups that stay whole: `(rest, cut)`, indices into `labels`, no group on both sides. Every label that
/// stands in two groups or more gives about `share` of its samples, at least one group and never all; as near to `share` as whole
/// groups allow. Groups are visited in random order, the larger first, and cut where that brings the labels nearer to their
/// shares.
///
/// # Panics
/// When `groups` has another length than `labels`.
pub fn cut_by_group(labels: &[usize], groups: &[usize], share: f32, seed: u64) -> (Vec<usize>, Vec<usize>) {
    assert_eq!(labels.len(), groups.len(), "one group number a sample");
    let mut cut = Cut::new(labels, groups, share);
    let mut order: Vec<usize> = (0..cut.members.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order.sort_by_key(|&group| std::cmp::Reverse(cut.members[group].len()));
    for &group in &order {
        if cut.gain(group) > 0 && cut.leaves_some(group) {
            cut.take(group);
        }
    }
    // A label whose groups are all larger than its share gives its smallest all the same.
    for label in 0..cut.wanted.len() {
        if cut.wanted[label] > 0 && cut.taken[label] == 0 {
            let holds = |group: &&usize| cut.counts[**group].contains_key(&label) && cut.leaves_some(**group);
            if let Some(&group) = order.iter().rev().find(holds) {
                cut.take(group);
            }
        }
    }
    (0..labels.len()).partition(|&index| !cut.is_cut[cut.group_of[index]])
}

/// Cuts the selection set out of the training set by the strictest grouping that leaves every label its part: `groupings` run from the
/// strict to the loose, and a stricter one counts unless a label gives nothing by it that gives something by the last. Gives
/// `(rest, cut)` and the place of the grouping.
///
/// # Panics
/// When there is no grouping, or one of another length than `labels`.
pub fn cut_strictly(
    labels: &[usize],
    groupings: &[&[usize]],
    share: f32,
    seed: u64,
) -> ((Vec<usize>, Vec<usize>), usize) {
    let cut = |groups: &&[usize]| cut_by_group(labels, groups, share, seed);
    let gives = |(_, cut): &(Vec<usize>, Vec<usize>)| cut.iter().map(|&index| labels[index]).collect::<BTreeSet<_>>();
    let (loosest, strict) = groupings.split_last().expect("one grouping at least");
    let loosest = cut(loosest);
    let wanted = gives(&loosest);
    let cuts = strict.iter().map(cut).enumerate();
    match cuts.into_iter().find(|(_, cut)| gives(cut).is_superset(&wanted)) {
        Some((at, cut)) => (cut, at),
        None => (loosest, strict.len()),
    }
}

/// A cut in the making.
struct Cut {
    group_of: Vec<usize>,
    members: Vec<Vec<usize>>,
    /// Samples of each label in a group.
    counts: Vec<BTreeMap<usize, usize>>,
    is_cut: Vec<bool>,
    /// Samples of each label.
    total: Vec<usize>,
    wanted: Vec<usize>,
    taken: Vec<usize>,
}

impl Cut {
    fn new(labels: &[usize], groups: &[usize], share: f32) -> Cut {
        let mut together = Together::new(labels.len());
        together.join_equal(groups.iter().copied().enumerate());
        let group_of = together.groups();
        let count = group_of.iter().max().map_or(0, |top| top + 1);
        let classes = labels.iter().max().map_or(0, |top| top + 1);
        let (mut members, mut counts) = (vec![Vec::new(); count], vec![BTreeMap::new(); count]);
        let (mut total, mut standing_in) = (vec![0_usize; classes], vec![0_usize; classes]);
        for (index, (&group, &label)) in group_of.iter().zip(labels).enumerate() {
            members[group].push(index);
            let of_label = counts[group].entry(label).or_insert(0);
            standing_in[label] += usize::from(*of_label == 0);
            *of_label += 1;
            total[label] += 1;
        }
        let wanted = |(&total, &groups): (&usize, &usize)| match groups {
            0 | 1 => 0,
            _ => ((total as f32 * share).round() as usize).clamp(1, total - 1),
        };
        let wanted = total.iter().zip(&standing_in).map(wanted).collect();
        Cut { group_of, members, counts, is_cut: vec![false; count], total, wanted, taken: vec![0; classes] }
    }

    /// By how many samples all labels together come nearer to what they should give.
    fn gain(&self, group: usize) -> isize {
        let gain = |(&label, &count): (&usize, &usize)| {
            let missing = self.wanted[label] as isize - self.taken[label] as isize;
            missing.abs() - (missing - count as isize).abs()
        };
        self.counts[group].iter().map(gain).sum()
    }

    /// Whether each of the group's labels keeps a sample outside of the cut.
    fn leaves_some(&self, group: usize) -> bool {
        !self.is_cut[group]
            && self.counts[group].iter().all(|(&label, &count)| self.taken[label] + count < self.total[label])
    }

    fn take(&mut self, group: usize) {
        self.is_cut[group] = true;
        self.counts[group].iter().for_each(|(&label, &count)| self.taken[label] += count);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_selection_is_disjoint_complete_and_stratified(
            labels in prop::collection::vec(0_usize..6, 1..300), share in 0.05_f32..0.5, seed: u64,
        ) {
            let (learn, select) = cut_selection(&labels, share, seed);
            let mut all: Vec<usize> = learn.iter().chain(&select).copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
            for class in 0..6 {
                let count = |of: &[usize]| of.iter().filter(|&&index| labels[index] == class).count();
                let (kept, cut) = (count(&learn), count(&select));
                if kept + cut >= 2 {
                    prop_assert!(kept >= 1 && cut >= 1);
                    let exact = (kept + cut) as f32 * share;
                    prop_assert!((cut as f32 - exact).abs() <= 1.0, "{cut} of {} at share {share}", kept + cut);
                } else {
                    prop_assert_eq!(cut, 0);
                }
            }
        }

        #[test]
        fn no_group_stands_on_both_sides_and_no_label_is_emptied(
            samples in prop::collection::vec((0_usize..4, 0_usize..40), 1..200), share in 0.05_f32..0.5, seed: u64,
        ) {
            let (labels, groups): (Vec<usize>, Vec<usize>) = samples.into_iter().unzip();
            let (rest, cut) = cut_by_group(&labels, &groups, share, seed);
            prop_assert_eq!(rest.len() + cut.len(), labels.len());
            let of = |side: &[usize]| side.iter().map(|&index| groups[index]).collect::<std::collections::HashSet<_>>();
            prop_assert!(of(&rest).is_disjoint(&of(&cut)));
            for label in labels.iter().copied() {
                prop_assert!(rest.iter().any(|&index| labels[index] == label), "label {label} has nothing left");
            }
            prop_assert_eq!((rest, cut), cut_by_group(&labels, &groups, share, seed));
        }

        #[test]
        fn groups_of_one_label_come_near_to_the_share(
            sizes in prop::collection::vec(1_usize..5, 30..60), share in 0.1_f32..0.5, seed: u64,
        ) {
            let groups: Vec<usize> =
                sizes.iter().enumerate().flat_map(|(group, &size)| std::iter::repeat_n(group, size)).collect();
            let labels: Vec<usize> = groups.iter().map(|group| group % 2).collect();
            let (_, cut) = cut_by_group(&labels, &groups, share, seed);
            for label in 0..2 {
                let total = labels.iter().filter(|&&of| of == label).count() as f32;
                let taken = cut.iter().filter(|&&index| labels[index] == label).count() as f32;
                // The last group may miss by half of its size, and rounding by half a sample.
                prop_assert!((taken - total * share).abs() <= 2.5, "{taken} of {total} at share {share}");
            }
        }
    }

    #[test]
    fn the_strictest_grouping_counts_that_serves_every_label() {
        let labels: Vec<usize> = (0..40).map(|index| index / 20).collect();
        let (pairs, alone): (Vec<usize>, Vec<usize>) = ((0..40).map(|i| i / 2).collect(), (0..40).collect());
        let ((_, cut), at) = cut_strictly(&labels, &[&pairs, &alone], 0.1, 1);
        assert_eq!((cut.len(), at), (4, 0));
        assert!(cut.iter().all(|index| cut.contains(&(index ^ 1))), "no pair is torn apart: {cut:?}");
        // All of label 1 look alike: by that grouping it would choose nothing.
        let alike: Vec<usize> = (0..40).map(|index| index.min(20)).collect();
        let ((_, cut), at) = cut_strictly(&labels, &[&alike, &alone], 0.1, 1);
        assert_eq!((cut.len(), at), (4, 1));
        assert!(cut.iter().any(|&index| labels[index] == 1));
    }

    #[test]
    fn what_is_joined_over_others_belongs_together() {
        let mut together = Together::new(6);
        together.join(4, 2);
        together.join_equal([(0, "a"), (1, "b"), (4, "a")]);
        assert_eq!(together.groups(), [0, 1, 0, 2, 0, 3]);
    }
}
