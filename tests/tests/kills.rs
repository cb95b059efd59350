//! Kill -9 at random moments: no acknowledged record is lost or doubled, no trigger is unaccounted for, and each start
//! is quick.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use system_tests::{Program, agent, binary};

const KILLS: usize = 20;

/// What a client that watches the live events has been shown: acknowledged records by id.
type Shown = BTreeMap<u64, String>;

#[test]
fn a_killed_line_loses_no_acknowledged_record_and_accounts_for_every_trigger() {
    let Some(binary) = binary() else { return };
    let kills = std::env::var("INSPECTD_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let seed = 20;
    println!("seed {seed}, {kills} kills");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let state = tempfile::tempdir().expect("a folder");
    let state_path = state.path().to_str().expect("a plain path");
    let arguments =
        ["demo", "--state", state_path, "--listen", "127.0.0.1:0", "--rate", "40", "--bad-frame-rate", "0.05"];

    let mut shown = Shown::new();
    let mut starts = Vec::new();
    for _ in 0..kills {
        let program = Program::start(&binary, &arguments);
        starts.push(program.ready_after);
        watch(&program, Duration::from_millis(random.random_range(50..700)), &mut shown);
        program.kill();
    }

    let program = Program::start(&binary, &arguments);
    let kept = everything(&program);
    drop(program);

    assert!(shown.len() > kills, "only {} records were shown over {kills} runs: nothing was tested", shown.len());
    for (id, verdict) in &shown {
        assert_eq!(kept.get(id), Some(verdict), "part {id} was acknowledged as {verdict}");
    }
    let ids: Vec<u64> = kept.keys().copied().collect();
    let gap = ids.windows(2).find(|pair| pair[1] != pair[0] + 1);
    assert_eq!(gap, None, "a trigger between these two parts is unaccounted for");
    let restarts = kept.values().filter(|verdict| verdict.ends_with("restart")).count();
    println!("{} records, {} shown before a kill, {restarts} closed by a restart", kept.len(), shown.len());
    let slowest = starts.iter().max().expect("at least one start");
    println!("slowest start: {slowest:?}");
    assert!(*slowest < Duration::from_secs(5), "a start took {slowest:?}");
}

/// Reads live events for a while.
fn watch(program: &Program, time: Duration, shown: &mut Shown) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        let page = program.get("/api/v1/inspections?limit=50");
        for item in page["items"].as_array().expect("items") {
            let (id, verdict) = record(item);
            if let Some(before) = shown.insert(id, verdict.clone()) {
                assert_eq!(before, verdict, "part {id} changed");
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Every record of the store, by pages; an id that comes twice is a failure.
fn everything(program: &Program) -> Shown {
    let mut kept = Shown::new();
    let mut path = "/api/v1/inspections?limit=200".to_owned();
    loop {
        let mut answer = agent().get(format!("{}{path}", program.url)).call().expect("a page");
        let page: Value = answer.body_mut().read_json().expect("JSON");
        for item in page["items"].as_array().expect("items") {
            let (id, verdict) = record(item);
            assert_eq!(kept.insert(id, verdict), None, "part {id} is there twice");
        }
        match page["next"].as_u64() {
            Some(next) => path = format!("/api/v1/inspections?limit=200&before={next}"),
            None => return kept,
        }
    }
}

fn record(item: &Value) -> (u64, String) {
    let verdict = item["verdict"].as_str().expect("a verdict");
    let cause = item["cause"].as_str().unwrap_or("");
    (item["id"].as_u64().expect("an id"), format!("{verdict} {cause}"))
}
