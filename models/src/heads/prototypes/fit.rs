//! Learning the head: from a training's held-out pictures, and again whenever a kind comes or goes.

use crate::bundle::{Disposition, Kind, Metric, PrototypeSpec, Unknown};
use crate::heads::appearance::mean;

use super::background::difference;
use super::distance::Distance;
use super::graph::OUTPUT;
use super::{Background, Fitted, Group, Prototypes, radius};

/// Share of held-out pictures within the radius.
const QUANTILE: f32 = 0.99;
/// The radius where no picture is left over to measure it on.
const REACH: f32 = 2.0;
/// Probability from which a registered kind counts.
const SURE: f32 = 0.5;
/// Shots of registered kinds from which they have a say in the temperature.
const ENOUGH: usize = 6;

/// A picture whose kind is known.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Index of its label.
    pub label: usize,
    /// The appearance of each of its views; the first is the picture as it is.
    pub views: Vec<Vec<f32>>,
}

impl Prototypes {
    /// Learns background, centres, radius and temperature from pictures that the network did not learn from. `None` where they
    /// are too few to say how pictures of one kind differ.
    pub fn learn(pictures: &[Picture], labels: &[(String, Disposition)]) -> Option<Prototypes> {
        let of = |some: &dyn Fn(usize) -> bool| -> Vec<Picture> {
            let mut seen = vec![0; labels.len()];
            let mut taken = |picture: &&Picture| {
                seen[picture.label] += 1;
                some(seen[picture.label] - 1)
            };
            pictures.iter().filter(|picture| taken(picture)).cloned().collect()
        };
        // Radius and temperature are measured on every second picture, with a head learned from the others.
        let (half, held_out) = (of(&|at| at.is_multiple_of(2)), of(&|at| !at.is_multiple_of(2)));
        let measured = Prototypes::from(&half, labels).map(|half| half.measure(&held_out, labels));
        let mut all = Prototypes::from(pictures, labels)?;
        if let Some((reach, temperature)) = measured.flatten() {
            (all.reach, all.temperature) = (reach, temperature);
        }
        Some(all)
    }

    fn from(pictures: &[Picture], labels: &[(String, Disposition)]) -> Option<Prototypes> {
        let views: Vec<_> = pictures.iter().map(|picture| (picture.label, picture.views.clone())).collect();
        let background = Background::measure(&views)?;
        let group = |(label, (name, verdict)): (usize, &(String, Disposition))| {
            let own: Vec<Vec<f32>> =
                pictures.iter().filter(|it| it.label == label).map(|picture| mean(&picture.views)).collect();
            let kind = Kind { name: name.clone(), verdict: *verdict, shots: own.len(), registered: false };
            (!own.is_empty()).then(|| Group { kind, rows: vec![mean(&own)], plain: Vec::new() })
        };
        let groups: Vec<Group> = labels.iter().enumerate().filter_map(group).collect();
        Some(Prototypes {
            background,
            metric: Metric::Lda,
            groups,
            unknown: Unknown::Keep,
            sure: SURE,
            reach: REACH,
            temperature: 1.0,
            quantile: QUANTILE,
        })
    }

    /// Radius and temperature on pictures that were left out; nothing without such.
    fn measure(&self, held_out: &[Picture], labels: &[(String, Disposition)]) -> Option<(f32, f32)> {
        let distance = Distance::fit(&self.background, &self.groups, self.metric);
        let place = |label: usize| self.groups.iter().position(|group| group.kind.name == labels[label].0);
        let samples: Vec<(Vec<f32>, usize)> = held_out
            .iter()
            .filter_map(|picture| Some((distance.of(picture.views.first()?), place(picture.label)?)))
            .collect();
        let mut own: Vec<f32> = samples.iter().map(|(distances, truth)| distances[*truth]).collect();
        own.sort_by(f32::total_cmp);
        let at = (own.len() as f32 * self.quantile) as usize;
        let radius = own.get(at.min(own.len().checked_sub(1)?))?;
        Some((*radius, temperature(&samples)))
    }

    /// Only the registered kinds, for a background that was measured on other products.
    pub fn forget_labels(&mut self) {
        self.groups.retain(|group| group.kind.registered);
    }

    /// Fits distances, radius and temperature to the kinds as they are now; at least one.
    pub fn fit(&self) -> Fitted {
        let distance = Distance::fit(&self.background, &self.groups, self.metric);
        let samples = self.leave_one_out(&distance);
        let own: Vec<f32> = samples.iter().map(|(distances, truth)| distances[*truth]).collect();
        let fitted = if samples.len() >= ENOUGH && self.groups.len() > 1 { temperature(&samples) } else { 0.0 };
        let spec = PrototypeSpec {
            output: OUTPUT.into(),
            metric: self.metric,
            kinds: self.groups.iter().map(|group| group.kind.clone()).collect(),
            spread: self.background.spread,
            background_images: self.background.images,
            reach: self.reach,
            // The more careful of both: a few shots alone look surer than they are.
            temperature: self.temperature.max(fitted),
            radius: radius::fitted(&own, self.reach, self.quantile),
            quantile: self.quantile,
            sure: self.sure,
            unknown: self.unknown,
        };
        Fitted { distance, spec }
    }

    /// Distances of every shot of a registered kind as the line would see it: in one view, with a covariance and a centre of its own kind
    /// in which it took no part; and the place of that kind.
    fn leave_one_out(&self, distance: &Distance) -> Vec<(Vec<f32>, usize)> {
        let mut samples = Vec::new();
        for (place, group) in self.groups.iter().enumerate().filter(|(_, group)| group.rows.len() > 1) {
            let n = group.rows.len() as f32;
            for (row, plain) in group.rows.iter().zip(&group.plain) {
                let shot = difference(row, &distance.centres[place]);
                let centres = distance.centres.iter().zip(&distance.certainty).enumerate();
                let distances = centres.map(|(kind, (centre, certainty))| {
                    let mut off = difference(plain, centre);
                    if kind != place {
                        return certainty * distance.along_without(&off, &shot, n);
                    }
                    // The centre of the others lies on the far side, and is the mean of one shot less.
                    off.iter_mut().zip(&shot).for_each(|(off, shot)| *off += shot / (n - 1.0));
                    distance.along_without(&off, &shot, n) / (1.0 + 1.0 / (n - 1.0))
                });
                samples.push((distances.collect(), place));
            }
        }
        samples
    }

    /// As read back from a bundle.
    pub(super) fn restore(spec: &PrototypeSpec, background: Background, groups: Vec<Group>) -> Prototypes {
        Prototypes {
            background,
            metric: spec.metric,
            groups,
            unknown: spec.unknown,
            sure: spec.sure,
            reach: spec.reach,
            temperature: spec.temperature,
            quantile: spec.quantile,
        }
    }
}

/// The temperature with the least cross-entropy. Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
fn temperature(samples: &[(Vec<f32>, usize)]) -> f32 {
    let cost = |temperature: f32| -> f32 {
        let one = |(distances, truth): &(Vec<f32>, usize)| {
            let least = distances.iter().copied().fold(f32::INFINITY, f32::min);
            let sum: f32 = distances.iter().map(|it| ((least - it) / (2.0 * temperature)).exp()).sum();
            (distances[*truth] - least) / (2.0 * temperature) + sum.ln()
        };
        samples.iter().map(one).sum()
    };
    // From a thousandth to ten times the distance to be expected, a quarter of an octave a step.
    let candidates = (-40..=13).map(|step| 2_f32.powf(step as f32 / 4.0));
    candidates.min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap_or(1.0)
}
