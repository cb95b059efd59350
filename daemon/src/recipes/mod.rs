//! Versions of recipes: every recipe that was in force, and those that were made on the page and wait. A version never changes. docs/SETUP.md.
//!
//! The configured file is where a line begins. What is put in force on the page counts from then on, also after a restart, until somebody
//! changes the file: whoever spoke last is heard.

mod changes;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stages::recipe::Recipe;
use stages::regions;
use thiserror::Error;

pub use changes::{Change, changed, merged};

use crate::checks::kept::Kept;
use crate::config::{self, ConfigError};
use crate::linelog::LogError;

/// Bytes of a version's text.
pub const MOST_BYTES: usize = 48 << 10;
/// Versions that are kept.
const MOST_VERSIONS: usize = 2000;

/// Why a version was not made, or not put in force.
#[derive(Debug, Error)]
pub enum RecipesError {
    /// There is none.
    #[error("there is no recipe `{0}`: `GET /api/v1/recipes` lists those that are")]
    Unknown(String),
    /// What is wrong with it.
    #[error("{0}")]
    Unfit(String),
    /// It is in force.
    #[error("recipe {0} is in force already")]
    InForce(String),
    /// A version never changes.
    #[error("recipe {0} is there with other contents: records name a recipe by its version, so raise it")]
    Taken(String),
    /// There are too many.
    #[error("there are {MOST_VERSIONS} versions, and no room for another")]
    Full,
    /// It could not be kept.
    #[error("versions of recipes: {0}")]
    Log(#[from] LogError),
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Saved(Version),
    InForce {
        tag: String,
        at: Timestamp,
        by: Arc<str>,
        reason: Option<String>,
        /// SHA-256 of the configured file at that time.
        file: String,
    },
}

/// A version as it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// `name@version`.
    pub tag: String,
    /// When it was made, or first seen.
    pub at: Timestamp,
    /// By whom.
    pub by: Arc<str>,
    /// Why.
    pub reason: Option<String>,
    /// The version that it was made of.
    pub from: Option<String>,
    /// The recipe, as TOML.
    pub text: String,
}

/// A version was put in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Changeover {
    /// Which.
    pub tag: String,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Arc<str>,
    /// Why.
    pub reason: Option<String>,
}

/// The versions of one line.
pub struct Recipes {
    /// The configured file: what a version's relative paths are relative to.
    path: PathBuf,
    /// Names of a part's views; none where one camera sees all.
    views: Vec<String>,
    state: Mutex<State>,
}

/// The versions of one moment.
pub struct State {
    kept: Kept<Event>,
    /// Oldest first.
    versions: Vec<Version>,
    changeovers: Vec<Changeover>,
    /// SHA-256 of the configured file as it was read last.
    file: Option<String>,
}

impl State {
    /// Oldest first.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// Oldest first.
    pub fn changeovers(&self) -> &[Changeover] {
        &self.changeovers
    }

    /// One of them.
    ///
    /// # Errors
    /// There is no such version.
    pub fn get(&self, tag: &str) -> Result<&Version, RecipesError> {
        self.versions.iter().find(|version| version.tag == tag).ok_or_else(|| RecipesError::Unknown(tag.to_owned()))
    }

    /// A number that no version of this product has yet.
    pub fn next_version(&self, name: &str) -> u32 {
        let of = |version: &Version| {
            let (own, number) = version.tag.rsplit_once('@')?;
            (own == name).then(|| number.parse::<u32>().ok()).flatten()
        };
        self.versions.iter().filter_map(of).max().unwrap_or(0).saturating_add(1)
    }

    fn apply(&mut self, event: &Event) {
        match event.clone() {
            Event::Saved(version) => {
                self.versions.retain(|old| old.tag != version.tag);
                self.versions.push(version);
            }
            Event::InForce { tag, at, by, reason, file } => {
                self.file = Some(file);
                self.changeovers.push(Changeover { tag, at, by, reason });
            }
        }
    }

    fn keep(&mut self, events: &[Event]) -> Result<(), LogError> {
        self.kept.append(events.to_vec())?;
        events.iter().for_each(|event| self.apply(event));
        Ok(())
    }
}

impl Recipes {
    /// Opens what is kept below a state directory. `path` is the configured file, `views` are the names of what the cameras see of a part.
    ///
    /// # Errors
    /// It cannot be read or written, or another process has it.
    pub fn open(state: &Path, path: &Path, views: &[&str]) -> Result<Recipes, LogError> {
        let kept = Kept::open(&state.join("recipes"), "recipes.log")?;
        let events = kept.events().to_vec();
        let mut state = State { kept, versions: Vec::new(), changeovers: Vec::new(), file: None };
        events.iter().for_each(|event| state.apply(event));
        let views = views.iter().map(|view| (*view).to_owned()).collect();
        Ok(Recipes { path: path.to_owned(), views, state: Mutex::new(state) })
    }

