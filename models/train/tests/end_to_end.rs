//! A whole training on generated images, small enough for every test run.

mod lines;

use std::path::Path;

use burn::tensor::Device;
use lines::{Lines, SHIPPED, SIDE};
use models::bundle::{Bundle, Provenance};
use models::predictor::Predictor;
use models::preprocess::Preprocess;
use models::runtime::SessionOptions;
use models::weights::load_trunk;
use models_train::checkpoint::Checkpoint;
use models_train::choice::Choice;
use models_train::export::{self, Ingredients};
use models_train::input::Batch;
use models_train::loss::Score;
use models_train::net::Trunk;
use models_train::progress::Stage;
use models_train::samples::{Class, Sample, Samples};
use models_train::stage_two::{Length, distance};
use models_train::{Data, Settings, Start, TrainError, Trained, evaluate, train, trunk};

fn classes() -> Vec<Class> {
    vec![Class::named("good"), Class::named("scratch")]
}

fn settings() -> Settings {
    let mut settings = Settings::new(2, Preprocess::imagenet(SIDE as u32));
    settings.threads = Some(2);
    settings.one.epochs = 6;
    settings.two.length = Length::Rounds(3);
    settings
}

fn run(
    settings: &Settings,
    checkpoint: Option<&Checkpoint>,
    resume: bool,
    stop_after: usize,
) -> Result<Trained, TrainError> {
    run_with(settings, &Lines { len: 40, seed: 2 }, checkpoint, resume, stop_after)
}

/// The same with another selection set.
fn run_with(
    settings: &Settings,
    select: &dyn Samples,
    checkpoint: Option<&Checkpoint>,
    resume: bool,
    stop_after: usize,
) -> Result<Trained, TrainError> {
    let learn = Lines { len: 160, seed: 1 };
    let weights = load_trunk(Path::new(SHIPPED)).expect("the shipped bundle is in the tree");
    let start = Start { trunk: &weights, data_digest: "lines", checkpoint, resume };
    let mut looks = 0;
    train(settings, &start, &Data { learn: &learn, select }, None, &mut |progress| {
        looks += usize::from(progress.stage == Stage::All && progress.selection.is_some());
        looks < stop_after
    })
}

fn bundle(trained: &Trained) -> Bundle {
    let ingredients = Ingredients {
        name: "lines".into(),
        classes: &classes(),
        frozen: None,
        views: &[],
        preprocess: &Preprocess::imagenet(SIDE as u32),
        provenance: Provenance { licences: trunk::torchvision_licences(), ..Provenance::default() },
        select: &Lines { len: 40, seed: 2 },
        aim: None,
        story: "A test.".into(),
    };
    export::bundle(&trained.weights, ingredients).expect("a sound network").0
}

/// Share of images of a set never seen that the bundle, gone through a file, gets right.
fn accuracy(mut bundle: Bundle, folder: &Path) -> f64 {
    let path = folder.join("lines.bundle");
    bundle.save(&path).expect("the folder takes it");
    let predictor = Predictor::load(Bundle::open(&path).expect("just written"), &SessionOptions::default())
        .expect("it reproduces its scores");
    evaluate(&predictor, &Lines { len: 100, seed: 3 }, Some(2)).expect("readable samples").accuracy
}

#[test]
fn a_training_learns_what_the_class_prior_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let trained = run(&settings(), None, false, usize::MAX).unwrap();
    assert!(!trained.stage_one.beats(&trained.stage_two), "stage two must not end worse");
    let bundle = bundle(&trained);
    assert_eq!(bundle.expectations.len(), Bundle::EXPECTATIONS);
    assert!(bundle.model_card.as_ref().is_some_and(|card| card.contains("BSD-3-Clause")));
    let certificate = bundle.certificate.as_ref().expect("every training leaves one");
    assert_eq!((certificate.agreement.images, certificate.agreement.flips), (40, 0));
    let accuracy = accuracy(bundle, folder.path());
    // Always saying one class is right half of the time.
    assert!(accuracy >= 0.9, "accuracy {accuracy}");
}

/// How far the trunk's features of images never learned from have moved from those that it started with.
fn moved(trained: &Trained) -> f32 {
    let device = Device::flex();
    let mut batch = Batch::new(SIDE, SIDE);
    let images = Lines { len: 8, seed: 4 };
    for index in 0..images.len {
        let image = images.load(index).expect("drawn").image;
        let preprocess = Preprocess::imagenet(SIDE as u32);
        let mut tensor = vec![0.0; preprocess.tensor_len()];
        preprocess.fill(image.view(), &mut tensor);
        batch.push(&tensor);
    }
    let features = |weights| Trunk::load(weights, &device).expect("a whole trunk").forward(&batch, &device);
    let start = load_trunk(Path::new(SHIPPED)).expect("the shipped bundle is in the tree");
    distance(features(&trained.weights), features(&start)).into_scalar()
}

