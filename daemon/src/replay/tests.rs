//! What scores alone can tell of a model with other heads, and records that lead astray, on records that are written here.

use jiff::Timestamp;
use models::bundle::{
    Disposition, FORMAT, Heads, Kind, Label, MemorySpec, Method, Metric, Pooling, PrototypeSpec, Provenance, Rule,
    ThresholdNote, Tolerance, Unknown,
};
use models::heads::memory::{Features, Scorer};
use stages::inspection::LabelScore;
use stages::ledger::Ledger;
use stages::sample::Sample;
use stages::verdict::{Cause, Verdict};

use super::manifests::Paper;
use super::report::Fate;
use super::*;
use crate::config;

fn manifest(heads: Heads) -> Manifest {
    let label = |name: &str, verdict| Label { name: name.into(), verdict, threshold: 0.5 };
    Manifest {
        format: FORMAT,
        name: "test".into(),
        labels: vec![label("good", Disposition::Pass), label("scratch", Disposition::Fail)],
        preprocess: models::preprocess::Preprocess::imagenet(32),
        pooling: Pooling::Mean,
        input: "input".into(),
        scores: "scores".into(),
        heat: "heat".into(),
        heads,
        precision: Default::default(),
        graph_sha256: "digest".into(),
        files_sha256: Default::default(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 1e-2 },
        provenance: Provenance::default(),
    }
}

fn memory() -> Heads {
    let memory = MemorySpec {
        anomaly: "anomaly".into(),
        distances: "distances".into(),
        method: Method::Memory,
        features: Features { blocks: vec![4], stride: 8 },
        dimensions: 8,
        scorer: Scorer::TopMean,
        threshold: ThresholdNote { asked_overkill: 0.01, held_out: 100, above: 1, overkill_ci: [0.0, 0.05] },
    };
    Heads { memory: Some(memory), rules: Rule::defaults(), ..Heads::default() }
}

/// A head that knows good parts and the registered kind `burr` (fail).
fn kinds() -> Heads {
    let kind = |name: &str, verdict, registered| Kind { name: name.into(), verdict, shots: 5, registered };
    let spec = PrototypeSpec {
        output: "prototypes".into(),
        metric: Metric::Lda,
        kinds: vec![kind("good", Disposition::Pass, false), kind("burr", Disposition::Fail, true)],
        spread: 1.0,
        background_images: 50,
        reach: 2.0,
        temperature: 1.0,
        radius: 20.0,
        quantile: 0.99,
        sure: 0.5,
        unknown: Unknown::Keep,
    };
    Heads { prototypes: Some(spec), ..Heads::default() }
}

/// A part with this verdict, label and score of `scratch`.
fn part(verdict: Verdict, label: &str, scratch: f32) -> Inspection {
    let score = |label: &str, score| LabelScore { label: label.into(), score };
    Inspection {
        id: 1,
        line: "press".into(),
        camera: "folder".into(),
        serial: None,
        lot: None,
        identity: None,
        call: None,
        origin: None,
        triggered_at: Timestamp::UNIX_EPOCH,
        verdict,
        detail: None,
        label: Some(label.into()),
        found: Vec::new(),
        scores: vec![score("good", 1.0 - scratch), score("scratch", scratch)],
        heat: None,
        regions: Vec::new(),
        views: std::sync::Arc::default(),
        recipe: "bracket@1".into(),
        model: "digest".into(),
        provider: None,
        ledger: Ledger::default(),
        evidence: None,
        truth: None,
        image: None,
        pose: None,
        sample: Sample::default(),
        conditions: Vec::new(),
        check: None,
    }
}

fn bracket() -> Recipe {
    let text = "name = \"bracket\"\nversion = 1\ndeadline_ms = 100\n[thresholds]\nscratch = 0.3\n";
    config::parse_recipe(Path::new("bracket.toml"), text).expect("a sound recipe")
}

/// The new verdict and label of a part, or the reason why there is none. `known`: its recipe is.
fn fate(heads: Heads, known: bool, part: &Inspection, scratch: f32) -> Result<(String, Option<String>), String> {
    let empty = tempfile::tempdir().expect("a folder");
    let recipes = Recipes::new(known.then(bracket), None, empty.path(), &mut Vec::new());
    let papers = BTreeMap::from([(Arc::from("digest"), Arc::new(Paper::new(manifest(heads))))]);
    let thresholds = BTreeMap::from([("scratch".to_owned(), scratch)]);
    match ByScores::new(&recipes, papers, &thresholds, None).fate(part) {
        Fate::Decided { after, .. } => Ok((after.verdict, after.label)),
        Fate::Undecidable(reason) => Err(reason),
        _ => panic!("neither decided nor undecidable"),
    }
}

fn said(verdict: &str, label: &str) -> Result<(String, Option<String>), String> {
    Ok((verdict.into(), Some(label.into())))
}

