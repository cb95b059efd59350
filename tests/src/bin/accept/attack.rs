//! What ill-meaning clients cost the line: the same line in peace, under each attack, under all of them and in peace again, verdict
//! times beside each other. Times are printed, not judged: on a busy machine two runs in peace differ as much. The law and the memory
//! are judged.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use scheduler::{Which, set_self_priority};
use serde_json::Value;
use system_tests::{Counts, Program, wait_for};

use super::Bounds;

const SECONDS: u64 = 30;
const RATE: &str = "10";

/// What clients do, over and over, to an address.
const ATTACKS: [fn(&str); 3] = [slow_heads, deaf_listeners, huge_bodies];
/// Names of runs, and which of the attacks take place.
const SCENES: [(&str, [bool; 3]); 6] = [
    ("peace", [false; 3]),
    ("half heads", [true, false, false]),
    ("deaf", [false, true, false]),
    ("huge bodies", [false, false, true]),
    ("all three", [true; 3]),
    ("peace again", [false; 3]),
];

pub(super) fn run(binary: &Path, bounds: &mut Bounds) {
    println!("\n== clients that mean ill: {SECONDS} s a run at {RATE} parts/s, in turns");
    for round in 1..=2 {
        for (name, turns) in SCENES {
            let run = Run::of(binary, turns);
            let us = |key: &str| run.line["latency"][key].as_f64().unwrap_or(f64::NAN) / 1000.0;
            println!(
                "round {round}, {name:<12} {:>5} parts, verdict p50 {:>7.1} ms, p99 {:>7.1} ms, max {:>7.1} ms; memory {} -> {} MiB",
                run.counts.triggered,
                us("p50_us"),
                us("p99_us"),
                us("max_us"),
                run.memory_kib.0 / 1024,
                run.memory_kib.1 / 1024,
            );
            let grown = run.memory_kib.1.saturating_sub(run.memory_kib.0) as f64 / 1024.0;
            bounds.at_most(&format!("round {round}, {name}: MiB of growth"), grown, 64.0);
        }
    }
}

struct Run {
    line: Value,
    counts: Counts,
    memory_kib: (u64, u64),
}

impl Run {
    fn of(binary: &Path, turns: [bool; 3]) -> Run {
        let state = tempfile::tempdir().expect("a temporary folder");
        let state = state.path().to_string_lossy();
        let program = Program::start(binary, &["demo", "--listen", "127.0.0.1:0", "--rate", RATE, "--state", &state]);
        let address = program.url.trim_start_matches("http://").to_owned();
        wait_for("some parts", || (program.counts().triggered >= 40).then_some(()));
        let before = memory_kib(&program);
        // All attackers are there in every run. Those whose turn it is not are let loose on somebody else: what they take of the
        // processors is no cost of the program's.
        let (over, sink) = (AtomicBool::new(false), sink());
        thread::scope(|scope| {
            for (attack, is_its_turn) in ATTACKS.into_iter().zip(turns) {
                let (address, over) = (if is_its_turn { &address } else { &sink }, &over);
                scope.spawn(move || {
                    // Attackers have machines of their own: here they take what the program leaves.
                    let _ = set_self_priority(Which::Process, 19);
                    while !over.load(Ordering::Relaxed) {
                        attack(address);
                    }
                });
            }
            thread::sleep(Duration::from_secs(SECONDS));
            over.store(true, Ordering::Relaxed);
        });
        // The crowd may have every place for a moment longer.
        let line = wait_for("the line", || {
            let mut answer = system_tests::agent().get(format!("{}/api/v1/line", program.url)).call().ok()?;
            answer.body_mut().read_json::<Value>().ok()
        });
        Run { counts: Counts::of(&line["counts"]), memory_kib: (before, memory_kib(&program)), line }
    }
}

/// A listener that does the least: holds 600 connections, and hangs up on bodies once it has seen a megabyte.
fn sink() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        let _ = set_self_priority(Which::Process, 19);
        let mut held = std::collections::VecDeque::new();
        for mut stream in listener.incoming().flatten() {
            let mut first = [0; 4];
            if stream.read_exact(&mut first).is_ok() && &first == b"POST" {
                // It may hang up first.
                let _ = std::io::copy(&mut stream.take(1 << 20), &mut std::io::sink());
                continue;
            }
            held.push_back(stream);
            if held.len() > 600 {
                held.pop_front();
            }
        }
    });
    address
}

/// 500 half heads, held until they are dropped.
fn slow_heads(address: &str) {
    let crowd: Vec<TcpStream> = (0..500).filter_map(|_| opened(address, b"GET / HTTP/1.1\r\nX-Slow: ")).collect();
    thread::sleep(Duration::from_secs(3));
    drop(crowd);
}

/// Eight that ask for events and read none.
fn deaf_listeners(address: &str) {
    let request = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let deaf: Vec<TcpStream> = (0..8).filter_map(|_| opened(address, request)).collect();
    thread::sleep(Duration::from_secs(3));
    drop(deaf);
}

/// 100 MB in pieces.
fn huge_bodies(address: &str) {
    let head =
        b"POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nX-Inspectd: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let Some(mut stream) = opened(address, head) else { return thread::sleep(Duration::from_millis(100)) };
    let piece = [&b"100000\r\n"[..], &vec![b' '; 0x10_0000], b"\r\n"].concat();
    for _ in 0..100 {
        if stream.write_all(&piece).is_err() {
            return;
        }
    }
}

fn opened(address: &str, first: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_write_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(first).ok()?;
    Some(stream)
}

fn memory_kib(program: &Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
