//! Which network of a training is kept: the best by the selection set, or the last where that set cannot tell.
//!
//! Images of one group (a part, a module, a batch) are right or wrong together, so a selection set knows as much as it has groups and
//! not as it has images. Of few groups, the network that they happen to like may be far from the best for others: choosing then costs
//! more than it brings. The last network of a falling rate needs no judge.

use std::collections::{HashMap, HashSet};

use crate::loss::Score;

/// Groups of the selection set, counted by their size (see [`voices`]), from which on it chooses. The mean over so many is off by less
/// than a quarter of what one group alone is off by.
const ENOUGH_VOICES: f32 = 20.0;
/// Images for each of them, below which they are single images rather than groups: these are as independent as images get.
const GROUPED: f32 = 2.0;

/// Which network is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Choice {
    /// The best by the selection set, which also says when training ends.
    #[default]
    Best,
    /// The last one, at the full length.
    Last,
}

impl Choice {
    /// What a selection set can choose, by the group of each of its images.
    pub fn by(groups: &[usize]) -> Choice {
        let voices = voices(groups);
        match voices < ENOUGH_VOICES && groups.len() as f32 >= GROUPED * voices {
            true => Choice::Last,
            false => Choice::Best,
        }
    }

    /// What a person has to know of it; nothing where the selection set chooses.
    pub fn note(self, groups: &[usize]) -> String {
        let Choice::Last = self else { return String::new() };
        let images = groups.len();
        let groups = match groups.iter().collect::<HashSet<_>>().len() {
            1 => "one group".to_owned(),
            count => format!("{count} groups"),
        };
        format!(
            "the last of the full length, not the best by the selection set: its {images} images are of {groups}, too few to tell \
             which network is better for others, as images of one group are right or wrong together. They set the thresholds and the \
             temperature alone; check those on images of other groups (`inspectd eval`)"
        )
    }

    /// Whether the network with the score `now` takes the place of the one kept so far.
    pub fn takes(self, now: &Score, kept: &Score) -> bool {
        self == Choice::Last || now.beats(kept)
    }
}

/// How many groups of one size would tell as much as these: the square of the sum of sizes over the sum of their squares (Kish, "Survey
/// Sampling", 1965). A large group among small ones drowns them.
pub fn voices(groups: &[usize]) -> f32 {
    let mut sizes: HashMap<usize, usize> = HashMap::new();
    groups.iter().for_each(|&group| *sizes.entry(group).or_default() += 1);
    let squares: usize = sizes.values().map(|size| size * size).sum();
    (groups.len() * groups.len()) as f32 / squares.max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups of these sizes.
    fn sized(sizes: &[usize]) -> Vec<usize> {
        sizes.iter().enumerate().flat_map(|(group, &size)| std::iter::repeat_n(group, size)).collect()
    }

    #[test]
    fn groups_count_by_their_size() {
        assert_eq!([&[][..], &[60], &[60, 60, 60], &[1; 40]].map(|sizes| voices(&sized(sizes))), [0.0, 1.0, 3.0, 40.0]);
        // By hand: 80 * 80 / (60 * 60 + 20).
        assert!((voices(&sized(&[&[60][..], &[1; 20]].concat())) - 1.768).abs() < 1e-3);
    }

    #[test]
    fn few_large_groups_choose_nothing_and_many_or_single_images_do() {
        let modules = sized(&[60, 60, 60]);
        assert_eq!(Choice::by(&modules), Choice::Last, "modules of solar cells");
        assert!(Choice::Last.note(&modules).contains("its 180 images are of 3 groups"));
        assert_eq!(Choice::Best.note(&modules), "");
        assert_eq!(Choice::by(&sized(&[&[100][..], &[1; 60]].concat())), Choice::Last, "one group is most of it");
        assert_eq!(Choice::by(&sized(&[5; 20])), Choice::Best);
        assert_eq!(Choice::by(&sized(&[&[2; 30][..], &[1; 80]].concat())), Choice::Best, "pairs among single images");
        assert_eq!(Choice::by(&sized(&[1; 8])), Choice::Best, "a small set without groups is as it was");
    }

    #[test]
    fn the_last_takes_the_place_of_a_better_one() {
        let score = |right| Score { loss: 1.0, weight: 1.0, right, count: 10 };
        assert!(Choice::Last.takes(&score(3), &score(9)) && !Choice::Best.takes(&score(3), &score(9)));
        assert!(Choice::Best.takes(&score(9), &score(3)));
    }
}
