//! The craft of a training: the same weights from the same seed, going on after an interruption, layers that stand still, and
//! failures that are told.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the failure")]

mod lines;

use std::path::Path;

use lines::{Lines, SHIPPED, SIDE};
use models::heads::border;
use models::preprocess::Preprocess;
use models::weights::{Weights, kaiming, load_trunk};
use models::zoo::mobilenet_v3_small as zoo;
use models_train::checkpoint::Checkpoint;
use models_train::progress::Stage;
use models_train::samples::{Sample, Samples};
use models_train::schedule::Schedule;
use models_train::stage_two::Length;
use models_train::weighting::{Reweighted, effective_number_weights};
use models_train::{Data, Settings, Start, TrainError, Trained, train};

/// A short training: ten steps, a look at every other.
fn settings() -> Settings {
    let mut settings = Settings::new(2, Preprocess::imagenet(SIDE as u32));
    settings.threads = Some(2);
    settings.one.epochs = 1;
    settings.two.length = Length::Steps(10);
    settings.two.look_every = Some(2);
    settings.two.batch = 16;
    settings
}

fn shipped() -> Weights {
    load_trunk(Path::new(SHIPPED)).expect("the shipped bundle is in the tree")
}

/// What a run is made of besides its settings.
struct Way<'a> {
    learn: &'a dyn Samples,
    trunk: &'a Weights,
    checkpoint: Option<&'a Checkpoint>,
    resume: bool,
    stop_after: usize,
}

fn go(settings: &Settings, way: &Way<'_>) -> Result<Trained, TrainError> {
    let start = Start { trunk: way.trunk, data_digest: "lines", checkpoint: way.checkpoint, resume: way.resume };
    let select = Lines { len: 24, seed: 2 };
    let mut looks = 0;
    train(settings, &start, &Data { learn: way.learn, select: &select }, None, &mut |progress| {
        looks += usize::from(progress.stage == Stage::All && progress.selection.is_some());
        looks < way.stop_after
    })
}

fn whole(settings: &Settings) -> Trained {
    let (learn, trunk) = (Lines { len: 48, seed: 1 }, shipped());
    go(settings, &Way { learn: &learn, trunk: &trunk, checkpoint: None, resume: false, stop_after: usize::MAX })
        .unwrap()
}

#[test]
fn the_seed_decides_the_weights_whatever_the_number_of_threads() {
    let with = |threads, seed| {
        let mut settings = settings();
        settings.threads = Some(threads);
        settings.seed = seed;
        whole(&settings).weights
    };
    let one = with(1, 1);
    assert_eq!(one, with(1, 1));
    assert_eq!(one, with(3, 1), "threads share the work and change no sum");
    assert_ne!(one, with(1, 2));
}

#[test]
fn an_interrupted_training_ends_with_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::beside(&folder.path().join("lines.bundle"));
    let (learn, trunk) = (Lines { len: 48, seed: 1 }, shipped());
    let way =
        |resume, stop_after| Way { learn: &learn, trunk: &trunk, checkpoint: Some(&checkpoint), resume, stop_after };
    let mut settings = settings();
    // All that a checkpoint has to carry: moments of several groups, gradients of several batches.
    settings.two.layer_decay = 0.8;
    settings.two.accumulate = 2;
    let uninterrupted = whole(&settings);
    for (resume, stop_after) in [(false, 2), (true, 1)] {
        let stopped = go(&settings, &way(resume, stop_after)).unwrap_err();
        assert!(matches!(stopped, TrainError::Stopped), "{stopped}");
    }
    let resumed = go(&settings, &way(true, usize::MAX)).unwrap();
    assert_eq!(resumed.stage_two, uninterrupted.stage_two);
    assert_eq!(resumed.weights, uninterrupted.weights);
}

