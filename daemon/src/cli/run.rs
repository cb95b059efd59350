//! `inspectd run`: the line of a configuration, until it is told to stop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{bail, ensure};
use stages::line::LineStatus;

use super::{HUNG, SUCCESS, out};
use crate::access::Access;
use crate::alerts::Alerts;
use crate::api::Bound;
use crate::checks::Checks;
use crate::config::{self, Config};
use crate::health::Nvidia;
use crate::io::Plc;
use crate::learning::Learning;
use crate::logs;
use crate::recipes::Recipes;
use crate::retention::Retention;
use crate::serials::LineSerials;
use crate::setup::Learner;
use crate::store::{Options, Store};
use crate::supervise::{Ending, Kitchen, Prepared, Service, Signals};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/inspectd/inspectd.toml")]
    config: PathBuf,
    /// End after the source's last part instead of waiting to be stopped.
    #[arg(long)]
    once: bool,
}

/// Exit code 0 after an end in order, [`HUNG`] when the line had to be given up.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.config)?;
    if let Some(level) = &config.log.level {
        logs::prefer(level)?;
    }
    let signals = Signals::listen()?;
    let dir = config.store.dir.clone().unwrap_or_else(config::default_state_dir);
    let page = Bound::new(&config.api, &config.access, Some(&dir))?;
    let options = Options {
        line: config.line.name.as_str().into(),
        reserve_bytes: config.store.reserve_mb << 20,
        evidence: config.store.evidence.clone(),
        retriever: config.retrieval.retriever()?,
        ..Options::default()
    };
    let (store, _) = Store::open(&dir, options)?;
    let access = Arc::new(Access::open(&dir, &config.access)?);
    let line = Arc::from(config.line.name.as_str());
    let alerts = Alerts::open(&line, config.alerts.clone(), &dir, Box::new(Nvidia::default()))?;
    let kitchen = Kitchen {
        workers: config.line.limits.worker_threads(),
        cache_dir: Some(dir.join("engines")),
        trust: config.models.trust(),
        registry: None,
    };
    let learning = Learning::open(&dir, kitchen, config.learning.clone())?;
    let recipes = Arc::new(Recipes::open(&dir, &config.line.recipe, &config.views())?);
    let recipe = learning.kitchen.prepare(recipes.begin(&config::read_recipe(&config.line.recipe)?)?, None)?;
    let source = config.source.open().map_err(|error| anyhow::anyhow!("{error}"))?;
    let (plc, source) = match &config.plc {
        Some(section) => {
            let (plc, source) = Plc::open(section, &config.trigger, source)?;
            (Some(plc), source)
        }
        None => (None, source),
    };

    tracing::info!("line `{}`, recipe {}, live page: {}", config.line.name, recipe.in_force.tag, page.url());
    if let Some(token) = access.first_run_token()? {
        let token = token.reveal();
        out::line(format_args!("There are no users yet. First-run token for {}: {token}", page.url()))?;
    }
    let learning = Arc::new(learning);
    let serials = LineSerials::open(&dir, &store)?;
    let checks = Arc::new(Checks::open(&dir)?);
    let mut running = Service {
        name: line,
        recipe,
        source,
        source_kind: config.source.kind(),
        serials,
        checks,
        recipes: recipes.clone(),
        learner: Arc::new(Learner::at(dir.join("setup"))),
        retention: Arc::new(Retention::open(&dir, config.store.retention.clone())?),
        store: Arc::new(store),
        access,
        alerts: Arc::new(alerts),
        learning: learning.clone(),
        quality: config.quality.clone(),
        traces: config.traces.target()?,
        limits: config.line.limits.clone(),
        sinks: plc.iter().map(Plc::sink).collect(),
        plc,
        page: Some(page),
        max_viewers: config.api.max_viewers,
    }
    .start()?;
    let reload = |before: &Prepared| reload(&config, &recipes, &learning.kitchen, before);
    let ending = running.watch(&signals, &reload, args.once);
    report(&running.finish()?)?;
    Ok(ExitCode::from(if ending == Ending::Hung { HUNG } else { SUCCESS }))
}

/// Reads the recipe's file anew. A recipe is immutable: what changed has a new version. A file that has not changed is not the last word where
/// another version was put in force on the page.
fn reload(config: &Config, recipes: &Recipes, kitchen: &Kitchen, before: &Prepared) -> anyhow::Result<Prepared> {
    let text = config::read_recipe(&config.line.recipe)?;
    let Some(recipe) = recipes.reload(&text)? else {
        return kitchen.prepare(before.in_force.recipe.clone(), Some(before));
    };
    let old = &before.in_force.recipe;
    if recipe.tag() == old.tag() && recipe != *old {
        bail!(
            "`{}` has changed but still says version {}: records name a recipe by its version, so raise it",
            config.line.recipe.display(),
            recipe.version
        );
    }
    let prepared = kitchen.prepare(recipe, Some(before))?;
    recipes.read_from_file(&prepared.in_force.recipe, &text)?;
    Ok(prepared)
}

fn report(status: &LineStatus) -> anyhow::Result<()> {
    let counts = status.counts;
    tracing::info!(
        triggered = counts.triggered,
        pass = counts.pass,
        fail = counts.fail,
        review = counts.review,
        no_decision = counts.no_decision,
        in_flight = counts.in_flight,
        "the line has ended"
    );
    ensure!(counts.obey_the_law(), "the counts contradict each other: {counts:?}; this is a fault of the program");
    Ok(())
}
