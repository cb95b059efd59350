//! The rules in force: built in, from the configuration's folder, and put in place over HTTP; the later take the earlier's
//! place where the name is the same.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use utoipa::ToSchema;

use super::rule::{Rule, is_name};
use crate::config::ConfigError;

/// Rules that can be put in place over HTTP: each is looked at once a second.
const MAX_API_RULES: usize = 200;

const DEFAULTS: &str = include_str!("defaults.toml");

/// Where a rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AlertRuleOrigin)]
pub enum Origin {
    /// It ships with the program.
    BuiltIn,
    /// A file in the folder of `alerts.rules`.
    Configured,
    /// Put in place over HTTP; a file in the state directory.
    Api,
}

/// A rule with its origin.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = NamedAlertRule)]
pub struct Named {
    /// Where it comes from.
    pub origin: Origin,
    /// The rule.
    pub rule: Rule,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct RuleSet {
    /// Built in and configured.
    base: BTreeMap<String, Named>,
    api: BTreeMap<String, Rule>,
    /// Where those of the API lie.
    dir: PathBuf,
    destinations: Vec<String>,
}

/// The rules that ship with the program.
pub(super) fn built_in() -> BTreeMap<String, Rule> {
    toml::from_str(DEFAULTS).expect("a test reads the shipped rules")
}

impl RuleSet {
    /// Reads all rules. `configured`: the folder of `alerts.rules`. `state`: the state directory.
    ///
    /// # Errors
    /// A file of the configuration is wrong. One of the API's that cannot be read is left out, and the log says so: the line
    /// must start.
    pub fn load(configured: Option<&Path>, state: &Path, destinations: Vec<String>) -> Result<RuleSet, ConfigError> {
        let built_in = built_in().into_iter().map(|(name, rule)| (name, Named { origin: Origin::BuiltIn, rule }));
        let mut base: BTreeMap<String, Named> = built_in.collect();
        let known: Vec<&str> = destinations.iter().map(String::as_str).collect();
        if let Some(folder) = configured {
            for (name, path) in files(folder)? {
                let rule = crate::config::load_rule(&path, &known)?;
                base.insert(name, Named { origin: Origin::Configured, rule });
            }
        }
        let dir = state.join("alerts/rules");
        let mut api = BTreeMap::new();
        if dir.is_dir() {
            for (name, path) in files(&dir)? {
                match crate::config::load_rule(&path, &known) {
                    Ok(rule) => drop(api.insert(name, rule)),
                    Err(error) => tracing::error!("an alert rule is left out: {error}"),
                }
            }
        }
        Ok(RuleSet { base, api, dir, destinations })
    }

    /// Every rule, by name.
    pub fn all(&self) -> BTreeMap<String, Named> {
        let mut all = self.base.clone();
        let api = self.api.iter().map(|(name, rule)| (name.clone(), Named { origin: Origin::Api, rule: rule.clone() }));
        all.extend(api);
        all
    }

    /// Puts a rule in place, on disk first.
    ///
    /// # Errors
    /// What is wrong with it, in words; or the disk.
    pub fn put(&mut self, name: &str, rule: Rule) -> Result<(), PutError> {
        self.check(name, &rule)?;
        let text = toml::to_string(&rule).map_err(|error| PutError::Wrong(error.to_string()))?;
        if !self.dir.is_dir() {
            fs::create_dir_all(&self.dir)?;
            // Their names must outlast the power, as the file's.
            self.dir.ancestors().skip(1).take(2).try_for_each(|folder| fs::File::open(folder)?.sync_all())?;
        }
        replace(&self.dir.join(format!("{name}.toml")), text.as_bytes())?;
        self.api.insert(name.to_owned(), rule);
        Ok(())
    }

    /// Whether a rule can be put in place.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn check(&self, name: &str, rule: &Rule) -> Result<(), PutError> {
        if !is_name(name) {
            return Err(PutError::Wrong(format!("`{name}` names no rule: use up to 64 of a-z, 0-9, `-` and `_`")));
        }
        if !self.api.contains_key(name) && self.api.len() >= MAX_API_RULES {
            return Err(PutError::Wrong(format!("there are {MAX_API_RULES} rules already: delete one first")));
        }
        let known: Vec<&str> = self.destinations.iter().map(String::as_str).collect();
        let problems = rule.problems(&known);
        if !problems.is_empty() {
            return Err(PutError::Wrong(problems.join("; ")));
        }
        Ok(())
    }

