//! `inspectd demo`: the synthetic line, with the live page and the figures that its known truth allows.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, bail};
use models::bundle::{Trust, TrustedKey};
use models::runtime::Provider;
use serde::Serialize;
use stages::capture::SourceConfig;
use stages::capture::synthetic::SyntheticConfig;
use stages::line::{Counts, LatencySummary, Limits, LineStatus};
use tempfile::TempDir;

use super::{FAILURE, HUNG, SUCCESS, USAGE, out};
use crate::access::Access;
use crate::alerts::{Alerts, AlertsSection};
use crate::api::Bound;
use crate::checks::Checks;
use crate::config::{self, AccessMode, AccessSection, ApiSection};
use crate::health::Nvidia;
use crate::learning::drift::DriftSection;
use crate::learning::{Learning, LearningSection};
use crate::quality::QualitySection;
use crate::recipes::Recipes;
use crate::retention::{Retention, RetentionSection};
use crate::retrieval::RetrievalSection;
use crate::serials::LineSerials;
use crate::setup::Learner;
use crate::store::{Options, Store};
use crate::supervise::{DEMO_RECIPE, Ending, Figures, Kitchen, Prepared, Service, Signals, Tally};

/// Nothing triggers the parts then, so none is late, however busy the machine is.
const UNHURRIED_DEADLINE_MS: u32 = 10_000;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Parts after which the line ends; default: it runs until it is stopped.
    #[arg(long, value_name = "N")]
    parts: Option<u64>,
    /// Parts per second, or `max`: as fast as they are inspected.
    #[arg(long, default_value = "10")]
    rate: Rate,
    /// Share of parts with a defect, 0 to 1.
    #[arg(long, value_name = "SHARE")]
    defect_rate: Option<f32>,
    /// Share of spoilt frames, 0 to 1.
    #[arg(long, value_name = "SHARE")]
    bad_frame_rate: Option<f32>,
    /// Same seed, same parts.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// No live page. Ends after the last part, and keeps no records unless `--state` says where.
    #[arg(long)]
    no_serve: bool,
    /// Prints nothing but one JSON line of figures, at the end.
    #[arg(long)]
    json: bool,
    /// Address of the live page; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// Where records are kept; default: `inspectd/demo` below the user's state directory.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Trigger to verdict, at most; default 500, or 10000 with `--rate max`.
    #[arg(long, value_name = "MS")]
    deadline_ms: Option<u32>,
    /// Threads that inspect; default: one per core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    workers: usize,
    /// Another model than the one that ships with the program.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Refuse a `--bundle` that is not signed by this public key, or one of these.
    #[arg(long = "trusted-key", value_name = "KEY", requires = "bundle")]
    trusted_keys: Vec<TrustedKey>,
}

/// Parts per second.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rate(Option<f64>);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        match text {
            "max" => Ok(Rate(None)),
            number => match number.parse::<f64>() {
                Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(Rate(Some(rate))),
                _ => Err("give parts per second, or `max`".to_owned()),
            },
        }
    }
}

impl Args {
    fn source(&self) -> SyntheticConfig {
        let usual = SyntheticConfig::default();
        SyntheticConfig {
            seed: self.seed,
            rate: self.rate.0,
            defect_rate: self.defect_rate.unwrap_or(usual.defect_rate),
            bad_frame_rate: self.bad_frame_rate.unwrap_or(usual.bad_frame_rate),
            parts: self.parts,
            ..usual
        }
    }

    /// As a file would have it.
    fn recipe(&self, source: &SyntheticConfig) -> anyhow::Result<String> {
        let mut recipe = config::parse_recipe(Path::new("the demo's recipe"), DEMO_RECIPE)?;
        recipe.quality = source.quality();
        recipe.bundle = self.bundle.clone();
        let unhurried = self.rate.0.is_none().then_some(UNHURRIED_DEADLINE_MS);
        recipe.deadline_ms = self.deadline_ms.or(unhurried).unwrap_or(recipe.deadline_ms);
        Ok(toml::to_string(&recipe)?)
    }

