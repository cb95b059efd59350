//! A long run with a fault every two minutes: what the process holds of memory, descriptors and threads must not grow.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use system_tests::{Program, agent, binary};

use crate::line::{configured, more, run, state};
use crate::oracle::{Oracle, without_gaps};
use crate::shim::Shim;

/// What the process holds: megabytes, descriptors, threads.
type Held = [u64; 3];

fn held(program: &Program) -> Held {
    let proc = format!("/proc/{}", program.id());
    let status = fs::read_to_string(format!("{proc}/status")).expect("it runs");
    let figure = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).expect("a figure")
    };
    let descriptors = fs::read_dir(format!("{proc}/fd")).expect("it runs").count() as u64;
    [figure("VmRSS:") >> 10, descriptors, figure("Threads:")]
}

fn signal(program: &Program, name: &str) {
    let sent = Command::new("kill").args([name, &program.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

fn fault(program: &Program, shim: &Shim, random: &mut ChaCha8Rng) -> &'static str {
    match random.random_range(0..5) {
        0 => {
            signal(program, "-STOP");
            thread::sleep(Duration::from_secs(2));
            signal(program, "-CONT");
            "halted for 2 s"
        }
        1 => {
            shim.clock_off_by_ms(3_600_000 * random.random_range(-1..=1));
            "clock set"
        }
        2 => {
            signal(program, "-HUP");
            "reloaded"
        }
        3 => {
            let address = program.url.trim_start_matches("http://");
            for _ in 0..50 {
                if let Ok(mut stream) = TcpStream::connect(address) {
                    let _refused_or_not = stream.write_all(&[random.random(), b'\r', b'\n', 0xFF, 0]);
                }
            }
            "50 broken requests"
        }
        _ => {
            for _ in 0..20 {
                drop(agent().get(format!("{}/api/v1/events", program.url)).call());
            }
            "20 viewers came and went"
        }
    }
}

#[test]
#[ignore = "an hour long: `make soak` runs it"]
fn a_long_run_with_faults_holds_no_more_at_its_end() {
    let Some(binary) = binary() else { return };
    let Some(shim) = Shim::build() else { return };
    let minutes = std::env::var("INSPECTD_SOAK_MIN").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let (whole, every) = (Duration::from_secs(60 * minutes), Duration::from_secs(120.min(minutes * 4)));
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("state");
    let config = configured(folder.path(), &dir, "");
    let program = Program::spawn(run(shim.command(&binary, &dir), &config)).unwrap_or_else(|why| panic!("{why}"));
    let oracle = Oracle::default();
    let listener = oracle.listen(&program);
    let mut random = ChaCha8Rng::seed_from_u64(60);
    let mut seen: Vec<Held> = Vec::new();
    let began = Instant::now();
    while began.elapsed() < whole {
        more("parts", || oracle.count(), 20);
        thread::sleep(every / 2);
        seen.push(held(&program));
        program.counts();
        println!(
            "{:>5} s: {:?} MB, descriptors, threads; {}",
            began.elapsed().as_secs(),
            held(&program),
            fault(&program, &shim, &mut random)
        );
        thread::sleep(every / 2);
    }
    assert_eq!(state(&program).0, "running");
    // The record of the newest parts, previews and the index's cache are filled by the middle.
    let (middle, end) = (seen.len() / 2, seen.len());
    let median = |of: usize, range: std::ops::Range<usize>| {
        let mut values: Vec<u64> = seen[range].iter().map(|held| held[of]).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    let quarter = (end - middle) / 2;
    for (of, what, slack) in [(0, "MB", 40), (1, "descriptors", 8), (2, "threads", 4)] {
        let (before, after) = (median(of, middle..end - quarter), median(of, end - quarter.max(1)..end));
        println!("{what}: {before} in the third quarter, {after} in the last");
        assert!(after <= before + slack, "{what} grow: {seen:?}");
    }
    let kept = oracle.check(&program);
    without_gaps(&kept);
    println!("{minutes} minutes: {} records, {} acknowledged, 0 lost", kept.len(), oracle.count());
    program.kill();
    listener.join().expect("the oracle saw nothing wrong");
}
