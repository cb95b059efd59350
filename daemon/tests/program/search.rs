//! `inspectd search` as a command: finds networks, is killed and goes on, and what it leaves behind runs.

use std::path::Path;
use std::time::{Duration, Instant};

use models::image::{Image, PixelFormat, encode_png};
use serde_json::Value;

use crate::support::{inspectd, output, text, words};

/// Stripes that lie across or along.
fn picture(number: usize) -> Vec<u8> {
    let value = |at: usize| {
        let along = if number.is_multiple_of(2) { at % 96 } else { at / 96 };
        (90 + 70 * ((along / 6) % 2) + (at * 7919 + number * 31) % 17) as u8
    };
    let image = Image { width: 96, height: 96, format: PixelFormat::Mono8, data: (0..96 * 96).map(value).collect() };
    encode_png(image.view()).expect("a small picture")
}

fn labelled(folder: &Path) {
    for at in 0..80 {
        let side = if at < 60 { "train" } else { "test" };
        let folder = folder.join(side).join(if at % 2 == 0 { "good" } else { "turned" });
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("{at}.png")), picture(at)).expect("written");
    }
}

/// The arguments of a small search.
fn arguments<'a>(data: &'a Path, out: &'a Path, further: &[&'a str]) -> Vec<&'a str> {
    let common = ["search", "--data", text(data), "--out", text(out), "--max-latency-ms", "10000", "--no-near"];
    [&common[..], &["--rounds", "3", "--priority", "normal"], further].concat()
}

#[test]
fn networks_are_found_written_and_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let (data, out) = (dir.path().join("data"), dir.path().join("found"));
    labelled(&data);
    let run = |further: &[&str]| words(&output(&arguments(&data, &out, further)));
    let (code, said, told) = run(&["--budget", "8r", "--json"]);
    assert_eq!(code, 0, "{told}");
    let report: Value = serde_json::from_str(said.trim()).expect("one line of JSON");
    let front = report["front"].as_array().expect("a front");
    assert!(!front.is_empty() && report["rounds"].as_u64() >= Some(8), "{report}");
    assert!(front.iter().any(|found| found["trial"] == report["best"]), "{report}");
    assert_eq!(front[0]["test"]["n"], 20, "{report}");

    // What was found runs as any other bundle.
    let best = out.join("best.bundle");
    let (code, _, told) = words(&output(&["eval", "--bundle", text(&best), "--data", text(&data), "--json"]));
    assert_eq!(code, 0, "{told}");
    let page = std::fs::read_to_string(out.join("search.html")).expect("a page");
    assert!(page.contains("<svg") && !page.contains("<script"));
    assert!(out.join("tensorboard/trial-000").is_dir());

    // A finished one says how to go on, and goes on for longer where it is asked to.
    let (code, _, told) = run(&["--budget", "8r"]);
    assert!(code == 1 && told.contains("--resume"), "{told}");
    let (code, _, told) = run(&["--budget", "8r", "--resume", "--seed", "2"]);
    assert!(code == 1 && told.contains("its seed is `1`, here it is `2`"), "{told}");
    let (code, said, told) = run(&["--budget", "10r", "--resume", "--json"]);
    assert_eq!(code, 0, "{told}");
    let longer: Value = serde_json::from_str(said.trim()).expect("one line of JSON");
    assert!(longer["trials"].as_u64() >= report["trials"].as_u64(), "{longer}");
}

/// The journal without what a clock says: points, rounds and figures of each line.
fn happened(journal: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(journal).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let entry = |line: &str| {
        let mut entry: Value = serde_json::from_str(&line[9..]).expect("JSON behind a checksum");
        for (_, of) in entry.as_object_mut().expect("an entry") {
            if let Some(of) = of.as_object_mut() {
                ["seconds", "latency_ms"].iter().for_each(|clock| drop(of.remove(*clock)));
            }
        }
        entry
    };
    whole.skip(1).map(entry).collect()
}

#[test]
fn a_search_that_is_killed_goes_on_to_the_same_networks() {
    let dir = tempfile::tempdir().expect("a folder");
    let (data, whole, killed) = (dir.path().join("data"), dir.path().join("whole"), dir.path().join("killed"));
    labelled(&data);
    // Quick enough is everything, and too few networks learn for the estimator: no clock has a part in what is proposed. In which of
    // three networks without an error learns on, the quickest, it has.
    let budget = ["--budget", "6r", "--resume"];
    let (code, _, told) = words(&output(&arguments(&data, &whole, &budget)));
    assert_eq!(code, 0, "{told}");
    let journal = killed.join("search.journal");
    for lines in [1, 2, 3, 7] {
        let mut child = inspectd(&arguments(&data, &killed, &budget)).spawn().expect("it starts");
        let end = Instant::now() + Duration::from_secs(600);
        while happened(&journal).len() < lines && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().expect("killed");
        child.wait().expect("gone");
    }
    let (code, _, told) = words(&output(&arguments(&data, &killed, &budget)));
    assert_eq!(code, 0, "{told}");
    let (killed, whole) = (happened(&journal), happened(&whole.join("search.journal")));
    assert_eq!(killed[..6], whole[..6], "each of the three is proposed and learns one round");
    let learned = |happened: &[Value]| {
        let measured = happened[6..].iter().map(|entry| entry["measured"].clone());
        measured.map(|it| it["measured"]["rounds"].as_u64().expect("rounds")).collect::<Vec<u64>>()
    };
    assert_eq!(learned(&killed), learned(&whole));
    for measured in killed[6..].iter().filter(|entry| !whole.contains(entry)).map(|entry| &entry["measured"]) {
        assert!(!whole.iter().any(|other| same(&other["measured"], measured)), "{measured} is another in {whole:?}");
    }
}

/// Whether two results are of one network after the same rounds.
fn same(a: &Value, b: &Value) -> bool {
    a["trial"] == b["trial"] && a["measured"]["rounds"] == b["measured"]["rounds"]
}

#[test]
fn what_cannot_be_searched_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let (data, out) = (dir.path().join("data"), dir.path().join("found"));
    labelled(&data);
    for (further, code, says) in [
        (&["--budget", "30"][..], 2, "write 30m"),
        (&["--budget", "1m", "--size", "50"], 1, "multiple of 32"),
        (&["--budget", "1m", "--augment", "upside-down"], 1, "fixed-pose"),
    ] {
        let (found, _, said) = words(&output(&arguments(&data, &out, further)));
        assert!(found == code && said.contains(says), "{further:?}: {found} {said}");
    }
    let (found, _, said) =
        words(&output(&["search", "--data", "x", "--out", "y", "--budget", "1m", "--max-latency-ms", "0"]));
    assert!(found == 2 && said.contains("positive number of milliseconds"), "{said}");
}
