//! Every condition beside a naive filter, and every count beside a naive count: also after the index was deleted, and after a kill.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use inspectd::store::{Filter, OTHER, PurposeKind, Store, Tally, VerdictKind};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use stages::check::{CheckMark, Purpose};
use stages::inspection::{Inspection, KeptHeat, LabelScore, RegionSays};
use stages::record::Recorder;
use stages::verdict::{Cause, Verdict};

use crate::support::{WAIT, acknowledged, copy_tree, ids, inspection, open, options, pages, put, time};

const PARTS: u64 = 9000;

/// Noise that is the same each time.
fn dice(id: u64, what: u64, sides: u64) -> u64 {
    models::scatter::scatter(id * 31 + what) % sides
}

/// A part of which everything that can be asked is drawn.
fn drawn(id: u64) -> Inspection {
    let label = ["good", "scratch", "pit", "burr"][dice(id, 1, 4) as usize];
    let other = ["scratch", "pit", "stain"][dice(id, 2, 3) as usize];
    let verdict = match (label, dice(id, 3, 20)) {
        (_, 0) => Verdict::NoDecision([Cause::Late, Cause::Blank, Cause::Restart][dice(id, 4, 3) as usize]),
        ("good", _) => Verdict::Pass,
        (_, 1..=4) => Verdict::Review,
        _ => Verdict::Fail,
    };
    let decided = !matches!(verdict, Verdict::NoDecision(_));
    let score = |label: &str, what| LabelScore { label: label.into(), score: dice(id, what, 1000) as f32 / 1000.0 };
    let mut found: Vec<LabelScore> = if decided { vec![score(label, 5)] } else { Vec::new() };
    if decided && dice(id, 6, 5) == 0 {
        found.push(score(other, 7));
    }
    let cells = (0..32 * 32).map(|cell| if cell == dice(id, 8, 1024) { 250 } else { 10 }).collect();
    let heat = KeptHeat { label: label.into(), width: 32, height: 32, cells };
    let region = RegionSays {
        region: ["rim", "face"][dice(id, 9, 2) as usize].into(),
        verdict,
        label: None,
        score: None,
        tile: [0; 4],
        model: "00".into(),
        weights: Vec::new(),
    };
    let purpose = [Purpose::GoldenSample, Purpose::Gauge, Purpose::SetUp][dice(id, 19, 3) as usize];
    let check = CheckMark { purpose, run: 1, sample: 1, repeat: 1, known: None, right: None };
    Inspection {
        check: (dice(id, 18, 30) == 0).then_some(check),
        camera: ["top", "side"][dice(id, 10, 2) as usize].into(),
        serial: Some(format!("S{}", dice(id, 11, 500)).into()),
        lot: (dice(id, 12, 10) > 0).then(|| format!("L{}", id / 700).into()),
        // Seven seconds apart with jitter: parts of the same store lie in some 18 hours; now and then the clock goes back.
        triggered_at: time(7 * id) + SignedDuration::from_millis(dice(id, 13, 20_000) as i64)
            - SignedDuration::from_hours(i64::from(dice(id, 14, 97) == 0)),
        verdict,
        label: decided.then(|| label.into()),
        scores: if decided && dice(id, 15, 3) > 0 { found.clone() } else { Vec::new() },
        found,
        heat: (decided && dice(id, 16, 4) > 0).then_some(heat),
        regions: if decided && dice(id, 17, 3) == 0 { vec![region] } else { Vec::new() },
        recipe: ["bracket@1", "bracket@2", "plate@1"][(id / 4000) as usize % 3].into(),
        model: ["abcd01", "abcd02", "ffee03"][(id / 3000) as usize % 3].into(),
        ..inspection(id)
    }
}

fn filled(dir: &Path) -> Store {
    let (store, _) = open(dir, options());
    for id in 1..=PARTS {
        store.record(drawn(id), None).expect("kept");
    }
    acknowledged(&store, PARTS);
    assert!(store.wait_for_index(WAIT));
    store
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(0.3, prop::sample::select(words).prop_map(str::to_owned))
}

