//! Class-balanced batches: every label gets its exact share of every batch, however rare it is.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Endless batches of indices. A label's samples come in shuffled rounds, each once a round; places go to the labels in turn.
pub struct Sampler {
    /// Samples of each label that has any.
    classes: Vec<Round>,
    /// Whose turn it is, over and over: positions in `classes`.
    turns: Vec<usize>,
    next: usize,
    batch: usize,
    random: ChaCha8Rng,
}

struct Round {
    samples: Vec<usize>,
    at: usize,
}

impl Sampler {
    /// Batches of `batch` indices into `labels`, each label as often as the others. The seed decides all.
    ///
    /// # Panics
    /// When `labels` is empty.
    pub fn new(labels: &[usize], batch: usize, seed: u64) -> Sampler {
        Sampler::with_shares(labels, &[], batch, seed)
    }

    /// The same with `shares[label]` places for a label in each turn; 1 for a label beyond the list.
    ///
    /// # Panics
    /// When `labels` is empty.
    pub fn with_shares(labels: &[usize], shares: &[usize], batch: usize, seed: u64) -> Sampler {
        let count = labels.iter().max().expect("a sampler needs at least one sample") + 1;
        let (mut classes, mut turns) = (Vec::new(), Vec::<(f64, usize)>::new());
        for class in 0..count {
            let samples: Vec<usize> = (0..labels.len()).filter(|&index| labels[index] == class).collect();
            if !samples.is_empty() {
                let places = shares.get(class).copied().unwrap_or(1).max(1);
                // A label's places are spread over the turn, so that they fall into different batches.
                turns.extend((0..places).map(|place| ((place as f64 + 0.5) / places as f64, classes.len())));
                // Starting at the end of a round makes the first draw shuffle.
                classes.push(Round { at: samples.len(), samples });
            }
        }
        turns.sort_by(|a, b| a.0.total_cmp(&b.0));
        let turns = turns.into_iter().map(|(_, class)| class).collect();
        Sampler { classes, turns, next: 0, batch, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// The next batch, its labels mixed.
    pub fn next_batch(&mut self) -> Vec<usize> {
        let mut batch = Vec::with_capacity(self.batch);
        for _ in 0..self.batch {
            let class = &mut self.classes[self.turns[self.next]];
            self.next = (self.next + 1) % self.turns.len();
            if class.at == class.samples.len() {
                class.samples.shuffle(&mut self.random);
                class.at = 0;
            }
            batch.push(class.samples[class.at]);
            class.at += 1;
        }
        batch.shuffle(&mut self.random);
        batch
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quotas_are_exact_and_rounds_are_fair(
            labels in prop::collection::vec(0_usize..5, 1..80), batch in 1_usize..40, seed: u64,
        ) {
            let present: Vec<usize> = (0..5).filter(|class| labels.contains(class)).collect();
            let mut sampler = Sampler::new(&labels, batch, seed);
            let mut drawn = vec![0_usize; labels.len()];
            for round in 1..=12 {
                let indices = sampler.next_batch();
                prop_assert_eq!(indices.len(), batch);
                for &class in &present {
                    let quota = indices.iter().filter(|&&index| labels[index] == class).count();
                    prop_assert!(quota == batch / present.len() || quota == batch.div_ceil(present.len()));
                }
                indices.iter().for_each(|&index| drawn[index] += 1);
                // Over all batches no label is ahead of another by more than one.
                let totals: Vec<usize> = present.iter()
                    .map(|&class| (0..labels.len()).filter(|&i| labels[i] == class).map(|i| drawn[i]).sum())
                    .collect();
                prop_assert_eq!(totals.iter().sum::<usize>(), batch * round);
                prop_assert!(totals.iter().max().unwrap() - totals.iter().min().unwrap() <= 1);
            }
            for &class in &present {
                let of_class = || (0..labels.len()).filter(|&i| labels[i] == class).map(|i| drawn[i]);
                prop_assert!(of_class().max().unwrap() - of_class().min().unwrap() <= 1, "each once a round");
            }
        }
    }

    #[test]
    fn shares_are_kept_to_the_place() {
        let labels: Vec<usize> = (0..60).map(|index| index % 3).collect();
        let mut sampler = Sampler::with_shares(&labels, &[3], 10, 1);
        let drawn: Vec<usize> = (0..10).flat_map(|_| sampler.next_batch()).map(|index| labels[index]).collect();
        let count = |class| drawn.iter().filter(|&&label| label == class).count();
        assert_eq!([count(0), count(1), count(2)], [60, 20, 20]);
    }

    #[test]
    fn the_seed_decides_the_batches() {
        let labels = [0, 1, 0, 1, 2, 2, 2, 0];
        let draw = |seed| {
            let mut sampler = Sampler::new(&labels, 4, seed);
            (0..8).map(|_| sampler.next_batch()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
