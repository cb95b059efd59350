//! `make bench`: what the line costs beside a bare loop of the same calls.
//!
//! Both inspect the same frames, drawn beforehand, with the same stages, the same number of threads and the same share of
//! pictures kept. The bare loop has no queue, no keeper, no deadline, no journal: each thread takes the next frame and
//! calls one stage after the other. Runs alternate, so that a machine that slows down slows both.
//!
//!     cargo bench -q --workspace --profile dev --bench pipeline -- [--pairs N] [--parts N] [CASE...]
//!
//! Cases: `raw-512`, `raw-5mp`, `jpeg-5mp`, `jpeg-5mp-reduced`; without one, all. For who puts something else beside it: `--line-only CASE` runs
//! the line once and prints JSON, `--write FOLDER CASE` writes the pictures (JPEG files, or raw ones for NumPy).

#![allow(clippy::print_stdout)] // a report for the person who runs it

#[path = "../figures/mod.rs"]
mod figures;
mod frames;
mod runs;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use figures::{Median, note};
use frames::Case;
use runs::{Run, Work};
use serde_json::json;
use stages::frame::{Content, Frame};
use stages::line::Limits;

const PACED_PARTS: usize = 200;
const PACE: f64 = 10.0;

struct Wishes {
    pairs: usize,
    parts: usize,
    cases: Vec<(&'static str, Case)>,
    line_only: bool,
    write: Option<PathBuf>,
}

fn main() {
    let wishes = wishes();
    for (name, case) in &wishes.cases {
        if let Some(folder) = &wishes.write {
            write(folder, &case.frames());
            continue;
        }
        let began = Instant::now();
        let recipe = case.recipe();
        let startup = began.elapsed();
        let work = Work { recipe, frames: case.frames(), limits: Limits::default() };
        if wishes.line_only {
            alone(name, &work, wishes.parts, startup);
            continue;
        }
        let bytes = work.frames.iter().map(|frame| frame.bytes().len()).sum::<usize>() / work.frames.len();
        println!(
            "{name}: {} parts a run, {} kB a picture, {} threads, {} provider",
            wishes.parts,
            bytes / 1000,
            work.limits.worker_threads(),
            work.recipe.model.provider()
        );
        beside(name, &work, &wishes);
        if *case == Case::Small {
            paced(name, &work);
        }
    }
}

/// What cargo and the person say.
fn wishes() -> Wishes {
    let mut wishes = Wishes { pairs: 9, parts: 400, cases: Vec::new(), line_only: false, write: None };
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        match word.as_str() {
            "--pairs" => wishes.pairs = number(words.next()),
            "--parts" => wishes.parts = number(words.next()),
            "--line-only" => wishes.line_only = true,
            "--write" => wishes.write = Some(words.next().expect("`--write` wants a folder").into()),
            name => {
                let case = Case::ALL.into_iter().find(|(known, _)| *known == name);
                wishes.cases.push(case.unwrap_or_else(|| panic!("no case `{name}`: {:?}", Case::ALL.map(|it| it.0))));
            }
        }
    }
    if wishes.cases.is_empty() {
        wishes.cases = Case::ALL.to_vec();
    }
    wishes
}

fn number(word: Option<String>) -> usize {
    word.and_then(|word| word.parse().ok())
        .filter(|&number| number > 0)
        .expect("a number above 0 after `--pairs` and `--parts`")
}

