//! The few-shot head from labelled samples: what a training leaves in its bundle, and how well kinds would be told apart that were
//! registered from a few pictures.

use models::bundle::{Bundle, Disposition, Metric};
use models::heads::appearance::{Eye, Views, averaged_last_map, mean};
use models::heads::prototypes::{MAX_SHOTS, Picture, Prototypes};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use crate::error::TrainError;
use crate::samples::{Class, Samples};

/// Pictures of each label that a head is learned from, at most.
const OF_EACH: usize = 40;

/// Learns a head for a bundle from samples that its network did not learn from. `None` where they are too few, or the bundle's
/// network is not ours.
///
/// # Errors
/// When a sample cannot be loaded or the graph does not run.
pub fn learn(bundle: &Bundle, samples: &dyn Samples, classes: &[Class]) -> Result<Option<Prototypes>, TrainError> {
    let mut seen = vec![0; classes.len()];
    let mut some = |index: &usize| {
        let label = samples.label(*index);
        seen[label] += 1;
        seen[label] <= OF_EACH
    };
    let indices: Vec<usize> = (0..samples.len()).filter(|index| some(index)).collect();
    let pictures = look(bundle, samples, &indices, Views::One)?;
    let labels: Vec<(String, Disposition)> = classes.iter().map(|class| (class.name.clone(), class.verdict)).collect();
    Ok(Prototypes::learn(&pictures, &labels))
}

/// The appearances of some samples, in their order.
fn look(bundle: &Bundle, samples: &dyn Samples, indices: &[usize], views: Views) -> Result<Vec<Picture>, TrainError> {
    let look = |eye: &mut Option<Eye>, &index: &usize| {
        let image = samples.load(index)?.image;
        let eye = match eye {
            Some(eye) => eye,
            None => eye.insert(Eye::of(bundle)?),
        };
        Ok(Picture { label: samples.label(index), views: eye.look_at_views(image.view(), views)? })
    };
    indices.par_iter().map_init(|| None, look).collect()
}

/// How registration is tried out.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Pictures of each kind, 1 to [`MAX_SHOTS`].
    pub shots: usize,
    /// Times that the pictures are drawn anew.
    pub draws: usize,
    /// Decides which are drawn.
    pub seed: u64,
    /// Views of each shot.
    pub views: Views,
}

/// How often one method was right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accuracy {
    /// The method.
    pub method: &'static str,
    /// Mean over the draws, 0 to 1.
    pub mean: f64,
    /// The worst draw.
    pub worst: f64,
    /// The best draw.
    pub best: f64,
    /// Share of the measured pictures beyond the radius of every kind, where the method has one: all of them are of a kind that is
    /// known, so the fewer the better.
    pub unknown: Option<f64>,
    /// Share of the pictures of a kind that is *not* registered beyond the radius of all others, each kind being left out in turn.
    pub strangers_unknown: Option<f64>,
}

/// What a trial measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// The kinds.
    pub kinds: Vec<String>,
    /// Pictures measured.
    pub images: usize,
    /// Shots of each kind.
    pub shots: usize,
    /// Draws.
    pub draws: usize,
    /// What `register` does, then simpler methods in the same run.
    pub methods: Vec<Accuracy>,
}

/// Registers every class of `learn` from a few of its pictures, drawn again and again, and measures on `test`. Nothing is chosen by
/// `test`. `background` is the head whose background counts; its own labels do not take part.
///
/// # Errors
/// When a class has too few pictures, one cannot be read, or the graph does not run.
pub fn measure(
    bundle: &Bundle,
    background: &Prototypes,
    (learn, test): (&dyn Samples, &dyn Samples),
    classes: &[Class],
    trial: &Trial,
) -> Result<Measured, TrainError> {
    let draws = (0..trial.draws).map(|draw| draw_shots(learn, classes, trial, draw as u64));
    let draws: Vec<Vec<usize>> = draws.collect::<Result<_, _>>()?;
    if test.is_empty() || draws.is_empty() {
        return Err(TrainError::Data("there is no picture to measure on, or nothing is drawn".into()));
    }
    let mut drawn: Vec<usize> = draws.iter().flatten().copied().collect();
    drawn.sort_unstable();
    drawn.dedup();
    let shots = look(bundle, learn, &drawn, trial.views)?;
    let asked = look(bundle, test, &(0..test.len()).collect::<Vec<_>>(), Views::One)?;
    let of = |index: &usize| &shots[drawn.binary_search(index).expect("all that is drawn was looked at")];

    let mut lda = Tally::new("lda");
    let mut l2 = Tally::new("l2");
    let mut plain = Tally::new("plain l2 on the averaged last map, one view");
    for indices in &draws {
        let shots: Vec<&Picture> = indices.iter().map(of).collect();
        for (metric, tally) in [(Metric::Lda, &mut lda), (Metric::L2, &mut l2)] {
            tally.add(&registered(background, metric, &shots, classes, None)?, &asked);
            for stranger in (0..classes.len()).filter(|_| classes.len() > 1) {
                tally.add_stranger(&registered(background, metric, &shots, classes, Some(stranger))?, &asked, stranger);
            }
        }
        plain.add_plain(&shots, &asked, classes.len());
    }
    Ok(Measured {
        kinds: classes.iter().map(|class| class.name.clone()).collect(),
        images: asked.len(),
        shots: trial.shots,
        draws: trial.draws,
        methods: vec![lda.done(true), l2.done(true), plain.done(false)],
    })
}

