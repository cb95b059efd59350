//! How a line usually is: taken from its first parts, for the model in force and for the pictures apart, since another model sees the
//! same pictures otherwise.

use jiff::{SignedDuration, Timestamp};
use models::bundle::Reference;
use models::sketch::Sketch;
use serde::{Deserialize, Serialize};
use stages::inspection::ImageHealth;

use super::config::DriftSection;
use super::reading::{Measure, Reading};
use super::stats;
use super::stretch::Stretch;
use super::values::Values;

/// Parts that are gathered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) since: Option<Timestamp>,
    pub(super) parts: u64,
    pub(super) whole: bool,
}

impl Span {
    /// One more part. True with the last that is needed.
    fn add(&mut self, at: Timestamp, section: &DriftSection) -> bool {
        self.parts += 1;
        let since = *self.since.get_or_insert(at);
        let over = SignedDuration::from_mins(i64::from(section.usual_min));
        self.whole = self.parts >= section.usual_parts && at.duration_since(since) >= over;
        self.whole
    }
}

/// How pictures usually are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct UsualImage {
    pub(super) span: Span,
    brightness: Values,
    contrast: Values,
    sharpness: Values,
}

impl UsualImage {
    /// One more picture, while it is not whole.
    pub(super) fn add(&mut self, at: Timestamp, image: &ImageHealth, section: &DriftSection) {
        if self.span.whole {
            return;
        }
        self.brightness.add(image.brightness);
        self.contrast.add(image.contrast);
        image.sharpness.into_iter().for_each(|sharpness| self.sharpness.add(sharpness));
        self.span.add(at, section);
    }

    /// What is said of a stretch.
    pub(super) fn read(&self, stretch: &Stretch, section: &DriftSection) -> Vec<Reading> {
        let measures = [
            (Measure::Brightness, &self.brightness, &stretch.brightness),
            (Measure::Contrast, &self.contrast, &stretch.contrast),
            (Measure::Sharpness, &self.sharpness, &stretch.sharpness),
        ];
        let readings = measures.into_iter().filter_map(|(measure, usual, now)| {
            // Where sharpness is measured on a tenth of the parts, a tenth of them is enough: a median needs few.
            let enough = if measure == Measure::Sharpness { section.least_parts / 10 } else { section.least_parts };
            if !self.span.whole || now.seen() < enough.max(10) || usual.seen() < enough.max(10) {
                return None;
            }
            // The change that somebody asked for; and the middle half of the usual parts, or more of them where a median of few
            // parts would leave it by accident (four standard errors): so that a line whose parts differ is left in peace.
            let half = (2.0 / (now.seen().min(usual.seen()) as f64).sqrt()).clamp(0.25, 0.5);
            let sorted = usual.sorted();
            let median = stats::quantile(&sorted, 0.5);
            let change = section.image_change * median;
            Some(Reading {
                measure,
                from: stretch.from,
                to: stretch.to,
                parts: now.seen(),
                value: stats::quantile(&now.sorted(), 0.5),
                usual: median,
                low: Some((median - change).min(stats::quantile(&sorted, 0.5 - half))),
                high: (median + change).max(stats::quantile(&sorted, 0.5 + half)),
            })
        });
        readings.collect()
    }
}

/// How a model usually finds the line's parts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct UsualModel {
    pub(super) span: Span,
    scores: Values,
    /// Edges of the scores' bins, once it is whole.
    pub(super) edges: Vec<f32>,
    /// Parts of `scores` in each bin.
    bins: Vec<u64>,
    /// Parts with a sketch that were held against a reference, and those that were far from it.
    sketched: u64,
    far: u64,
    /// Where the model brings no reference: what its first parts look like, by turns for either side.
    sketches: Vec<Sketch>,
    pub(super) own: Option<Reference>,
}

impl UsualModel {
    /// One more part, while it is not whole. `far`: whether it lies far from the model's reference, where that has one.
    pub(super) fn add(
        &mut self,
        at: Timestamp,
        score: f32,
        (sketch, far): (Option<Sketch>, Option<bool>),
        section: &DriftSection,
    ) {
        if self.span.whole {
            return;
        }
        self.scores.add(score);
        match (sketch, far) {
            (Some(_), Some(far)) => {
                self.sketched += 1;
                self.far += u64::from(far);
            }
            (Some(sketch), None) if self.sketches.len() < 2 * Reference::MOST => self.sketches.push(sketch),
            _ => {}
        }
        if self.span.add(at, section) {
            self.close();
        }
    }

    fn close(&mut self) {
        let sorted = self.scores.sorted();
        self.edges = stats::deciles(&sorted);
        self.bins = vec![0; self.edges.len() + 1];
        sorted.iter().for_each(|&score| self.bins[stats::bin(&self.edges, score)] += 1);
        let (even, odd): (Vec<_>, Vec<_>) = self.sketches.drain(..).enumerate().partition(|(at, _)| at % 2 == 0);
        let [learned, held_out] =
            [even, odd].map(|side| side.into_iter().map(|(_, sketch)| sketch).collect::<Vec<_>>());
        self.own = Reference::of(&learned, &held_out);
        if let Some(own) = &self.own {
            self.sketched = own.held_out.len() as u64;
            self.far = own.held_out.iter().filter(|&&far| far > own.usual()).count() as u64;
        }
    }

    /// What is said of a stretch.
    pub(super) fn read(&self, stretch: &Stretch, section: &DriftSection) -> Vec<Reading> {
        if !self.span.whole {
            return Vec::new();
        }
        let mut readings = Vec::new();
        let reading = |measure, parts, value, usual, high| Reading {
            measure,
            from: stretch.from,
            to: stretch.to,
            parts,
            value,
            usual,
            low: None,
            high,
        };
        if stretch.sketched >= section.least_parts && self.sketched >= section.least_parts.min(50) {
            let usual = self.far as f64 / self.sketched as f64;
            // Where hardly any part is far, twice hardly any is no news: one in twenty was far when the model was made.
            let enough = section.far_times * usual.max(0.05);
            let chance = stats::share_by_chance((self.far, self.sketched), stretch.sketched);
            let share = stretch.far as f64 / stretch.sketched as f64;
            readings.push(reading(Measure::Embedding, stretch.sketched, share, usual, enough.max(chance).min(1.0)));
        }
        let scored = stretch.bins.iter().sum::<u64>();
        if scored >= section.least_parts && stretch.bins.len() == self.bins.len() {
            let chance = stats::psi_by_chance(self.bins.len(), self.bins.iter().sum(), scored);
            // With a single bin all scores were the same, and nothing can be said.
            if chance.is_finite() {
                let value = stats::psi(&self.bins, &stretch.bins);
                readings.push(reading(Measure::Scores, scored, value, 0.0, chance.max(section.psi)));
            }
        }
        readings
    }
}