fn filters() -> impl Strategy<Value = Filter> {
    let verdicts = [VerdictKind::Pass, VerdictKind::Fail, VerdictKind::Review, VerdictKind::NoDecision];
    let at = || prop::option::weighted(0.3, (0..7 * PARTS as i64).prop_map(|s| time(0) + SignedDuration::from_secs(s)));
    let names = (
        one_of(&["good", "scratch", "pit", "burr", "stain", "never"]),
        one_of(&["S1", "S77", "S499", "S500"]),
        one_of(&["L0", "L3", "L12", "none"]),
        one_of(&["bracket", "bracket@2", "plate@1", "plate@2", "brack"]),
        one_of(&["abcd", "abcd02", "ffee", "0000"]),
        one_of(&["top", "side", "bottom"]),
        one_of(&["rim", "face", "back"]),
    );
    let purposes = [PurposeKind::Production, PurposeKind::GoldenSample, PurposeKind::Gauge, PurposeKind::SetUp];
    let score = || prop::option::weighted(0.25, (0..=100u32).prop_map(|it| it as f32 / 100.0));
    let ids = prop::option::weighted(0.3, 0..PARTS + 10);
    (
        names,
        (at(), at()),
        (
            prop::option::weighted(0.4, prop::sample::select(verdicts.to_vec())),
            prop::option::weighted(0.3, prop::sample::select(purposes.to_vec())),
        ),
        (score(), score()),
        ids,
        1..400usize,
    )
        .prop_map(
            |(
                (label, serial, lot, recipe, model, camera, region),
                (from, to),
                (verdict, purpose),
                score,
                after_id,
                limit,
            )| {
                Filter {
                    from,
                    to,
                    verdict,
                    purpose,
                    label,
                    serial,
                    lot,
                    recipe,
                    model,
                    camera,
                    region,
                    score,
                    before_id: None,
                    after_id,
                    limit,
                }
            },
        )
}

#[test]
fn every_filter_finds_what_a_naive_one_finds() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = filled(dir.path());
    let all: Vec<Inspection> = (1..=PARTS).map(drawn).collect();
    let naive = |filter: &Filter| -> Vec<u64> { all.iter().filter(|it| filter.matches(it)).map(|it| it.id).collect() };
    let checked = |filter: Filter| {
        let expected = naive(&filter);
        assert_eq!(ids(&pages(&store, &filter)), expected, "{filter:?}");
        let about = store.count(&filter).expect("counted");
        let plain = filter.serial.is_none() && (filter.label.is_none() || filter.score == (None, None));
        assert!(about >= expected.len() as u64, "{filter:?}");
        assert!(!plain || about == expected.len() as u64, "{about} of {}: {filter:?}", expected.len());
        Ok(())
    };
    let mut runner = proptest::test_runner::TestRunner::default();
    runner.run(&filters(), checked).expect("every filter");
    // One condition at a time, each of which takes some and not all.
    for filter in [
        Filter { camera: Some("top".into()), ..Filter::default() },
        Filter { purpose: Some(PurposeKind::Production), ..Filter::default() },
        Filter { purpose: Some(PurposeKind::GoldenSample), ..Filter::default() },
        Filter { region: Some("rim".into()), ..Filter::default() },
        Filter { lot: Some("L3".into()), ..Filter::default() },
        Filter { recipe: Some("bracket".into()), ..Filter::default() },
        Filter { model: Some("abcd".into()), ..Filter::default() },
        Filter { score: (Some(0.4), Some(0.5)), ..Filter::default() },
    ] {
        let expected = naive(&filter).len();
        assert!(expected > 10 && expected < PARTS as usize, "{filter:?} takes {expected}");
        checked(Filter { limit: 100, ..filter }).expect("found");
    }
}

/// By all that parts have in common, in words; without those that checked the line.
fn counted(parts: &[Inspection], (from, to): (Timestamp, Timestamp)) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let (mut counts, mut places) = (BTreeMap::new(), BTreeMap::new());
    let made = parts.iter().filter(|it| it.check.is_none());
    for it in made.filter(|it| it.triggered_at >= from && it.triggered_at < to) {
        let key = (it.verdict, &it.label, &it.recipe, &it.model, &it.camera, &it.lot);
        *counts.entry(format!("{key:?}")).or_default() += 1;
        if let (Some(heat), Verdict::Fail | Verdict::Review) = (&it.heat, it.verdict) {
            let peak = heat.cells.iter().position(|&cell| cell == 250).expect("one is hot");
            let key = (&it.label, &it.recipe, &it.camera, &it.lot, peak % 32 / 2, peak / 32 / 2);
            *places.entry(format!("{key:?}")).or_default() += 1;
        }
    }
    (counts, places)
}

fn told(tally: &Tally) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let plain = |name: &Option<Arc<str>>| name.clone().unwrap_or_default();
    let parts = tally.parts.iter().map(|it| {
        let key = (it.verdict, &it.label, plain(&it.recipe), plain(&it.model), plain(&it.camera), &it.lot);
        (format!("{key:?}"), it.parts)
    });
    let places = tally.places.iter().map(|it| {
        let key = (&it.label, plain(&it.recipe), plain(&it.camera), &it.lot, it.x, it.y);
        (format!("{key:?}"), it.parts)
    });
    (parts.collect(), places.collect())
}