    /// The versions, as long as the guard is held.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The recipe that the line begins with, where its configured file says `text`: the one that was put in force last, unless the file has
    /// changed since.
    ///
    /// # Errors
    /// The file is not sound, or it cannot be kept.
    pub fn begin(&self, text: &str) -> anyhow::Result<Recipe> {
        let file = digest(text);
        {
            let state = self.lock();
            if let (Some(last), true) = (state.changeovers.last(), state.file.as_ref() == Some(&file)) {
                match state.get(&last.tag).map(|version| self.parse(&version.text)) {
                    Ok(Ok(recipe)) => return Ok(recipe),
                    Ok(Err(error)) => {
                        tracing::error!(
                            "recipe {} was in force and cannot be used any more, so the file's is: {error}",
                            last.tag
                        );
                    }
                    Err(error) => tracing::error!("{error}; the file's recipe is used"),
                }
            }
        }
        let recipe = self.of_file(text)?;
        if let Err(RecipesError::Taken(tag)) = self.read_from_file(&recipe, text) {
            tracing::warn!(
                "recipe {tag} was there with other contents: records name it by its version, so raise that with every change"
            );
            self.lock().keep(&[Event::Saved(from_file(&recipe, text)), in_force(&recipe, file)])?;
        }
        Ok(recipe)
    }

    /// The recipe of the configured file, where that has changed; none: what is in force stays.
    ///
    /// # Errors
    /// The file is not sound, or has changed without a new version.
    pub fn reload(&self, text: &str) -> anyhow::Result<Option<Recipe>> {
        if self.lock().file.as_deref() == Some(digest(text).as_str()) {
            return Ok(None);
        }
        let recipe = self.of_file(text)?;
        let tag = recipe.tag();
        if self.lock().get(&tag).is_ok_and(|version| !self.is(version, &recipe)) {
            return Err(RecipesError::Taken(tag).into());
        }
        Ok(Some(recipe))
    }

    /// The configured file's recipe came into force.
    ///
    /// # Errors
    /// Another text has its name, or it cannot be kept.
    pub fn read_from_file(&self, recipe: &Recipe, text: &str) -> Result<(), RecipesError> {
        let mut state = self.lock();
        let tag = recipe.tag();
        let mut events = Vec::new();
        match state.get(&tag) {
            Ok(version) if !self.is(version, recipe) => return Err(RecipesError::Taken(tag)),
            Ok(_) => {}
            Err(_) => events.push(Event::Saved(from_file(recipe, text))),
        }
        events.push(in_force(recipe, digest(text)));
        Ok(state.keep(&events)?)
    }

    /// Makes a version. Its text is written anew with the next free number, whatever number it says.
    ///
    /// # Errors
    /// It is not sound, there is no room, or it cannot be kept.
    pub fn save(
        &self,
        mut table: toml::Table,
        from: Option<String>,
        by: &Arc<str>,
        reason: Option<String>,
    ) -> Result<Version, RecipesError> {
        let mut state = self.lock();
        if state.versions.len() >= MOST_VERSIONS {
            return Err(RecipesError::Full);
        }
        let name = table.get("name").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        table.insert("version".to_owned(), i64::from(state.next_version(&name)).into());
        let text = toml::to_string(&table).map_err(|error| RecipesError::Unfit(error.to_string()))?;
        if text.len() > MOST_BYTES {
            return Err(RecipesError::Unfit(format!("the recipe has {} bytes: {MOST_BYTES} are enough", text.len())));
        }
        let recipe = self.parse(&text)?;
        let version = Version { tag: recipe.tag(), at: Timestamp::now(), by: by.clone(), reason, from, text };
        state.keep(&[Event::Saved(version.clone())])?;
        Ok(version)
    }

    /// A version's text as a recipe.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(&self, text: &str) -> Result<Recipe, RecipesError> {
        let recipe = config::parse_recipe(&self.path, text).map_err(|error: ConfigError| {
            let problems: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
            RecipesError::Unfit(problems.join("; "))
        })?;
        self.looks(&recipe).map_err(RecipesError::Unfit)?;
        Ok(recipe)
    }

    /// The configured file's text as a recipe.
    fn of_file(&self, text: &str) -> anyhow::Result<Recipe> {
        let recipe = config::parse_recipe(&self.path, text)?;
        self.looks(&recipe).map_err(|words| anyhow::anyhow!("recipe `{}`: {words}", self.path.display()))?;
        Ok(recipe)
    }

    /// Whether it looks at what the cameras see: else no part would ever be decided.
    fn looks(&self, recipe: &Recipe) -> Result<(), String> {
        let views: Vec<&str> = self.views.iter().map(String::as_str).collect();
        let problems = regions::misfits(recipe, &views);
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }

    /// Whether a version's text says this: notes beside it may be otherwise.
    fn is(&self, version: &Version, recipe: &Recipe) -> bool {
        self.parse(&version.text).is_ok_and(|own| own == *recipe)
    }

    /// A version comes into force: written down before it does.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn enforce(&self, tag: &str, by: &Arc<str>, reason: Option<String>) -> Result<(), RecipesError> {
        let mut state = self.lock();
        let file = state.file.clone().unwrap_or_default();
        let event = Event::InForce { tag: tag.to_owned(), at: Timestamp::now(), by: by.clone(), reason, file };
        Ok(state.keep(&[event])?)
    }
}

fn from_file(recipe: &Recipe, text: &str) -> Version {
    Version {
        tag: recipe.tag(),
        at: Timestamp::now(),
        by: "file".into(),
        reason: None,
        from: None,
        text: text.to_owned(),
    }
}

fn in_force(recipe: &Recipe, file: String) -> Event {
    Event::InForce { tag: recipe.tag(), at: Timestamp::now(), by: "file".into(), reason: None, file }
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
