//! Parts by their likeness to a question: found wherever they stand, under every filter, after whatever becomes of the index.

use std::fs;
use std::sync::Arc;

use inspectd::retrieval::shipped;
use inspectd::store::{Filter, Options, Store, VerdictKind};
use models::retrieval::{About, Retriever, Vector};
use stages::inspection::{Inspection, KeptHeat, LabelScore};
use stages::record::Recorder;
use stages::verdict::{Cause, Verdict};

use crate::support::{WAIT, acknowledged, inspection, open, options, time, until};

const PARTS: u64 = 5000;
const LABELS: [&str; 4] = ["good", "scratch", "stain", "burr"];
/// Cells across and down.
const SIDE: usize = 16;

/// A part whose label and place follow from its id: every 40th is a scratch at the top left, every 40th after it one at the bottom right, and so on.
/// `burr` is a label of a plant's own, which no glossary knows.
fn part(id: u64) -> Inspection {
    let (label, at) = match id % 40 {
        0 => ("scratch", Some((2, 2))),
        1 => ("scratch", Some((13, 13))),
        2 => ("stain", Some((2, 2))),
        3 => ("burr", Some((2, 13))),
        _ => ("good", None),
    };
    let score = |name: &str| LabelScore { label: name.into(), score: if name == label { 0.97 } else { 0.01 } };
    let mut cells = vec![0; SIDE * SIDE];
    if let Some((x, y)) = at {
        [0, 1].iter().for_each(|dx| cells[y * SIDE + x + dx] = 230);
    }
    let heat = Some(KeptHeat { label: label.into(), width: SIDE as u16, height: SIDE as u16, cells });
    let verdict = if label == "good" { Verdict::Pass } else { Verdict::Fail };
    Inspection { verdict, label: Some(label.into()), scores: LABELS.map(score).to_vec(), heat, ..inspection(id) }
}

fn with(retriever: &Arc<Retriever>) -> Options {
    Options { retriever: Some(retriever.clone()), segment_bytes: 1 << 20, ..options() }
}

fn fill(store: &Store) {
    for id in 1..=PARTS {
        store.opened(id, time(id)).expect("kept");
        store.record(part(id), None).expect("kept");
    }
    acknowledged(store, PARTS);
    assert!(store.wait_for_index(WAIT));
}

fn asked(retriever: &Retriever, words: &str) -> Vector {
    retriever.ask(words, LABELS).vector.expect("it is understood")
}

fn found(store: &Store, vector: &Vector, filter: &Filter) -> Vec<u64> {
    store.alike(vector, filter).items.iter().map(|(stored, _)| stored.inspection.id).collect()
}

fn first(limit: usize) -> Filter {
    Filter { limit, ..Filter::default() }
}

/// The four kinds of questions have the answers that they should.
fn answers(store: &Store, retriever: &Retriever) {
    for (words, remainder) in
        [("scratch top left", 0), ("Kratzer unten rechts", 1), ("左上污渍", 2), ("burr", 3), ("Burr bottom left", 3)]
    {
        let found = found(store, &asked(retriever, words), &first(20));
        assert!(found.len() == 20 && found.iter().all(|id| id % 40 == remainder), "{words}: {found:?}");
    }
}

#[test]
fn words_find_what_they_say_and_a_label_that_nobody_taught_by_its_name() {
    let retriever = Arc::new(shipped().expect("it was built with one"));
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = open(dir.path(), with(&retriever));
    fill(&store);
    answers(&store, &retriever);

    let vector = asked(&retriever, "scratch top left");
    let alike = store.alike(&vector, &first(200));
    let likeness: Vec<f32> = alike.items.iter().map(|(_, likeness)| *likeness).collect();
    assert!(likeness.is_sorted_by(|a, b| a >= b), "the most alike first: {likeness:?}");
    assert!(likeness.iter().all(|it| (0.0..=1.0).contains(it)), "{likeness:?}");
    assert!(likeness[124] > likeness[125] + 0.05, "what fits stands apart from what does not: {likeness:?}");
    // All there are: 125, however few are asked for at first.
    assert_eq!(found(&store, &vector, &first(125)).iter().filter(|id| id.is_multiple_of(40)).count(), 125);
    // Equally alike ones: the newest first.
    assert_eq!(found(&store, &vector, &first(2)), [PARTS / 40 * 40, PARTS / 40 * 40 - 40]);

    for filter in [
        Filter { verdict: Some(VerdictKind::Pass), ..first(50) },
        Filter { from: Some(time(1000)), to: Some(time(1100)), ..first(50) },
        Filter { label: Some("stain".into()), ..first(50) },
        Filter { serial: Some("S4".into()), ..first(50) },
        Filter { lot: Some("L7".into()), ..first(50) },
        Filter { score: (Some(0.5), None), label: Some("burr".into()), ..first(50) },
        Filter { camera: Some("nowhere".into()), ..first(50) },
        Filter { after_id: Some(4000), before_id: Some(4100), ..first(50) },
    ] {
        let got = store.alike(&vector, &filter).items;
        let inside = |id: u64| id > filter.after_id.unwrap_or(0) && id < filter.before_id.unwrap_or(u64::MAX);
        assert!(got.iter().all(|(it, _)| filter.matches(&it.inspection) && inside(it.inspection.id)), "{filter:?}");
        let scratch = |id: &u64| id.is_multiple_of(40) && filter.matches(&part(*id)) && inside(*id);
        let fitting = (1..=PARTS).filter(scratch).count().min(50);
        let hits = got.iter().filter(|(it, _)| it.inspection.id.is_multiple_of(40)).count();
        assert_eq!(hits, fitting, "{filter:?}");
    }

    // Like a part on record: those of its own kind and place.
    let like = store.vector_of(&part(83)).expect("it was decided");
    let near = found(&store, &like, &first(30));
    assert!(near.iter().all(|id| id % 40 == 3), "{near:?}");
    // Whoever has no decision looks like nothing.
    let undecided = Inspection {
        verdict: Verdict::NoDecision(Cause::Late),
        label: None,
        scores: Vec::new(),
        heat: None,
        ..part(PARTS + 1)
    };
    assert_eq!(store.vector_of(&undecided), None);
    store.opened(PARTS + 1, time(PARTS + 1)).expect("kept");
    store.record(undecided, None).expect("kept");
    acknowledged(&store, PARTS + 1);
    assert!(store.wait_for_index(WAIT));
    let all = found(&store, &vector, &first(Filter::MAX_LIMIT));
    assert!(!all.contains(&(PARTS + 1)));
}