#[test]
fn a_damaged_checkpoint_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("lines.bundle");
    let checkpoint = Checkpoint::beside(&out);
    let (learn, trunk) = (Lines { len: 48, seed: 1 }, shipped());
    let way =
        |resume, stop_after| Way { learn: &learn, trunk: &trunk, checkpoint: Some(&checkpoint), resume, stop_after };
    go(&settings(), &way(false, 1)).unwrap_err();
    let file = folder.path().join("lines.bundle.partial");
    let sound = std::fs::read(&file).unwrap();
    for place in [3, 40, 120, sound.len() / 2, sound.len() - 1] {
        let mut damaged = sound.clone();
        damaged[place] ^= 1;
        for bytes in [&damaged[..], &sound[..place]] {
            std::fs::write(&file, bytes).unwrap();
            let refused = go(&settings(), &way(true, 1)).unwrap_err().to_string();
            assert!(refused.contains("damaged") && refused.contains("without `--resume`"), "byte {place}: {refused}");
        }
    }
    std::fs::write(&file, &sound).unwrap();
    let other = kaiming(&zoo::layers(), 5);
    let refused = go(&settings(), &Way { trunk: &other, ..way(true, 1) }).unwrap_err().to_string();
    assert!(refused.contains("trunk"), "{refused}");

    let claim = checkpoint.claim().unwrap();
    let refused = Checkpoint::beside(&out).claim().err().expect("claimed already").to_string();
    assert!(refused.contains("another training is at work"), "{refused}");
    drop(claim);
    checkpoint.claim().unwrap();
}

#[test]
fn only_the_last_layers_learn_when_asked_so() {
    let before = shipped();
    let mut settings = settings();
    // A head that has hardly begun, so that what comes after is better and is kept.
    settings.one.rate = 1e-5;
    settings.two.last_layers = Some(7);
    let after = whole(&settings).weights;
    let layers = zoo::layers();
    let (still, learning) = layers.split_at(layers.len() - 7);
    let moved = |name: &str| before.0[name] != after.0[name];
    for layer in still {
        assert!(!moved(&format!("{}.weight", layer.name)) && !moved(&format!("{}.bias", layer.name)), "{}", layer.name);
    }
    assert!(learning.iter().all(|layer| moved(&format!("{}.weight", layer.name))));
    // One convolution deep inside a block is where the seventh from the end lies.
    assert_eq!(learning[0].name, "blocks.9.project");
}

