//! Finding parts by words and by likeness: what a record says of a part, as the [`Retriever`] sees it. The index keeps a vector of each
//! record (`crate::store`); docs/RETRIEVAL.md.

mod config;
pub mod learn;

use std::sync::Arc;

use anyhow::{Context, bail};
use models::retrieval::{Heat, Retriever, Seen, Vector};
use models::sketch::Sketch;
use stages::inspection::{Inspection, KeptHeat, LabelScore};
use stages::stage::Decision;

pub use config::RetrievalSection;

/// The retriever, if one was there when the program was built.
const RETRIEVER: Option<&[u8]> = include!(concat!(env!("OUT_DIR"), "/retriever.rs"));

/// The retriever that ships inside the program.
///
/// # Errors
/// The program was built without one.
pub fn shipped() -> anyhow::Result<Retriever> {
    match RETRIEVER {
        Some(bytes) => Retriever::from_bytes(bytes).context("the retriever inside the program"),
        None => bail!(
            "this program was built without a retriever: put one at models/weights/retriever.safetensors (`inspectd retrieval train`) and \
             build again, or name one (`retrieval.file` in the configuration)"
        ),
    }
}

/// Where a part on record lies; none where nothing was decided of it.
pub fn vector_of(retriever: &Retriever, part: &Inspection) -> Option<Vector> {
    let model = part.regions.first().map_or(&part.model, |deciding| &deciding.model);
    place(retriever, (&part.scores, part.label.as_ref()), part.heat.as_ref(), part.sample.sketch.as_ref(), model)
}

/// Where a part lies of which the stages decided this, by this model.
pub fn vector_of_decision(retriever: &Retriever, decision: &Decision, model: &str) -> Option<Vector> {
    let model = decision.regions.first().map_or(model, |deciding| &deciding.model);
    let sketch = decision.sample.sketch.as_ref();
    place(retriever, (&decision.scores, decision.label.as_ref()), decision.heat.as_ref(), sketch, model)
}

fn place(
    retriever: &Retriever,
    (scores, label): (&[LabelScore], Option<&Arc<str>>),
    heat: Option<&KeptHeat>,
    sketch: Option<&Sketch>,
    model: &str,
) -> Option<Vector> {
    let scores: Vec<(&str, f32)> = scores.iter().map(|scored| (&*scored.label, scored.score)).collect();
    let heat = heat.map(|heat| Heat { width: heat.width.into(), height: heat.height.into(), cells: &heat.cells });
    let sketch = sketch.filter(|_| retriever.knows_sketches_of(model));
    retriever.of_part(&Seen { scores: &scores, label: label.map(|label| &**label), heat, sketch })
}
