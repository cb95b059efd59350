//! Learns the two towers of [`models::retrieval`]: parts and captions that are true of them shall lie together, all others apart.
//!
//! The loss is CLIP's (Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021), both ways round,
//! with a learned scale, but for one thing: a caption of few words is true of many parts of a batch, and since what is true is known, all of
//! those count as right, as in Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020.
//!
//! Two things are taken away at random, so that the towers do without them: sketches, which only the model that was there in training gives;
//! and names, some of which are exchanged for words that nobody knows, on both sides, so that a label that was never taught is found by its name.

pub mod measure;
mod net;
pub mod truth;

use models::retrieval::{Concept, Glossary, Heat, Reading, Retriever, Seen, numbers_of};
use models::sketch::Sketch;
use models::weights::Weights;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use self::net::Towers;
use self::truth::{Caption, Defect, GOOD, Truth};
use crate::error::TrainError;

/// A part with what is true of it, and what the line would have on record of it.
#[derive(Debug, Clone)]
pub struct Part {
    /// What is true.
    pub truth: Truth,
    /// Each label with its score.
    pub scores: Vec<(String, f32)>,
    /// Cells across and down, and the heat map of the label that the verdict rests on.
    pub heat: Option<([usize; 2], Vec<u8>)>,
    /// What the trunk saw.
    pub sketch: Option<Sketch>,
}

impl Part {
    /// The record, with or without the sketch.
    fn seen<'a>(&'a self, scores: &'a [(&'a str, f32)], sketch: bool) -> Seen<'a> {
        let heat = self.heat.as_ref().map(|([width, height], cells)| Heat { width: *width, height: *height, cells });
        Seen { scores, label: None, heat, sketch: self.sketch.as_ref().filter(|_| sketch) }
    }
}

/// How to learn.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Decides every random choice.
    pub seed: u64,
    /// Steps.
    pub steps: usize,
    /// Parts of a step, each with a caption.
    pub batch: usize,
    /// Highest learning rate; it falls to nothing along half a cosine.
    pub rate: f64,
    /// Share of parts whose sketch is taken away.
    pub without_sketch: f64,
    /// Share of labels that have a name that nobody knows, anew in each step.
    pub renamed: f64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { seed: 1, steps: 3000, batch: 512, rate: 3e-3, without_sketch: 0.3, renamed: 0.3 }
    }
}

/// Learns both towers. `observe` hears the step and its loss, and ends the training by `false`.
///
/// # Errors
/// Too few parts, or it was ended.
pub fn train(
    parts: &[Part],
    settings: &Settings,
    mut observe: impl FnMut(usize, f32) -> bool,
) -> Result<Weights, TrainError> {
    if parts.len() < 2 * settings.batch.max(2) {
        return Err(TrainError::Data(format!(
            "{} parts are too few to tell apart: give {} at least",
            parts.len(),
            2 * settings.batch.max(2)
        )));
    }
    let mut random = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut towers = Towers::begin(settings.seed);
    let mut order: Vec<usize> = Vec::new();
    for step in 0..settings.steps {
        if order.len() < settings.batch {
            order = (0..parts.len()).collect();
            order.shuffle(&mut random);
        }
        let batch: Vec<&Part> =
            order.split_off(order.len() - settings.batch).into_iter().map(|at| &parts[at]).collect();
        let batch = Batch::draw(&batch, settings, &mut random);
        let along = step as f64 / settings.steps as f64;
        let loss = towers.step(&batch, settings.rate * 0.5 * (1.0 + (std::f64::consts::PI * along).cos()));
        if !observe(step + 1, loss) {
            return Err(TrainError::Stopped);
        }
    }
    Ok(towers.to_weights())
}

/// What a step learns from.
struct Batch {
    /// Parts, and as many captions.
    size: usize,
    parts: Vec<f32>,
    words: Vec<f32>,
    /// Whether caption `i` is true of part `j`: 1 or 0.
    fits: Vec<f32>,
}

