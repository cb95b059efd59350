//! A line over days: what is usual is learned, what changes is seen within its hour, and what does not change is left in peace.

use models::bundle::{Label, Manifest};
use models::sketch::Sketch;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stages::inspection::{ImageHealth, LabelScore};
use stages::sample::Sample;
use stages::verdict::Verdict;

use super::*;
use crate::alerts::testing;

const MODEL: &str = "model";

/// A line that makes parts, a minute apart from each other unless told otherwise.
struct Rig {
    drift: Drift,
    dir: tempfile::TempDir,
    manifest: Manifest,
    reference: Option<Reference>,
    model: Arc<str>,
    random: ChaCha8Rng,
    id: u64,
    seconds: i64,
    reasons: u32,
}

/// How the parts of a line are.
#[derive(Clone, Copy)]
struct Line {
    brightness: f32,
    /// How far parts are turned away from those of the training, 0 to 1.
    turned: f32,
    badness: f32,
    every_s: i64,
}

const AS_EVER: Line = Line { brightness: 120.0, turned: 0.0, badness: 0.02, every_s: 10 };

impl Rig {
    fn new(with_reference: bool) -> Rig {
        let dir = tempfile::tempdir().expect("a folder");
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut some = |count: usize| -> Vec<Sketch> { (0..count).map(|_| looks(&mut random, 0.0)).collect() };
        let reference = Reference::of(&some(200), &some(200)).filter(|_| with_reference);
        let mut manifest = crate::supervise::shipped_bundle().expect("the model inside").manifest;
        manifest.labels = [("good", Disposition::Pass), ("scratch", Disposition::Fail)]
            .map(|(name, verdict)| Label { name: name.into(), verdict, threshold: 0.5 })
            .into();
        Rig {
            drift: Drift::open(dir.path(), DriftSection::default()),
            dir,
            manifest,
            reference,
            model: MODEL.into(),
            random,
            id: 0,
            seconds: 0,
            reasons: 0,
        }
    }

    fn make(&mut self, parts: u64, line: Line) {
        for _ in 0..parts {
            self.id += 1;
            self.seconds += line.every_s;
            let bad = (line.badness * 4.0 * self.random.random::<f32>().powi(3)).min(1.0);
            let score = |label: &str, score| LabelScore { label: label.into(), score };
            let image = ImageHealth {
                brightness: line.brightness + 8.0 * (self.random.random::<f32>() - 0.5),
                contrast: 30.0 + self.random.random::<f32>(),
                sharpness: self.id.is_multiple_of(10).then(|| 200.0 + 20.0 * self.random.random::<f32>()),
            };
            let sketch = Some(looks(&mut self.random, line.turned));
            let part = Inspection {
                id: self.id,
                triggered_at: testing::at(self.seconds),
                recipe: "cap@1".into(),
                scores: vec![score("good", 1.0 - bad), score("scratch", bad)],
                image: Some(image),
                sample: Sample { sketch, ..Sample::default() },
                ..testing::part(Verdict::Pass, None)
            };
            let judge = Judge { trunk: &self.model, manifest: &self.manifest, reference: self.reference.as_ref() };
            self.reasons += u32::from(self.drift.part(&part, &self.model, &judge).is_some());
        }
    }

    fn now(&self) -> Vec<Reading> {
        self.drift.readings(testing::at(self.seconds))
    }

    fn beyond(&self) -> Vec<Measure> {
        self.now().iter().filter(|reading| reading.is_beyond()).map(|reading| reading.measure).collect()
    }
}

/// A sketch of a part of one of four sorts, turned away from all of them by so much.
fn looks(random: &mut ChaCha8Rng, turned: f32) -> Sketch {
    let sort = random.random_range(0..4);
    let numbers: Vec<f32> = (0..64)
        .map(|at| {
            let own = if at % 4 == sort { 1.0 } else { 0.1 };
            let other = if at % 7 == 0 { 1.5 } else { 0.0 };
            (1.0 - turned) * own + turned * other + 0.3 * (random.random::<f32>() - 0.5)
        })
        .collect();
    Sketch::of(&numbers).expect("numbers")
}

#[test]
fn a_line_that_stays_as_it_is_stays_in_peace_for_a_week() {
    for with_reference in [true, false] {
        let mut rig = Rig::new(with_reference);
        rig.make(499, AS_EVER);
        assert_eq!(rig.now(), [], "nothing is known yet");
        let mut beyond = 0;
        for _ in 0..7 * 24 * 6 {
            rig.make(60, AS_EVER);
            beyond += rig.beyond().len();
        }
        // Of five thousand looks; an alarm takes several in a row.
        assert!(beyond <= 1, "{beyond}, with reference: {with_reference}");
        assert_eq!(rig.now().len(), 5, "{:?}", rig.now());
        assert!(rig.reasons <= 10, "{} of 60,480 parts are put before a person", rig.reasons);
        let hours = rig.drift.view(testing::at(rig.seconds)).hours;
        assert!((165..=171).contains(&hours.len()), "{}", hours.len());
        assert!(hours.iter().skip(3).all(|hour| hour.readings.len() == 5 && hour.distance.is_some()));
    }
}

