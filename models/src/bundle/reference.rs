//! What a model learned from, as it sees it itself: held against this, a line notices that its parts become unlike them.

use serde::{Deserialize, Serialize};

use super::BundleError;
use crate::sketch::Sketch;

/// Pictures learned from, and others not learned from, each as a [`Sketch`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Pictures that the network learned from, the labels by turns; 1 to [`Reference::MOST`].
    pub learned: Vec<Sketch>,
    /// How far each of some pictures that it did not learn from is from the nearest of those, the least first: what is usual.
    /// 0 to 2, see [`Sketch::distance`]; 1 to [`Reference::MOST`].
    pub held_out: Vec<f32>,
}

impl Reference {
    /// Pictures of each sort, at most: 64 bytes each, and each part of the line is held against all.
    pub const MOST: usize = 256;

    /// `None` where one of the two is empty. Of more than [`Reference::MOST`] the first count.
    pub fn of(learned: &[Sketch], held_out: &[Sketch]) -> Option<Reference> {
        let some = |all: &[Sketch]| all[..all.len().min(Reference::MOST)].to_vec();
        let mut reference = Reference { learned: some(learned), held_out: Vec::new() };
        reference.held_out = some(held_out).iter().map(|sketch| reference.distance(sketch)).collect();
        reference.held_out.sort_by(f32::total_cmp);
        (!reference.learned.is_empty() && !reference.held_out.is_empty()).then_some(reference)
    }

    /// How far a picture is from the nearest of those learned from, 0 to 2.
    pub fn distance(&self, sketch: &Sketch) -> f32 {
        self.learned.iter().map(|other| sketch.distance(other)).fold(2.0, f32::min)
    }

    /// Nineteen of twenty pictures that were not learned from are no farther than this.
    pub fn usual(&self) -> f32 {
        let last = self.held_out.len().saturating_sub(1);
        self.held_out.get((last * 19).div_ceil(20)).copied().unwrap_or(0.0)
    }

    pub(super) fn from_json(bytes: &[u8]) -> Result<Reference, BundleError> {
        let reference: Reference = serde_json::from_slice(bytes).map_err(|error| wrong(&error.to_string()))?;
        reference.check()?;
        Ok(reference)
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>, BundleError> {
        self.check()?;
        serde_json::to_vec(self).map_err(|error| wrong(&error.to_string()))
    }

    fn check(&self) -> Result<(), BundleError> {
        for (name, length) in [("learned", self.learned.len()), ("held_out", self.held_out.len())] {
            if !(1..=Reference::MOST).contains(&length) {
                return Err(wrong(&format!("`{name}` has {length} entries: it must have 1 to {}", Reference::MOST)));
            }
        }
        if self.learned.iter().any(|sketch| sketch.values().iter().all(|&value| value == 0)) {
            return Err(wrong("a sketch in `learned` has not its 64 numbers, or all are 0"));
        }
        let sound = self.held_out.iter().all(|far| (0.0..=2.0).contains(far)) && self.held_out.is_sorted();
        match sound {
            true => Ok(()),
            false => Err(wrong("`held_out` must be distances from 0 to 2, the least first")),
        }
    }
}

fn wrong(reason: &str) -> BundleError {
    BundleError::File { name: super::REFERENCE.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(seed: usize) -> Sketch {
        let numbers: Vec<f32> = (0..576).map(|at| ((seed * 31 + at * 17) % 101) as f32 - 50.0).collect();
        Sketch::of(&numbers).expect("numbers")
    }

    #[test]
    fn what_was_learned_from_is_near_and_nineteen_of_twenty_others_are_usual() {
        let learned: Vec<Sketch> = (0..40).map(sketch).collect();
        let held_out: Vec<Sketch> = (40..140).map(sketch).collect();
        let reference = Reference::of(&learned, &held_out).expect("a reference");
        assert!(reference.distance(&learned[7]) < 1e-6);
        let beyond = held_out.iter().filter(|sketch| reference.distance(sketch) > reference.usual()).count();
        assert!((2..=5).contains(&beyond), "{beyond}");
        assert_eq!(Reference::of(&[], &held_out), None);
        assert_eq!(Reference::of(&learned, &[]), None);
        let many = vec![sketch(1); 1000];
        assert_eq!(Reference::of(&many, &many).expect("one").learned.len(), Reference::MOST);
    }

    #[test]
    fn what_is_no_reference_is_refused_with_the_reason() {
        let good = Reference::of(&[sketch(1)], &[sketch(2), sketch(3)]).expect("a reference");
        assert_eq!(Reference::from_json(&good.to_json().expect("sound")).expect("sound"), good);
        for (wrong, words) in [
            (Reference { learned: vec![], ..good.clone() }, "`learned` has 0 entries"),
            (Reference { held_out: vec![0.1; 300], ..good.clone() }, "`held_out` has 300 entries"),
            (Reference { learned: vec![Sketch::from(vec![1; 3])], ..good.clone() }, "64 numbers"),
            (Reference { held_out: vec![f32::NAN], ..good.clone() }, "0 to 2"),
            (Reference { held_out: vec![0.5, 0.1], ..good.clone() }, "least first"),
        ] {
            let error = wrong.to_json().expect_err("must be refused").to_string();
            assert!(error.contains("reference.json") && error.contains(words), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reference::from_json(&bytes);
        }
    }
}
