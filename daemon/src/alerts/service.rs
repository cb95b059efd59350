//! The alerts at work beside a line: a thread that looks once a second, the threads that deliver, and what the API asks for.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use stages::inspection::Inspection;
use tokio::sync::broadcast;

use super::config::AlertsSection;
use super::engine::{Audience, Engine};
use super::facts::Facts;
use super::machine::{Alert, Note};
use super::rule::Rule;
use super::ruleset::{PutError, RuleSet};
use crate::health::{GpuProbe, HealthReport, Monitor, Sampler, disks_of};
use crate::outbox::{Contents, Outbox, Postman, ResultsPusher, Sender};
use crate::store::Store;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Between two drains of the parts on record: the store's channel holds 256.
const DRAIN: Duration = Duration::from_millis(100);
/// Parts that are read again after the channel ran over.
const MISSED_AT_ONCE: usize = 500;

/// How things are, for the rules; called on the alerts' own thread.
pub type Look = Box<dyn Fn(Arc<HealthReport>, &Outbox) -> Facts + Send>;

/// The names of the alerts about the machine that are on; a line stamps its records with them.
pub type Conditions = ArcSwap<Vec<Arc<str>>>;

/// Alerts, ready to be started.
pub struct Alerts {
    engine: Mutex<Engine>,
    rules: Mutex<RuleSet>,
    outbox: Arc<Outbox>,
    /// Until they are given to the threads that deliver.
    senders: Mutex<Vec<(Arc<str>, Sender)>>,
    monitor: Monitor,
    conditions: Arc<Conditions>,
    /// Grows with every change, so that pages know when to ask.
    revision: AtomicU64,
    section: AlertsSection,
    line: Arc<str>,
}

impl Alerts {
    /// Reads the rules, opens the outbox, and begins to watch the machine.
    ///
    /// # Errors
    /// A rule is wrong, a secret's file cannot be read, or the state directory cannot be used.
    pub fn open(
        line: &Arc<str>,
        section: AlertsSection,
        state: &Path,
        gpus: Box<dyn GpuProbe>,
    ) -> anyhow::Result<Alerts> {
        let destinations = section.destinations.keys().cloned().collect();
        let rules = RuleSet::load(section.rules.as_deref(), state, destinations)?;
        let allowed = section.allow_list();
        let senders = section.destinations.iter().map(|(name, destination)| {
            let sender = destination.sender(&allowed).map_err(|why| anyhow!("`alerts.destinations.{name}`: {why}"))?;
            Ok((Arc::from(name.as_str()), sender))
        });
        let senders = senders.collect::<anyhow::Result<Vec<_>>>()?;
        let outbox = Outbox::open(state)?;
        outbox.retire(|to| section.destinations.contains_key(to), Timestamp::now())?;
        let audience = Audience {
            line: line.to_string(),
            destinations: section.destinations.clone(),
            group_wait_s: section.group_wait_s,
            zone: section.zone(),
        };
        let engine = Engine::open(state, rules.all(), audience);
        let monitor = Monitor::start(Sampler::new(gpus, &disks_of(state))).context("the machine cannot be watched")?;
        let conditions = Arc::new(ArcSwap::from_pointee(names(&engine.active())));
        Ok(Alerts {
            engine: Mutex::new(engine),
            rules: Mutex::new(rules),
            outbox: Arc::new(outbox),
            senders: Mutex::new(senders),
            monitor,
            conditions,
            revision: AtomicU64::new(0),
            section,
            line: line.clone(),
        })
    }

    /// The line's time zone.
    pub fn zone(&self) -> TimeZone {
        self.section.zone()
    }

    /// Looks and delivers from now on.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn start(self: &Arc<Alerts>, store: &Arc<Store>, look: Look) -> anyhow::Result<AtWork> {
        let senders = std::mem::take(&mut *self.senders.lock().unwrap_or_else(PoisonError::into_inner));
        let wanted = self.section.destinations.iter();
        let wanted: Vec<_> =
            wanted.filter_map(|(name, it)| Some((Arc::from(name.as_str()), it.results.clone()?))).collect();
        let threads = "the alerts get no threads";
        let postman = Postman::start(self.outbox.clone(), senders).context(threads)?;
        let results = match wanted.is_empty() {
            true => None,
            false => {
                Some(ResultsPusher::start(self.outbox.clone(), store.clone(), &self.line, wanted).context(threads)?)
            }
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (alerts, told, store) = (self.clone(), stop.clone(), store.clone());
        let work = move || alerts.work(&store, &look, &told);
        let thread = std::thread::Builder::new().name("alerts".to_owned()).spawn(work).context(threads)?;
        Ok(AtWork { stop, thread, postman, results })
    }

    fn work(&self, store: &Store, look: &Look, stop: &AtomicBool) {
        let mut parts = Parts { live: store.subscribe(), seen: store.newest_id().unwrap_or(0) };
        let mut looked: Option<Instant> = None;
        while !stop.load(Ordering::Acquire) {
            // What is sent through to check the line is meant to be bad now and then.
            parts.drain(store, |part| {
                if part.check.is_none() {
                    self.engine().part(part, Timestamp::now());
                }
            });
            if looked.is_none_or(|at| at.elapsed() >= LOOK) {
                looked = Some(Instant::now());
                self.round(&look(self.monitor.report(), &self.outbox));
            }
            std::thread::sleep(DRAIN);
        }
        // What is written now and then only.
        let written = self.engine().save_all(Timestamp::now());
        if let Err(error) = written {
            tracing::error!("the alerts' state is not on disk: {error}");
        }
    }

