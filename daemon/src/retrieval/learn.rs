//! Parts of the synthetic line, as the line would have them on record, with what is true of them: what a retriever learns from, and is measured
//! on.

use std::sync::Arc;

use models::sketch::Sketch;
use models_train::retrieval::Part;
use models_train::retrieval::truth::{Defect, Extent, Truth, concept};
use rayon::prelude::*;
use stages::capture::synthetic::{LABELS, Sample, Surface, TrainingSet};
use stages::decide::decide;
use stages::recipe::RecipeInForce;

/// Parts that are decided between two words of progress.
const AT_ONCE: u64 = 64;

/// `count` parts of `set` from `first` on, decided by the model of the recipe. Of the labels each comes as often.
///
/// # Errors
/// The model cannot be run.
pub fn parts(
    set: &TrainingSet,
    (first, count): (u64, u64),
    recipe: &Arc<RecipeInForce>,
    mut observe: impl FnMut(u64),
) -> anyhow::Result<Vec<Part>> {
    let mut parts = Vec::new();
    for start in (first..first + count).step_by(AT_ONCE as usize) {
        let end = (start + AT_ONCE).min(first + count);
        let some = (start..end).into_par_iter().map(|index| decided(&set.sample(index), recipe));
        parts.extend(some.collect::<anyhow::Result<Vec<Part>>>()?);
        observe(end - first);
    }
    Ok(parts)
}

fn decided(sample: &Sample, recipe: &Arc<RecipeInForce>) -> anyhow::Result<Part> {
    let mut tensor = vec![0.0; recipe.model.tensor_len()];
    recipe.model.manifest().fill(sample.image.view(), &mut tensor);
    let prediction = recipe.model.predict(&tensor)?;
    let decision = decide(&prediction, recipe);
    Ok(Part {
        truth: truth(sample),
        scores: decision.scores.iter().map(|scored| (scored.label.to_string(), scored.score)).collect(),
        heat: decision.heat.map(|heat| ([heat.width.into(), heat.height.into()], heat.cells)),
        sketch: prediction.embedding.as_deref().and_then(Sketch::of),
    })
}

fn truth(sample: &Sample) -> Truth {
    let defects = sample.labels.iter().zip(&sample.cnr).filter_map(|(&label, &cnr)| {
        let extent = Extent::of(&sample.mask, sample.image.width as usize, label as u8)?;
        Some(Defect { label: LABELS[label].to_owned(), concepts: extent.concepts(cnr) })
    });
    let defects: Vec<Defect> = defects.collect();
    let surface = match sample.surface {
        Surface::BrushedMetal => "brushed",
        Surface::Cast => "cast",
        Surface::OrangePeel => "painted",
        Surface::Woven => "woven",
    };
    let several = (defects.len() > 1).then(|| concept("several")).flatten();
    Truth { concepts: concept(surface).into_iter().chain(several).collect(), defects }
}
