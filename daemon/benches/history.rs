//! `make bench`: a million records, and what it takes to ask for them: the daemon's start and memory beside those of an empty one, the first page
//! and each single filter at the API, a day's Quality. Percentiles of repeated requests, each alone.
//!
//! `INSPECTD_BENCH_RECORDS` sets another number, `INSPECTD_BENCH_STATE` a folder that is kept and used again.

#![allow(clippy::print_stdout)] // a report for the person who runs it

mod records;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use records::{fill, first};

const ASKS: usize = 60;

fn main() {
    // `cargo test --benches` asks for a list of tests, of which there are none.
    if std::env::args().any(|it| it == "--list" || it == "--test") {
        return;
    }
    let records: u64 = std::env::var("INSPECTD_BENCH_RECORDS").ok().and_then(|it| it.parse().ok()).unwrap_or(1_000_000);
    let own = tempfile::tempdir().expect("a folder");
    let kept = std::env::var_os("INSPECTD_BENCH_STATE").map(PathBuf::from);
    let state = kept.unwrap_or_else(|| own.path().join("state"));
    if !state.join("journal").exists() {
        fill(&state, records);
    }
    println!("journal {} MB, index {} MB", megabytes(&state.join("journal")), megabytes(&state.join("index")));

    let empty = Line::start(&own.path().join("empty"));
    std::thread::sleep(Duration::from_secs(3));
    let (ready, bare) = (empty.ready, empty.memory_mb());
    drop(empty);
    println!("empty: Ready after {:.2} s, {bare} MB", ready.as_secs_f64());
    let line = Line::start(&state);
    println!("{records} records: Ready after {:.2} s", line.ready.as_secs_f64());
    while line.ask("inspections?limit=1").contains("\"rebuilding\":true") {
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("index complete {:.2} s after the start", line.began.elapsed().as_secs_f64());
    println!("memory beyond the empty one: {} MB", line.memory_mb().saturating_sub(bare));

    let day = first() + SignedDuration::from_hours(24 * 6);
    let next = day + SignedDuration::from_hours(24);
    for (name, path) in [
        ("first page (60)", "inspections?limit=60".to_owned()),
        ("a page in the middle", format!("inspections?limit=60&before={}", records / 2)),
        ("verdict fail", "inspections?limit=60&verdict=fail".into()),
        ("verdict no_decision (0.1 %)", "inspections?limit=60&verdict=no_decision".into()),
        ("label crack (0.4 %)", "inspections?limit=60&label=crack".into()),
        ("label that no part has", "inspections?limit=60&label=never".into()),
        ("score 0.50 to 0.501", "inspections?limit=60&score_from=0.5&score_to=0.501".into()),
        ("score 0 to 0.1 (none)", "inspections?limit=60&score_to=0.1".into()),
        ("serial", format!("inspections?limit=60&serial=S-{:07}", records / 3)),
        ("lot", "inspections?limit=60&lot=L3".into()),
        ("recipe (oldest half)", "inspections?limit=60&recipe=bracket%401".into()),
        ("model", "inspections?limit=60&model=aaaa".into()),
        ("camera", "inspections?limit=60&camera=side".into()),
        ("a day", format!("inspections?limit=60&from={day}&to={next}")),
        (
            "all of these together",
            format!(
                "inspections?limit=60&from={day}&to={next}&verdict=fail&label=scratch&camera=side&recipe=bracket&score_from=0.6"
            ),
        ),
        ("words: scratch top left", "inspections/found?limit=60&words=scratch%20top%20left".into()),
        ("words among verdict fail", "inspections/found?limit=60&words=scratch%20top%20left&verdict=fail".into()),
        ("words, a day", format!("inspections/found?limit=60&words=burr&from={day}&to={next}")),
        ("like a part", format!("inspections/found?limit=60&like={}", records / 3)),
        ("count of label scratch", "inspections/count?label=scratch".into()),
        ("Quality, a day by shift", format!("quality?from={day}&to={next}&by=shift")),
        (
            "Quality, a day at odd minutes",
            format!(
                "quality?from={}&to={}&by=lot",
                day + SignedDuration::from_mins(17),
                next + SignedDuration::from_mins(17)
            ),
        ),
        (
            "Quality, everything by lot",
            format!("quality?from={}&to={}&by=lot", first(), first() + SignedDuration::from_hours(24 * 30)),
        ),
    ] {
        line.measure(name, &path);
    }
    println!("memory beyond the empty one, after all that: {} MB", line.memory_mb().saturating_sub(bare));
    let began = Instant::now();
    let bytes = line.ask("export?as=csv").len();
    println!(
        "export of all as CSV: {:.1} s, {} MB; memory then: {} MB",
        began.elapsed().as_secs_f64(),
        bytes >> 20,
        line.memory_mb().saturating_sub(bare)
    );
    line.kill();
    let line = Line::start(&state);
    println!("after a kill -9: Ready after {:.2} s", line.ready.as_secs_f64());
    drop(line);

    let began = Instant::now();
    std::fs::remove_dir_all(state.join("index")).expect("removed");
    let line = Line::start(&state);
    let ready = line.ready;
    while line.ask("inspections?limit=1").contains("\"rebuilding\":true") {
        std::thread::sleep(Duration::from_millis(200));
    }
    println!(
        "without an index: Ready after {:.2} s, complete after {:.0} s",
        ready.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
}

/// A program at work. Killed when dropped.
struct Line {
    child: Child,
    url: String,
    began: Instant,
    ready: Duration,
}

impl Line {
    fn start(state: &Path) -> Line {
        let began = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_inspectd"))
            .args(["demo", "--listen", "127.0.0.1:0", "--rate", "1", "--state"])
            .arg(state)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let said = BufReader::new(child.stdout.take().expect("piped"));
        let mut lines = said.lines().map_while(Result::ok);
        let url = lines.find_map(|line| {
            let at = line.find("http://127.0.0.1:")?;
            Some(line[at..].split('/').take(3).collect::<Vec<_>>().join("/"))
        });
        std::thread::spawn(move || lines.count());
        let mut line = Line { child, url: url.expect("it says where its page is"), began, ready: Duration::ZERO };
        while !line.is_ready() {
            std::thread::sleep(Duration::from_millis(5));
        }
        line.ready = began.elapsed();
        line
    }

    /// As a power cut ends it, but for what the kernel still has.
    fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    fn is_ready(&self) -> bool {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        ureq::Agent::from(config).get(format!("{}/readyz", self.url)).call().is_ok_and(|it| it.status() == 200)
    }

    fn ask(&self, path: &str) -> String {
        let mut answer = ureq::get(format!("{}/api/v1/{path}", self.url)).call().expect("an answer");
        answer.body_mut().with_config().limit(1 << 32).read_to_string().expect("a whole answer")
    }

    fn measure(&self, name: &str, path: &str) {
        let mut times: Vec<Duration> = (0..ASKS)
            .map(|_| {
                let began = Instant::now();
                self.ask(path);
                began.elapsed()
            })
            .collect();
        times.sort();
        let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
        println!("{name:<32} p50 {:>7.1} ms   p95 {:>7.1} ms", at(50), at(95));
    }

    fn memory_mb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) / 1024
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let id = self.child.id().to_string();
        let _asked = Command::new("kill").args(["-TERM", &id]).status();
        let _ended = self.child.wait();
    }
}

fn megabytes(dir: &Path) -> u64 {
    let sizes = std::fs::read_dir(dir).into_iter().flatten().flatten();
    sizes
        .map(|it| if it.path().is_dir() { megabytes(&it.path()) << 20 } else { it.metadata().map_or(0, |m| m.len()) })
        .sum::<u64>()
        >> 20
}
