//! Rules, their alerts, and who is still to be told: everything that outlives a restart, in one file of the state directory
//! (`alerts/state.json`). Time comes in; messages for the outbox go out.
//!
//! A change is first noted here, then handed to the outbox, then crossed out here. Killed in between, it is handed over once
//! more under the same id, and the outbox and every receiver know it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stages::inspection::Inspection;

use super::bodies::Notice;
use super::facts::Facts;
use super::machine::{Alert, Change, Machine, Note, What};
use super::rule::{Rule, Severity};
use super::rules::Watch;
use super::ruleset::{Named, replace};
use crate::formats::newer;
use crate::outbox::{Destination, DestinationKind, Kind, Message, message_id};

/// Version of the state's file.
const FORMAT: u32 = 1;
/// What does not hurry is written no more often.
const SAVE_EVERY: SignedDuration = SignedDuration::from_secs(30);

/// Who can be told of what.
#[derive(Debug, Clone)]
pub struct Audience {
    /// The line's name.
    pub line: String,
    /// Destinations by name.
    pub destinations: BTreeMap<String, Destination>,
    /// Changes of one group wait so long for company.
    pub group_wait_s: u32,
    /// Time zone of quiet hours.
    pub zone: TimeZone,
}

/// What is written down.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Saved {
    format: u32,
    machine: Machine,
    held: Vec<Held>,
    memory: BTreeMap<String, Value>,
}

/// A change of which nobody was told yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Held {
    change: Change,
    group: String,
    to: Vec<String>,
    /// Its message is being handed over: changes with the same number go together.
    batch: Option<u64>,
}

/// See the module.
pub struct Engine {
    audience: Audience,
    rules: BTreeMap<String, Named>,
    watches: BTreeMap<String, Box<dyn Watch>>,
    saved: Saved,
    /// What is on disk.
    written: Saved,
    /// When it was written.
    written_at: Timestamp,
    /// An alert turned, or somebody is being told: that is written at once.
    urgent: bool,
    path: PathBuf,
}

impl Engine {
    /// Goes on where the process before ended. A state that cannot be read is set aside, and the log says so: the line must
    /// start.
    pub fn open(state: &Path, rules: BTreeMap<String, Named>, audience: Audience) -> Engine {
        let path = state.join("alerts/state.json");
        let saved = read(&path).unwrap_or_else(|reason| {
            let aside = path.with_extension("damaged.json");
            let kept = std::fs::rename(&path, &aside).is_ok();
            let place = if kept { format!("; it is kept as `{}`", aside.display()) } else { String::new() };
            tracing::error!("`{}` cannot be used: {reason}{place}. Alerts begin anew", path.display());
            Saved::default()
        });
        let saved = Saved { format: FORMAT, ..saved };
        let written = saved.clone();
        let mut engine = Engine {
            audience,
            rules: BTreeMap::new(),
            watches: BTreeMap::new(),
            saved,
            written,
            written_at: Timestamp::MIN,
            urgent: false,
            path,
        };
        engine.set_rules(rules);
        engine
    }

    /// Puts other rules in force. Those that stay the same go on watching.
    pub fn set_rules(&mut self, rules: BTreeMap<String, Named>) {
        let on = |named: &&Named| named.rule.enabled;
        self.watches.retain(|name, _| {
            let same = |named: &&Named| self.rules.get(name).is_some_and(|old| old.rule.when == named.rule.when);
            rules.get(name).filter(on).filter(same).is_some()
        });
        for (name, named) in rules.iter().filter(|(_, named)| named.rule.enabled) {
            self.watches.entry(name.clone()).or_insert_with(|| {
                let mut watch = named.rule.when.watch();
                if let Some(memory) = self.saved.memory.get(name) {
                    watch.recall(memory);
                }
                watch
            });
        }
        self.rules = rules;
    }

    /// The rules in force.
    pub fn rules(&self) -> &BTreeMap<String, Named> {
        &self.rules
    }

    /// One more part is on record.
    pub fn part(&mut self, part: &Inspection, now: Timestamp) {
        self.watches.values_mut().for_each(|watch| watch.part(part, now));
    }

