//! The configuration file: loaded strictly, validated without touching another file or a device.
//!
//! ```toml
//! format = 1
//!
//! [line]
//! name = "press-3"
//! recipe = "bracket.toml"        # relative to this file
//!
//! [source]
//! kind = "folder"
//! path = "/srv/camera"
//! mode = "watch"
//! ```
//!
//! Sections `[trigger]`, `[plc]`, `[store]`, `[api]`, `[access]`, `[models]`, `[alerts]`, `[learning]`, `[quality]`, `[retrieval]`, `[traces]`, `[archive]` and `[log]` and every key not shown have defaults.

mod access;
mod error;
mod sections;
mod strict;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use stages::capture::SourceConfig;
use stages::capture::folder::Mode;
use stages::recipe::Recipe;

use crate::alerts::{AlertsSection, Rule};
use crate::archive::ArchiveSection;
use crate::io::config::{PlcSection, TriggerSection, TriggeredBy};
use crate::learning::LearningSection;
use crate::quality::QualitySection;
use crate::retrieval::RetrievalSection;
use crate::traces::TracesSection;

pub use access::{AccessMode, AccessSection, TlsSection};
pub use error::{ConfigError, Problem};
pub use sections::{ApiSection, LineSection, LogSection, ModelsSection, StoreSection};

/// Version of the configuration's format.
pub const FORMAT: u32 = 1;

/// Larger files are no configuration.
const MAX_BYTES: u64 = 1 << 20;

/// A whole configuration, free of contradictions. Paths are relative to the working directory or absolute.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it came from.
    pub path: PathBuf,
    /// `[line]`
    pub line: LineSection,
    /// `[source]`
    pub source: SourceConfig,
    /// `[trigger]`
    pub trigger: TriggerSection,
    /// `[plc]`; none: there is no PLC.
    pub plc: Option<PlcSection>,
    /// `[store]`
    pub store: StoreSection,
    /// `[api]`
    pub api: ApiSection,
    /// `[models]`
    pub models: ModelsSection,
    /// `[access]`
    pub access: AccessSection,
    /// `[alerts]`
    pub alerts: AlertsSection,
    /// `[learning]`
    pub learning: LearningSection,
    /// `[quality]`
    pub quality: QualitySection,
    /// `[retrieval]`
    pub retrieval: RetrievalSection,
    /// `[traces]`
    pub traces: TracesSection,
    /// `[archive]`
    pub archive: ArchiveSection,
    /// `[log]`
    pub log: LogSection,
}

/// The file as written. Everything has a default, so that one missing key does not hide the next problem.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Draft {
    format: Option<u32>,
    line: LineSection,
    source: Option<SourceConfig>,
    trigger: TriggerSection,
    plc: Option<PlcSection>,
    store: StoreSection,
    api: ApiSection,
    models: ModelsSection,
    access: AccessSection,
    alerts: AlertsSection,
    learning: LearningSection,
    quality: QualitySection,
    retrieval: RetrievalSection,
    traces: TracesSection,
    archive: ArchiveSection,
    log: LogSection,
}

impl Config {
    /// Reads and validates a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with the key, the reason and the way out.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        Config::parse(path, &read(path)?)
    }

    /// The names of a part's views; none where one camera sees all.
    pub fn views(&self) -> Vec<&str> {
        match &self.source {
            SourceConfig::Views(views) => views.names().collect(),
            _ => Vec::new(),
        }
    }

    /// The same from text; `path` names it in messages and is what its relative paths are relative to.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
        let parsed = strict::parse::<Draft>(text).map_err(|problem| ConfigError::new(path, vec![problem]))?;
        let mut problems = parsed.problems;
        if let Some(draft) = &parsed.value {
            let about = draft.problems().into_iter().filter(|problem| !problem.is_about(&parsed.dropped));
            problems.extend(about.map(|problem| problem.placed_in(text)));
        }
        match parsed.value {
            Some(Draft {
                line,
                source: Some(mut source),
                trigger,
                plc,
                mut store,
                api,
                mut access,
                models,
                mut alerts,
                mut learning,
                quality,
                mut retrieval,
                mut traces,
                mut archive,
                log,
                ..
            }) if problems.is_empty() => {
                let folder = folder_of(path);
                let line = LineSection { recipe: folder.join(line.recipe), ..line };
                source.relative_to(folder);
                store.dir = store.dir.map(|dir| folder.join(dir));
                access.relative_to(folder);
                alerts.relative_to(folder);
                learning.relative_to(folder);
                retrieval.relative_to(folder);
                traces.relative_to(folder);
                archive.relative_to(folder);
                let path = path.to_owned();
                Ok(Config {
                    path,
                    line,
                    source,
                    trigger,
                    plc,
                    store,
                    api,
                    access,
                    models,
                    alerts,
                    learning,
                    quality,
                    retrieval,
                    traces,
                    archive,
                    log,
                })
            }
            _ => Err(ConfigError::new(path, problems)),
        }
    }
}

