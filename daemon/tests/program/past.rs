//! A line with a past: records of some days are put into the store before the program starts.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use inspectd::store::{Options, Store};
use jiff::{SignedDuration, Timestamp};
use models::scatter::scatter;
use stages::inspection::{Inspection, KeptHeat, LabelScore};
use stages::ledger::Ledger;
use stages::record::Recorder;
use stages::sample::{Reason, Sample, Why};
use stages::verdict::{Cause, Verdict};

use crate::support::{Program, jpeg, text, tiny_bundle};

/// How many parts, a minute apart: two days.
pub(crate) const PARTS: u64 = 2880;

/// When the first one came: midnight UTC.
pub(crate) fn midnight() -> Timestamp {
    "2026-11-02T00:00:00Z".parse().expect("a time")
}

pub(crate) fn hours_later(hours: i64) -> Timestamp {
    midnight() + SignedDuration::from_hours(hours)
}

fn dice(id: u64, what: u64, sides: u64) -> u64 {
    scatter(id * 17 + what) % sides
}

/// Everything follows from the id. From the second day's noon on there are three times as many scratches.
pub(crate) fn part(id: u64) -> Inspection {
    let at = midnight() + SignedDuration::from_secs(60 * (id as i64 - 1));
    let bad = if at < hours_later(36) { 40 } else { 120 };
    let (verdict, label) = match dice(id, 1, 1000) {
        n if n < bad => (Verdict::Fail, Some("scratch")),
        n if n < bad + 10 => (Verdict::Review, Some("pit")),
        n if n < bad + 15 => (Verdict::NoDecision(Cause::Late), None),
        _ => (Verdict::Pass, Some("good")),
    };
    let score = |label: &str| LabelScore { label: label.into(), score: 0.5 + dice(id, 2, 500) as f32 / 1000.0 };
    let hot = dice(id, 3, 4) as usize;
    let cells = (0..256).map(|cell| if cell == hot { 255 } else { 0 }).collect();
    let audit = Reason { why: Why::Audit, value: 0.5, detail: "chosen by lot".into() };
    // Names that a spreadsheet would compute, and that a table's separators must survive.
    let serial = if id == 7 { "=7+7".to_owned() } else { format!("L{}-{id:05}", 1 + id / 1000) };
    let kept = verdict == Verdict::Fail;
    Inspection {
        id,
        line: "demo".into(),
        camera: if id.is_multiple_of(2) { "top" } else { "side" }.into(),
        serial: Some(serial.into()),
        lot: Some(format!("L{}", 1 + id / 1000).into()),
        identity: None,
        call: None,
        origin: None,
        triggered_at: at,
        verdict,
        detail: matches!(verdict, Verdict::NoDecision(_)).then(|| "late, \"very\"\nlate".into()),
        label: label.map(Into::into),
        found: label.map(score).into_iter().collect(),
        scores: label.map(score).into_iter().collect(),
        heat: kept.then(|| KeptHeat { label: "scratch".into(), width: 16, height: 16, cells }),
        regions: Vec::new(),
        views: Arc::default(),
        recipe: if id <= 1500 { "bracket@1" } else { "bracket@2" }.into(),
        model: "ab".repeat(32).into(),
        provider: None,
        ledger: Ledger { marks: Vec::new(), total_us: 1000 + id as u32 },
        evidence: kept.then(|| format!("{}/{id}.jpg", at.strftime("%Y/%m/%d"))),
        truth: None,
        conditions: Vec::new(),
        check: None,
        image: None,
        pose: None,
        sample: Sample { reasons: if dice(id, 4, 10) == 0 { vec![audit] } else { Vec::new() }, sketch: None },
    }
}

/// All of them.
pub(crate) fn parts() -> Vec<Inspection> {
    (1..=PARTS).map(part).collect()
}

/// Puts them on record.
pub(crate) fn record(state: &Path, parts: impl Iterator<Item = Inspection>) {
    let (store, _) = Store::open(state, Options { line: "demo".into(), ..Options::default() }).expect("a store");
    let store = Arc::new(store);
    let picture = jpeg(120);
    for part in parts {
        if let Some(path) = &part.evidence {
            let path = store.evidence_dir().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, &picture).expect("written");
        }
        store.record(part, None).expect("kept");
    }
    assert!(store.wait_for_index(Duration::from_secs(60)));
    store.close().expect("closes");
}

/// The program on that state: a simulated line that goes on.
pub(crate) fn line(state: &Path) -> (Program, String) {
    let bundle = tiny_bundle(state);
    let demo = ["demo", "--listen", "127.0.0.1:0", "--rate", "2", "--bundle", text(&bundle), "--state", text(state)];
    let mut program = Program::start(&demo);
    let url = program.url();
    (program, url)
}