/// Indices of the shots of one draw, class by class.
fn draw_shots(learn: &dyn Samples, classes: &[Class], trial: &Trial, draw: u64) -> Result<Vec<usize>, TrainError> {
    let mut random = ChaCha8Rng::seed_from_u64(trial.seed);
    random.set_stream(draw);
    let mut drawn = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let mut own: Vec<usize> = (0..learn.len()).filter(|&index| learn.label(index) == label).collect();
        if own.len() < trial.shots || !(1..=MAX_SHOTS).contains(&trial.shots) {
            return Err(TrainError::Data(format!(
                "`{}` has {} pictures to draw from, asked for are {} shots (1 to {MAX_SHOTS})",
                class.name,
                own.len(),
                trial.shots
            )));
        }
        own.shuffle(&mut random);
        drawn.extend(&own[..trial.shots]);
    }
    Ok(drawn)
}

/// A head that knows these shots and nothing else, but for those of a class that is left out.
fn registered(
    background: &Prototypes,
    metric: Metric,
    shots: &[&Picture],
    classes: &[Class],
    stranger: Option<usize>,
) -> Result<Prototypes, TrainError> {
    let mut head = background.clone();
    head.groups.clear();
    head.metric = metric;
    for (label, class) in classes.iter().enumerate().filter(|(label, _)| Some(*label) != stranger) {
        let own = shots.iter().filter(|shot| shot.label == label).map(|shot| shot.views.clone());
        head.register(&class.name, class.verdict, &own.collect::<Vec<_>>())?;
    }
    Ok(head)
}

struct Tally {
    method: &'static str,
    right: Vec<f64>,
    unknown: Vec<f64>,
    strangers: Vec<f64>,
}

impl Tally {
    fn new(method: &'static str) -> Tally {
        Tally { method, right: Vec::new(), unknown: Vec::new(), strangers: Vec::new() }
    }

    fn add(&mut self, head: &Prototypes, asked: &[Picture]) {
        let fitted = head.fit();
        let said: Vec<_> = asked.par_iter().map(|picture| fitted.judge(&picture.views[0])).collect();
        let share = |count: usize| count as f64 / asked.len() as f64;
        self.right.push(share(said.iter().zip(asked).filter(|(said, picture)| said.nearest == picture.label).count()));
        self.unknown.push(share(said.iter().filter(|said| said.unknown).count()));
    }

    /// Pictures of a class that the head does not know.
    fn add_stranger(&mut self, head: &Prototypes, asked: &[Picture], stranger: usize) {
        let fitted = head.fit();
        let own: Vec<&Picture> = asked.iter().filter(|picture| picture.label == stranger).collect();
        let unknown = own.par_iter().filter(|picture| fitted.judge(&picture.views[0]).unknown).count();
        if !own.is_empty() {
            self.strangers.push(unknown as f64 / own.len() as f64);
        }
    }

    /// Squared distance from the mean of the shots as they are, in the last map's average: what the paper of prototypical networks
    /// does with any embedding.
    fn add_plain(&mut self, shots: &[&Picture], asked: &[Picture], classes: usize) {
        let cut = |values: &[f32]| values[averaged_last_map()].to_vec();
        let centre = |label: usize| {
            mean(&shots.iter().filter(|it| it.label == label).map(|it| cut(&it.views[0])).collect::<Vec<_>>())
        };
        let centres: Vec<Vec<f32>> = (0..classes).map(centre).collect();
        let off = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        let nearest = |picture: &Picture| {
            let values = cut(&picture.views[0]);
            (0..classes).min_by(|&a, &b| off(&values, &centres[a]).total_cmp(&off(&values, &centres[b])))
        };
        let right = asked.iter().filter(|picture| nearest(picture) == Some(picture.label)).count();
        self.right.push(right as f64 / asked.len() as f64);
    }

    fn done(self, has_radius: bool) -> Accuracy {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        Accuracy {
            method: self.method,
            mean: mean(&self.right),
            worst: self.right.iter().copied().fold(f64::INFINITY, f64::min),
            best: self.right.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            unknown: has_radius.then(|| mean(&self.unknown)),
            strangers_unknown: (!self.strangers.is_empty()).then(|| mean(&self.strangers)),
        }
    }
}