    fn kitchen(&self, limits: &Limits) -> Kitchen {
        let trust = Trust { keys: self.trusted_keys.clone(), required: !self.trusted_keys.is_empty() };
        Kitchen { workers: limits.worker_threads(), cache_dir: None, trust, registry: None }
    }
}

/// A state directory, or one that goes away with the demo.
enum State {
    Kept(PathBuf),
    Thrown(TempDir),
}

impl State {
    fn of(args: &Args) -> anyhow::Result<State> {
        match &args.state {
            Some(dir) => Ok(State::Kept(dir.clone())),
            None if args.no_serve => {
                let words = "no temporary directory for the demo's records: name one with `--state`";
                Ok(State::Thrown(TempDir::with_prefix("inspectd-demo-").context(words)?))
            }
            None => Ok(State::Kept(config::default_state_dir().join("demo"))),
        }
    }

    fn path(&self) -> &Path {
        match self {
            State::Kept(dir) => dir,
            State::Thrown(dir) => dir.path(),
        }
    }
}

/// Exit code 0, or [`HUNG`] when the line had to be given up.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut source = args.source();
    let limits = Limits { workers: args.workers, ..Limits::default() };
    let problems: Vec<String> = source.problems().into_iter().chain(limits.problems()).collect();
    if !problems.is_empty() {
        tracing::error!("{}", problems.join("; "));
        return Ok(ExitCode::from(USAGE));
    }
    let signals = Signals::listen()?;
    let section = ApiSection { listen: args.listen, ..ApiSection::default() };
    if !args.listen.ip().is_loopback() && !args.no_serve {
        bail!(
            "the demo is open to everybody who reaches it, so it listens on this machine only (127.0.0.1), not on {}; \
             for others, run a configuration with `[access]` (docs/ACCESS.md)",
            args.listen
        );
    }
    let open = AccessSection { mode: AccessMode::Open, ..AccessSection::default() };
    let page = if args.no_serve { None } else { Some(Bound::new(&section, &open, None)?) };
    let url = page.as_ref().map(Bound::url);
    let state = State::of(args)?;
    let retriever = RetrievalSection::default().retriever()?;
    let (store, found) = Store::open(state.path(), Options { line: "demo".into(), retriever, ..Options::default() })?;
    // A second demo on the same records goes on counting: parts whose serial numbers were there before would be an alert.
    source.first_serial = found.next_id.saturating_sub(1);
    let alerts = Alerts::open(&"demo".into(), AlertsSection::default(), state.path(), Box::new(Nvidia::default()))?;
    // Nobody watches a demo for an hour to see what it says of drift.
    let drift = DriftSection { usual_min: 2, ..DriftSection::default() };
    let learning_section = LearningSection { drift, ..LearningSection::default() };
    let learning = Learning::open(state.path(), args.kitchen(&limits), learning_section)?;
    let recipes = Recipes::open(state.path(), Path::new("the demo's recipe"), &[])?;
    let recipe = learning.kitchen.prepare(recipes.begin(&args.recipe(&source)?)?, None)?;
    let (model, provider) = (recipe.manifest().name.clone(), recipe.in_force.model.provider());

    let access = Arc::new(Access::open(state.path(), &open)?);
    let tally = Arc::new(Tally::new());
    let serials = LineSerials::open(state.path(), &store)?;
    let checks = Arc::new(Checks::open(state.path())?);
    let mut running = Service {
        name: "demo".into(),
        recipe,
        source: SourceConfig::Synthetic(source.clone()).open().map_err(|error| anyhow::anyhow!("{error}"))?,
        source_kind: "synthetic",
        serials,
        checks,
        recipes: Arc::new(recipes),
        learner: Arc::new(Learner::at(state.path().join("setup"))),
        retention: Arc::new(Retention::open(state.path(), RetentionSection::default())?),
        store: Arc::new(store),
        access,
        alerts: Arc::new(alerts),
        learning: Arc::new(learning),
        quality: QualitySection::default(),
        traces: None,
        limits,
        sinks: vec![tally.clone()],
        plc: None,
        page,
        max_viewers: section.max_viewers,
    }
    .start()?;
    greet(args, url.as_deref(), state.path())?;
    let no_reload = |_: &Prepared| Err(anyhow::anyhow!("the demo's recipe is built in"));
    let ends_with_source = args.no_serve || args.json;
    let ending = running.watch(&signals, &no_reload, ends_with_source);
    let status = running.finish()?;

    let report = Report::new(args, &status, &tally, (model, provider));
    if args.json {
        out::json(&report)?;
    } else {
        report.print()?;
    }
    Ok(ExitCode::from(match ending {
        Ending::Hung => HUNG,
        _ if report.counts.in_flight > 0 || !report.counts.obey_the_law() => FAILURE,
        _ => SUCCESS,
    }))
}

