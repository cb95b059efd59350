//! Whether two computations of a model are the same model: verdicts, probabilities, heat maps, side by side on pictures.
//!
//! Three questions are answered by it. Is the exported graph the network that was trained? Does a graph in another number
//! format still decide alike ([`Duel`])? Does every execution provider of this machine ([`Certifier`])? A difference of probabilities
//! is reported; what counts is the verdict that they lead to.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::bundle::{Bundle, Disposition, Expectation, Figures, Label};
use crate::image::ImageView;
use crate::prediction::HeatMap;
use crate::predictor;
use crate::reproduce;
use crate::runtime::{Outputs, Provider, RuntimeError, Session, SessionOptions};

/// From scores to what they mean for the part.
pub type Rule = fn(&[f32], &[Label]) -> Disposition;

/// How far two computations agree.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Pictures compared.
    pub images: usize,
    /// Pictures with another verdict.
    pub flips: usize,
    /// Largest difference of a probability.
    pub largest_difference: f32,
    /// Mean over the pictures of the largest difference of a probability.
    pub mean_difference: f64,
    /// Largest difference of a heat map's probability.
    pub largest_heat_difference: f32,
    /// The first picture whose verdict flipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_flip: Option<String>,
}

impl Agreement {
    /// Share of the pictures whose verdict flipped.
    pub fn flip_share(&self) -> f64 {
        self.flips as f64 / self.images.max(1) as f64
    }
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Agreement { images, flips, largest_difference, mean_difference, .. } = self;
        write!(
            f,
            "{flips} of {images} verdicts flip; probabilities differ by {largest_difference:.2e} at most, {mean_difference:.2e} in \
             the mean"
        )?;
        match &self.first_flip {
            Some(name) => write!(f, "; first flip: {name}"),
            None => Ok(()),
        }
    }
}

/// What one computation says of a picture.
#[derive(Clone, Copy)]
pub struct Said<'a> {
    /// Probabilities, one per label.
    pub scores: &'a [f32],
    /// Cell-wise logits, `labels x height x width`.
    pub heat: &'a [f32],
}

impl<'a> From<&'a Outputs> for Said<'a> {
    fn from(outputs: &'a Outputs) -> Said<'a> {
        Said { scores: &outputs.scores, heat: &outputs.heat }
    }
}

/// A comparison under way.
pub struct Comparison<'a> {
    labels: &'a [Label],
    rule: Rule,
    total: f64,
    found: Agreement,
}

impl<'a> Comparison<'a> {
    /// Nothing compared yet. `rule` decides by the thresholds of these labels.
    pub fn new(labels: &'a [Label], rule: Rule) -> Self {
        Comparison { labels, rule, total: 0.0, found: Agreement::default() }
    }

    /// Compares what two computations say of the picture `name`.
    pub fn note(&mut self, name: &str, reference: Said<'_>, other: Said<'_>) {
        let difference = largest_difference(reference.scores, other.scores);
        let labels = self.labels.len().max(1);
        let map = |heat: &[f32]| {
            let cells = heat.len() / labels;
            HeatMap { labels, height: 1, width: cells, logits: heat[..cells * labels].to_vec() }.probabilities()
        };
        let heat = largest_difference(&map(reference.heat), &map(other.heat));
        let found = &mut self.found;
        found.images += 1;
        found.largest_difference = found.largest_difference.max(difference);
        found.largest_heat_difference = found.largest_heat_difference.max(heat);
        self.total += f64::from(difference);
        let decide = |scores| (self.rule)(scores, self.labels);
        if decide(reference.scores) != decide(other.scores) {
            found.flips += 1;
            found.first_flip.get_or_insert_with(|| name.to_owned());
        }
    }

    /// What was found.
    pub fn finish(self) -> Agreement {
        let images = self.found.images.max(1) as f64;
        Agreement { mean_difference: self.total / images, ..self.found }
    }
}

/// Largest difference of two rows. What is no number, or missing, differs by 1: as much as probabilities can.
fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return 1.0;
    }
    let difference = |(a, b): (&f32, &f32)| {
        let difference = (a - b).abs();
        if difference.is_finite() { difference } else { 1.0 }
    };
    a.iter().zip(b).map(difference).fold(0.0, f32::max)
}

