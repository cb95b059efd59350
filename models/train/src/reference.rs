//! What a bundle's network learned from, as it sees it itself, for the line to be held against ([`Reference`]).

use models::bundle::{Bundle, Reference};
use models::prediction::Model;
use models::predictor::Predictor;
use models::runtime::{Provider, SessionOptions};
use models::sketch::Sketch;
use rayon::prelude::*;

use crate::error::TrainError;
use crate::samples::Samples;

/// Looks at pictures that the network learned from and at others, the labels by turns, so that a rare one is there too. `None` where
/// the bundle gives no embedding or one of the two sets is empty.
///
/// # Errors
/// When a sample cannot be loaded or the graph does not run.
pub fn of(bundle: &Bundle, learned: &dyn Samples, held_out: &dyn Samples) -> Result<Option<Reference>, TrainError> {
    if bundle.manifest.heads.embedding.is_none() {
        return Ok(None);
    }
    let options = SessionOptions { require: Some(Provider::Cpu), threads: 1, ..SessionOptions::default() };
    let model = Predictor::load(bundle.clone(), &options)?;
    let look = |samples: &dyn Samples| -> Result<Vec<Sketch>, TrainError> {
        let see = |&index: &usize| {
            let mut tensor = vec![0.0; model.tensor_len()];
            model.manifest().fill(samples.load(index)?.image.view(), &mut tensor);
            Ok(model.predict(&tensor)?.embedding.as_deref().and_then(Sketch::of))
        };
        let sketches: Result<Vec<Option<Sketch>>, TrainError> = by_turns(samples).par_iter().map(see).collect();
        Ok(sketches?.into_iter().flatten().collect())
    };
    Ok(Reference::of(&look(learned)?, &look(held_out)?))
}

/// Up to [`Reference::MOST`] indices: one of each label, then a second of each, spread over each label's samples.
fn by_turns(samples: &dyn Samples) -> Vec<usize> {
    let labels = (0..samples.len()).map(|index| samples.label(index)).max().map_or(0, |last| last + 1);
    let mut of: Vec<Vec<usize>> = vec![Vec::new(); labels];
    (0..samples.len()).for_each(|index| of[samples.label(index)].push(index));
    // As many of each label as there is room for: what the short ones leave goes to the others.
    let (mut taken, mut room) = (vec![0; labels], Reference::MOST);
    while room > 0 && (0..labels).any(|label| taken[label] < of[label].len()) {
        for label in 0..labels {
            if room > 0 && taken[label] < of[label].len() {
                taken[label] += 1;
                room -= 1;
            }
        }
    }
    let spread = |(all, &count): (&Vec<usize>, &usize)| -> Vec<usize> {
        (0..count).map(|at| all[at * all.len() / count]).collect()
    };
    of.iter().zip(&taken).flat_map(spread).collect()
}

#[cfg(test)]
mod tests {
    use models::image::{Image, PixelFormat};

    use super::*;
    use crate::samples::Sample;

    /// So many samples of each label.
    struct Of(Vec<usize>);

    impl Samples for Of {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn label(&self, index: usize) -> usize {
            self.0[index]
        }
        fn load(&self, index: usize) -> Result<Sample, TrainError> {
            let image = Image { width: 1, height: 1, format: PixelFormat::Mono8, data: vec![0] };
            Ok(Sample { image, labels: vec![self.0[index]], weight: 1.0, mask: None })
        }
        fn name(&self, index: usize) -> String {
            index.to_string()
        }
    }

    #[test]
    fn rare_labels_are_there_and_the_others_share_the_rest() {
        let set = Of([vec![0; 1000], vec![1; 5], vec![3; 400]].concat());
        let chosen = by_turns(&set);
        let count = |label| chosen.iter().filter(|&&index| set.label(index) == label).count();
        assert_eq!((count(0), count(1), count(2), count(3)), (126, 5, 0, 125));
        let mut once = chosen.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), Reference::MOST, "each once");
        assert!(chosen[125] > 900, "spread over the label");
        assert_eq!(by_turns(&Of(vec![0; 3])), [0, 1, 2]);
        assert!(by_turns(&Of(Vec::new())).is_empty());
    }
}