/// Pairs of runs, in turns.
fn beside(name: &str, work: &Work, wishes: &Wishes) {
    // Warm-up of both: sessions, page cache, frequency.
    work.line(wishes.parts / 4 + 1, None);
    work.bare(wishes.parts / 4 + 1, None);
    let pairs: Vec<(Run, Run)> = (0..wishes.pairs)
        .map(|pair| {
            if pair % 2 == 0 {
                let line = work.line(wishes.parts, None);
                (work.bare(wishes.parts, None), line)
            } else {
                let bare = work.bare(wishes.parts, None);
                (bare, work.line(wishes.parts, None))
            }
        })
        .collect();
    for (bare, line) in &pairs {
        assert_eq!(line.kept, bare.kept, "pictures kept: the two do not do the same work");
    }
    let of = |figure: fn(&(Run, Run)) -> f64| Median::of(&pairs.iter().map(figure).collect::<Vec<_>>());
    note(&format!("{name}/line"), "parts/s", "more", of(|(_, line)| line.parts_per_s));
    note(&format!("{name}/bare"), "parts/s", "more", of(|(bare, _)| bare.parts_per_s));
    note(&format!("{name}/line-cpu"), "ms a part", "less", of(|(_, line)| line.cpu_ms_per_part));
    note(&format!("{name}/bare-cpu"), "ms a part", "less", of(|(bare, _)| bare.cpu_ms_per_part));
    let ratio = of(|(bare, line)| line.parts_per_s / bare.parts_per_s);
    note(&format!("{name}/line-to-bare"), "(wanted: >= 0.97)", "more", ratio);
    let ratio = of(|(bare, line)| bare.cpu_ms_per_part / line.cpu_ms_per_part);
    note(&format!("{name}/bare-cpu-to-line-cpu"), "", "more", ratio);
}

/// One part after the other, at a pace: what the line adds to each.
fn paced(name: &str, work: &Work) {
    let (bare, line) = (work.bare(PACED_PARTS, Some(PACE)).latencies, work.line(PACED_PARTS, Some(PACE)).latencies);
    for (word, share) in [("p50", 0.50), ("p99", 0.99)] {
        let (bare, line) = (quantile(&bare, share), quantile(&line, share));
        println!("at {PACE} parts/s, {word}: bare {bare:.2} ms, line {line:.2} ms");
        note(&format!("{name}/added-{word}"), "ms (wanted: <= 1)", "less", Median::of(&[line - bare]));
    }
}

/// `startup`: what it took to load the model, verify it and warm it up.
fn alone(name: &str, work: &Work, parts: usize, startup: Duration) {
    work.line(parts / 4 + 1, None);
    let run = work.line(parts, None);
    let (p50, p99) = (quantile(&run.latencies, 0.5), quantile(&run.latencies, 0.99));
    let pictures: usize = work.frames.iter().map(|frame| frame.bytes().len()).sum();
    let figures = json!({
        "case": name, "parts": parts, "parts_per_s": run.parts_per_s, "cpu_ms_per_part": run.cpu_ms_per_part, "p50_ms": p50,
        "p99_ms": p99, "kept": run.kept, "startup_s": startup.as_secs_f64(), "rss_mib": memory_mib() - pictures as f64 / f64::from(1 << 20),
    });
    println!("{figures}");
}

/// Of this process.
fn memory_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}

/// Each picture as a file that other programs read.
fn write(folder: &Path, frames: &[Frame]) {
    for (number, frame) in frames.iter().enumerate() {
        let (ending, head) = match frame.content() {
            Content::Encoded => ("jpg", Vec::new()),
            Content::Pixels { width, height, .. } => ("npy", numpy_head(width, height)),
        };
        let bytes = [head.as_slice(), frame.bytes()].concat();
        std::fs::write(folder.join(format!("{number:04}.{ending}")), bytes).expect("the folder takes files");
    }
}

/// What NumPy wants before rows of colour pixels: format 1.0, padded to 64 bytes.
fn numpy_head(width: u32, height: u32) -> Vec<u8> {
    let about = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({height}, {width}, 3), }}");
    let padded = (10 + about.len() + 1).next_multiple_of(64) - 10 - 1;
    let mut head = b"\x93NUMPY\x01\x00".to_vec();
    head.extend(((padded + 1) as u16).to_le_bytes());
    head.extend(format!("{about:<padded$}\n").bytes());
    head
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}