/// One graph on one provider, and how long its runs took.
struct Contender {
    session: Session,
    took_ms: Vec<f64>,
    right: usize,
    graph_bytes: u64,
}

impl Contender {
    fn new(bundle: &Bundle, provider: Provider, options: &SessionOptions) -> Result<Contender, RuntimeError> {
        let mut session = Session::new(bundle, provider, options)?;
        // The first run allocates; nobody waits for it on a line either.
        session.run(&vec![0.0; bundle.manifest.tensor_len()])?;
        Ok(Contender { session, took_ms: Vec::new(), right: 0, graph_bytes: bundle.graph.len() as u64 })
    }

    fn run(&mut self, tensor: &[f32]) -> Result<Outputs, RuntimeError> {
        let started = Instant::now();
        let outputs = self.session.run(tensor)?;
        self.took_ms.push(started.elapsed().as_secs_f64() * 1000.0);
        reproduce::finite(&outputs)?;
        Ok(outputs)
    }

    fn latency_ms(&self) -> f64 {
        let mut took = self.took_ms.clone();
        took.sort_by(f64::total_cmp);
        took.get(took.len() / 2).copied().unwrap_or(0.0)
    }

    fn figures(&self, labelled: usize) -> Figures {
        let accuracy = (labelled > 0).then(|| self.right as f64 / labelled as f64);
        Figures { accuracy, latency_ms: self.latency_ms(), graph_bytes: self.graph_bytes }
    }
}

/// A model and its conversion to another number format on the same pictures, in turns, on the processor.
pub struct Duel<'a> {
    original: &'a Bundle,
    sides: [Contender; 2],
    comparison: Comparison<'a>,
    tensor: Vec<f32>,
    labelled: usize,
}

impl<'a> Duel<'a> {
    /// Loads both.
    ///
    /// # Errors
    /// When one does not run here.
    pub fn new(original: &'a Bundle, converted: &Bundle, rule: Rule) -> Result<Self, RuntimeError> {
        let options = SessionOptions::default();
        let load = |bundle| Contender::new(bundle, Provider::Cpu, &options);
        Ok(Duel {
            original,
            sides: [load(original)?, load(converted)?],
            comparison: Comparison::new(&original.manifest.labels, rule),
            tensor: vec![0.0; original.manifest.tensor_len()],
            labelled: 0,
        })
    }

    /// Shows both a picture. `truth`: indices of its labels, where they are known.
    ///
    /// # Errors
    /// When one does not run, or answers with what is no number.
    pub fn picture(&mut self, name: &str, image: ImageView<'_>, truth: Option<&[usize]>) -> Result<(), RuntimeError> {
        self.original.manifest.fill(image, &mut self.tensor);
        let [original, converted] = &mut self.sides;
        let said = [original.run(&self.tensor)?, converted.run(&self.tensor)?];
        if let Some(truth) = truth {
            self.labelled += 1;
            for (side, said) in self.sides.iter_mut().zip(&said) {
                let best = (0..said.scores.len()).max_by(|&a, &b| said.scores[a].total_cmp(&said.scores[b]));
                side.right += usize::from(best.is_some_and(|best| truth.contains(&best)));
            }
        }
        self.comparison.note(name, (&said[0]).into(), (&said[1]).into());
        Ok(())
    }

    /// How far they agree, and the figures of the original and of the conversion.
    pub fn finish(self) -> (Agreement, [Figures; 2]) {
        let figures = self.sides.map(|side| side.figures(self.labelled));
        (self.comparison.finish(), figures)
    }
}

/// What a provider of this machine makes of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProviderReport {
    /// The provider.
    pub provider: Provider,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What was found of a provider.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Finding {
    /// It does not work on this machine, so nothing is known of it.
    NotPresent {
        /// What it says.
        reason: String,
    },
    /// It loads, and gives other values than the bundle states, or none.
    Refused {
        /// What differs.
        reason: String,
    },
    /// It ran.
    Measured {
        /// Against the processor.
        agreement: Agreement,
        /// Median time of one run on one thread.
        latency_ms: f64,
    },
}

