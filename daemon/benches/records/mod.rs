//! Made-up records, some 86,000 a day, shared by the benchmarks of the store.
#![allow(dead_code)] // each benchmark uses its own part

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use inspectd::retrieval::RetrievalSection;
use inspectd::store::{Options, Store};
use jiff::{SignedDuration, Timestamp};
use models::scatter::scatter;
use stages::inspection::{Inspection, KeptHeat, LabelScore};
use stages::ledger::{Ledger, Mark};
use stages::record::Recorder;
use stages::verdict::{Cause, Verdict};

const LABELS: [&str; 10] = ["good", "scratch", "pit", "stain", "dent", "crack", "burr", "hole", "scale", "inclusion"];

/// When the first of them came.
pub(crate) fn first() -> Timestamp {
    "2026-11-01T00:00:00Z".parse().expect("a time")
}

/// A store with so many.
pub(crate) fn fill(state: &Path, records: u64) {
    let began = Instant::now();
    let retriever = RetrievalSection::default().retriever().expect("the one in the program");
    let (store, _) =
        Store::open(state, Options { line: "demo".into(), retriever, ..Options::default() }).expect("a store");
    let names = Names::default();
    for id in 1..=records {
        store.record(part(id, records, &names), None).expect("kept");
    }
    println!("{records} records written in {:.0} s", began.elapsed().as_secs_f64());
    assert!(store.wait_for_index(std::time::Duration::from_secs(36_000)));
    println!("and indexed after {:.0} s", began.elapsed().as_secs_f64());
    store.close().expect("closes");
}

/// What they have in common.
pub(crate) struct Names {
    labels: Vec<Arc<str>>,
    cameras: [Arc<str>; 2],
    recipes: [Arc<str>; 2],
    models: [Arc<str>; 2],
}

impl Default for Names {
    fn default() -> Names {
        Names {
            labels: LABELS.map(Arc::from).to_vec(),
            cameras: ["top".into(), "side".into()],
            recipes: ["bracket@1".into(), "bracket@2".into()],
            models: ["aaaa".repeat(16).into(), "bbbb".repeat(16).into()],
        }
    }
}

/// Some 86,000 parts a day: a part a second.
pub(crate) fn part(id: u64, records: u64, names: &Names) -> Inspection {
    let dice = |what: u64, sides: u64| scatter(id * 13 + what) % sides;
    let (verdict, label) = match dice(0, 1000) {
        0 => (Verdict::NoDecision(Cause::Late), None),
        n @ 1..=36 => (Verdict::Fail, Some(1 + (n as usize - 1) / 4)),
        37..=46 => (Verdict::Review, Some(1 + dice(1, 9) as usize)),
        _ => (Verdict::Pass, Some(0)),
    };
    let score =
        |at: usize| LabelScore { label: names.labels[at].clone(), score: dice(20 + at as u64, 1000) as f32 / 2000.0 };
    let mut scores: Vec<LabelScore> = (0..LABELS.len()).map(score).collect();
    if let Some(label) = label {
        scores[label].score = 0.5 + dice(2, 5000) as f32 / 10_000.0;
    }
    let bad = matches!(verdict, Verdict::Fail | Verdict::Review);
    let heat = bad.then(|| KeptHeat {
        label: names.labels[label.unwrap_or(0)].clone(),
        width: 16,
        height: 16,
        cells: (0..256).map(|cell| if cell == dice(3, 256) { 240 } else { 12 }).collect(),
    });
    let stages = ["quality", "identify", "align", "preprocess", "infer", "decide"];
    let mark = |(at, stage): (usize, &'static str)| Mark {
        stage: stage.into(),
        entered_us: 1000 * at as u32,
        left_us: 1000 * at as u32 + 900,
    };
    let half = usize::from(id > records / 2);
    Inspection {
        id,
        line: "demo".into(),
        camera: names.cameras[dice(4, 2) as usize].clone(),
        serial: Some(format!("S-{id:07}").into()),
        lot: Some(format!("L{}", id * 40 / records).into()),
        identity: None,
        call: None,
        origin: None,
        triggered_at: first() + SignedDuration::from_secs(id as i64),
        verdict,
        detail: None,
        label: label.map(|at| names.labels[at].clone()),
        found: label.filter(|_| bad).map(|at| scores[at].clone()).into_iter().collect(),
        scores: if label.is_some() { scores } else { Vec::new() },
        heat,
        regions: Vec::new(),
        views: Arc::default(),
        recipe: names.recipes[half].clone(),
        model: names.models[half].clone(),
        provider: None,
        ledger: Ledger { marks: stages.into_iter().enumerate().map(mark).collect(), total_us: 12_000 },
        evidence: None,
        truth: None,
        conditions: Vec::new(),
        check: None,
        image: None,
        pose: None,
        sample: Default::default(),
    }
}
