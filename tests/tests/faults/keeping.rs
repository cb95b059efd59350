//! Retention on a disk that is too small: the line never stops, good parts' pictures go first, and those of bad parts and of parts that wait for people last.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use system_tests::{Program, binary, wait_for};

use crate::disks::Small;
use crate::line::{configured, more, run, state};
use crate::oracle::{Oracle, everything};

/// Of what is kept, as the program says it.
fn kept(program: &Program) -> Value {
    program.get("/api/v1/health")["kept"].clone()
}

fn let_go(program: &Program) -> u64 {
    kept(program)["let_go"]["pictures"].as_u64().expect("a number")
}

/// Ids of the pictures on the disk.
fn on_disk(dir: &std::path::Path) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    let mut folders = vec![dir.join("evidence")];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = item.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Some(id) = path.file_stem().and_then(|it| it.to_str()?.parse().ok()) {
                found.insert(id);
            }
        }
    }
    found
}

#[test]
fn on_a_small_disk_good_parts_make_room_and_bad_ones_and_those_that_wait_stay_to_the_last() {
    let Some(binary) = binary() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let Some(disk) = Small::mounted(&folder.path().join("disk"), 96) else { return };
    let dir = disk.path().join("state");
    let limits = "reserve_mb = 1\n[store.evidence]\nleast_free_mb = 4\n[store.retention]\nleast_free_mb = 16\n";
    let config = configured(folder.path(), &dir, limits);
    let recipe = fs::read_to_string(folder.path().join("recipe.toml")).expect("a recipe");
    let all = "[evidence]\npass_fraction = 1.0\n[review]\nper_hour = 12\naudit_fraction = 0.0\n";
    fs::write(folder.path().join("recipe.toml"), format!("{recipe}{all}")).expect("written");
    // Most parts are good, as on a line.
    let text = fs::read_to_string(&config).expect("a configuration").replace("defect_rate = 0.5", "defect_rate = 0.15");
    fs::write(&config, text).expect("written");
    let start =
        || Program::spawn(run(std::process::Command::new(&binary), &config)).unwrap_or_else(|why| panic!("{why}"));
    let oracle = Oracle::default();
    let program = start();
    let listener = oracle.listen(&program);
    more("parts", || oracle.count(), 60);
    // Somebody holds a good part.
    let records = everything(&program);
    let held = *records.iter().find(|(_, it)| it["verdict"] == "pass").expect("a good part").0;
    program.post("/api/v1/holds", &json!({ "of": { "part": held }, "reason": "claim" }));

    // Another program takes room: what comes from now on needs that of others.
    disk.leave(17);
    wait_for("pictures to go", || (let_go(&program) >= 20).then_some(()));
    assert_eq!(state(&program).0, "running");
    let there = on_disk(&dir);
    let records = everything(&program);
    let newest = *records.keys().last().expect("parts");
    let missing = |verdict: &str| {
        let of = records.iter().filter(|(_, it)| it["verdict"] == verdict);
        // The newest are on their way to the disk.
        of.filter(|(id, _)| **id + 40 < newest && !there.contains(id)).map(|(id, _)| *id).collect::<Vec<u64>>()
    };
    let passes = missing("pass");
    assert!(passes.len() >= 10 && !passes.contains(&held), "{passes:?}");
    let told = program.get(&format!("/api/v1/inspections/{}", passes[0]));
    assert_eq!((&told["has_image"], &told["picture_let_go"]), (&json!(false), &json!(true)), "the record says why");
    assert_eq!(missing("fail"), Vec::<u64>::new(), "no bad part goes while good ones are there: {}", kept(&program));

    // A kill in the middle of it.
    program.kill();
    listener.join().expect("the oracle saw nothing wrong");
    let program = start();
    let listener = oracle.listen(&program);
    oracle.check(&program);

    // Nothing is left for pictures at all: bad parts go, then those that wait, and what is held stays.
    let waiting: BTreeSet<u64> = queue(&program);
    assert!(!waiting.is_empty(), "nobody waits: nothing is tested");
    disk.leave(6);
    wait_for("bad parts to go, and then those that wait", || {
        let there = on_disk(&dir);
        let gone = |id: &u64| !there.contains(id);
        // One that gave its place in the queue to another does not wait any more.
        let now = queue(&program);
        let waiting_went = waiting.intersection(&now).any(gone);
        let waits = |id: &u64| waiting.contains(id) || now.contains(id);
        let fails_left = records.iter().any(|(id, it)| it["verdict"] == "fail" && !waits(id) && !gone(id));
        assert!(!(waiting_went && fails_left), "those that wait go last");
        waiting_went.then_some(())
    });
    assert!(on_disk(&dir).contains(&held), "what is held stays");
    assert_eq!(state(&program).0, "running");
    more("parts while nothing is left", || oracle.count(), 20);
    let found = oracle.check(&program);
    let figures = kept(&program);
    println!(
        "{} records, {} acknowledged, 0 lost; {} pictures let go, {} kept, 1 held",
        found.len(),
        oracle.count(),
        figures["let_go"]["pictures"],
        figures["pictures"]
    );
    program.kill();
    listener.join().expect("the oracle saw nothing wrong");
}

fn queue(program: &Program) -> BTreeSet<u64> {
    let queue = program.get("/api/v1/queue?limit=200");
    queue["items"].as_array().expect("items").iter().filter_map(|it| it["id"].as_u64()).collect()
}