impl ProviderReport {
    /// Whether a line may run on it: it ran, and no verdict flipped.
    pub fn certified(&self) -> bool {
        matches!(&self.finding, Finding::Measured { agreement, .. } if agreement.flips == 0)
    }

    /// Whether it is there and a line must not run on it.
    pub fn failed(&self) -> bool {
        !self.certified() && !matches!(self.finding, Finding::NotPresent { .. })
    }
}

/// A provider that runs, and how far it agrees with the processor.
type Side<'a> = (Contender, Comparison<'a>);

/// A bundle on every provider of this machine, beside the processor as the reference.
pub struct Certifier<'a> {
    bundle: &'a Bundle,
    reference: Contender,
    /// Of the processor: whether it reproduces the bundle. All else is compared with it.
    against_bundle: Comparison<'a>,
    sides: Vec<(Provider, Result<Side<'a>, Finding>)>,
    tensor: Vec<f32>,
}

impl<'a> Certifier<'a> {
    /// Loads the bundle on every provider that works here and replays its calibration images on each.
    ///
    /// # Errors
    /// When the processor does not run it: then there is nothing to compare with.
    pub fn new(bundle: &'a Bundle, rule: Rule, options: &SessionOptions) -> Result<Self, RuntimeError> {
        let labels = &bundle.manifest.labels;
        let load = |provider| match replayed(bundle, provider, options) {
            Ok(contender) => Ok((contender, Comparison::new(labels, rule))),
            Err(RuntimeError::ProviderUnavailable { reason, .. }) => Err(Finding::NotPresent { reason }),
            Err(other) => Err(Finding::Refused { reason: other.to_string() }),
        };
        let others = Provider::ALL.into_iter().filter(|provider| *provider != Provider::Cpu);
        let mut certifier = Certifier {
            bundle,
            reference: replayed(bundle, Provider::Cpu, options)?,
            against_bundle: Comparison::new(labels, rule),
            sides: others.map(|provider| (provider, load(provider))).collect(),
            tensor: vec![0.0; bundle.manifest.tensor_len()],
        };
        for (index, expectation) in bundle.expectations.iter().enumerate() {
            let Expectation { image, scores, heat, .. } = expectation;
            let name = format!("calibration image {index}");
            let said = certifier.picture(&name, image.view())?;
            certifier.against_bundle.note(&name, Said { scores, heat }, (&said).into());
        }
        Ok(certifier)
    }

    /// Shows all providers a picture; gives what the processor says.
    ///
    /// # Errors
    /// When the processor does not run it.
    pub fn picture(&mut self, name: &str, image: ImageView<'_>) -> Result<Outputs, RuntimeError> {
        self.bundle.manifest.fill(image, &mut self.tensor);
        let reference = self.reference.run(&self.tensor)?;
        for (_, side) in &mut self.sides {
            let Ok((contender, comparison)) = side else { continue };
            match contender.run(&self.tensor) {
                Ok(said) => comparison.note(name, (&reference).into(), (&said).into()),
                Err(error) => *side = Err(Finding::Refused { reason: format!("{name}: {error}") }),
            }
        }
        Ok(reference)
    }

    /// One report per provider, the best first.
    pub fn finish(self) -> Vec<ProviderReport> {
        let measured = |contender: &Contender, comparison: Comparison<'_>| Finding::Measured {
            agreement: comparison.finish(),
            latency_ms: contender.latency_ms(),
        };
        let processor = measured(&self.reference, self.against_bundle);
        let others = self.sides.into_iter().map(|(provider, side)| ProviderReport {
            provider,
            finding: side.map_or_else(|finding| finding, |(contender, comparison)| measured(&contender, comparison)),
        });
        others.chain([ProviderReport { provider: Provider::Cpu, finding: processor }]).collect()
    }
}

/// A provider that reproduces the bundle's calibration images.
fn replayed(bundle: &Bundle, provider: Provider, options: &SessionOptions) -> Result<Contender, RuntimeError> {
    let mut contender = Contender::new(bundle, provider, options)?;
    predictor::verify(bundle, provider, &mut contender.session)?;
    Ok(contender)
}