#[test]
fn distillation_holds_the_trunk_to_its_features() {
    let trained = |distill| {
        let mut settings = settings();
        settings.two.distill = distill;
        run(&settings, None, false, usize::MAX).unwrap()
    };
    let (free, held) = (trained(0.0), trained(30.0));
    assert!(held.stage_two.accuracy() >= 0.9, "it still learns: {:?}", held.stage_two);
    assert!(moved(&held) < 0.3 * moved(&free), "{} against {}", moved(&held), moved(&free));
}

#[test]
fn an_interrupted_training_goes_on_to_a_valid_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::beside(&folder.path().join("lines.bundle"));
    let nothing = run(&settings(), Some(&checkpoint), true, usize::MAX).unwrap_err().to_string();
    assert!(nothing.contains("nothing to resume"), "{nothing}");

    let stopped = run(&settings(), Some(&checkpoint), false, 1).unwrap_err();
    assert!(matches!(stopped, TrainError::Stopped), "{stopped}");
    let mut other = settings();
    other.seed = 2;
    let refused = run(&other, Some(&checkpoint), true, usize::MAX).unwrap_err().to_string();
    assert!(refused.contains("belongs to a training with other"), "{refused}");

    let trained = run(&settings(), Some(&checkpoint), true, usize::MAX).unwrap();
    assert!(trained.stage_one != Score::default(), "the score of stage one comes from the checkpoint");
    assert!(!trained.stage_one.beats(&trained.stage_two));
    assert!(accuracy(bundle(&trained), folder.path()) >= 0.9);
    checkpoint.remove();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only the bundle is left");
}

/// With a boost the batches follow from the losses seen so far, and no seed draws them again.
#[test]
fn hard_examples_are_learned_from_more_often_and_remembered_over_an_interruption() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::beside(&folder.path().join("lines.bundle"));
    let mut settings = settings();
    settings.boost = 0.5;
    settings.one.epochs = 2;
    settings.two.length = Length::Steps(8);
    settings.two.look_every = Some(4);
    let whole = run(&settings, None, false, usize::MAX).unwrap();
    assert!(matches!(run(&settings, Some(&checkpoint), false, 1), Err(TrainError::Stopped)));
    let resumed = run(&settings, Some(&checkpoint), true, usize::MAX).unwrap();
    assert_eq!((resumed.stage_two, &resumed.weights), (whole.stage_two, &whole.weights));
    settings.boost = 0.0;
    let plain = run(&settings, None, false, usize::MAX).unwrap();
    assert_ne!(plain.weights, whole.weights, "a boost draws other batches");
}

/// Samples under the other's label: a judge that is always wrong.
struct Crossed(Lines);

impl Samples for Crossed {
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

/// What a selection set that cannot tell says changes nothing: neither which network is kept nor when training ends.
#[test]
fn the_last_network_is_the_same_whatever_the_selection_set_and_after_an_interruption() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = Checkpoint::beside(&folder.path().join("lines.bundle"));
    let mut settings = settings();
    settings.choice = Choice::Last;
    settings.two.length = Length::Steps(12);
    settings.two.look_every = Some(2);
    let (some, others) = (Lines { len: 40, seed: 2 }, Crossed(Lines { len: 6, seed: 7 }));
    let whole = run_with(&settings, &some, None, false, usize::MAX).unwrap();
    settings.two.patience = Some(1);
    let by_others = run_with(&settings, &others, None, false, usize::MAX).unwrap();
    assert!(by_others.weights == whole.weights, "a judge that is always wrong changes nothing");
    assert!(matches!(run_with(&settings, &some, Some(&checkpoint), false, 3), Err(TrainError::Stopped)));
    let resumed = run_with(&settings, &some, Some(&checkpoint), true, usize::MAX).unwrap();
    assert!(resumed.stage_two == whole.stage_two && resumed.weights == whole.weights, "nor does an interruption");
    settings.two.length = Length::Steps(0);
    let few = Lines { len: 6, seed: 7 };
    let [head, same] = [&some, &few].map(|select| run_with(&settings, select, None, false, usize::MAX).unwrap());
    assert!(head.weights == same.weights, "nor does it choose the head");
    settings.choice = Choice::Best;
    settings.two.length = Length::Steps(12);
    let refused = run_with(&settings, &others, None, false, usize::MAX).unwrap_err().to_string();
    assert!(refused.contains("learned nothing"), "where it does choose, it is believed: {refused}");
}

#[test]
fn trainings_that_cannot_be_are_refused_before_they_start() {
    let message = |settings: &Settings| run(settings, None, false, usize::MAX).unwrap_err().to_string();
    let mut odd = settings();
    odd.preprocess = Preprocess::imagenet(100);
    assert!(message(&odd).contains("multiple of 32"));
    let mut three = settings();
    three.classes = 3;
    assert!(message(&three).contains("label number 2 has no sample"));
    let mut wild = settings();
    wild.one.rate = 1e12;
    assert!(message(&wild).contains("diverged"), "{}", message(&wild));
}
