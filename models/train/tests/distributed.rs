//! Several processes that learn together, played by threads: the same result as one, an error of one ends all, a lost one is noticed. The
//! real thing, under `mpirun`, is tried by `daemon/tests/distributed.rs`.

mod lines;
mod threads;

use std::path::Path;
use std::time::Duration;

use lines::{Lines, SHIPPED, SIDE};
use models::image::{Image, PixelFormat};
use models::preprocess::Preprocess;
use models::weights::{Weights, load_trunk};
use models_train::checkpoint::Checkpoint;
use models_train::choice::Choice;
use models_train::peers::Peers;
use models_train::progress::{Progress, Stage};
use models_train::samples::{Sample, Samples};
use models_train::stage_two::Length;
use models_train::{Data, Settings, Start, TrainError, Trained, pretrain, train};
use threads::{Fate, together};

/// More than any of these tests needs between two words; a lost process is waited for no longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How far weights may lie apart after the steps of these tests. One process adds up the same gradients in another order, in 64 bits: that
/// shows where such a sum was rounded on its way, which is next to never.
const CLOSE: f32 = 1e-6;

/// Ten steps of all layers after a short first stage, with batches that are cut into four parts.
fn settings() -> Settings {
    let mut settings = Settings::new(2, Preprocess::imagenet(SIDE as u32));
    settings.threads = Some(1);
    settings.one.epochs = 1;
    settings.two.length = Length::Steps(10);
    settings.two.look_every = Some(5);
    // What is compared are the weights after all steps, whichever the selection set would have kept.
    settings.choice = Choice::Last;
    settings
}

/// What a training gives on one of several processes.
fn learn(
    settings: &Settings,
    (peers, samples): (Peers, &dyn Samples),
    (checkpoint, resume): (Option<&Checkpoint>, bool),
    observe: &mut dyn FnMut(&Progress) -> bool,
) -> Result<Trained, TrainError> {
    let settings = Settings { peers: peers.clone(), ..settings.clone() };
    let weights = load_trunk(Path::new(SHIPPED)).expect("the shipped bundle is in the tree");
    let checkpoint = checkpoint.filter(|_| peers.is_first());
    let start = Start { trunk: &weights, data_digest: "lines", checkpoint, resume: resume && peers.is_first() };
    let select = Lines { len: 24, seed: 2 };
    let trained = train(&settings, &start, &Data { learn: samples, select: &select }, None, observe);
    match trained {
        Ok(trained) => peers.close(None).map(|()| trained),
        Err(error) => Err(peers.close(Some(error)).expect_err("it is told what it said")),
    }
}

fn lines() -> Lines {
    Lines { len: 96, seed: 1 }
}

fn undisturbed(settings: &Settings, ranks: usize) -> Vec<Trained> {
    let run = |peers: Peers| learn(settings, (peers, &lines()), (None, false), &mut |_| true);
    together(ranks, PATIENCE, |_| Fate::Lives, run).into_iter().map(|trained| trained.expect("it learns")).collect()
}

