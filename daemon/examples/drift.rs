//! How well drift is noticed (docs/DRIFT.md): a line of drawn parts, then the same line with something changed, through the line's own
//! decision and the daemon's own figures. A line a change: what each measure says, `!` where it is beyond its limit.
//!
//!     cargo run -p inspectd --example drift [-- BUNDLE]

#![allow(clippy::print_stdout)] // a report for the person who runs it

use std::sync::Arc;

use inspectd::learning::drift::{Drift, DriftSection, Judge, Measure};
use inspectd::supervise::{DEMO_RECIPE, Kitchen};
use jiff::{SignedDuration, Timestamp};
use models::image::{Image, ImageView};
use models::sketch::Sketch;
use stages::capture::synthetic::TrainingSet;
use stages::decide::decide;
use stages::inspection::Inspection;
use stages::ledger::Ledger;
use stages::quality::health_of;
use stages::recipe::{Recipe, RecipeInForce};
use stages::sample::Sample;

/// Parts of one hour: one that says how the line usually is, then one of each change.
const PARTS: u64 = 300;

/// What may happen to a line.
type Change = fn(&mut Image);

fn main() -> anyhow::Result<()> {
    let mut recipe: Recipe = toml::from_str(DEMO_RECIPE)?;
    recipe.bundle = std::env::args_os().nth(1).map(Into::into);
    let prepared = Kitchen::default().prepare(recipe, None)?;
    let line = Line { parts: TrainingSet::to_measure_on(404, 512), recipe: prepared.in_force };
    let changes: [(&str, bool, Change); 9] = [
        ("nothing", false, |_| {}),
        ("light 10 % weaker", false, |image| each(image, |_, level| 0.9 * level)),
        ("light 25 % weaker", false, |image| each(image, |_, level| 0.75 * level)),
        ("light 25 % stronger", false, |image| each(image, |_, level| 1.25 * level)),
        ("haze: contrast 20 % less", false, |image| each(image, |_, level| 120.0 + 0.8 * (level - 120.0))),
        ("out of focus", false, blur),
        ("another surface: a weave", false, |image| each(image, |[x, y], level| level + weave(x, y))),
        ("camera upside down", false, |image| image.data.reverse()),
        ("nine of ten parts defective", true, |_| {}),
    ];
    println!("change: {}", Measure::ALL.map(Measure::name).join(", "));
    for (name, defective, change) in changes {
        let dir = tempfile::tempdir()?;
        let section = DriftSection { usual_parts: PARTS, usual_min: 0, ..DriftSection::default() };
        let drift = Drift::open(dir.path(), section);
        line.hour(&drift, 0, false, |_| {})?;
        let now = line.hour(&drift, 1, defective, change)?;
        let word = |measure| {
            let reading = drift.readings(now).into_iter().find(|reading| reading.measure == measure);
            reading.map_or("-".into(), |it| {
                let mark = if it.is_beyond() { "!" } else { "" };
                match it.low {
                    Some(_) => format!("{:+.0} %{mark}", 100.0 * (it.value / it.usual - 1.0)),
                    None => format!("{:.2} (usual {:.2}, limit {:.2}){mark}", it.value, it.usual, it.high),
                }
            })
        };
        println!("{name}: {}", Measure::ALL.map(word).join(", "));
    }
    Ok(())
}

/// A line of drawn parts.
struct Line {
    parts: TrainingSet,
    recipe: Arc<RecipeInForce>,
}

impl Line {
    /// An hour's parts, other ones each hour. The time of the last.
    fn hour(&self, drift: &Drift, hour: u64, defective: bool, change: Change) -> anyhow::Result<Timestamp> {
        let model = &self.recipe.model;
        let judge = Judge { trunk: model.digest(), manifest: model.manifest(), reference: model.reference() };
        let mut last = Timestamp::UNIX_EPOCH;
        for part in 0..PARTS {
            let index = hour * PARTS + part;
            let drawn = if defective { self.parts.sample(index) } else { self.parts.as_it_comes(index) };
            let mut image = drawn.image;
            change(&mut image);
            last = Timestamp::UNIX_EPOCH + SignedDuration::from_secs((hour * 3600 + part * 10) as i64);
            let inspection = self.inspect(index + 1, last, image.view())?;
            drift.part(&inspection, model.digest(), &judge);
        }
        Ok(last)
    }

    fn inspect(&self, id: u64, at: Timestamp, view: ImageView<'_>) -> anyhow::Result<Inspection> {
        let model = &self.recipe.model;
        let mut tensor = vec![0.0; model.preprocess().tensor_len()];
        model.preprocess().fill(view, &mut tensor);
        let prediction = model.predict(&tensor)?;
        let sketch = prediction.embedding.as_deref().and_then(Sketch::of);
        let decision = decide(&prediction, &self.recipe);
        Ok(Inspection {
            id,
            line: "drawn".into(),
            camera: "drawn".into(),
            serial: None,
            lot: None,
            identity: None,
            call: None,
            origin: None,
            triggered_at: at,
            verdict: decision.verdict,
            detail: None,
            label: decision.label,
            found: decision.found,
            scores: decision.scores,
            heat: None,
            regions: Vec::new(),
            views: Arc::default(),
            recipe: self.recipe.tag.clone(),
            model: model.digest().clone(),
            provider: None,
            ledger: Ledger::default(),
            evidence: None,
            truth: None,
            image: Some(health_of(view)),
            pose: None,
            sample: Sample { sketch, ..Sample::default() },
            conditions: Vec::new(),
            check: None,
        })
    }
}

fn each(image: &mut Image, level: impl Fn([usize; 2], f32) -> f32) {
    let (width, channels) = (image.width as usize, image.format.channels());
    for (at, value) in image.data.iter_mut().enumerate() {
        let pixel = at / channels;
        *value = level([pixel % width, pixel / width], f32::from(*value)).round().clamp(0.0, 255.0) as u8;
    }
}

/// Threads of eight pixels that go over and under each other.
fn weave(x: usize, y: usize) -> f32 {
    if (x / 8 + y / 8).is_multiple_of(2) { 10.0 } else { -10.0 }
}

/// A mean of five by five pixels.
fn blur(image: &mut Image) {
    let (width, height, channels) = (image.width as usize, image.height as usize, image.format.channels());
    let before = image.data.clone();
    let level =
        |x: usize, y: usize, c: usize| u32::from(before[(y.min(height - 1) * width + x.min(width - 1)) * channels + c]);
    for (at, value) in image.data.iter_mut().enumerate() {
        let (c, x, y) = (at % channels, at / channels % width, at / channels / width);
        let around = (0..25).map(|k| level((x + k % 5).saturating_sub(2), (y + k / 5).saturating_sub(2), c));
        *value = (around.sum::<u32>() / 25) as u8;
    }
}