impl Batch {
    fn draw(parts: &[&Part], settings: &Settings, random: &mut ChaCha8Rng) -> Batch {
        let (names, read) = (Names::draw(parts, settings.renamed, random), models::retrieval::Names::default());
        let captions: Vec<Caption> = parts.iter().map(|part| caption(&part.truth, random)).collect();
        let mut batch = Batch { size: parts.len(), parts: Vec::new(), words: Vec::new(), fits: Vec::new() };
        for part in parts {
            let scores: Vec<(&str, f32)> = part.scores.iter().map(|(label, score)| (names.of(label), *score)).collect();
            let sketch = !random.random_bool(settings.without_sketch);
            let numbers = part.seen(&scores, sketch).numbers(&read);
            batch.parts.extend(numbers.unwrap_or_else(|| vec![0.0; models::retrieval::inputs()]));
        }
        for caption in &captions {
            batch.words.extend(numbers_of(&reading(caption, &names, random)));
            batch.fits.extend(parts.iter().map(|part| f32::from(u8::from(part.truth.fits(caption)))));
        }
        batch
    }
}

/// Names of labels in a step.
struct Names(Vec<(String, String)>);

impl Names {
    fn draw(parts: &[&Part], renamed: f64, random: &mut ChaCha8Rng) -> Names {
        let mut labels: Vec<&String> =
            parts.iter().flat_map(|part| part.scores.iter().map(|(label, _)| label)).collect();
        labels.sort_unstable();
        labels.dedup();
        let name = |label: &String| {
            let new = random.random_bool(renamed);
            (label.clone(), if new { format!("q{}", random.random::<u64>()) } else { label.clone() })
        };
        Names(labels.into_iter().map(name).collect())
    }

    fn of<'a>(&'a self, label: &'a str) -> &'a str {
        self.0.iter().find(|(known, _)| known == label).map_or(label, |(_, name)| name)
    }
}

/// Something that is true of a part, in a few words.
fn caption(truth: &Truth, random: &mut ChaCha8Rng) -> Caption {
    let mut some = |concepts: &[Concept], share: f64| -> Vec<Concept> {
        let mut some: Vec<Concept> = concepts.iter().copied().filter(|_| random.random_bool(share)).collect();
        some.sort_unstable();
        some
    };
    let part = some(&truth.concepts, 0.25);
    let Some(Defect { label, concepts }) = truth.defects.choose(random) else {
        return Caption { label: Some(GOOD.into()), part, ..Caption::default() };
    };
    // Mostly what people ask for: what it is, and where; now and then without the one or the other.
    let share = *[0.0, 0.25, 0.5].choose(random).expect("there are three");
    let place = random.random_bool(0.6);
    let is_place = |concept: &Concept| truth::PLACES.contains(&Glossary::get().name(*concept));
    let mut said: Vec<Concept> = concepts
        .iter()
        .copied()
        .filter(|concept| if is_place(concept) { place } else { random.random_bool(share) })
        .collect();
    said.sort_unstable();
    let named = said.is_empty() || random.random_bool(0.85);
    Caption { label: named.then(|| label.clone()), concepts: said, part }
}

/// A caption as the reader gives it, by the names of the step. Who says nothing of what it is may say `defect`.
fn reading(caption: &Caption, names: &Names, random: &mut ChaCha8Rng) -> Reading {
    let mut reading = match &caption.label {
        Some(label) => models::retrieval::Reader::default().read(names.of(label)),
        None if random.random_bool(0.5) => {
            Reading { concepts: truth::concept("defect").into_iter().collect(), others: Vec::new() }
        }
        None => Reading::default(),
    };
    for concept in caption.concepts.iter().chain(&caption.part) {
        if !reading.concepts.contains(concept) {
            reading.concepts.push(*concept);
        }
    }
    reading
}

/// The towers of these weights, which learned with the sketches of these models.
///
/// # Errors
/// The weights do not fit.
pub fn retriever(weights: &Weights, about: models::retrieval::About) -> Result<Retriever, TrainError> {
    Retriever::new(weights, about).map_err(|error| TrainError::Data(error.to_string()))
}