#[test]
fn layers_near_the_input_move_less_under_layer_decay() {
    let before = shipped();
    let distance = |after: &Weights, name: &str| {
        let pairs = before.0[name].data.iter().zip(&after.0[name].data);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    let mut settings = settings();
    // A head that has hardly begun, so that what comes after is better and is kept.
    settings.one.rate = 1e-5;
    let alike = whole(&settings).weights;
    settings.two.layer_decay = 0.5;
    let decayed = whole(&settings).weights;
    let ratio = |name: &str| distance(&decayed, name) / distance(&alike, name);
    // The first convolution is thirteen depths below the head, the last one is one.
    let (first, last) = (ratio("stem.weight"), ratio("last.weight"));
    assert!(first < 0.01 && last > 10.0 * first && last < 1.0, "{first}, {last}");
}

#[test]
fn patience_ends_a_training_that_gets_no_better() {
    let mut settings = settings();
    // At such a rate nothing gets better; without patience all ten steps are done.
    settings.two.schedule = Schedule::Piecewise { steps: vec![], rates: vec![0.05] };
    let looks = |patience| {
        let mut settings = settings.clone();
        settings.two.length = Length::Steps(40);
        settings.two.patience = patience;
        let (learn, trunk, select) = (Lines { len: 48, seed: 1 }, shipped(), Lines { len: 24, seed: 2 });
        let start = Start { trunk: &trunk, data_digest: "lines", checkpoint: None, resume: false };
        let mut losses = Vec::new();
        let trained = train(&settings, &start, &Data { learn: &learn, select: &select }, None, &mut |progress| {
            losses.extend(progress.selection.filter(|_| progress.stage == Stage::All).map(|score| score.mean_loss()));
            true
        });
        (losses, trained.unwrap())
    };
    let (all, _) = looks(None);
    let (some, trained) = looks(Some(2));
    assert_eq!(all.len(), 20);
    assert_eq!(some, all[..some.len()], "patience changes nothing but the end");
    let lowest = some.iter().copied().enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!(some.len(), lowest.0 + 1 + 2, "two looks after the lowest: {some:?}");
    assert!(some.len() < all.len(), "{all:?}");
    assert!(!trained.stage_one.beats(&trained.stage_two), "the best is kept");
}

/// Lines of which some image breaks the rules.
struct Broken {
    lines: Lines,
    weight: f32,
}

impl Samples for Broken {
    fn len(&self) -> usize {
        self.lines.len()
    }

    fn label(&self, index: usize) -> usize {
        self.lines.label(index)
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        Ok(Sample { weight: self.weight, ..self.lines.load(index)? })
    }

    fn name(&self, index: usize) -> String {
        self.lines.name(index)
    }
}

#[test]
fn a_training_that_failed_is_never_handed_out() {
    let trunk = shipped();
    let fails = |settings: &Settings, learn: &dyn Samples| {
        let way = Way { learn, trunk: &trunk, checkpoint: None, resume: false, stop_after: usize::MAX };
        go(settings, &way).expect_err("it must fail").to_string()
    };
    let lines = Lines { len: 48, seed: 1 };
    let poisoned = Broken { lines: Lines { len: 48, seed: 1 }, weight: f32::NAN };
    assert!(fails(&settings(), &poisoned).contains("diverged"));
    let mut wild = settings();
    wild.two.schedule = Schedule::Cosine { peak: 1e6 };
    assert!(fails(&wild, &lines).contains("diverged"));

    // Labels that have nothing to do with the images, learned by heart at a rate that leaves no doubt.
    let mut none = settings();
    (none.one.epochs, none.two.length) = (0, Length::Steps(0));
    let (learn, start) =
        (Lines { len: 48, seed: 1 }, Start { trunk: &trunk, data_digest: "", checkpoint: None, resume: false });
    let opposite = Swapped(Lines { len: 24, seed: 2 });
    none.one.epochs = 1;
    let data = Data { learn: &learn, select: &opposite };
    let message = train(&none, &start, &data, None, &mut |_| true).expect_err("nothing was learned").to_string();
    assert!(message.contains("learned nothing"), "{message}");

    let empty = Lines { len: 0, seed: 2 };
    let data = Data { learn: &learn, select: &empty };
    let message = train(&settings(), &start, &data, None, &mut |_| true).expect_err("nothing to choose by").to_string();
    assert!(message.contains("at least two images"), "{message}");
}

/// Lines with their labels swapped.
struct Swapped(Lines);

impl Samples for Swapped {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn label(&self, index: usize) -> usize {
        1 - self.0.label(index)
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        Ok(Sample { labels: vec![self.label(index)], ..self.0.load(index)? })
    }

    fn name(&self, index: usize) -> String {
        self.0.name(index)
    }
}

#[test]
fn weights_of_labels_reach_the_loss() {
    let (learn, trunk) = (Lines { len: 48, seed: 1 }, shipped());
    let weights = effective_number_weights(&[40, 8], 0.999).unwrap();
    assert!(weights[1] > 4.0 * weights[0]);
    let weighted = Reweighted { of: &learn, weights };
    let way = Way { learn: &weighted, trunk: &trunk, checkpoint: None, resume: false, stop_after: usize::MAX };
    assert_ne!(go(&settings(), &way).unwrap().weights, whole(&settings()).weights);
    assert_eq!(weighted.load(1).unwrap().weight, weighted.weights[1]);
}

/// Lines of which the label of each pixel is known.
struct Known(Lines);

impl Samples for Known {
    fn len(&self) -> usize {
        self.0.len
    }

    fn label(&self, index: usize) -> usize {
        self.0.label(index)
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        Ok(Sample { mask: Some(vec![self.label(index) as u8; SIDE * SIDE]), ..self.0.load(index)? })
    }

    fn name(&self, index: usize) -> String {
        self.0.name(index)
    }
}

#[test]
fn the_border_counts_as_taught_only_where_pixels_taught_the_cells() {
    let trunk = shipped();
    let untaught = |learn: &dyn Samples, cell_weight| {
        let mut settings = settings();
        settings.two.length = Length::Steps(0);
        settings.loss.cell_weight = cell_weight;
        let way = Way { learn, trunk: &trunk, checkpoint: None, resume: false, stop_after: usize::MAX };
        border::is_untaught(&go(&settings, &way).unwrap().weights)
    };
    let known = Known(Lines { len: 48, seed: 1 });
    assert!(untaught(&Lines { len: 48, seed: 1 }, 1.0), "only the pictures' labels are known");
    assert!(!untaught(&known, 1.0));
    assert!(untaught(&known, 0.0), "what is known was not used");
}