/// Whole hours, parts of an hour, nothing, everything.
fn times() -> Vec<(Timestamp, Timestamp)> {
    let at = |seconds: i64| time(0) + SignedDuration::from_secs(seconds);
    let hour = |n: i64| Timestamp::from_second(1_800_000_000 / 3600 * 3600 + 3600 * n).expect("in range");
    let mut times = vec![
        (hour(0), hour(30)),
        (hour(3), hour(4)),
        (at(-90_000), at(900_000)),
        (at(100), at(130)),
        (at(5000), at(60_001)),
        (at(50), at(50)),
        (at(90), at(50)),
        (at(900_000), at(990_000)),
    ];
    times.extend((0..40).map(|n| {
        let (a, b) = (dice(n, 20, 63_000) as i64, dice(n, 21, 63_000) as i64);
        (at(a.min(b)), at(a.max(b)))
    }));
    times
}

#[track_caller]
fn counts_are_true(store: &Store, parts: &[Inspection]) {
    let times = times();
    let tallies = store.tally(&times).expect("counted");
    for (time, tally) in times.iter().zip(&tallies) {
        assert_eq!(told(tally), counted(parts, *time), "{time:?}");
    }
}

#[test]
fn counts_are_those_of_the_records_whatever_happens_to_the_index() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = filled(dir.path());
    let mut all: Vec<Inspection> = (1..=PARTS).map(drawn).collect();
    counts_are_true(&store, &all);

    // Killed: the files as they stand while the line goes on.
    let killed = tempfile::tempdir().expect("a folder");
    for id in PARTS + 1..=PARTS + 500 {
        store.record(drawn(id), None).expect("kept");
        all.push(drawn(id));
    }
    acknowledged(&store, PARTS + 500);
    copy_tree(dir.path(), killed.path());
    let (again, _) = open(killed.path(), options());
    assert!(again.wait_for_index(WAIT));
    counts_are_true(&again, &all);
    again.close().expect("closes");

    store.close().expect("closes");
    let (store, _) = open(dir.path(), options());
    assert_eq!(store.stats().index_replayed, 0, "the index was complete");
    counts_are_true(&store, &all);
    store.close().expect("closes");

    // Deleted, cut, garbled: built anew by what the journal says.
    let rows = dir.path().join("index/rows");
    let harms: [(&str, &dyn Fn()); 3] = [
        ("deleted", &|| std::fs::remove_dir_all(dir.path().join("index")).expect("removed")),
        ("rows cut", &|| {
            let file = std::fs::OpenOptions::new().write(true).open(&rows).expect("opened");
            file.set_len(1000).expect("cut");
        }),
        ("a row garbled", &|| {
            let mut bytes = std::fs::read(&rows).expect("read");
            bytes[60_000] ^= 1;
            std::fs::write(&rows, bytes).expect("written");
        }),
    ];
    for (name, harm) in harms {
        harm();
        let (store, _) = open(dir.path(), options());
        assert!(store.wait_for_index(WAIT), "{name}");
        counts_are_true(&store, &all);
        store.close().expect("closes");
    }
}

#[test]
fn parts_that_a_restart_accounts_for_are_found_in_their_place() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(dir.path(), options());
    (1..=20).for_each(|id| put(&store, id));
    // Opened before others were decided, and never decided: their records stand behind newer ones.
    for id in [21, 22] {
        store.opened(id, time(id)).expect("kept");
    }
    (23..=60).for_each(|id| put(&store, id));
    acknowledged(&store, 58);
    let copy = tempfile::tempdir().expect("a folder");
    copy_tree(dir.path(), copy.path());
    let (store, report) = open(copy.path(), options());
    assert_eq!(report.restarted, [21, 22]);
    put(&store, 61);
    acknowledged(&store, 3);
    assert!(store.wait_for_index(WAIT));
    let filter = Filter { limit: 7, ..Filter::default() };
    assert_eq!(ids(&pages(&store, &filter)), (1..=61).collect::<Vec<_>>());
}

#[test]
fn whoever_takes_each_serial_number_for_a_lot_has_200_of_them_an_hour_and_one_for_the_rest() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, _) = open(dir.path(), options());
    for id in 1..=700 {
        store.record(Inspection { lot: Some(format!("lot-{id}").into()), ..inspection(id) }, None).expect("kept");
    }
    acknowledged(&store, 700);
    assert!(store.wait_for_index(WAIT));
    let hour = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).expect("in range");
    let tally = store.tally(&[(hour(0), hour(3600))]).expect("counted").remove(0);
    assert_eq!(tally.parts.iter().map(|it| it.parts).sum::<u64>(), 700);
    let others: u64 = tally.parts.iter().filter(|it| it.lot.as_deref() == Some(OTHER)).map(|it| it.parts).sum();
    assert_eq!(others, 500);
    assert_eq!(store.known().lots.last().map(|it| &**it), Some("lot-700"));
}