impl Draft {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        match self.format {
            Some(FORMAT) => {}
            Some(newer) => problems.push(Problem::new(
                "format",
                format!("is {newer}, but this program reads format {FORMAT}: update inspectd, or write `format = 1`"),
            )),
            None => problems.push(Problem::new("format", "is missing: write `format = 1` at the top")),
        }
        problems.extend(self.line.problems());
        match &self.source {
            None => problems.push(Problem::new("source", "is missing: say where parts come from, with `kind`")),
            Some(source) => problems.extend(source.problems().iter().map(|text| Problem::from_text(text, ""))),
        }
        problems.extend(self.of_the_plc().into_iter().map(|(key, text)| Problem::new(key, text)));
        problems.extend(self.store.problems());
        problems.extend(self.api.problems());
        problems.extend(self.models.problems());
        problems.extend(self.access.problems(&self.api));
        problems.extend(self.alerts.problems().into_iter().map(|(key, text)| Problem::new(key, text)));
        problems.extend(self.learning.problems().into_iter().map(|(key, text)| Problem::new(key, text)));
        problems.extend(self.quality.problems().into_iter().map(|(key, text)| Problem::new(key, text)));
        problems.extend(self.retrieval.problems().into_iter().map(|(key, text)| Problem::new(key, text)));
        problems.extend(self.traces.problems().into_iter().map(|(key, text)| Problem::new(key, text)));
        problems.extend(self.archive.problems().into_iter().map(|(key, text)| Problem::new(key, text)));
        problems.extend(self.log.problems());
        problems
    }
}

impl Draft {
    /// What is wrong with who calls for parts, and with how the two fit the source.
    fn of_the_plc(&self) -> Vec<(String, String)> {
        let mut problems = self.trigger.problems(self.plc.as_ref(), self.line.limits.hang_ms);
        problems.extend(self.plc.iter().flat_map(PlcSection::problems));
        let watched = matches!(&self.source, Some(SourceConfig::Folder(folder)) if folder.mode == Mode::Watch);
        if self.trigger.by == TriggeredBy::Plc && watched {
            let text = "is `watch`: a file that arrives says by itself that a part is there, so no call can be told its file; use \
                        `once` or `loop`, or write `by = \"source\"` under `[trigger]`";
            problems.push(("source.mode".to_owned(), text.to_owned()));
        }
        problems
    }
}

/// A recipe's file, as it is written.
///
/// # Errors
/// It cannot be read.
pub fn read_recipe(path: &Path) -> Result<String, ConfigError> {
    read(path)
}

/// Reads and validates a recipe.
///
/// # Errors
/// Everything that is wrong with it by itself; whether it fits its model is seen when that is loaded.
pub fn load_recipe(path: &Path) -> Result<Recipe, ConfigError> {
    parse_recipe(path, &read(path)?)
}

/// The same from text. Its files become relative to the recipe's folder.
///
/// # Errors
/// As [`load_recipe`].
pub fn parse_recipe(path: &Path, text: &str) -> Result<Recipe, ConfigError> {
    let parsed = strict::parse::<Recipe>(text).map_err(|problem| ConfigError::new(path, vec![problem]))?;
    let mut problems = parsed.problems;
    if let Some(recipe) = &parsed.value {
        let about = recipe.problems().into_iter().map(|text| Problem::from_text(&text, ""));
        let about = about.filter(|problem| !problem.is_about(&parsed.dropped));
        problems.extend(about.map(|problem| problem.placed_in(text)));
    }
    match parsed.value {
        Some(mut recipe) if problems.is_empty() => {
            recipe.relative_to(folder_of(path));
            Ok(recipe)
        }
        _ => Err(ConfigError::new(path, problems)),
    }
}

/// Reads and validates an alert rule. `destinations`: the names that it may tell.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_rule(path: &Path, destinations: &[&str]) -> Result<Rule, ConfigError> {
    let text = read(path)?;
    let parsed = strict::parse::<Rule>(&text).map_err(|problem| ConfigError::new(path, vec![problem]))?;
    let mut problems = parsed.problems;
    if let Some(rule) = &parsed.value {
        let about = rule.problems(destinations).into_iter().map(|text| Problem::from_text(&text, ""));
        let about = about.filter(|problem| !problem.is_about(&parsed.dropped));
        problems.extend(about.map(|problem| problem.placed_in(&text)));
    }
    match parsed.value {
        Some(rule) if problems.is_empty() => Ok(rule),
        _ => Err(ConfigError::new(path, problems)),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let refused = |reason: String| ConfigError::new(path, vec![Problem::new("", reason)]);
    let meta = std::fs::metadata(path).map_err(|e| refused(format!("cannot be read: {e}; check the path")))?;
    if !meta.is_file() || meta.len() > MAX_BYTES {
        return Err(refused(format!("is no text file of at most {MAX_BYTES} bytes; check the path")));
    }
    std::fs::read_to_string(path).map_err(|e| refused(format!("cannot be read: {e}; it must be UTF-8 text")))
}

/// Where records are kept when nobody says otherwise: what systemd gives the service, else below the user's home.
pub fn default_state_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("STATE_DIRECTORY") {
        // Several are joined by `:`; the first is ours.
        let text = dir.to_string_lossy().into_owned();
        return text.split(':').next().unwrap_or_default().into();
    }
    user_state_dir().unwrap_or_else(|| "/var/lib".into()).join("inspectd")
}

/// XDG base directory specification: `$XDG_STATE_HOME`, else `~/.local/state`.
fn user_state_dir() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))
}

#[cfg(test)]
mod tests;
