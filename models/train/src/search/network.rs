//! The networks that a search trains: the trunk cut, a head of its own, learned as any training learns and measured as the line measures.
//!
//! Each trial has a checkpoint ([`crate::checkpoint`]) in a folder, from which it goes on when it comes to its next rung, and after a kill in
//! the middle of one. The learning rate falls to its end within each rung and is raised again for the next, to where its course stands at that
//! share of the rounds: warm restarts (Loshchilov and Hutter, "SGDR", ICLR 2017), without which networks of one rung could not be compared.

use std::path::PathBuf;
use std::time::Instant;

use models::bundle::{Bundle, Disposition, Label, Provenance};
use models::heads::{attention, border};
use models::predictor::expectations;
use models::preprocess::Preprocess;
use models::weights::{Tensor, Weights};
use models::zoo::mobilenet_v3_small as zoo;
use sha2::{Digest, Sha256};

use super::cut::cut;
use super::error::SearchError;
use super::space::Point;
use super::trial::{Measured, Trial};
use super::{Terms, Train};
use crate::augment::Augment;
use crate::checkpoint::{Checkpoint, State, pooling};
use crate::choice::Choice;
use crate::error::TrainError;
use crate::evaluation::curve::{Curve, badness};
use crate::evaluation::{Report, Scored, latency, score_all};
use crate::export::{self, Ingredients, manifest, predictor};
use crate::progress::Observer;
use crate::reference;
use crate::samples::{Class, Samples, Subset};
use crate::schedule::Schedule;
use crate::stage_two::{Length, Position};
use crate::train::{Data, Settings, Start, digest_of, knows_places, train};

/// Rounds without a new lowest loss that end a network's training.
const PATIENCE: usize = 3;
/// Augmented views of each image that the head learns from: what follows teaches it too.
const VIEWS: usize = 1;
/// Images that a network is timed on.
const TIMED: usize = 60;
/// Share of the good parts that may be held back at the threshold by which networks are compared: without such a bound one that holds back
/// everything would let nothing escape.
const OVERKILL: f64 = 0.05;

/// Images resized for a recipe.
pub type SamplesAt<'a> = dyn Fn(&Preprocess) -> Result<Box<dyn Samples + 'a>, TrainError> + 'a;

/// What all networks of a search share.
pub struct Networks<'a> {
    /// The images of the learning side at an input size.
    pub samples: &'a SamplesAt<'a>,
    /// The same as they are: what a verdict takes is timed on them.
    pub plain: &'a dyn Samples,
    /// Indices of those to learn from, and of those to measure on.
    pub sides: (Vec<usize>, Vec<usize>),
    /// The labels.
    pub classes: &'a [Class],
    /// The whole trunk, which is cut.
    pub trunk: &'a Weights,
    /// SHA-256 of the data.
    pub data_digest: &'a str,
    /// Random changes of strength 1.
    pub augment: Augment,
    /// Decides every random choice.
    pub seed: u64,
    /// Threads; `None`: one per core.
    pub threads: Option<usize>,
    /// Where the checkpoints are.
    pub folder: PathBuf,
    /// When the time is over, in the middle of whatever it may be.
    pub until: Option<Instant>,
    /// Told of progress; gives `false` to stop.
    pub observe: &'a mut Observer<'a>,
    /// Networks that were timed.
    pub timed: Vec<(Point, f64)>,
}

