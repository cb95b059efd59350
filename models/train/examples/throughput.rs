//! Images per second of a training step, all layers: `cargo run -p models-train --example throughput -- [size] [threads]`.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use models::weights::kaiming;
use models_train::input::Batch;
use models_train::net::Net;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<usize>().expect("a number"));
    let size = arguments.next().unwrap_or(256);
    let threads = arguments.next().unwrap_or(2);
    let images = arguments.next().unwrap_or(8);
    let device = Device::flex().autodiff();
    let mut weights = kaiming(&models::zoo::mobilenet_v3_small::layers(), 1);
    weights.merge(models::heads::attention::init(10, 2));
    let net = Net::from_weights(&weights, 10, &device).expect("a whole network");
    let work = |rounds: usize| {
        let net = net.clone().fork(&device);
        let tensor = vec![0.1; 3 * size * size];
        for _ in 0..rounds {
            let mut batch = Batch::new(size, size);
            (0..images).for_each(|_| batch.push(&tensor));
            let out = net.forward(&batch, &device);
            std::hint::black_box(out.logits.mean().backward());
        }
    };
    work(1);
    let rounds = 10;
    let start = Instant::now();
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(|| work(rounds)))));
    let seconds = start.elapsed().as_secs_f64();
    println!("{:.1} images/s at {size} px, {threads} threads", (threads * rounds * images) as f64 / seconds);
}