    /// One look, and what follows from it.
    fn round(&self, facts: &Facts) {
        let mut engine = self.engine();
        if engine.look(facts) {
            self.changed(&engine);
        }
        self.hand_over(&mut engine, facts.now);
    }

    /// Notes, hands to the outbox, crosses out; what fails is tried again at the next look.
    fn hand_over(&self, engine: &mut Engine, now: Timestamp) {
        let due = engine.due(now);
        let done = engine.save(now).map_err(anyhow::Error::from).and_then(|()| {
            self.outbox.push(due)?;
            engine.handed_over();
            Ok(engine.save(now)?)
        });
        if let Err(error) = done {
            tracing::error!("alerts are not told to anybody for now: {error}; check the disk");
        }
    }

    fn changed(&self, engine: &Engine) {
        self.conditions.store(Arc::new(names(&engine.active())));
        self.revision.fetch_add(1, Ordering::Release);
    }

    /// Somebody has seen an alert. None: there is no such alert.
    pub fn acknowledge(&self, id: &str, note: Note) -> Option<Alert> {
        let now = note.at;
        let mut engine = self.engine();
        let alert = engine.acknowledge(id, note)?;
        self.changed(&engine);
        self.hand_over(&mut engine, now);
        Some(alert)
    }

    /// Somebody ends an alert. None: there is no such alert.
    pub fn resolve(&self, id: &str, note: Note) -> Option<Alert> {
        let now = note.at;
        let mut engine = self.engine();
        let alert = engine.resolve(id, note)?;
        self.changed(&engine);
        self.hand_over(&mut engine, now);
        Some(alert)
    }

    /// Whether a rule can be put in place.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn check_rule(&self, name: &str, rule: &Rule) -> Result<(), PutError> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).check(name, rule)
    }

    /// Puts a rule in place.
    ///
    /// # Errors
    /// Something is wrong with it, or the disk.
    pub fn put_rule(&self, name: &str, rule: Rule) -> Result<(), PutError> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.put(name, rule)?;
        self.engine().set_rules(rules.all());
        Ok(())
    }

    /// Takes away a rule that was put in place over HTTP; false: there is none.
    ///
    /// # Errors
    /// The disk.
    pub fn delete_rule(&self, name: &str) -> std::io::Result<bool> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = rules.delete(name)?;
        self.engine().set_rules(rules.all());
        Ok(gone)
    }

    /// What is on, and what is over.
    pub fn alerts(&self) -> (Vec<Alert>, Vec<Alert>) {
        let engine = self.engine();
        (engine.active(), engine.recent())
    }

    /// The rules in force.
    pub fn rules(&self) -> std::collections::BTreeMap<String, super::ruleset::Named> {
        self.engine().rules().clone()
    }

    /// How the machine is.
    pub fn health(&self) -> Arc<HealthReport> {
        self.monitor.report()
    }

    /// The messages to others.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// A copy of the messages to others.
    pub fn contents(&self) -> Contents {
        self.outbox.contents()
    }

    /// Alerts about the machine that are on.
    pub fn conditions(&self) -> Arc<Conditions> {
        self.conditions.clone()
    }

    /// Grows with every change of an alert.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The alerts about the machine, as records name them.
fn names(active: &[Alert]) -> Vec<Arc<str>> {
    let machine = active.iter().filter(|alert| alert.machine);
    machine
        .map(|alert| {
            if alert.subject.is_empty() {
                alert.rule.as_str().into()
            } else {
                format!("{} {}", alert.rule, alert.subject).into()
            }
        })
        .collect()
}

/// The parts on record, each once, also after the channel ran over.
struct Parts {
    live: broadcast::Receiver<Arc<Inspection>>,
    seen: u64,
}

impl Parts {
    fn drain(&mut self, store: &Store, mut take: impl FnMut(&Inspection)) {
        loop {
            match self.live.try_recv() {
                Ok(part) if part.id > self.seen => {
                    self.seen = part.id;
                    take(&part);
                }
                Ok(_) => {}
                Err(broadcast::error::TryRecvError::Lagged(_)) => loop {
                    let missed = store.after(self.seen, MISSED_AT_ONCE);
                    let Some(last) = missed.last() else { break };
                    self.seen = last.inspection.id;
                    missed.iter().for_each(|stored| take(&stored.inspection));
                },
                Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => return,
            }
        }
    }
}

/// The threads.
pub struct AtWork {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    postman: Postman,
    results: Option<ResultsPusher>,
}

impl AtWork {
    /// Ends them. What is not delivered stays in the outbox.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        if self.thread.join().is_err() {
            tracing::error!("the alerts' thread died");
        }
        if let Some(results) = self.results {
            results.stop();
        }
        self.postman.stop();
    }
}