impl Networks<'_> {
    /// A trial's network as it is kept: the bundle and its figures on the selection set, thresholds chosen as those of any training.
    ///
    /// # Errors
    /// When the trial never learned, or its bundle does not reproduce what it learned.
    pub fn export(&self, trial: &Trial, name: String, provenance: Provenance) -> Result<(Bundle, Report), TrainError> {
        let (_, [_, best, _]) = self.checkpoint(trial.number).read()?.open(|_: &State| true)?;
        let mut weights = Weights::from_graph(&best)?;
        let preprocess = Preprocess::imagenet(trial.point.size);
        let samples = (self.samples)(&preprocess)?;
        let learn = Subset { of: &*samples, indices: self.sides.0.clone() };
        let select = Subset { of: &*samples, indices: self.sides.1.clone() };
        if !knows_places(&learn)? {
            border::note_untaught(&mut weights);
        }
        let (learned, chosen_by) = (learn.len(), select.len());
        let story = format!(
            "{learned} images of {} labels; {chosen_by} more to choose by. Trial {} of a search: {}.",
            self.classes.len(),
            trial.number,
            words(&trial.point)
        );
        let ingredients = Ingredients {
            name,
            classes: self.classes,
            frozen: None,
            views: &[],
            preprocess: &preprocess,
            provenance: Provenance { network: words(&trial.point), ..provenance },
            select: &select,
            aim: None,
            story,
        };
        let (mut bundle, report) = export::bundle(&weights, ingredients)?;
        bundle.reference = reference::of(&bundle, &learn, &select)?;
        Ok((bundle, report))
    }

    /// What a search on these is, beside how it searches.
    pub fn terms(&self) -> Terms {
        let (learn, select) = &self.sides;
        [
            ("data", self.data_digest.to_owned()),
            ("trunk", digest_of(self.trunk)),
            ("number of images to learn from and to choose by", format!("{} and {}", learn.len(), select.len())),
            ("cut between these", digest_of_cut(learn, select)),
            ("kind of random changes", format!("{:?}", self.augment)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn checkpoint(&self, trial: usize) -> Checkpoint {
        Checkpoint::beside(&self.folder.join(format!("trial-{trial:03}")))
    }

    fn settings(&self, point: &Point, rounds: u32) -> Settings {
        let mut settings = Settings::new(self.classes.len(), Preprocess::imagenet(point.size));
        (settings.seed, settings.threads, settings.choice) = (self.seed, self.threads, Choice::Best);
        settings.attention = point.attention;
        settings.sharpness = Some(point.sharpness as f32);
        settings.augment = self.augment.times(point.augment as f32);
        (settings.one.rate, settings.one.views) = (point.head_rate, VIEWS);
        settings.two.schedule = Schedule::Cosine { peak: point.rate };
        settings.two.length = Length::Rounds(rounds as usize);
        settings.two.patience = Some(PATIENCE);
        settings.two.look_every = Some(self.sides.0.len().div_ceil(settings.two.batch).max(1));
        settings
    }

    /// A network that knows nothing yet, as the line would run it.
    fn untaught(&self, point: &Point) -> Result<Weights, TrainError> {
        let mut weights = cut(self.trunk, point.left_out, point.width)?;
        weights.merge(attention::init_with(zoo::FEATURES, point.attention, self.classes.len(), self.seed));
        weights.insert(attention::SHARPNESS, Tensor::scalar(point.sharpness as f32));
        Ok(weights)
    }

    /// The network as a bundle that is good for a measurement and nothing else.
    fn draft(&self, weights: &Weights, preprocess: &Preprocess, samples: &dyn Samples) -> Result<Bundle, TrainError> {
        let manifest = manifest("search".into(), self.classes, preprocess, weights, Provenance::default());
        let size = [preprocess.height as usize, preprocess.width as usize];
        let graph = attention::build(weights, size, self.classes.len(), pooling(weights))?;
        let mut bundle =
            Bundle { manifest, graph, expectations: Vec::new(), model_card: None, certificate: None, reference: None };
        let mut image = vec![samples.load(0)?.image];
        export::shrink(&mut image)?;
        bundle.expectations = expectations(&bundle, image)?;
        Ok(bundle)
    }

    fn time(&self, point: &Point) -> Result<f64, TrainError> {
        let preprocess = Preprocess::imagenet(point.size);
        let some = Subset { of: self.plain, indices: self.sides.1.iter().copied().take(TIMED).collect() };
        let mut draft = self.draft(&self.untaught(point)?, &preprocess, &some)?;
        Ok(latency::measure(&predictor(&mut draft)?, &some)?.verdict.p50)
    }

    fn teach(&mut self, trial: usize, point: &Point, (before, rounds): (u32, u32)) -> Result<Measured, TrainError> {
        let settings = self.settings(point, rounds);
        let samples = (self.samples)(&settings.preprocess)?;
        let learn = Subset { of: &*samples, indices: self.sides.0.clone() };
        let select = Subset { of: &*samples, indices: self.sides.1.clone() };
        let trunk = cut(self.trunk, point.left_out, point.width)?;
        let checkpoint = self.checkpoint(trial);
        checkpoint.put_aside()?;
        let resume = checkpoint.exists();
        if resume {
            begin_rung(&checkpoint, self.settings(point, before).two.steps(learn.len()))?;
        }
        let start = Start { trunk: &trunk, data_digest: self.data_digest, checkpoint: Some(&checkpoint), resume };
        let (until, observe) = (self.until, &mut *self.observe);
        let mut watch = |progress: &_| observe(progress) && until.is_none_or(|until| Instant::now() < until);
        let trained = train(&settings, &start, &Data { learn: &learn, select: &select }, None, &mut watch)?;
        let (State { position, .. }, _) = checkpoint.read()?.open(|_: &State| true)?;
        let ended = position.waited >= PATIENCE && position.steps < settings.two.steps(learn.len());
        let learned = (position.steps * settings.two.batch).div_ceil(learn.len().max(1)) as u32;
        let mut draft = self.draft(&trained.weights, &settings.preprocess, &select)?;
        let scored = score_all(&predictor(&mut draft)?, &select, self.classes.len(), self.threads, &|| ())?;
        let errors = scored.iter().filter(|image| !image.labels.contains(&said(image))).count();
        let (escape_rate, overkill_rate) = rates(&scored, &draft.manifest.labels).unzip();
        Ok(Measured {
            rounds: if ended { learned.min(rounds) } else { rounds },
            ended,
            errors,
            images: scored.len(),
            escape_rate,
            overkill_rate,
            loss: Some(f64::from(trained.stage_two.mean_loss())),
            failed: None,
        })
    }

    fn is_time_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }
}

impl Train for Networks<'_> {
    fn latency_ms(&mut self, point: &Point) -> Result<f64, SearchError> {
        if let Some((_, known)) = self.timed.iter().find(|(other, _)| other.same_network(point)) {
            return Ok(*known);
        }
        let latency_ms = self.time(point).map_err(|error| SearchError::Train(error.into()))?;
        self.timed.push((*point, latency_ms));
        Ok(latency_ms)
    }

    fn train(&mut self, trial: usize, point: &Point, rounds: (u32, u32)) -> Result<Measured, SearchError> {
        let taught = self.teach(trial, point, rounds);
        let checkpoint = self.checkpoint(trial);
        match &taught {
            // What it had learned by its last result is what is kept of it.
            Err(TrainError::Stopped) if self.is_time_over() => {
                checkpoint.take_back(rounds.0 > 0).map_err(|error| SearchError::Train(error.into()))?;
                return Err(SearchError::TimeOver);
            }
            Ok(_) => checkpoint.forget_aside(),
            Err(_) => {}
        }
        match taught {
            Err(TrainError::Stopped) => Err(SearchError::Stopped),
            // Rates that are too high are found out so.
            Err(error @ (TrainError::Diverged(_) | TrainError::NothingLearned { .. })) => {
                Ok(Measured::failed(rounds.1, error.to_string()))
            }
            other => other.map_err(|error| SearchError::Train(error.into())),
        }
    }
}

