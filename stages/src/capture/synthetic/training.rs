//! The synthetic line as a training set: the same parts, every label as often as the others.

use std::sync::{Mutex, PoisonError};

use models::image::{Image, PixelFormat};

use super::LABELS;
use super::defects::Defect;
use super::lamp::Lamp;
use super::random::Stream;
use super::renderer::Renderer;
use super::scene::{Ask, Mix};
use super::surface::Surface;

/// Tiles of each surface.
const VARIANTS: usize = 5;

/// An endless, seeded set of labelled parts. Its random numbers are of [`Stream::Training`]: no part of it can appear on a
/// line, whatever the seeds. Shared between threads; sample `i` is the same whoever asks, in whatever order.
pub struct TrainingSet {
    first: Renderer,
    idle: Mutex<Vec<Renderer>>,
    size: u32,
}

/// One labelled part.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// RGB, `size x size`.
    pub image: Image,
    /// Indices into [`LABELS`]: one, or two for a part with two defects. `[0]` is `good`.
    pub labels: Vec<usize>,
    /// Contrast-to-noise ratio of each defect, as measured; empty for a good part.
    pub cnr: Vec<f32>,
    /// For each pixel the index of its label, 0 where the part is good: `size x size`.
    pub mask: Vec<u8>,
    /// What the part is made of.
    pub surface: Surface,
}

impl TrainingSet {
    /// Parts of `size x size` pixels. The scale is the same at every size: 256 is a window of a part seen at 512.
    pub fn new(seed: u64, size: u32) -> Self {
        Self::of(Stream::Training, seed, size)
    }

    /// The same kind of set from the line's own stream: parts to measure on, which no training can have drawn.
    pub fn to_measure_on(seed: u64, size: u32) -> Self {
        Self::of(Stream::Line, seed, size)
    }

    fn of(stream: Stream, seed: u64, size: u32) -> Self {
        let mix = Mix { bad_frame_rate: 0.0, ..Mix::default() };
        TrainingSet { first: Renderer::new(stream, seed, VARIANTS, mix), idle: Mutex::default(), size }
    }

    /// The same parts at another size, without drawing the surfaces anew.
    pub fn at_size(&self, size: u32) -> Self {
        TrainingSet { first: self.first.clone(), idle: Mutex::default(), size }
    }

    /// The same parts under another light.
    pub fn under(&self, lamp: Lamp) -> Self {
        TrainingSet { first: self.first.clone().with_lamp(lamp), idle: Mutex::default(), size: self.size }
    }

    /// The (first) label of a sample, without drawing it: labels take turns, so that any run of ten has each once.
    pub fn label(&self, index: u64) -> usize {
        (index % LABELS.len() as u64) as usize
    }

    /// Draws a sample.
    pub fn sample(&self, index: u64) -> Sample {
        let ask = match self.label(index) {
            0 => Ask::Good,
            label => Ask::With(Defect::ALL[label - 1]),
        };
        self.draw(index, ask)
    }

    /// Draws a part as it comes down the line, most of them good: for choosing thresholds.
    pub fn as_it_comes(&self, index: u64) -> Sample {
        self.draw(index, Ask::AsItComes)
    }

    fn draw(&self, index: u64, ask: Ask) -> Sample {
        let mut renderer = self.lock().pop().unwrap_or_else(|| self.first.clone());
        let mut data = Vec::new();
        let drawn = renderer.render(index, ask, [self.size; 2], &mut data);
        let mask = renderer.mask().to_vec();
        self.lock().push(renderer);
        let mut labels: Vec<usize> = drawn.truth.defects.iter().filter_map(|d| label_index(&d.label)).collect();
        if labels.is_empty() {
            labels.push(0);
        }
        let cnr = drawn.truth.defects.iter().map(|d| d.cnr).collect();
        let image = Image { width: drawn.width, height: drawn.height, format: PixelFormat::Rgb8, data };
        Sample { image, labels, cnr, mask, surface: drawn.surface }
    }

    /// A renderer is whole between frames, so that a panic elsewhere does not spoil the pool.
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Renderer>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn label_index(label: &str) -> Option<usize> {
    LABELS.iter().position(|known| *known == label)
}