#[test]
fn vectors_outlast_restarts_and_are_made_anew_where_they_are_lost_damaged_or_anothers() {
    let retriever = Arc::new(shipped().expect("it was built with one"));
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = open(dir.path(), with(&retriever));
    fill(&store);
    store.close().expect("closes");
    drop(store);

    let rebuilt = |options: Options, what: &str, expected: bool| {
        let (store, _) = open(dir.path(), options);
        assert!(store.wait_for_index(WAIT), "{what}");
        let stats = store.stats();
        assert_eq!(stats.index_replayed > 0, expected, "{what}: {stats:?}");
        store
    };
    let store = rebuilt(with(&retriever), "as it was", false);
    answers(&store, &retriever);
    store.close().expect("closes");
    drop(store);

    let vectors = dir.path().join("index/vectors");
    let whole = fs::read(&vectors).expect("it is there");
    assert_eq!(whole.len() as u64, PARTS * 68);
    for (what, bytes) in [
        ("a byte flipped", [&whole[..70_000], &[whole[70_000] ^ 1], &whole[70_001..]].concat()),
        ("cut short", whole[..whole.len() - 1].to_vec()),
        ("empty", Vec::new()),
    ] {
        fs::write(&vectors, bytes).expect("written");
        let store = rebuilt(with(&retriever), what, true);
        answers(&store, &retriever);
        store.close().expect("closes");
    }

    // Another retriever's vectors mean nothing to this one, and none is none.
    let weights = |seed: f32| {
        let tensor = |(name, shape): (String, Vec<usize>)| {
            let count: usize = shape.iter().product();
            let data = (0..count).map(|at| ((at as f32 * seed).sin()) / 10.0).collect();
            (name, models::weights::Tensor { shape, data })
        };
        models::weights::Weights(Retriever::layers().into_iter().map(tensor).collect())
    };
    let other = Arc::new(Retriever::new(&weights(1.7), About::default()).expect("it fits"));
    rebuilt(with(&other), "another retriever", true).close().expect("closes");
    let off = rebuilt(Options { retriever: None, ..with(&other) }, "no retriever", true);
    assert!(off.retriever().is_none() && off.vector_of(&part(40)).is_none());
    assert!(found(&off, &asked(&retriever, "scratch"), &first(5)).is_empty());
    assert_eq!(off.query(&first(5)).items.len(), 5, "all else is found");
    off.close().expect("closes");
    drop(off);
    let store = rebuilt(with(&retriever), "and back", true);
    answers(&store, &retriever);
}

#[test]
fn parts_that_come_are_found_at_once_and_parts_that_go_are_not() {
    let retriever = Arc::new(shipped().expect("it was built with one"));
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = open(dir.path(), Options { segment_bytes: 64 << 10, ..with(&retriever) });
    fill(&store);
    let vector = asked(&retriever, "scratch top left");
    let newest = (PARTS + 1..).find(|id| id.is_multiple_of(40)).expect("there is one");
    for id in PARTS + 1..=newest {
        store.opened(id, time(id)).expect("kept");
        store.record(part(id), None).expect("kept");
    }
    until("the newest is found", || found(&store, &vector, &first(1)) == [newest]);

    let before = found(&store, &vector, &first(Filter::MAX_LIMIT));
    let oldest = store.oldest_file().expect("read").expect("there is one");
    store.remove_oldest(&oldest).expect("removed");
    until("those of the file are gone", || {
        let after = found(&store, &vector, &first(Filter::MAX_LIMIT));
        let left: Vec<u64> = before.iter().copied().filter(|id| store.get(*id).ok().flatten().is_some()).collect();
        left.len() < before.len()
            && after.iter().filter(|id| id.is_multiple_of(40)).eq(left.iter().filter(|id| id.is_multiple_of(40)))
    });
}