    /// Looks at how things are; true if an alert changed.
    pub fn look(&mut self, facts: &Facts) -> bool {
        let now = facts.now;
        let rules = &self.rules;
        let on = |name: &str| rules.get(name).is_some_and(|named| named.rule.enabled);
        let mut changes = self.saved.machine.keep_only(on, now);
        for (name, watch) in &mut self.watches {
            let Some(named) = rules.get(name) else { continue };
            let look = watch.look(facts);
            changes.extend(self.saved.machine.observe(name, &named.rule, &look.readings, look.others, now));
            if let Some(memory) = watch.memory() {
                self.saved.memory.insert(name.clone(), memory);
            }
        }
        let changed = !changes.is_empty();
        changes.into_iter().for_each(|change| self.hold(change));
        changed
    }

    /// Somebody has seen an alert. None: there is no such alert.
    pub fn acknowledge(&mut self, id: &str, note: Note) -> Option<Alert> {
        let (alert, change) = self.saved.machine.acknowledge(id, note)?;
        change.into_iter().for_each(|change| self.hold(change));
        Some(alert)
    }

    /// Somebody ends an alert. None: there is no such alert.
    pub fn resolve(&mut self, id: &str, note: Note) -> Option<Alert> {
        let change = self.saved.machine.resolve(id, note)?;
        let alert = change.alert.clone();
        if let Some(watch) = self.watches.get_mut(&alert.rule) {
            watch.forget(&alert.subject);
        }
        self.hold(change);
        Some(alert)
    }

    /// What is on now, the worst first.
    pub fn active(&self) -> Vec<Alert> {
        self.saved.machine.active().into_iter().cloned().collect()
    }

    /// What is over, the newest first.
    pub fn recent(&self) -> Vec<Alert> {
        self.saved.machine.recent().cloned().collect()
    }

    fn hold(&mut self, change: Change) {
        self.urgent = true;
        match (change.what, change.alert.severity) {
            (What::Fired, Severity::Critical) => tracing::error!("alert {}: {}", change.alert.rule, change.alert.text),
            (What::Fired, _) => tracing::warn!("alert {}: {}", change.alert.rule, change.alert.text),
            (What::Resolved, _) => tracing::info!("alert {} is over: {}", change.alert.rule, change.alert.text),
            (What::Acknowledged | What::Reminded, _) => {}
        }
        let rule = self.rules.get(&change.alert.rule).map(|named| &named.rule);
        let to = rule.map(|rule| rule.to.clone()).unwrap_or_default();
        let group = rule.map_or("line", Rule::group).to_owned();
        // An alert that came and went before anybody was told of it is told to nobody.
        let untold = |held: &Held| held.batch.is_none() && held.change.alert.id == change.alert.id;
        let unknown = self.saved.held.iter().any(|held| untold(held) && held.change.what == What::Fired);
        if change.what == What::Resolved && unknown {
            self.saved.held.retain(|held| !untold(held));
            return;
        }
        self.saved.held.push(Held { change, group, to, batch: None });
    }

    /// Messages that are due now. They stay held until [`handed_over`](Self::handed_over); [`save`](Self::save) comes first.
    pub fn due(&mut self, now: Timestamp) -> Vec<Message> {
        self.close_batches(now);
        let mut batches: BTreeMap<u64, Vec<&Held>> = BTreeMap::new();
        for held in &self.saved.held {
            if let Some(batch) = held.batch {
                batches.entry(batch).or_default().push(held);
            }
        }
        let tell = |(name, destination): (&String, &Destination)| {
            let all = batches.values();
            all.filter_map(|held| self.message(name, destination, held)).collect::<Vec<_>>()
        };
        self.audience.destinations.iter().flat_map(tell).collect()
    }