#[test]
fn the_memory_is_believed_as_far_as_the_record_tells_its_word() {
    let (passed, failed) = (part(Verdict::Pass, "good", 0.1), part(Verdict::Fail, "scratch", 0.6));
    // It passed, so the memory found nothing.
    assert_eq!(fate(memory(), true, &passed, 0.4), said("pass", "good"));
    assert_eq!(fate(memory(), true, &passed, 0.05), said("fail", "scratch"));
    // The classifier found something, so nobody knows what the memory had said: at 0.7 it would count, at 0.55 it does not.
    assert_eq!(fate(memory(), true, &failed, 0.55), said("fail", "scratch"));
    let review = fate(memory(), true, &failed, 0.7).expect("held back either way");
    assert_eq!(review, ("review".into(), None), "by which label is not known");
    let sure = part(Verdict::Fail, "scratch", 0.45);
    let reason = fate(memory(), true, &sure, 0.5).expect_err("good reaches its threshold, and the memory may object");
    assert!(reason.contains("memory") && reason.contains("--bundle"), "{reason}");
    // The memory held it back and goes on doing so.
    let held = part(Verdict::Review, "anomaly", 0.1);
    assert_eq!(fate(memory(), true, &held, 0.4), said("review", "anomaly"));
    assert_eq!(fate(memory(), true, &held, 0.05), said("fail", "scratch"));
}

#[test]
fn a_kind_is_believed_as_far_as_the_record_tells_its_word() {
    assert_eq!(fate(kinds(), true, &part(Verdict::Pass, "good", 0.1), 0.4), said("pass", "good"));
    let burr = part(Verdict::Review, "burr", 0.1);
    assert_eq!(fate(kinds(), true, &burr, 0.4), said("review", "burr"));
    let scratched = fate(kinds(), true, &burr, 0.05).expect("the classifier finds something");
    assert_eq!(scratched, ("fail".into(), Some("burr".into())), "and the kind gives the name");
    // A fail by the classifier alone: the kind was not like it.
    assert_eq!(fate(kinds(), true, &part(Verdict::Fail, "scratch", 0.45), 0.5).map(|it| it.0), Ok("pass".into()));
}

#[test]
fn an_unknown_recipe_lets_nothing_be_concluded_of_the_heads() {
    let passed = part(Verdict::Pass, "good", 0.1);
    let reason = fate(memory(), false, &passed, 0.4).expect_err("the thresholds of that time are not known");
    assert!(reason.contains("--recipe"), "{reason}");
    assert_eq!(fate(Heads::default(), false, &passed, 0.4), said("pass", "good"), "scores alone need no more");
    assert_eq!(fate(memory(), false, &passed, 0.05), said("fail", "scratch"), "the memory cannot make it milder");
}

#[test]
fn records_that_lead_astray_are_refused() {
    let reason = |part: &Inspection| fate(Heads::default(), true, part, 0.4).expect_err("must be refused");
    let mut strange = part(Verdict::Pass, "good", 0.1);
    strange.scores.pop();
    assert!(reason(&strange).contains("not those of the labels"));
    assert!(reason(&part(Verdict::Pass, "good", f32::NAN)).contains("not those of the labels"));
    let stranger = Inspection { model: "\u{20ac}\u{20ac}\u{20ac}\u{20ac}\u{20ac}\u{20ac}".into(), ..strange };
    assert!(reason(&stranger).contains("is not here"));

    let state = tempfile::tempdir().expect("a folder");
    let outside = tempfile::NamedTempFile::new_in(state.path()).expect("a file");
    std::fs::write(outside.path(), "secret").expect("written");
    std::fs::create_dir_all(state.path().join("evidence/folder")).expect("a folder");
    let recipes = Recipes::new(Some(bracket()), None, state.path(), &mut Vec::new());
    let thresholds = BTreeMap::new();
    let paper = Arc::new(Paper::new(manifest(Heads::default())));
    let mut pictures = ByPictures::new(state.path(), &recipes, paper, &thresholds);
    let name = outside.path().file_name().expect("a name").to_string_lossy();
    for (path, words) in [
        (format!("../{name}"), "not in the evidence folder"),
        (outside.path().display().to_string(), "not in the evidence folder"),
        (String::new(), "not in the evidence folder"),
        ("folder".to_owned(), "it is no file"),
    ] {
        let astray = Inspection { evidence: Some(path.clone()), ..part(Verdict::Fail, "scratch", 0.9) };
        match pictures.fate(&astray) {
            Fate::Unreadable(reason) => assert!(reason.contains(words), "{path}: {reason}"),
            _ => panic!("{path} must be refused"),
        }
    }
    let blank = Inspection { label: None, scores: Vec::new(), ..part(Verdict::NoDecision(Cause::Blank), "", 0.0) };
    assert!(matches!(pictures.fate(&blank), Fate::Decided { after, .. } if after.cause.as_deref() == Some("blank")));
}
