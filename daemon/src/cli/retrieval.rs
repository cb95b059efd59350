//! `inspectd retrieval`: makes the retriever, by which parts are found by words, and measures it. Both on the synthetic line, of which all is
//! known that words can say.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Subcommand;
use models::retrieval::{About, Retriever, Vector};
use models_train::retrieval::measure::{Answers, answers, by_place, by_rule, by_surface, paraphrase, vectors, words};
use models_train::retrieval::truth::Truth;
use models_train::retrieval::{self as towers, Part, Settings};
use serde_json::{Value, json};
use stages::capture::synthetic::TrainingSet;
use stages::recipe::RecipeInForce;

use super::replay::Bar;
use super::{SUCCESS, out};
use crate::retrieval::{learn, shipped};
use crate::supervise::Kitchen;

/// Pixels of a part, as the shipped model has them.
const PART: u32 = 512;
/// Where the parts begin that a training draws: other ones than those that the shipped model learned from.
const FIRST: u64 = 90_000_000;

/// Arguments of `retrieval`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Learn from drawn parts, which the shipped model decides, and captions that are true of them.
    Train(Train),
    /// Ask a retriever for parts that it never saw, and count how many of the first ten are what was asked for.
    Eval(Eval),
}

#[derive(Debug, clap::Args)]
struct Train {
    /// The file to write, for `retrieval.file` of the configuration.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Parts to draw and to learn from.
    #[arg(long, default_value_t = 8000, value_parser = clap::value_parser!(u32).range(1024..=1_000_000))]
    parts: u32,
    /// Steps.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: u32,
    /// Decides the parts and every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, clap::Args)]
struct Eval {
    /// The retriever; default: the one that ships with the program.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Parts to search; no training can have drawn them.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    parts: u32,
    /// Seed of those parts.
    #[arg(long, default_value_t = 101)]
    seed: u64,
    /// One JSON line.
    #[arg(long)]
    json: bool,
}

/// Exit code 0 when the file is written, or all is measured.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Train(args) => train(&args)?,
        Action::Eval(args) => eval(&args)?,
    }
    Ok(ExitCode::from(SUCCESS))
}

fn train(args: &Train) -> anyhow::Result<()> {
    let recipe = model()?;
    let set = TrainingSet::new(args.seed, PART);
    let parts = drawn(&set, (FIRST, args.parts.into()), &recipe)?;
    let settings = Settings { seed: args.seed, steps: args.steps as usize, ..Settings::default() };
    let (mut bar, started, mut loss) = (Bar::new("learning"), Instant::now(), 0.0_f32);
    let weights = towers::train(&parts, &settings, |step, now| {
        loss = if step == 1 { now } else { 0.98 * loss + 0.02 * now };
        show(&mut bar, started, step as u64, settings.steps as u64);
        true
    })?;
    drop(bar);
    let about = About {
        models: vec![recipe.model.digest().to_string()],
        story: format!(
            "{} parts of the synthetic line of inspectd {}, seed {}, {} steps; loss {loss:.3} at the end",
            args.parts,
            env!("CARGO_PKG_VERSION"),
            args.seed,
            args.steps
        ),
    };
    let bytes = Retriever::to_bytes(&weights, &about)?;
    std::fs::write(&args.out, &bytes).with_context(|| format!("the retriever `{}`", args.out.display()))?;
    Ok(out::line(format_args!("wrote {} ({} kB): {}", args.out.display(), bytes.len() / 1000, about.story))?)
}

/// What is asked, by its name in the report, and how it is put.
const WAYS: [(&str, usize, usize); 4] =
    [("English", 0, 0), ("English, other words", 0, 1), ("German", 1, 0), ("Chinese", 2, 0)];

/// Questions by people who had not seen the glossary: language, and in how many ways they put each.
const PARAPHRASED: [(&str, usize, usize); 3] = [
    ("English, as people put it who never saw the glossary", 0, 8),
    ("German, the same", 1, 5),
    ("Chinese, the same", 2, 5),
];

fn eval(args: &Eval) -> anyhow::Result<()> {
    let retriever = match &args.file {
        Some(path) => Retriever::open(path)?,
        None => shipped()?,
    };
    let recipe = model()?;
    let parts = drawn(&TrainingSet::to_measure_on(args.seed, PART), (0, args.parts.into()), &recipe)?;
    let truths: Vec<Truth> = parts.iter().map(|part| part.truth.clone()).collect();
    let asked = by_place(&truths);
    let knows = retriever.knows_sketches_of(recipe.model.digest());
    let placed = vectors(&retriever, &parts, knows);
    let mut figures: Vec<(&str, Answers)> = Vec::new();
    for (name, language, pick) in WAYS {
        figures.push((name, answers(&retriever, &placed, &asked, &truths, |it| words(it, language, pick))));
    }
    for (name, language, ways) in PARAPHRASED {
        // The mean over all ways in which it is said.
        let each: Vec<Answers> = (0..ways)
            .map(|pick| {
                answers(&retriever, &placed, &asked, &truths, |it| paraphrase(it, language, pick).unwrap_or_default())
            })
            .collect();
        figures.push((name, Answers::mean(&each)));
    }
    let without = vectors(&retriever, &parts, false);
    figures.push((
        "English, another model's sketches",
        answers(&retriever, &without, &asked, &truths, |it| words(it, 0, 0)),
    ));
    figures.push(("no learning: score, then where the map is highest", by_rule(&parts, &asked, &truths, true)));
    figures.push(("no learning: score alone", by_rule(&parts, &asked, &truths, false)));
    let surfaces = by_surface(&truths);
    let on = |vectors: &[Vector]| answers(&retriever, vectors, &surfaces, &truths, |it| words(it, 0, 0));
    figures.push(("by class and surface", on(&placed)));
    figures.push(("by class and surface, another model's sketches", on(&without)));
    figures.push(("by class and surface, no learning: score alone", by_rule(&parts, &surfaces, &truths, false)));
    if args.json {
        let figures: serde_json::Map<String, Value> =
            figures.iter().map(|(name, answers)| ((*name).to_owned(), json!(answers))).collect();
        return out::json(&json!({ "parts": args.parts, "questions": asked.len(), "answers": figures }));
    }
    out::line(format_args!("{} questions by class and place over {} parts", asked.len(), args.parts))?;
    out::line(format_args!("{:<52} recall@10  first right", ""))?;
    for (name, answers) in &figures {
        out::line(format_args!("{name:<52} {:>9.3}  {:>11.3}", answers.recall_at_10, answers.first))?;
    }
    let chance = figures.first().map_or(0.0, |(_, answers)| answers.by_chance);
    Ok(out::line(format_args!("{:<52} {chance:>9.3}  {chance:>11.3}", "by chance"))?)
}

/// The shipped model, with its own thresholds.
fn model() -> anyhow::Result<Arc<RecipeInForce>> {
    Ok(Kitchen { workers: 1, ..Kitchen::default() }.prepare(super::inspect::unlimited(), None)?.in_force)
}

fn drawn(set: &TrainingSet, (first, count): (u64, u64), recipe: &Arc<RecipeInForce>) -> anyhow::Result<Vec<Part>> {
    let (mut bar, started) = (Bar::new("drawing and deciding parts"), Instant::now());
    learn::parts(set, (first, count), recipe, |done| show(&mut bar, started, done, count))
}

fn show(bar: &mut Bar, started: Instant, done: u64, all: u64) {
    let share = done as f64 / all.max(1) as f64;
    bar.show(share, Duration::from_secs_f64(started.elapsed().as_secs_f64() * (1.0 - share) / share.max(1e-6)));
}