/// The largest difference of a weight.
fn apart(a: &Weights, b: &Weights) -> f32 {
    assert!(a.0.keys().eq(b.0.keys()), "the same tensors");
    let pairs = a.0.iter().flat_map(|(name, tensor)| tensor.data.iter().zip(&b.0[name].data));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn two_and_three_learn_what_one_learns() {
    let alone = learn(&settings(), (Peers::default(), &lines()), (None, false), &mut |_| true).expect("it learns");
    for ranks in [2, 3] {
        let all = undisturbed(&settings(), ranks);
        for one in &all {
            assert!(one.weights == all[0].weights, "the same bits on all {ranks}");
        }
        let off = apart(&alone.weights, &all[0].weights);
        assert!(off < CLOSE, "{ranks} processes are {off} from one");
        assert_eq!((all[0].stage_one.count, all[0].stage_two.count), (24, 24), "each selection image counted once");
    }
}

/// The head's stage alone, hard images drawn again: what is noted of them comes from all processes.
#[test]
fn hard_images_are_the_same_for_all() {
    let mut settings = settings();
    settings.boost = 0.5;
    settings.two.length = Length::Steps(0);
    let alone = learn(&settings, (Peers::default(), &lines()), (None, false), &mut |_| true).expect("it learns");
    let all = undisturbed(&settings, 3);
    assert!(all.iter().all(|one| one.weights == all[0].weights), "the same bits");
    let off = apart(&alone.weights, &all[0].weights);
    assert!(off < CLOSE, "{off}");
}

/// Stripes of a pitch and a direction of their own, which even ten steps tell apart better than a guess.
struct Pitches;

impl Samples for Pitches {
    fn len(&self) -> usize {
        24
    }

    fn label(&self, _: usize) -> usize {
        0
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        let pixel = |at: usize| {
            let (x, y) = (at % SIDE, at / SIDE);
            let along = if index.is_multiple_of(2) { x + index * y / 9 } else { y + index * x / 9 };
            (90 + 60 * ((along / (3 + index % 7)) % 2) + (at * 7919 + index * 31) % 17) as u8
        };
        let data = (0..SIDE * SIDE).map(pixel).collect();
        let image = Image { width: SIDE as u32, height: SIDE as u32, format: PixelFormat::Mono8, data };
        Ok(Sample { image, labels: vec![0], weight: 1.0, mask: None })
    }

    fn name(&self, index: usize) -> String {
        format!("stripes {index}")
    }
}

#[test]
fn pretraining_on_two_and_three_is_that_on_one() {
    let trunk = load_trunk(Path::new(SHIPPED)).expect("the shipped bundle is in the tree");
    let preprocess = Preprocess::imagenet(SIDE as u32);
    // 24 views a step, in three parts, for ten steps.
    let settings = pretrain::Settings { threads: Some(1), batch: 12, rounds: 5, ..pretrain::Settings::new(preprocess) };
    let run = |peers: Peers| {
        let settings = pretrain::Settings { peers: peers.clone(), ..settings.clone() };
        let start = Start { trunk: &trunk, data_digest: "lines", checkpoint: None, resume: false };
        let learned = pretrain::run(&settings, &start, &Pitches, &mut |_| true);
        peers.close(None).expect("all end well");
        learned.expect("it learns")
    };
    let alone = run(Peers::default());
    assert_eq!(alone.steps, 10);
    assert!(apart(&alone.trunk, &trunk) > 1000.0 * CLOSE, "it has learned something");
    for ranks in [2, 3] {
        let all = together(ranks, PATIENCE, |_| Fate::Lives, run);
        assert!(all.iter().all(|one| one.trunk == all[0].trunk && one.loss == all[0].loss), "the same bits");
        let off = apart(&alone.trunk, &all[0].trunk);
        assert!(off < CLOSE, "{ranks} processes are {off} from one");
        assert!((alone.loss / all[0].loss - 1.0).abs() < 1e-3, "{} and {}", alone.loss, all[0].loss);
    }
}

/// A stop between two looks reaches the first process alone; it keeps its checkpoint, and all end.
#[test]
fn a_pretraining_that_is_stopped_between_looks_keeps_its_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = Checkpoint::beside(&folder.path().join("line.trunk.onnx"));
    let trunk = load_trunk(Path::new(SHIPPED)).expect("the shipped bundle is in the tree");
    let preprocess = Preprocess::imagenet(SIDE as u32);
    let settings = pretrain::Settings { threads: Some(1), batch: 12, rounds: 5, ..pretrain::Settings::new(preprocess) };
    let errors = together(
        2,
        PATIENCE,
        |_| Fate::Lives,
        |peers: Peers| {
            let settings = pretrain::Settings { peers: peers.clone(), ..settings.clone() };
            let own = Some(&checkpoint).filter(|_| peers.is_first());
            let start = Start { trunk: &trunk, data_digest: "lines", checkpoint: own, resume: false };
            let observe = &mut |progress: &Progress| !(own.is_some() && progress.step == 3);
            let error = pretrain::run(&settings, &start, &Pitches, observe).expect_err("it was stopped");
            peers.close(Some(error)).expect_err("it is told what it said")
        },
    );
    assert!(errors.iter().all(|error| matches!(error, TrainError::Stopped)), "{errors:?}");
    assert!(checkpoint.exists());
}

/// A time limit is that of one clock: no process sees another rate, or another end.
#[test]
fn one_clock_counts() {
    let mut settings = settings();
    settings.two.length = Length::Steps(100_000);
    settings.two.patience = None;
    settings.limit = Some(Duration::from_secs(6));
    // On a busy machine six seconds may teach nothing: an end as good as any other, if it is that of both.
    let run = |peers: Peers| {
        let trained = learn(&settings, (peers, &lines()), (None, false), &mut |_| true);
        trained.map(|trained| trained.weights).map_err(|error| error.to_string())
    };
    let all = together(2, PATIENCE, |_| Fate::Lives, run);
    assert!(all[0] == all[1], "the same bits, or the same words");
}

