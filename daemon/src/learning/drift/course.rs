//! One product's course: how it usually is, how it is now, and how it was hour by hour.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use models::bundle::Reference;
use models::sketch::Sketch;
use serde::{Deserialize, Serialize};
use stages::inspection::ImageHealth;

use super::config::DriftSection;
use super::reading::Reading;
use super::stats;
use super::stretch::Stretch;
use super::usual::{UsualImage, UsualModel};

/// Hours kept: two weeks.
const KEPT: usize = 14 * 24;
/// What was last seen says how things are for so long.
const FRESH: SignedDuration = SignedDuration::from_hours(1);

/// What is seen of a part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) image: Option<ImageHealth>,
    /// How bad the model in force finds it, 0 to 1; none where another decided it, or none did.
    pub(super) badness: Option<f32>,
    /// What it looks like to that model.
    pub(super) sketch: Option<Sketch>,
}

/// An hour that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hour {
    /// Time of the first part.
    pub from: Timestamp,
    /// Time of the last part.
    pub to: Timestamp,
    /// Parts.
    pub parts: u64,
    /// Median distance from what the model learned from; none where nothing is known of that.
    pub distance: Option<f64>,
    /// What could be said.
    pub readings: Vec<Reading>,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Course {
    /// The model that scores and sketches are of, registered kinds aside.
    pub(super) model: Arc<str>,
    pub(super) by_model: UsualModel,
    pub(super) by_image: UsualImage,
    now: Option<Stretch>,
    past: VecDeque<Hour>,
}

impl Course {
    /// One more part of this product, while `model` is in force. `reference`: what that learned from, where it says so. How far the
    /// part is from that.
    pub(super) fn add(
        &mut self,
        seen: &Seen,
        (model, reference): (&Arc<str>, Option<&Reference>),
        section: &DriftSection,
    ) -> Option<Distance> {
        if self.model != *model {
            self.model = model.clone();
            self.by_model = UsualModel::default();
            self.now.iter_mut().for_each(Stretch::forget_found);
        }
        if let Some(over) = self.now.take_if(|now| now.is_over(seen.at, section)) {
            self.close(&over, section);
        }
        let reference = reference.or(self.by_model.own.as_ref());
        let distance = reference
            .zip(seen.sketch)
            .map(|(reference, sketch)| Distance { distance: reference.distance(&sketch), usual: reference.usual() });
        let now = self.now.get_or_insert_with(|| Stretch::new(seen.at));
        now.add(seen.at, seen.image.as_ref());
        if let Some(badness) = seen.badness {
            match self.by_model.span.whole {
                true => {
                    now.add_found(&self.by_model.edges, badness, distance.map(|it| (it.distance, it.is_far())));
                }
                false => {
                    let far = distance.map(|it| it.is_far());
                    self.by_model.add(seen.at, badness, (seen.sketch, far), section);
                }
            }
        }
        if let Some(image) = &seen.image {
            self.by_image.add(seen.at, image, section);
        }
        distance
    }

    /// Time of the last part.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.now.as_ref().map(|now| now.to).or_else(|| self.past.back().map(|hour| hour.to))
    }

    /// From now on the line is as it usually is.
    pub(super) fn begin_anew(&mut self) {
        (self.by_model, self.by_image, self.now) = (UsualModel::default(), UsualImage::default(), None);
    }

    /// How things are, by the parts of the present hour or, where these are too few yet, the hour before.
    pub(super) fn readings(&self, now: Timestamp, section: &DriftSection) -> Vec<Reading> {
        let mut readings = self.now.as_ref().map_or_else(Vec::new, |now| self.read(now, section));
        for reading in self.past.back().into_iter().flat_map(|hour| &hour.readings) {
            // Not what another model said, or what was before somebody said that the line is well as it is.
            let since =
                if reading.measure.is_of_pictures() { self.by_image.span.since } else { self.by_model.span.since };
            let counts = since.is_some_and(|since| reading.from >= since);
            if counts && !readings.iter().any(|other| other.measure == reading.measure) {
                readings.push(reading.clone());
            }
        }
        readings.retain(|reading| now.duration_since(reading.to) < FRESH);
        readings.sort_by_key(|reading| reading.measure);
        readings
    }

    /// Every hour, the present one last.
    pub(super) fn hours(&self, section: &DriftSection) -> Vec<Hour> {
        let now = self.now.as_ref().map(|now| self.hour(now, section));
        self.past.iter().cloned().chain(now).collect()
    }

    fn close(&mut self, over: &Stretch, section: &DriftSection) {
        let hour = self.hour(over, section);
        if self.past.len() == KEPT {
            self.past.pop_front();
        }
        self.past.push_back(hour);
    }

    fn hour(&self, stretch: &Stretch, section: &DriftSection) -> Hour {
        let distances = stretch.distances.sorted();
        Hour {
            from: stretch.from,
            to: stretch.to,
            parts: stretch.parts,
            distance: (!distances.is_empty()).then(|| stats::quantile(&distances, 0.5)),
            readings: self.read(stretch, section),
        }
    }

    fn read(&self, stretch: &Stretch, section: &DriftSection) -> Vec<Reading> {
        let mut readings = self.by_model.read(stretch, section);
        readings.extend(self.by_image.read(stretch, section));
        readings
    }
}

/// How far a part is from what the model learned from, and how far is usual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Distance {
    pub(super) distance: f32,
    pub(super) usual: f32,
}

impl Distance {
    pub(super) fn is_far(&self) -> bool {
        self.distance > self.usual
    }
}
