//! Kill -9 at random moments: no acknowledged record is lost, doubled or changed, no trigger is unaccounted for, and each start is quick.

use std::thread;
use std::time::Duration;

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use system_tests::{Program, binary};

use crate::oracle::{Oracle, restarts, without_gaps};
use crate::rounds;

#[test]
fn a_killed_line_loses_no_acknowledged_record_and_accounts_for_every_trigger() {
    let Some(binary) = binary() else { return };
    let kills = rounds(20, 200);
    let seed = 20;
    println!("seed {seed}, {kills} kills");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let state = tempfile::tempdir().expect("a folder");
    let state_path = state.path().to_str().expect("a plain path");
    let arguments =
        ["demo", "--state", state_path, "--listen", "127.0.0.1:0", "--rate", "40", "--bad-frame-rate", "0.05"];

    let oracle = Oracle::default();
    let mut starts = Vec::new();
    for _ in 0..kills {
        let program = Program::start(&binary, &arguments);
        starts.push(program.ready_after);
        let listener = oracle.listen(&program);
        program.counts();
        thread::sleep(Duration::from_millis(random.random_range(0..600)));
        program.kill();
        listener.join().expect("the oracle saw nothing wrong");
    }

    let program = Program::start(&binary, &arguments);
    let kept = oracle.check(&program);
    drop(program);

    let acknowledged = oracle.count();
    assert!(acknowledged > kills, "only {acknowledged} records were acknowledged: nothing was tested");
    without_gaps(&kept);
    starts.sort_unstable();
    let (median, slowest) = (starts[starts.len() / 2], starts[starts.len() - 1]);
    println!(
        "{kills} kills: {} records, {acknowledged} acknowledged before a kill, 0 lost, {} closed by a restart; starts: median {median:?}, slowest {slowest:?}",
        kept.len(),
        restarts(&kept)
    );
    // One may fall into a moment in which the machine does something else.
    assert!(median < Duration::from_secs(5), "starts took {starts:?}");
}
