//! Mixed precision on the processor, by the same casts and the same factor on the loss as on a GPU: what its steps do beside those in 32 bits.

mod lines;

use std::path::Path;

use burn::optim::SgdConfig;
use lines::{Lines, SHIPPED, SIDE};
use models::heads::attention;
use models::preprocess::Preprocess;
use models::weights::{Weights, load_trunk};
use models_train::batch::Prepare;
use models_train::fit::Workers;
use models_train::loss::Loss;
use models_train::mixed::Precision;
use models_train::net::Net;
use models_train::stage_two::Length;
use models_train::{Data, Settings, Start, train};

fn begun() -> Weights {
    let mut weights = load_trunk(Path::new(SHIPPED)).expect("the shipped bundle is in the tree");
    weights.merge(attention::init(2, 5));
    weights
}

fn workers(precision: Precision) -> Workers {
    Workers::new(Some(2)).expect("threads").in_precision(precision)
}

/// By how much a step of plain descent at rate 1 moves the trunk's blocks from `before`, with the trunk computing in `trunk` and a loss of
/// `times` its usual size.
fn moved(workers: &Workers, before: &Weights, trunk: Precision, times: f32) -> Vec<f64> {
    let samples = Lines { len: 4, seed: 1 };
    let preprocess = Preprocess::imagenet(SIDE as u32);
    let prepare = Prepare { samples: &samples, classes: 2, preprocess: &preprocess, augment: None, seed: 0 };
    let net = Net::from_weights(before, 2, &workers.device).expect("whole");
    let mut optimizer = SgdConfig::new().init();
    let tickets: Vec<(u64, usize)> = (0..4).map(|index| (0, index)).collect();
    let learn = |net: &Net, part: &[(u64, usize)]| {
        let (batch, targets) = prepare.batch(part)?;
        let map = net.trunk.forward_in(trunk, &batch, &workers.device);
        let (loss, score) = Loss::default().of(net.head.forward(map), &targets, 4.0, &workers.device);
        Ok((loss * times, score))
    };
    let rate = 1.0 / f64::from(times);
    let (net, _) = workers.step(net, &mut optimizer, rate, (&tickets, 2), learn).expect("a step");
    let after = net.to_weights();
    let trunk = before.0.iter().filter(|(name, _)| name.starts_with("blocks."));
    trunk
        .flat_map(|(name, was)| was.data.iter().zip(&after.0[name].data).map(|(was, is)| f64::from(was - is)))
        .collect()
}

/// The distance of two movements as a share of the first.
fn off(wanted: &[f64], got: &[f64]) -> f64 {
    let sum = |values: &mut dyn Iterator<Item = f64>| values.map(|it| it * it).sum::<f64>().sqrt();
    sum(&mut wanted.iter().zip(got).map(|(wanted, got)| wanted - got)) / sum(&mut wanted.iter().copied())
}

#[test]
fn a_step_moves_the_trunk_as_in_full_precision_also_where_16_bits_alone_lose_the_gradient() {
    let (full, mixed) = (workers(Precision::Full), workers(Precision::Mixed));
    let before = begun();
    let wanted = moved(&full, &before, Precision::Full, 1.0);
    // What rounding alone does: the weights have 11 bits, and all is computed with 24.
    let mut rounded = before.clone();
    let numbers = rounded.0.values_mut().flat_map(|tensor| &mut tensor.data);
    numbers.for_each(|number| *number = half::f16::from_f32(*number).to_f32());
    let rounding = off(&wanted, &moved(&full, &rounded, Precision::Full, 1.0));
    let plain = off(&wanted, &moved(&mixed, &before, Precision::Mixed, 1.0));
    // A loss so small that its gradients are below the smallest of 16 bits.
    let small = off(&wanted, &moved(&mixed, &before, Precision::Mixed, 1e-5));
    let unscaled = off(&wanted, &moved(&full, &before, Precision::Mixed, 1e-5));
    println!(
        "off from full precision: {plain:.4} (by rounded weights {rounding:.4}), small loss {small:.4}, without the factor {unscaled:.4}"
    );
    assert!(plain.max(small) < 2.0 * rounding, "{plain} {small}");
    assert!(unscaled > 0.2, "{unscaled}: the factor is not what saves it");
}

#[test]
fn a_step_that_overflows_is_left_out_and_the_next_ones_find_a_smaller_factor() {
    let mixed = workers(Precision::Mixed);
    let before = begun();
    let wanted = moved(&workers(Precision::Mixed), &before, Precision::Mixed, 1.0);
    // With the first factor, 65,536, these gradients are beyond 16 bits.
    let first = moved(&mixed, &before, Precision::Mixed, 1e4);
    assert!(first.iter().all(|it| *it == 0.0), "it moved by what overflowed");
    let mut left_out = 1;
    let found = loop {
        let found = moved(&mixed, &before, Precision::Mixed, 1e4);
        if found.iter().any(|it| *it != 0.0) {
            break found;
        }
        left_out += 1;
        assert!(left_out < 30, "no factor is found");
    };
    println!("{left_out} steps left out; then off by {:.4}", off(&wanted, &found));
    assert!(off(&wanted, &found) < 0.05);
}

#[test]
fn a_training_in_mixed_precision_learns() {
    let weights = load_trunk(Path::new(SHIPPED)).expect("the shipped bundle is in the tree");
    let start = Start { trunk: &weights, data_digest: "lines", checkpoint: None, resume: false };
    let (learn, select) = (Lines { len: 40, seed: 1 }, Lines { len: 20, seed: 2 });
    let mut settings = Settings::new(2, Preprocess::imagenet(SIDE as u32));
    settings.threads = Some(2);
    settings.precision = Precision::Mixed;
    // The head is not taught before, so that what is learned is learned in 16 bits.
    settings.one.epochs = 0;
    settings.two.length = Length::Steps(12);
    settings.two.batch = 16;
    let trained =
        train(&settings, &start, &Data { learn: &learn, select: &select }, None, &mut |_| true).expect("it learns");
    println!("{} of {} right", trained.stage_two.right, trained.stage_two.count);
    assert!(trained.stage_two.accuracy() >= 0.8, "{:?}", trained.stage_two);
    assert_ne!(trained.weights.0["blocks.5.project.weight"], weights.0["blocks.5.project.weight"]);
}