    /// Decides which changes go together, once and for all.
    fn close_batches(&mut self, now: Timestamp) {
        let time = self.audience.zone.to_datetime(now).time();
        let quiet: Vec<bool> = self.saved.held.iter().map(|held| self.is_quiet(held, time)).collect();
        let wait = SignedDuration::from_secs(i64::from(self.audience.group_wait_s));
        let mut next = 1 + self.saved.held.iter().filter_map(|held| held.batch).max().unwrap_or(0);
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, held) in self.saved.held.iter().enumerate().filter(|(at, held)| held.batch.is_none() && !quiet[*at]) {
            // Who is told differs by rule, so changes go together only where it is the same.
            groups.entry(format!("{} {:?}", held.group, held.to)).or_default().push(at);
        }
        for members in groups.into_values() {
            let ready = |&&at: &&usize| {
                let change = &self.saved.held[at].change;
                let waited = now.duration_since(change.at);
                change.alert.severity == Severity::Critical || waited >= wait || waited.is_negative()
            };
            if members.iter().any(|at| ready(&at)) {
                self.urgent = true;
                members.into_iter().for_each(|at| self.saved.held[at].batch = Some(next));
                next += 1;
            }
        }
    }

    fn is_quiet(&self, held: &Held, time: jiff::civil::Time) -> bool {
        let rule = self.rules.get(&held.change.alert.rule);
        rule.is_some_and(|named| named.rule.is_quiet(time))
    }

    fn message(&self, name: &str, destination: &Destination, held: &[&Held]) -> Option<Message> {
        let wants = |held: &&&Held| {
            let named = held.to.is_empty() || held.to.iter().any(|to| to == name);
            // Chat and mail need not know who has seen it; Alertmanager has no word for it.
            let spoken = held.change.what != What::Acknowledged || destination.kind == DestinationKind::Webhook;
            named && spoken && held.change.alert.severity >= destination.min_severity
        };
        let changes: Vec<Change> = held.iter().filter(wants).map(|held| held.change.clone()).collect();
        let newest = changes.iter().map(|change| change.at).max().filter(|_| destination.alerts)?;
        let keys = changes.iter().map(|change| format!("{} {} {}", change.alert.id, change.what.word(), change.at));
        let keys: Vec<String> = ["alert".to_owned(), name.to_owned()].into_iter().chain(keys).collect();
        let notice = Notice { at: newest, line: &self.audience.line, changes: &changes };
        match notice.body(destination.kind) {
            Ok(body) => Some(Message {
                id: message_id(&keys.iter().map(String::as_str).collect::<Vec<_>>()),
                to: name.into(),
                kind: Kind::Alert,
                queued_at: newest,
                subject: notice.subject(),
                body: body.into(),
                last_part: None,
            }),
            Err(error) => {
                tracing::error!("no message for `{name}` can be made: {error}");
                None
            }
        }
    }

    /// The outbox has taken over what was due.
    pub fn handed_over(&mut self) {
        self.urgent |= self.saved.held.iter().any(|held| held.batch.is_some());
        self.saved.held.retain(|held| held.batch.is_none());
    }

    /// Writes down everything that has changed.
    ///
    /// # Errors
    /// The disk.
    pub fn save_all(&mut self, now: Timestamp) -> std::io::Result<()> {
        self.urgent = true;
        self.save(now)
    }

    /// Writes down what has changed: at once where somebody waits for it, else (a temperature in an alert's text) now and then.
    ///
    /// # Errors
    /// The disk. It is tried again with the next call.
    pub fn save(&mut self, now: Timestamp) -> std::io::Result<()> {
        let lately = now.duration_since(self.written_at).abs() < SAVE_EVERY;
        if (lately && !self.urgent) || self.saved == self.written {
            return Ok(());
        }
        let json = serde_json::to_vec(&self.saved)?;
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        replace(&self.path, &json)?;
        (self.written, self.written_at, self.urgent) = (self.saved.clone(), now, false);
        Ok(())
    }
}

fn read(path: &Path) -> Result<Saved, String> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Saved::default()),
        read => read.map_err(|error| error.to_string())?,
    };
    match newer(&bytes, FORMAT) {
        Some(why) => Err(why),
        None => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
    }
}

/// The alerts of a state directory, without opening it: another process may be at work there. Active ones, then those that are
/// over.
///
/// # Errors
/// The file is there and cannot be used.
pub fn alerts_in(state: &Path) -> Result<(Vec<Alert>, Vec<Alert>), String> {
    let machine = read(&state.join("alerts/state.json"))?.machine;
    Ok((machine.active().into_iter().cloned().collect(), machine.recent().cloned().collect()))
}

#[cfg(test)]
mod tests;
