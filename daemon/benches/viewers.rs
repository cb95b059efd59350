//! `make bench`: what ten screens cost the line that they show.
//!
//! The real program inspects the synthetic line at ten parts a second. Ten viewers do what the page does: each follows the events, asks
//! for every part's small picture and, four times a second at most, for the newest large one. They are threads of this process, on the
//! same machine, so what they cost themselves counts in, too. Windows alone, with them and alone again take turns; the last beside the
//! first says how much the figure moves when nothing has changed.

#![allow(clippy::print_stdout)] // a report for the person who runs it

mod line;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use line::{Line, PACE, PARTS, SETTLE, quantile};

/// Rounds of windows: alone, with the viewers, alone.
const ROUNDS: usize = 9;
const VIEWERS: usize = 10;
/// The longer side of the large picture and of the small one, as the page asks for them.
const LARGE: u32 = 1024;
const SMALL: u32 = 160;
/// Between two large pictures.
const PAUSE: Duration = Duration::from_millis(250);

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let line = Line::start(folder.path());
    let viewers = Viewers::start(&line.url);
    println!(
        "{PACE} parts/s, {ROUNDS} rounds of windows of {} parts, {} cores, {VIEWERS} viewers",
        PARTS - SETTLE,
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    let (mut alone, mut watched, mut ratios, mut noise) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let before = line.window();
        viewers.look(true);
        let (since, seen) = (Instant::now(), viewers.seen());
        let with = line.window();
        let (seconds, seen) = (since.elapsed().as_secs_f64(), viewers.seen() - seen);
        viewers.look(false);
        let after = line.window();
        let [p99, p99_with, p99_after] = [&before, &with, &after].map(|window| quantile(window, 0.99));
        println!(
            "round {round}: p99 {p99:.1} ms alone, {p99_with:.1} ms with the viewers ({:.0} pictures a second), {p99_after:.1} ms alone again",
            seen as f64 / seconds
        );
        ratios.push(p99_with / p99);
        noise.push(p99_after / p99);
        alone.extend(before.into_iter().chain(after));
        watched.extend(with);
    }
    for (name, share) in [("p50", 0.50), ("p99", 0.99)] {
        let (alone, watched) = (quantile(&alone, share), quantile(&watched, share));
        println!(
            "all windows, {name}: {alone:.1} ms alone, {watched:.1} ms with the viewers, ratio {:.3}",
            watched / alone
        );
    }
    // Between the second and the second last of nine lies the median with 96 % confidence (sign test).
    for (name, mut ratios) in [("with viewers / alone", ratios), ("alone again / alone (the noise)", noise)] {
        ratios.sort_by(f64::total_cmp);
        let [low, median, high] = [1, ROUNDS / 2, ROUNDS - 2].map(|at| ratios[at]);
        println!("p99 {name}: median {median:.3}, interval {low:.3} to {high:.3}");
    }
}

/// Ten screens.
struct Viewers {
    looking: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    pictures: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Viewers {
    fn start(url: &str) -> Viewers {
        let (looking, over, pictures) = <(Arc<AtomicBool>, Arc<AtomicBool>, Arc<AtomicU64>)>::default();
        let one = || {
            let (url, looking, over, pictures) = (url.to_owned(), looking.clone(), over.clone(), pictures.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    match looking.load(Ordering::Relaxed) {
                        true => follow(&url, &looking, &pictures),
                        false => sleep(Duration::from_millis(20)),
                    }
                }
            })
        };
        let threads = (0..VIEWERS).map(|_| one()).collect();
        Viewers { looking, over, pictures, threads }
    }

    fn look(&self, on: bool) {
        self.looking.store(on, Ordering::Relaxed);
    }

    fn seen(&self) -> u64 {
        self.pictures.load(Ordering::Relaxed)
    }
}

impl Drop for Viewers {
    fn drop(&mut self) {
        self.look(false);
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One viewer, as long as it looks.
fn follow(url: &str, looking: &AtomicBool, pictures: &AtomicU64) {
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("the line listens");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    write!(stream, "GET /api/v1/events HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("asked");
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let picture = |id: &str, side: u32| {
        let Ok(mut answer) = agent.get(format!("{url}/api/v1/inspections/{id}/image?side={side}")).call() else {
            return;
        };
        let mut bytes = Vec::new();
        let read = answer.body_mut().as_reader().read_to_end(&mut bytes);
        // A picture that is not there yet is asked for once more by the page; here it is just not counted.
        if answer.status() == 200 && read.is_ok() {
            pictures.fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut large = Instant::now() - PAUSE;
    for said in BufReader::new(stream).lines().map_while(Result::ok) {
        if !looking.load(Ordering::Relaxed) {
            return;
        }
        let Some(id) = said.strip_prefix("id: ") else { continue };
        picture(id, SMALL);
        if large.elapsed() >= PAUSE {
            large = Instant::now();
            picture(id, LARGE);
        }
    }
}
