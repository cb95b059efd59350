//! Images per second and processor time of a training step, forward and backward: `cargo run -p models-train --example throughput -- [CASE]...`, each CASE one of
//! `tail-256`, `tail-512` (the last three blocks and the head over cached feature maps of 16x16 and 32x32 cells, batch 32) and
//! `net-224` (all layers at 224 px, batch 16). All three by default.
//!
//! `throughput.py` beside it is the same in PyTorch; `make bench-train` runs the two in turns and prints the ratio.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use models::weights::kaiming;
use models::zoo::mobilenet_v3_small as zoo;
use models_train::fit::Workers;
use models_train::input::Batch;
use models_train::net::Net;
use rayon::prelude::*;

/// Seconds that are measured, after one step that is not.
const SECONDS: f64 = 4.0;
const LABELS: usize = 10;
/// The tail begins at this block.
const TAIL: usize = 8;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let workers = Workers::new(None).expect("threads");
    let mut weights = kaiming(&zoo::layers(), 1);
    weights.merge(models::heads::attention::init(LABELS, 2));
    let net = Net::from_weights(&weights, LABELS, &workers.device).expect("a whole network");
    for (name, images) in [("tail-256", 32), ("tail-512", 32), ("net-224", 16)] {
        if chosen.is_empty() || chosen.iter().any(|it| it == name) {
            let (rate, cpu_ms) = measure(&workers, &net, name, images);
            println!("{name} {rate:.1} {cpu_ms:.1}");
        }
    }
}

/// Images per second, and milliseconds of processor time per image, which other work on the machine disturbs less. A batch is
/// shared out over the threads, as in training; the optimiser's step is not measured.
fn measure(workers: &Workers, net: &Net, case: &str, images: usize) -> (f64, f64) {
    let threads = rayon::current_num_threads();
    let items: Vec<usize> = (0..images).collect();
    let step = || {
        items.par_chunks(images.div_ceil(threads)).for_each(|part| {
            let own = net.clone().fork(&workers.device);
            let loss = match case {
                "net-224" => whole(&own, 224, part.len(), &workers.device),
                "tail-256" => tail(&own, 16, part.len(), &workers.device),
                _ => tail(&own, 32, part.len(), &workers.device),
            };
            std::hint::black_box(loss.backward());
        });
    };
    step();
    let (started, before, mut steps) = (Instant::now(), processor_seconds(), 0);
    while started.elapsed().as_secs_f64() < SECONDS {
        step();
        steps += 1;
    }
    let images = (steps * images) as f64;
    (images / started.elapsed().as_secs_f64(), 1000.0 * (processor_seconds() - before) / images)
}

/// What all threads of this process have used so far: proc(5), `stat`, in ticks of 10 ms.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold spaces; utime and stime are the 12th and 13th fields behind it.
    let behind = stat.rsplit(')').next().unwrap_or_default();
    behind.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn whole(net: &Net, size: usize, images: usize, device: &Device) -> Tensor<1> {
    let tensor = vec![0.1; 3 * size * size];
    let mut batch = Batch::new(size, size);
    (0..images).for_each(|_| batch.push(&tensor));
    net.forward(&batch, device).logits.mean()
}

fn tail(net: &Net, side: usize, images: usize, device: &Device) -> Tensor<1> {
    let channels = zoo::BLOCKS[TAIL].input;
    let values = vec![0.1_f32; images * side * side * channels];
    let map = Tensor::from_data(TensorData::new(values, [images, side, side, channels]), device);
    net.head.forward(net.trunk.forward_from(TAIL, map)).logits.mean()
}