/// Which images are on which side, in a few letters.
fn digest_of_cut(learn: &[usize], select: &[usize]) -> String {
    let digest = Sha256::digest(format!("{learn:?} {select:?}"));
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lets early stopping begin anew on a rung: the rate is raised again, and the loss rises with it for a while. A checkpoint from
/// the middle of a rung, beyond these steps, is left as it is.
fn begin_rung(checkpoint: &Checkpoint, steps: usize) -> Result<(), TrainError> {
    let (state, parts) = checkpoint.read()?.open(|_: &State| true)?;
    if state.position.steps > steps {
        return Ok(());
    }
    let position = Position { steps: state.position.steps, ..Position::default() };
    checkpoint.write(&State { position, ..state }, parts.each_ref().map(Vec::as_slice))
}

/// The label that a network names.
fn said(image: &Scored) -> usize {
    let best = |a: &usize, b: &usize| image.scores[*a].total_cmp(&image.scores[*b]);
    (0..image.scores.len()).max_by(best).unwrap_or_default()
}

/// The share of bad parts that pass, and of good ones that are held back, at the threshold with the fewest escapes that holds back no more
/// good ones than may be. `None` where there are not both.
fn rates(scored: &[Scored], labels: &[Label]) -> Option<(f64, f64)> {
    let is_bad = |image: &Scored| image.labels.iter().any(|&label| labels[label].verdict != Disposition::Pass);
    let parts: Option<Vec<(f64, bool)>> =
        scored.iter().map(|image| Some((badness(&image.scores, labels)?, is_bad(image)))).collect();
    let curve = Curve::new(parts?);
    if !curve.has_both() {
        return None;
    }
    let allowed = (OVERKILL * curve.good as f64) as usize;
    let step = curve.steps.iter().take_while(|step| step.good_held <= allowed).last();
    let (escapes, held) = step.map_or((curve.bad, 0), |step| (curve.escapes(step), step.good_held));
    Some((escapes as f64 / curve.bad as f64, held as f64 / curve.good as f64))
}

/// A point in words.
pub fn words(point: &Point) -> String {
    let Point { left_out, width, size, attention, sharpness, head_rate, rate, augment } = point;
    let blocks = match left_out {
        0 => "all blocks".to_owned(),
        1 => "one block left out".to_owned(),
        count => format!("{count} blocks left out"),
    };
    format!(
        "{size} x {size} pixels, {blocks}, {:.0} % of the channels inside blocks, {attention} inside the attention, sharpness {sharpness}, \
         rates {head_rate} and {rate}, random changes {augment} times as usual",
        100.0 * width
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(good: f32, label: usize) -> Scored {
        let (scores, labels) = (vec![good, 1.0 - good], vec![label]);
        Scored { scores, labels, weight: 1.0, area: None, anomalous: None, likeness: None }
    }

    fn labels(names: [&str; 2]) -> Vec<Label> {
        let label = |name: &str| Label { name: name.into(), verdict: Class::named(name).verdict, threshold: 0.5 };
        names.map(label).into()
    }

    #[test]
    fn escapes_are_counted_where_few_good_parts_are_held_back() {
        // Forty good parts, of which two may be held back; one of ten bad ones looks better than all that are held back.
        let mut images: Vec<Scored> = (0..40).map(|i| scored(1.0 - 0.01 * i as f32, 0)).collect();
        images.extend((0..9).map(|i| scored(0.01 * i as f32, 1)));
        images.push(scored(0.9, 1));
        let found = rates(&images, &labels(["good", "scratch"]));
        assert_eq!(found, Some((0.1, 0.05)));
        assert_eq!(rates(&images, &labels(["pit", "scratch"])), None, "no label passes");
        assert_eq!(rates(&images[..40], &labels(["good", "scratch"])), None, "no bad part");
    }

    #[test]
    fn one_that_holds_back_everything_is_no_good_one() {
        let images: Vec<Scored> = (0..20).map(|i| scored(0.1, i % 2)).collect();
        assert_eq!(rates(&images, &labels(["good", "scratch"])), Some((1.0, 0.0)));
    }

    #[test]
    fn words_tell_all() {
        let words = words(&Point { left_out: 2, width: 0.5, ..Point::usual(128) });
        assert!(words.contains("128 x 128 pixels, 2 blocks left out, 50 % of the channels"), "{words}");
    }
}
