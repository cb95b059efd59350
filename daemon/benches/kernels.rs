//! `make bench`: single calls of the hot path, each alone on one thread.
//!
//!     cargo bench -q --workspace --profile dev --bench kernels
//!
//! With `--instructions NAME COUNT` it makes one call so often and nothing else: under callgrind, two counts give the instructions of one call.

#![allow(clippy::print_stdout)] // a report for the person who runs it

mod figures;

use std::hint::black_box;
use std::time::Instant;

use figures::{Median, note};
use models::bundle::Bundle;
use models::image::{Image, PixelFormat, decode_into, decode_reduced_into, encode_jpeg};
use models::prediction::Model;
use models::predictor::Predictor;
use models::preprocess::Preprocess;
use models::runtime::SessionOptions;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const ROUNDS: usize = 60;

/// A call that was made ready.
type Call = Box<dyn FnMut()>;
/// A call by its name, and how it is made ready.
type Kernel = (&'static str, fn() -> Call);

/// What is measured, by name. Each makes ready what it needs and nothing else: under callgrind that counts, too.
const KERNELS: [Kernel; 7] = [
    ("read-5mp-once", read_once),
    ("resize-5mp-to-512", resize),
    ("preprocess-5mp-to-tensor", || preprocess(frame(2448, 2048))),
    ("preprocess-512-to-tensor", || preprocess(frame_of_model())),
    ("decode-jpeg-5mp", decode),
    ("decode-jpeg-5mp-reduced", decode_at_a_fraction),
    ("predict-512", predict),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` asks for a list of tests, of which there are none.
    if arguments.iter().any(|it| it == "--list" || it == "--test") {
        return;
    }
    if let [flag, name, count] = arguments.as_slice()
        && flag == "--instructions"
    {
        return repeated(name, count.parse().expect("a count"));
    }
    let mut calls = KERNELS.map(|(_, ready)| ready());
    // In turns, so that a machine that slows down slows all.
    let mut times = vec![Vec::with_capacity(ROUNDS); calls.len()];
    for round in 0..=ROUNDS {
        for (call, times) in calls.iter_mut().zip(&mut times) {
            let began = Instant::now();
            call();
            // The first is a warm-up.
            if round > 0 {
                times.push(began.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    for ((name, _), times) in KERNELS.iter().zip(&times) {
        note(&format!("kernels/{name}"), "ms", "less", Median::of(times));
    }
    let beside = |of: &str, one: &str| {
        let at = |wanted: &str| KERNELS.iter().position(|(name, _)| *name == wanted).expect("a kernel");
        let ratios: Vec<f64> = times[at(of)].iter().zip(&times[at(one)]).map(|(a, b)| a / b).collect();
        note(&format!("kernels/{of}-to-{one}"), "", "less", Median::of(&ratios));
    };
    beside("preprocess-5mp-to-tensor", "read-5mp-once");
    beside("decode-jpeg-5mp-reduced", "decode-jpeg-5mp");
}

fn repeated(name: &str, count: usize) {
    let Some((_, ready)) = KERNELS.iter().find(|(known, _)| *known == name) else {
        panic!("no kernel `{name}`: {:?}", KERNELS.map(|(name, _)| name));
    };
    let mut call = ready();
    (0..count).for_each(|_| call());
}

fn read_once() -> Call {
    let frame = frame(2448, 2048);
    Box::new(move || {
        black_box(frame.data.iter().fold(0_u8, |all, &byte| all ^ byte));
    })
}

fn resize() -> Call {
    let (frame, mut resized) = (frame(2448, 2048), Image::empty());
    Box::new(move || Preprocess::imagenet(512).fill_image(frame.view(), &mut resized))
}

fn preprocess(frame: Image) -> Call {
    let preprocess = Preprocess::imagenet(512);
    let mut tensor = vec![0.0; preprocess.tensor_len()];
    Box::new(move || preprocess.fill(frame.view(), &mut tensor))
}

fn jpeg() -> Vec<u8> {
    encode_jpeg(frame(2448, 2048).view(), 90).expect("a sane picture")
}

fn decode() -> Call {
    let (jpeg, mut whole) = (jpeg(), Image::empty());
    Box::new(move || decode_into(&jpeg, &mut whole).expect("a picture"))
}

fn decode_at_a_fraction() -> Call {
    let (jpeg, mut reduced) = (jpeg(), Image::empty());
    let enough = |[width, height]: [u32; 2]| width >= 512 && height >= 512;
    Box::new(move || {
        decode_reduced_into(&jpeg, enough, &mut reduced).expect("a picture");
    })
}

fn predict() -> Call {
    let (network, input) = network();
    Box::new(move || {
        black_box(network.predict(&input).expect("it runs"));
    })
}

/// Waves with a sensor's grain, in colour.
fn frame(width: u32, height: u32) -> Image {
    let mut grain = ChaCha8Rng::seed_from_u64(5);
    let mut data = Vec::with_capacity((width * height * 3) as usize);
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let level = 120.0 + 40.0 * (x as f32 / 300.0).sin() + 40.0 * (y as f32 / 200.0).cos();
        data.extend([0, 8, 16].map(|tint| (level as i32 + tint + grain.random_range(-2..=2)) as u8));
    }
    Image { width, height, format: PixelFormat::Rgb8, data }
}

fn frame_of_model() -> Image {
    frame(512, 512)
}

/// The shipped model on the processor with one thread, as the line has it.
fn network() -> (Predictor, Vec<f32>) {
    models::runtime::init(None).expect("ONNX Runtime is there: `make setup`");
    let bundle =
        Bundle::from_bytes(include_bytes!("../../models/weights/default.bundle")).expect("the shipped bundle is sound");
    let options = SessionOptions { threads: 1, ..SessionOptions::default() };
    let network = Predictor::load(bundle, &options).expect("it runs here");
    network.warm_up(1).expect("it runs here");
    let mut input = vec![0.0; network.preprocess().tensor_len()];
    network.preprocess().fill(frame_of_model().view(), &mut input);
    (network, input)
}