    /// Takes away a rule that was put in place over HTTP; what it stood in for is in force again. False: there is none.
    ///
    /// # Errors
    /// The disk.
    pub fn delete(&mut self, name: &str) -> std::io::Result<bool> {
        if !self.api.contains_key(name) {
            return Ok(false);
        }
        fs::remove_file(self.dir.join(format!("{name}.toml")))?;
        fs::File::open(&self.dir)?.sync_all()?;
        self.api.remove(name);
        Ok(true)
    }
}

/// Why a rule is not put in place.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Something is wrong with it.
    #[error("{0}")]
    Wrong(String),
    /// It cannot be kept.
    #[error("the rule cannot be written down: {0}; check the disk")]
    Disk(#[from] std::io::Error),
}

/// Rules of a folder: name and file. Names that start with a dot are passed over, as editors and package managers leave them.
fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>, ConfigError> {
    let refused = |text: String| ConfigError::about(folder, text);
    let listing =
        fs::read_dir(folder).map_err(|error| refused(format!("cannot be read: {error}; check `alerts.rules`")))?;
    let mut found = Vec::new();
    for item in listing {
        let path = item.map_err(|error| refused(format!("cannot be read: {error}")))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".toml"))
        else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        if !is_name(name) {
            let text = format!("has `{name}.toml`: a rule is named by up to 64 of a-z, 0-9, `-` and `_`");
            return Err(refused(text));
        }
        found.push((name.to_owned(), path.clone()));
    }
    found.sort();
    Ok(found)
}

/// Writes a file so that after a power cut either the old or the new one is there.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::with_prefix_in(".", folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::Severity;

    #[test]
    fn the_rules_that_ship_are_sound() {
        let rules = built_in();
        assert!(rules.len() >= 17);
        for (name, rule) in &rules {
            assert!(is_name(name), "{name}");
            assert_eq!(rule.problems(&[]), Vec::<String>::new(), "{name}");
            assert_eq!(name.replace('-', "_"), rule.when.kind(), "a rule is named after its condition");
        }
    }

    #[test]
    fn later_rules_take_the_earliers_place_and_go_again() {
        let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(folder.path().join("gpu-hot.toml"), "enabled = false\n[when]\nkind = \"gpu_hot\"\n").unwrap();
        fs::write(
            folder.path().join("night.toml"),
            "to = [\"mes\"]\n[when]\nkind = \"reject_rate\"\nover_percent = 3\n",
        )
        .unwrap();
        let load = || RuleSet::load(Some(folder.path()), state.path(), vec!["mes".to_owned()]).unwrap();
        let mut set = load();
        let all = set.all();
        assert_eq!((all["gpu-hot"].origin, all["gpu-hot"].rule.enabled), (Origin::Configured, false));
        assert_eq!(all["night"].rule.to, ["mes"]);
        let rule = Rule { severity: Severity::Info, ..all["gpu-hot"].rule.clone() };
        set.put("gpu-hot", rule.clone()).unwrap();
        assert_eq!(load().all()["gpu-hot"], Named { origin: Origin::Api, rule: rule.clone() });
        assert!(set.put("../x", rule.clone()).is_err());
        assert!(set.put("x", Rule { to: vec!["nobody".into()], ..rule }).unwrap_err().to_string().contains("nobody"));
        assert!(set.delete("gpu-hot").unwrap() && !set.delete("gpu-hot").unwrap());
        assert_eq!(load().all()["gpu-hot"].origin, Origin::Configured);
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_line() {
        let (state, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let refused = |text: &str| {
            fs::write(folder.path().join("x.toml"), text).unwrap();
            RuleSet::load(Some(folder.path()), state.path(), Vec::new()).unwrap_err().to_string()
        };
        let typo = refused("severety = \"info\"\n[when]\nkind = \"gpu_hot\"\n");
        assert!(typo.contains("line 1") && typo.contains("did you mean `severity`"), "{typo}");
        let range = refused("[when]\nkind = \"reject_rate\"\nover_percent = 300\n");
        assert!(range.contains("when.over_percent") && range.contains("300"), "{range}");
        assert!(refused("to = [\"mes\"]\n[when]\nkind = \"gpu_hot\"\n").contains("no destination"));
        assert!(refused("quiet_hours = [\"22\"]\n[when]\nkind = \"gpu_hot\"\n").contains("22:00-06:00"));
    }
}
