//! Parts of the synthetic line as samples: to learn from, or to measure on.

use models_train::TrainError;
use models_train::samples::{Sample, Samples};
use stages::capture::synthetic::{LABELS, TrainingSet};

/// Some parts of a [`TrainingSet`], each drawn when it is asked for.
pub struct Drawn<'a> {
    set: &'a TrainingSet,
    /// Numbers in the set, of which a round of ten has each label once.
    places: Vec<u64>,
}

impl<'a> Drawn<'a> {
    /// `len` parts from round `first_round` on, each label as often.
    pub fn in_turn(set: &'a TrainingSet, first_round: u64, len: usize) -> Drawn<'a> {
        let labels = LABELS.len() as u64;
        Drawn { set, places: (0..len as u64).map(|index| first_round * labels + index).collect() }
    }

    /// The same with every second part good, as far more than one in ten are on a line. Takes a round for each part.
    pub fn half_good(set: &'a TrainingSet, first_round: u64, len: usize) -> Drawn<'a> {
        let labels = LABELS.len() as u64;
        let label = |index: u64| if index.is_multiple_of(2) { 0 } else { 1 + index / 2 % (labels - 1) };
        Drawn { set, places: (0..len as u64).map(|index| (first_round + index) * labels + label(index)).collect() }
    }

    /// Exactly these parts.
    pub fn at(set: &'a TrainingSet, places: Vec<u64>) -> Drawn<'a> {
        Drawn { set, places }
    }
}

impl Samples for Drawn<'_> {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn label(&self, index: usize) -> usize {
        self.set.label(self.places[index])
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        let drawn = self.set.sample(self.places[index]);
        // What a careful person cannot see should not bend the rest: it counts, but less.
        let faintest = drawn.cnr.iter().copied().fold(f32::INFINITY, f32::min);
        let weight = if faintest < 3.0 { (faintest / 3.0).clamp(0.4, 1.0).powi(2) } else { 1.0 };
        Ok(Sample { image: drawn.image, labels: drawn.labels, weight, mask: Some(drawn.mask) })
    }

    fn name(&self, index: usize) -> String {
        format!("synthetic {}", self.places[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_balanced_and_never_draw_a_part_twice() {
        let set = TrainingSet::new(1, 64);
        for (drawn, goods) in [(Drawn::in_turn(&set, 7, 180), 18), (Drawn::half_good(&set, 7, 180), 90)] {
            let mut places = drawn.places.clone();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), drawn.len());
            let count = |label| (0..drawn.len()).filter(|&index| drawn.label(index) == label).count();
            assert_eq!(count(0), goods);
            assert!((1..LABELS.len()).all(|label| count(label) == (drawn.len() - goods) / (LABELS.len() - 1)));
        }
    }
}
