//! `inspectd check`: everything that is wrong with a configuration, before the line runs it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use models_train::dataset::Folder;
use stages::recipe::Recipe;
use stages::regions;

use super::{FAILURE, SUCCESS, out};
use crate::alerts::RuleSet;
use crate::api::Bound;
use crate::config::{self, Config};
use crate::health;
use crate::io;
use crate::learning::schedule;
use crate::supervise::Kitchen;
use crate::words;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/inspectd/inspectd.toml")]
    config: PathBuf,
    /// Look at this file only: not at the recipe, the model, the source, the directories.
    #[arg(long)]
    no_io: bool,
}

/// Exit code 0 if nothing is wrong, else 1 with every problem on a line.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(error) => {
            for problem in &error.problems {
                out::line(format_args!("{}: {problem}", error.path.display()))?;
            }
            return Ok(ExitCode::from(FAILURE));
        }
    };
    let mut broken = 0;
    if !args.no_io {
        let mut warnings = Vec::new();
        for (what, result) in examine(&config, &mut warnings) {
            match result {
                Ok(()) => out::line(format_args!("ok       {what}"))?,
                Err(problems) => {
                    broken += problems.len();
                    for problem in problems {
                        out::line(format_args!("problem  {what}: {problem}"))?;
                    }
                }
            }
        }
        for warning in warnings {
            out::line(format_args!("warning  {warning}"))?;
        }
    }
    let verdict = if broken == 0 { "can be run" } else { "cannot be run" };
    out::line(format_args!("`{}` {verdict}", args.config.display()))?;
    Ok(ExitCode::from(if broken == 0 { SUCCESS } else { FAILURE }))
}

type Outcome = Result<(), Vec<String>>;

/// Tries out everything that the configuration names; `warnings` do not keep the line from running. Nothing is changed but that the state directory is made.
fn examine(config: &Config, warnings: &mut Vec<String>) -> Vec<(String, Outcome)> {
    let state = config.store.dir.clone().unwrap_or_else(config::default_state_dir);
    let recipe_path = config.line.recipe.display();
    let mut outcomes = Vec::new();
    match config::load_recipe(&config.line.recipe) {
        Ok(recipe) => {
            outcomes.push((format!("recipe `{recipe_path}`, {}", recipe.tag()), Ok(())));
            outcomes.extend(plc(config, &recipe));
            outcomes.extend(views(config, &recipe));
            let kitchen = Kitchen {
                workers: 1,
                cache_dir: Some(state.join("engines")),
                trust: config.models.trust(),
                registry: None,
            };
            let model = recipe.bundle.as_ref().map_or("built in".to_owned(), |path| path.display().to_string());
            outcomes.push(match kitchen.prepare(recipe, None) {
                Ok(prepared) => {
                    warnings.extend(prepared.in_force.unlike_learned());
                    let provider = prepared.in_force.model.provider();
                    (
                        format!("model `{}` ({model}) reproduces its scores on {provider}", prepared.manifest().name),
                        Ok(()),
                    )
                }
                Err(error) => (format!("model ({model})"), Err(vec![words::of(&error)])),
            });
        }
        Err(error) => {
            let problems = error.problems.iter().map(ToString::to_string).collect();
            outcomes.push((format!("recipe `{recipe_path}`"), Err(problems)));
        }
    }
    let source = config.source.open().map(drop).map_err(|error| vec![error.to_string()]);
    outcomes.push((format!("source `{}`", config.source.kind()), source));
    let state_dir = state;
    let state = health::state_dir(&state_dir);
    outcomes.push((
        "state directory".to_owned(),
        state.remedy.map_or(Ok(()), |it| Err(vec![format!("{}; {it}", state.said)])),
    ));
    let port = Bound::new(&config.api, &config.access, None).map(drop).map_err(|error| vec![error.to_string()]);
    outcomes.extend(alerts(config, &state_dir));
    if let Some(data) = &config.learning.data {
        let folder = Folder::open(data, config.learning.split.as_deref());
        let readable = folder.map(drop).map_err(|error| vec![error.to_string()]);
        outcomes.push((format!("pictures to learn from, `{}`", data.display()), readable));
    }
    outcomes.extend(next_training(config).map(|words| (words, Ok(()))));
    outcomes.push((format!("live page on {}", config.api.listen), port));
    outcomes
}

/// When the clock starts the next training.
fn next_training(config: &Config) -> Option<String> {
    let (zone, now) = (config.alerts.zone(), Timestamp::now());
    let (entry, at) = schedule::next(&config.learning.times(), &zone, now)?;
    let at = at.to_zoned(zone).strftime("%a %Y-%m-%d %H:%M %Z").to_string();
    Some(format!("next training by the clock: {at} ({entry}), if there are new labels then"))
}

/// Whether the recipe looks at what the cameras see.
fn views(config: &Config, recipe: &Recipe) -> Option<(String, Outcome)> {
    let problems = regions::misfits(recipe, &config.views());
    match (problems.is_empty(), recipe.regions.len()) {
        (true, 0) => None,
        (true, count) => Some((format!("{count} regions of the picture"), Ok(()))),
        (false, _) => Some(("regions of the picture".to_owned(), Err(problems))),
    }
}

/// The way to the PLC, and whether what it may ask for is there.
fn plc(config: &Config, recipe: &Recipe) -> Option<(String, Outcome)> {
    let section = config.plc.as_ref()?;
    let (frame, deadline) = (config.trigger.frame_ms, recipe.deadline_ms);
    let mut problems = Vec::new();
    if frame >= deadline {
        problems.push(format!(
            "`trigger.frame_ms` is {frame}, but recipe `{}` wants its verdict within {deadline} ms (`deadline_ms`): a part without a \
             picture would be late before that is known",
            recipe.name
        ));
    }
    if !section.recipes.is_empty() && !section.recipes.contains(&recipe.name) {
        problems.push(format!("`plc.recipes` does not have `{}`, the recipe that is in force", recipe.name));
    }
    let reached = io::try_out(section).unwrap_or_else(|error| {
        problems.push(error.to_string());
        "PLC".to_owned()
    });
    Some((reached, if problems.is_empty() { Ok(()) } else { Err(problems) }))
}

/// The rules, and the files of secrets and certificates that destinations name. Nobody is told anything.
fn alerts(config: &Config, state: &Path) -> Vec<(String, Outcome)> {
    let section = &config.alerts;
    let destinations = section.destinations.keys().cloned().collect();
    let rules = match RuleSet::load(section.rules.as_deref(), state, destinations) {
        Ok(rules) => (format!("{} alert rules", rules.all().len()), Ok(())),
        Err(error) => ("alert rules".to_owned(), Err(vec![error.to_string()])),
    };
    let allowed = section.allow_list();
    let sender = |(name, destination): (&String, &crate::outbox::Destination)| {
        (format!("alert destination `{name}`"), destination.sender(&allowed).map(drop).map_err(|why| vec![why]))
    };
    std::iter::once(rules).chain(section.destinations.iter().map(sender)).collect()
}