/// Lines; with `true` the second half of them cannot be loaded, so that every share has some of them.
struct Damaged(bool);

impl Samples for Damaged {
    fn len(&self) -> usize {
        lines().len()
    }

    fn label(&self, index: usize) -> usize {
        lines().label(index)
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        match self.0 && index >= self.len() / 2 {
            true => Err(TrainError::Data(format!("line {index} is torn"))),
            false => lines().load(index),
        }
    }

    fn name(&self, index: usize) -> String {
        lines().name(index)
    }
}

#[test]
fn an_image_that_one_cannot_load_ends_all_with_that_error() {
    let run = |peers: Peers| {
        let samples = Damaged(peers.rank() == 1);
        learn(&settings(), (peers, &samples), (None, false), &mut |_| true).expect_err("it cannot be learned from")
    };
    let errors = together(3, PATIENCE, |_| Fate::Lives, run);
    for (rank, error) in errors.iter().enumerate() {
        assert!(error.to_string().contains("is torn"), "{rank}: {error}");
        assert_eq!(matches!(error, TrainError::Peer { rank: 1, .. }), rank != 1, "{rank}: {error}");
    }
}

#[test]
fn other_data_on_one_is_refused_at_the_start() {
    let run = |peers: Peers| {
        let samples = Lines { len: if peers.rank() == 1 { 94 } else { 96 }, seed: 1 };
        learn(&settings(), (peers, &samples), (None, false), &mut |_| true).expect_err("they differ").to_string()
    };
    for error in together(2, PATIENCE, |_| Fate::Lives, run) {
        assert!(error.contains("process 1") && error.contains("data and settings"), "{error}");
    }
}

#[test]
fn who_is_lost_ends_the_others_who_go_on_from_the_checkpoint_on_any_number() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = Checkpoint::beside(&folder.path().join("lines.bundle"));
    let whole = undisturbed(&settings(), 2);
    let saved = || learn_from(&checkpoint, false, Duration::from_secs(5), Fate::Dies { after_sums: 248 });
    let errors: Vec<String> = saved().into_iter().map(|ended| ended.expect_err("one is lost").to_string()).collect();
    assert!(errors[0].contains("lost at step 8 of all layers") && errors[0].contains("--resume"), "{}", errors[0]);

    let kept = std::fs::read(folder.path().join("lines.bundle.partial")).expect("a checkpoint");
    let two = learn_from(&checkpoint, true, PATIENCE, Fate::Lives);
    let two = two.into_iter().map(|ended| ended.expect("it goes on")).collect::<Vec<_>>();
    assert!(two.iter().all(|one| one.weights == whole[0].weights), "the same bits on as many");

    std::fs::write(folder.path().join("lines.bundle.partial"), kept).expect("written");
    let one = learn(&settings(), (Peers::default(), &lines()), (Some(&checkpoint), true), &mut |_| true);
    let off = apart(&one.expect("it goes on").weights, &whole[0].weights);
    assert!(off < CLOSE, "{off}");
}

/// Two processes with a checkpoint; the second one has this fate.
fn learn_from(
    checkpoint: &Checkpoint,
    resume: bool,
    patience: Duration,
    fate: Fate,
) -> Vec<Result<Trained, TrainError>> {
    let run = |peers: Peers| learn(&settings(), (peers, &lines()), (Some(checkpoint), resume), &mut |_| true);
    together(2, patience, |rank| if rank == 1 { fate } else { Fate::Lives }, run)
}

/// The first process alone is asked to stop, and all stop.
#[test]
fn a_stop_of_the_first_stops_all() {
    let run = |peers: Peers| {
        let first = peers.is_first();
        let observe = &mut |progress: &Progress| !(first && progress.stage == Stage::All && progress.step >= 3);
        learn(&settings(), (peers, &lines()), (None, false), observe).expect_err("it was stopped")
    };
    let errors = together(3, PATIENCE, |_| Fate::Lives, run);
    assert!(errors.iter().all(|error| matches!(error, TrainError::Stopped)), "{errors:?}");
}
