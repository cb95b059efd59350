//! Learning to find parts by words, on made-up records: it learns, the same twice, and says what is wrong.

use models::retrieval::{About, Retriever};
use models_train::TrainError;
use models_train::retrieval::measure::{answers, by_place, vectors, words};
use models_train::retrieval::truth::{Defect, Extent, Truth};
use models_train::retrieval::{Part, Settings, train};

const LABELS: [&str; 4] = ["good", "scratch", "pit", "burr"];
const SIDE: usize = 16;

/// Parts as a perfect model would have them on record: 75 places, each with each label.
fn parts() -> Vec<Part> {
    (0..900).map(part).collect()
}

fn part(index: usize) -> Part {
    let label = LABELS[index % 4];
    let (x, y) = (1 + index * 7 % 14, 1 + index * 5 % 13);
    let centre = [x, y].map(|at| (at as f32 + 0.5) / SIDE as f32);
    let concepts = Extent { centre, length: 0.12, stretch: 2.0, angle: 0.0 }.concepts(5.0);
    let mut cells = vec![0; SIDE * SIDE];
    let mut defects = Vec::new();
    if label != "good" {
        cells[y * SIDE + x] = 220;
        defects.push(Defect { label: label.into(), concepts });
    }
    let score = |name: &str| (name.to_owned(), if name == label { 0.94 } else { 0.02 });
    let truth = Truth { defects, concepts: Vec::new() };
    Part { truth, scores: LABELS.map(score).to_vec(), heat: Some(([SIDE, SIDE], cells)), sketch: None }
}

fn recall(retriever: &Retriever, parts: &[Part]) -> f64 {
    let truths: Vec<Truth> = parts.iter().map(|part| part.truth.clone()).collect();
    let asked = by_place(&truths);
    answers(retriever, &vectors(retriever, parts, false), &asked, &truths, |it| words(it, 1, 0)).recall_at_10
}

fn learned(steps: usize) -> (Retriever, Vec<f32>) {
    let settings = Settings { steps, batch: 128, ..Settings::default() };
    let mut losses = Vec::new();
    let weights = train(&parts(), &settings, |_, loss| {
        losses.push(loss);
        true
    })
    .expect("it learns");
    (Retriever::new(&weights, About::default()).expect("its own weights"), losses)
}

#[test]
fn what_is_true_of_parts_is_learned_and_so_is_a_name_that_nobody_knows() {
    let parts = parts();
    let (untrained, _) = learned(1);
    let (trained, losses) = learned(250);
    let (before, after) = (recall(&untrained, &parts), recall(&trained, &parts));
    // Words and labels pass through the towers by their names even before anything is learned.
    assert!(after > 0.85 && after > before + 0.3, "{before} {after}");
    assert!(losses[249] < 0.8 * losses[0] && losses.iter().all(|loss| loss.is_finite()), "{losses:?}");

    // `burr` stands in no glossary: it is found by its name alone.
    let asked = trained.ask("burr", LABELS).vector.expect("a label is called so");
    let placed = vectors(&trained, &parts, false);
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|&at| -asked.dot(&placed[at]));
    let right = order[..50].iter().filter(|&&at| at % 4 == 3).count();
    assert!(right >= 48, "{right} of 50");

    // The same seed, the same towers: the file's digest says which vectors fit.
    let again = learned(3).0;
    assert_eq!(again.digest(), learned(3).0.digest());
    assert_ne!(again.digest(), trained.digest());
}

#[test]
fn a_retriever_survives_its_file_and_what_is_none_is_refused() {
    let settings = Settings { steps: 2, batch: 64, ..Settings::default() };
    let weights = train(&parts(), &settings, |_, _| true).expect("it learns");
    let about = About { models: vec!["ab".repeat(32)], story: "made-up parts".into() };
    let bytes = Retriever::to_bytes(&weights, &about).expect("written");
    let read = Retriever::from_bytes(&bytes).expect("read");
    assert_eq!(
        (read.about(), read.digest()),
        (&about, Retriever::new(&weights, about.clone()).expect("whole").digest())
    );
    assert!(read.knows_sketches_of(&"ab".repeat(32)) && !read.knows_sketches_of("ab"));

    let refused = |bytes: &[u8]| Retriever::from_bytes(bytes).expect_err("refused").to_string();
    for bytes in [&b""[..], b"nonsense", &bytes[..bytes.len() / 2], &[0xff; 64]] {
        assert!(refused(bytes).contains("not a retriever"), "{}", refused(bytes));
    }
    let replaced = |from: &str, to: &str| {
        let at = bytes.windows(from.len()).position(|it| it == from.as_bytes()).expect("it stands there");
        [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
    };
    assert!(refused(&replaced("\"format\":\"1\"", "\"format\":\"9\"")).contains("format 9"));
    let glossary = bytes.windows(12).position(|it| it == b"\"glossary\":\"").expect("it names its glossary") + 12;
    let mut other = bytes.clone();
    other[glossary] ^= 1;
    assert!(refused(&other).contains("another glossary"), "{}", refused(&other));
    let mut endless = bytes.clone();
    let last = endless.len() - 4;
    endless[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(refused(&endless).contains("not finite"), "{}", refused(&endless));
}

#[test]
fn too_few_parts_and_a_stop_are_said() {
    let settings = Settings { batch: 512, ..Settings::default() };
    let few = train(&parts(), &settings, |_, _| true).expect_err("too few");
    assert!(few.to_string().contains("give 1024 at least"), "{few}");
    let stopped = train(&parts(), &Settings { batch: 64, ..settings }, |step, _| step < 3);
    assert!(matches!(stopped, Err(TrainError::Stopped)));
}