/// Says where to look. With `--json` that goes to the log, since standard output is for the figures.
fn greet(args: &Args, url: Option<&str>, state: &Path) -> anyhow::Result<()> {
    let records = state.display();
    match (url, args.json) {
        (Some(url), false) => {
            out::line(format_args!("The line runs. Live page: {url} (open to everybody on this machine)"))?;
            out::line(format_args!("Records: {records}. Stop with Ctrl-C."))?;
        }
        (Some(url), true) => tracing::info!("live page: {url}, records: {records}"),
        (None, _) => tracing::info!("the line runs without a page"),
    }
    Ok(())
}

/// The last line of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    counts: Counts,
    #[serde(flatten)]
    figures: Figures,
    latency_ms: LatencyMs,
    /// From the first verdict to the last.
    parts_per_s: f64,
    provider: Provider,
    model: String,
    seed: u64,
    pictures_dropped: u64,
    late_results: u64,
}

#[derive(Debug, Serialize)]
struct LatencyMs {
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

impl From<LatencySummary> for LatencyMs {
    fn from(latency: LatencySummary) -> LatencyMs {
        let ms = |us: u64| us as f64 / 1000.0;
        LatencyMs { p50: ms(latency.p50_us), p95: ms(latency.p95_us), p99: ms(latency.p99_us), max: ms(latency.max_us) }
    }
}

impl Report {
    fn new(args: &Args, status: &LineStatus, tally: &Tally, model: (String, Provider)) -> Report {
        Report {
            counts: status.counts,
            figures: tally.figures(),
            latency_ms: status.latency.into(),
            parts_per_s: (tally.parts_per_s() * 100.0).round() / 100.0,
            provider: model.1,
            model: model.0,
            seed: args.seed,
            pictures_dropped: status.pictures_dropped,
            late_results: status.late_results,
        }
    }

    fn print(&self) -> anyhow::Result<()> {
        let Counts { triggered, pass, fail, review, no_decision, in_flight } = self.counts;
        let percent = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2} %"));
        out::line(format_args!(
            "{triggered} parts: {pass} pass, {fail} fail, {review} review, {no_decision} no decision, {in_flight} in flight"
        ))?;
        out::line(format_args!(
            "escapes {} of {} defective ({} from CNR 3 on), overkill {} of {} good ({}), label accuracy {}",
            self.figures.escapes,
            self.figures.defective,
            percent(self.figures.escapes_percent_from_cnr_3),
            self.figures.overkill,
            self.figures.good,
            percent(self.figures.overkill_percent),
            percent(self.figures.label_accuracy.map(|share| share * 100.0)),
        ))?;
        let LatencyMs { p50, p95, p99, max } = self.latency_ms;
        out::line(format_args!(
            "latency p50 {p50:.1} ms, p95 {p95:.1}, p99 {p99:.1}, max {max:.1}; {:.1} parts/s on {}",
            self.parts_per_s, self.provider
        ))?;
        Ok(())
    }
}
