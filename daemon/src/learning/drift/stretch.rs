//! The parts of an hour, or of as many hours as it takes until there are enough to say something.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use stages::inspection::ImageHealth;

use super::config::DriftSection;
use super::stats;
use super::values::Values;

/// A stretch ends after so many hours, however few parts came.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stretch {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) parts: u64,
    pub(super) brightness: Values,
    pub(super) contrast: Values,
    pub(super) sharpness: Values,
    /// Parts in each bin of the usual scores.
    pub(super) bins: Vec<u64>,
    /// Parts with a sketch that were held against a reference, and those that were far from it.
    pub(super) sketched: u64,
    pub(super) far: u64,
    pub(super) distances: Values,
}

impl Stretch {
    pub(super) fn new(from: Timestamp) -> Stretch {
        Stretch {
            from,
            to: from,
            parts: 0,
            brightness: Values::default(),
            contrast: Values::default(),
            sharpness: Values::default(),
            bins: Vec::new(),
            sketched: 0,
            far: 0,
            distances: Values::default(),
        }
    }

    /// Whether a part of this time belongs to the next one. A clock that was set back does not end a stretch.
    pub(super) fn is_over(&self, at: Timestamp, section: &DriftSection) -> bool {
        let hour = |at: Timestamp| at.as_second().div_euclid(3600);
        hour(at) > hour(self.from) && (self.parts >= section.least_parts || at.duration_since(self.from) >= LONGEST)
    }

    /// One more part.
    pub(super) fn add(&mut self, at: Timestamp, image: Option<&ImageHealth>) {
        self.parts += 1;
        self.to = self.to.max(at);
        if let Some(image) = image {
            self.brightness.add(image.brightness);
            self.contrast.add(image.contrast);
            image.sharpness.into_iter().for_each(|sharpness| self.sharpness.add(sharpness));
        }
    }

    /// What the model found of it.
    pub(super) fn add_found(&mut self, edges: &[f32], score: f32, distance: Option<(f32, bool)>) {
        self.bins.resize(edges.len() + 1, 0);
        self.bins[stats::bin(edges, score)] += 1;
        if let Some((distance, far)) = distance {
            self.sketched += 1;
            self.far += u64::from(far);
            self.distances.add(distance);
        }
    }

    /// Another model counts from now on.
    pub(super) fn forget_found(&mut self) {
        let Stretch { from, to, parts, .. } = *self;
        let [brightness, contrast, sharpness] =
            [&mut self.brightness, &mut self.contrast, &mut self.sharpness].map(std::mem::take);
        *self = Stretch { to, parts, brightness, contrast, sharpness, ..Stretch::new(from) };
    }
}