#[test]
fn each_change_is_seen_within_the_next_hour_and_only_by_its_own_measure() {
    let changes = [
        (Measure::Brightness, Line { brightness: 100.0, ..AS_EVER }),
        (Measure::Brightness, Line { brightness: 140.0, ..AS_EVER }),
        (Measure::Embedding, Line { turned: 0.3, ..AS_EVER }),
        (Measure::Scores, Line { badness: 0.06, ..AS_EVER }),
    ];
    for with_reference in [true, false] {
        for (measure, changed) in changes {
            let mut rig = Rig::new(with_reference);
            rig.make(2000, AS_EVER);
            assert_eq!(rig.beyond(), []);
            rig.make(720, changed);
            assert_eq!(rig.beyond(), [measure], "with reference: {with_reference}, {:?}", rig.now());
            assert_eq!(rig.reasons > 0, measure == Measure::Embedding, "parts that drift away are put before a person");
            rig.make(1000, AS_EVER);
            assert_eq!(rig.beyond(), [], "and it heals");
        }
    }
}

#[test]
fn a_slow_line_waits_until_it_has_enough_parts_and_one_that_stands_says_nothing() {
    let mut rig = Rig::new(true);
    let slow = Line { every_s: 120, ..AS_EVER };
    rig.make(600, slow);
    rig.make(400, Line { brightness: 90.0, ..slow });
    assert_eq!(rig.beyond(), [Measure::Brightness]);
    let hours = rig.drift.view(testing::at(rig.seconds)).hours;
    assert!(hours.iter().all(|hour| hour.parts <= 150), "a stretch ends with the hour that has enough");
    assert_eq!(rig.drift.readings(testing::at(rig.seconds + 2 * 3600)), [], "what was two hours ago is not now");
}

#[test]
fn another_model_has_another_usual_and_the_pictures_keep_theirs() {
    let mut rig = Rig::new(true);
    rig.make(2000, AS_EVER);
    rig.model = "another".into();
    rig.make(400, Line { badness: 0.2, brightness: 100.0, ..AS_EVER });
    let measures: Vec<Measure> = rig.now().iter().map(|reading| reading.measure).collect();
    assert_eq!(rig.beyond(), [Measure::Brightness], "{measures:?}");
    rig.make(1500, Line { badness: 0.2, ..AS_EVER });
    assert_eq!((rig.now().len(), rig.beyond()), (5, vec![]), "high scores are usual for this one");
}

#[test]
fn figures_outlive_a_restart_and_no_part_counts_twice() {
    let mut rig = Rig::new(false);
    rig.make(2000, AS_EVER);
    rig.drift.keep();
    let before = rig.now();
    rig.drift = Drift::open(rig.dir.path(), DriftSection::default());
    assert_eq!(rig.now(), before);
    rig.id -= 100;
    rig.make(100, AS_EVER);
    assert_eq!(rig.now(), before, "these were seen");
    rig.drift.begin_anew();
    assert_eq!(rig.now(), [], "what is usual has to be learned again");
}

#[test]
fn a_file_that_is_none_of_ours_is_begun_anew() {
    for text in ["", "{", "[]", r#"{"format":9,"seen":0,"product":"","courses":{}}"#] {
        let rig = Rig::new(false);
        std::fs::write(rig.dir.path().join("drift.json"), text).expect("a file");
        let mut rig = Rig { drift: Drift::open(rig.dir.path(), DriftSection::default()), ..rig };
        rig.make(10, AS_EVER);
        assert_eq!(rig.drift.view(testing::at(rig.seconds)).by_image.parts, 10);
    }
}

#[test]
fn many_products_push_out_the_one_that_was_longest_away() {
    let mut rig = Rig::new(false);
    rig.make(1, AS_EVER);
    let judge_model: Arc<str> = MODEL.into();
    for product in 0..40_u64 {
        let judge = Judge { trunk: &judge_model, manifest: &rig.manifest, reference: None };
        let part = Inspection {
            id: 10 + product,
            recipe: format!("product {product}@1").into(),
            triggered_at: testing::at(100 + product as i64),
            ..testing::part(Verdict::Pass, None)
        };
        rig.drift.part(&part, &judge_model, &judge);
    }
    assert_eq!(rig.drift.lock().figures.courses.len(), PRODUCTS);
    assert!(!rig.drift.lock().figures.courses.contains_key("cap"));
}
