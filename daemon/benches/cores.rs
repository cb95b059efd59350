//! `make bench`: how many cameras a machine bears. Measured: the line on one and on two workers, and how many parts the line itself could pass on
//! if looking at them took no time. From those a model says what more cores would do; a simulation with the measured times of the stages
//! checks it.
//!
//! The model: `c` cores bear `c / s` parts a second, `s` being the processor time of one part, as long as each line stays below its own
//! limit. A part waits as at `c` counters with one queue (Allen and Cunneen's approximation over Erlang's C): below four fifths of the
//! load hardly at all, beyond the whole without end. What it does not know is memory: more cores share its bandwidth and caches, which two
//! workers beside one show only in part.

#![allow(clippy::print_stdout)] // a report for the person who runs it

mod figures;
#[path = "pipeline/frames.rs"]
mod frames;
#[path = "pipeline/runs.rs"]
mod runs;

use figures::{Median, note};
use frames::Case;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use runs::Work;
use stages::line::Limits;

const PARTS: usize = 300;
const ROUNDS: usize = 5;
/// Parts a second of each camera.
const RATE: f64 = 10.0;
/// Share of all cores that lines may use: beyond, queues grow with every part that takes a little longer.
const LOAD: f64 = 0.8;
const SIMULATED: usize = 50_000;

fn main() {
    // `cargo test --benches` asks for a list of tests, of which there are none.
    if std::env::args().any(|it| it == "--list" || it == "--test") {
        return;
    }
    let with = |workers| Work {
        recipe: Case::Small.recipe(),
        frames: Case::Small.frames(),
        limits: Limits { workers, ..Limits::default() },
    };
    let (one, two) = (with(1), with(2));
    one.line(PARTS / 4, None);
    let rounds: Vec<_> = (0..ROUNDS).map(|_| (one.line(PARTS, None), two.line(PARTS, None))).collect();
    let of = |figure: &dyn Fn(usize) -> f64| Median::of(&(0..ROUNDS).map(figure).collect::<Vec<_>>());
    note("cores/one-worker", "parts/s", "more", of(&|at| rounds[at].0.parts_per_s));
    note("cores/two-workers", "parts/s", "more", of(&|at| rounds[at].1.parts_per_s));
    let gain = of(&|at| rounds[at].1.parts_per_s / rounds[at].0.parts_per_s);
    note("cores/two-to-one", "(two cores: 2 at most)", "more", gain);
    let own = of(&|_| one.line_alone(20_000));
    note("cores/line-itself", "parts/s", "more", own);

    // Of two workers: they have shared what more workers would share, too.
    let service = of(&|at| rounds[at].1.cpu_ms_per_part).value / 1000.0;
    let mut times = one.line(PARTS, Some(RATE)).latencies;
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    // Their spread at a pace, where no part waits for another, around the processor time of a part.
    times.iter_mut().for_each(|time| *time *= service / mean);
    let spread = times.iter().map(|time| (time / service - 1.0).powi(2)).sum::<f64>() / times.len() as f64;
    println!(
        "a part: {:.2} ms of processor time, squared variation {spread:.3}; each camera {RATE} parts/s",
        service * 1e3
    );
    println!("cores  cameras  load   mean wait: model, simulated (ms)   p99 of trigger to verdict, simulated (ms)");
    for cores in [1, 2, 4, 8, 16] {
        for share in [LOAD, 0.95, 1.1] {
            let cameras = (share * cores as f64 / (RATE * service)).floor().max(1.0) as usize;
            let model = mean_wait(cores, cameras as f64 * RATE, service, spread);
            let (wait, p99) = simulated(cores, cameras, &times);
            let model = model.map_or("without end".to_owned(), |wait| format!("{:.2}", wait * 1e3));
            let load = cameras as f64 * RATE * service / cores as f64;
            println!("{cores:>5}  {cameras:>7}  {load:.2}   {model:>11}, {:>8.2}   {:>8.1}", wait * 1e3, p99 * 1e3);
        }
    }
    let cameras = (LOAD * 16.0 / (RATE * service)).floor();
    note("cores/cameras-at-16-cores", "of 10 parts/s each, by the model", "more", Median::of(&[cameras]));
}

/// Seconds that a part waits for a core; none: the queue grows without end.
fn mean_wait(cores: usize, rate: f64, service: f64, spread: f64) -> Option<f64> {
    let offered = rate * service;
    let load = offered / cores as f64;
    if load >= 1.0 {
        return None;
    }
    // Erlang's B by its recursion, C from it.
    let blocked = (1..=cores).fold(1.0, |blocked, n| offered * blocked / (n as f64 + offered * blocked));
    let waits = blocked / (1.0 - load * (1.0 - blocked));
    // Cameras are periodic, but many of them with phases of their own come as if by chance.
    Some(waits * service / (cores as f64 * (1.0 - load)) * f64::midpoint(1.0, spread))
}

/// Mean wait for a core and p99 of wait and work, seconds: periodic cameras with phases by lot and a little jitter, one queue.
fn simulated(cores: usize, cameras: usize, times: &[f64]) -> (f64, f64) {
    let mut random = ChaCha8Rng::seed_from_u64(16);
    let period = 1.0 / RATE;
    let each = SIMULATED / cameras + 1;
    let mut arrivals: Vec<f64> = (0..cameras)
        .flat_map(|_| {
            let phase = random.random_range(0.0..period);
            (0..each).map(|nth| phase + (nth as f64 + random.random_range(-0.3..0.3)) * period).collect::<Vec<_>>()
        })
        .collect();
    arrivals.sort_by(f64::total_cmp);
    let mut free = vec![0.0_f64; cores];
    let (mut waits, mut totals) = (0.0, Vec::with_capacity(arrivals.len()));
    for arrival in arrivals {
        let next = (0..cores).min_by(|a, b| free[*a].total_cmp(&free[*b])).expect("a core");
        let begins = free[next].max(arrival);
        let takes = times[random.random_range(0..times.len())];
        free[next] = begins + takes;
        waits += begins - arrival;
        totals.push(begins + takes - arrival);
    }
    totals.sort_by(f64::total_cmp);
    (waits / totals.len() as f64, totals[(totals.len() - 1) * 99 / 100])
}
