//! Puts line, store and page together, watches over them, and ends them in order.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use arc_swap::ArcSwap;
use jiff::Timestamp;
use stages::capture::Source;
use stages::line::{Limits, Line, LineConfig, LineState, LineStatus, standard};
use stages::record::VerdictSink;

use super::board::{Board, SourceName};
use super::changeover::in_words;
use super::recipe::Prepared;
use super::signals::{Signal, Signals};
use super::trend::Trend;
use crate::access::{Access, Who};
use crate::alerts::{Alerts, AtWork, Stamped};
use crate::api::{Bound, Server};
use crate::audit::Deed;
use crate::background::yield_to_the_line;
use crate::checks::{self, Checks};
use crate::health::Notifier;
use crate::io::handshake::LineLook;
use crate::io::{self, Plc};
use crate::learning::{self, Learning};
use crate::quality::QualitySection;
use crate::recipes::Recipes;
use crate::retention::{self, Retention};
use crate::serials::{LineSerials, Traced};
use crate::setup::Learner;
use crate::store::Store;
use crate::traces::{Exporter, Target};
use crate::words;

/// How often the line's health is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long a line may be unwell before the program gives up: a disk or a camera may well recover from a short stall.
const GIVE_UP: Duration = Duration::from_secs(30);
/// How long parts in flight, and records on their way to the disk, may take to end.
const DRAIN: Duration = Duration::from_secs(60);

/// What a running line is made of.
pub struct Service {
    /// The line's name.
    pub name: Arc<str>,
    /// What parts are inspected with.
    pub recipe: Prepared,
    /// Where they come from.
    pub source: Box<dyn Source>,
    /// `kind` of the source.
    pub source_kind: &'static str,
    /// Where their records go.
    pub store: Arc<Store>,
    /// Their serial numbers.
    pub serials: LineSerials,
    /// Parts that are sent through to check the line.
    pub checks: Arc<Checks>,
    /// Versions of its recipe.
    pub recipes: Arc<Recipes>,
    /// What learns from good parts when the line is set up.
    pub learner: Arc<Learner>,
    /// How long its pictures and records are kept.
    pub retention: Arc<Retention>,
    /// Who may do what, and the audit trail.
    pub access: Arc<Access>,
    /// What is wrong, and who is told.
    pub alerts: Arc<Alerts>,
    /// What people say of parts, and the models.
    pub learning: Arc<Learning>,
    /// When its shifts begin and end.
    pub quality: QualitySection,
    /// Which collector is told of its parts, if one is.
    pub traces: Option<Target>,
    /// What bounds the line.
    pub limits: Limits,
    /// Who else is told each verdict.
    pub sinks: Vec<Arc<dyn VerdictSink>>,
    /// Who calls for parts, if somebody does; its sink is among `sinks`.
    pub plc: Option<Plc>,
    /// The page's port; none: no page.
    pub page: Option<Bound>,
    /// How many may follow the page at once.
    pub max_viewers: usize,
}

/// Makes a new recipe of the one in force; the error says why the old one stays.
pub type Reload<'a> = &'a dyn Fn(&Prepared) -> anyhow::Result<Prepared>;

/// Why watching ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A signal asked for it.
    Asked,
    /// The source has no more parts.
    SourceEnded,
    /// Threads of the line hang: only a new process helps.
    Hung,
}

/// Line, store and page at work.
pub struct Running {
    board: Arc<Board>,
    alerts: AtWork,
    learning: learning::AtWork,
    checks: checks::AtWork,
    retention: retention::AtWork,
    server: Option<Server>,
    plc: Option<io::AtWork>,
    traces: Option<Exporter>,
    notifier: Notifier,
}

impl Service {
    /// Starts the line, then the page, then says that all is ready.
    ///
    /// # Errors
    /// Limits that no line can keep, or a system without threads. Nothing keeps running then.
    pub fn start(self) -> anyhow::Result<Running> {
        let trend = Arc::new(Trend::new());
        let mut sinks = self.sinks;
        sinks.push(trend.clone());
        let realtime = self.limits.realtime_priority;
        let source = SourceName { name: self.source.name().to_owned(), kind: self.source_kind };
        // Before the first part: a line that was not shown its golden samples must not decide any.
        self.checks.golden.look(&self.recipe.in_force, &self.alerts.zone()).context("golden samples")?;
        // It listens before there is anything to hear.
        let traces = self.traces.map(|target| Exporter::start(target, self.store.subscribe(), yield_to_the_line));
        let traces = traces.transpose().context("the thread that sends traces")?;
        let line = Line::start(LineConfig {
            name: self.name.clone(),
            first_id: self.store.next_id(),
            source: self.source,
            stages: standard(&self.limits),
            recipe: self.recipe.in_force.clone(),
            recorder: Arc::new(Traced::new(
                Stamped { recorder: self.store.clone(), conditions: self.alerts.conditions() },
                self.store.clone(),
                self.serials.clone(),
            )),
            serials: Some(Arc::new(self.serials.clone())),
            checker: Some(self.checks.clone()),
            sinks,
            limits: self.limits,
        })?;
        let board = Arc::new(Board {
            name: self.name,
            line,
            store: self.store,
            access: self.access,
            alerts: self.alerts,
            learning: self.learning,
            quality: self.quality,
            trend,
            source,
            serials: self.serials,
            checks: self.checks,
            recipes: self.recipes,
            learner: self.learner,
            retention: self.retention,
            traces: traces.as_ref().map(Exporter::counts),
            plc: self.plc.as_ref().map(Plc::link),
            recipe: ArcSwap::from_pointee(self.recipe),
            started_at: Timestamp::now(),
            max_viewers: self.max_viewers,
            viewers: Mutex::new(0),
        });
        let looks_at = board.clone();
        let look = Box::new(move |health, outbox: &_| looks_at.facts(health, outbox));
        let alerts = board.alerts.start(&board.store, look)?;
        let rest = || {
            let learning = board.learning.start(&board)?;
            let checks = match Checks::start(&board) {
                Ok(checks) => checks,
                Err(error) => {
                    learning.stop();
                    return Err(error);
                }
            };
            let retention = match board.retention.start(&board) {
                Ok(retention) => retention,
                Err(error) => {
                    learning.stop();
                    checks.stop();
                    return Err(error);
                }
            };
            let outward = || -> anyhow::Result<_> {
                let server = self.page.map(|page| page.serve(board.clone())).transpose()?;
                // Last: from here on parts are called for.
                let plc = self.plc.map(|plc| plc.start(look_for_the_plc(&board), realtime)).transpose()?;
                Ok((server, plc))
            };
            match outward() {
                Ok((server, plc)) => Ok((learning, checks, retention, server, plc)),
                Err(error) => {
                    learning.stop();
                    checks.stop();
                    retention.stop();
                    Err(error)
                }
            }
        };
        let (learning, checks, retention, server, plc) = match rest() {
            Ok(rest) => rest,
            Err(error) => {
                alerts.stop();
                return Err(error);
            }
        };
        let notifier = Notifier::new();
        notifier.ready("inspecting");
        Ok(Running { board, alerts, learning, checks, retention, server, plc, traces, notifier })
    }
}

/// How the line is, as the PLC is told. A line whose books answer nobody stops the PLC's thread here, and with it the heart.
fn look_for_the_plc(board: &Arc<Board>) -> io::Look {
    let board = board.clone();
    Box::new(move |link| {
        let state = board.line.state();
        let going = matches!(state, LineState::Ready | LineState::Running | LineState::SafeHold(_));
        LineLook {
            takes: going && board.line.healthy(),
            // Not ready: `going` is false then, and no trigger is taken until golden samples are shown.
            held: matches!(state, LineState::SafeHold(_)),
            recipe: link.recipe(&board.recipe.load().in_force.recipe),
        }
    })
}

impl Running {
    /// Watches until somebody asks for the end, the line hangs, or (`ends_with_source`) there are no more parts.
    pub fn watch(&mut self, signals: &Signals, reload: Reload<'_>, ends_with_source: bool) -> Ending {
        let mut unwell_since = None;
        let mut full = None;
        loop {
            match signals.wait(LOOK) {
                Some(Signal::Stop) => return Ending::Asked,
                Some(Signal::Reload) => self.reload(reload),
                None => {}
            }
            let status = self.board.line.status();
            full = self.after_a_full_disk(full, &status.state);
            if ends_with_source && status.state == LineState::Stopped && self.board.line.wait(Duration::ZERO) {
                return Ending::SourceEnded;
            }
            if self.board.line.exhausted() {
                tracing::error!("too many threads of the line hang; the program ends so that it is started anew");
                return Ending::Hung;
            }
            let outward =
                self.server.as_ref().is_none_or(Server::alive) && self.plc.as_ref().is_none_or(io::AtWork::alive);
            if self.board.line.healthy() && outward {
                unwell_since = None;
                self.notifier.alive();
            } else if unwell_since.get_or_insert_with(Instant::now).elapsed() > GIVE_UP {
                tracing::error!(
                    "the line has not been well for {GIVE_UP:?}; the program gives up so that it is started anew"
                );
                return Ending::Hung;
            }
        }
    }

    /// A full disk that has room again needs nobody: what it alone held goes on. `said`: what was said of it, as long as the line may still be about
    /// to go into safe hold for it.
    fn after_a_full_disk(&self, said: Option<Arc<str>>, state: &LineState) -> Option<Arc<str>> {
        let said = self.board.store.room_again().or(said)?;
        if let LineState::SafeHold(reason) = state
            && reason.contains(said.as_ref())
            && self.board.store.stats().failed.is_none()
        {
            tracing::warn!("the line leaves safe hold: there is room on the disk again");
            self.board.line.clear_safe_hold();
            return None;
        }
        Some(said)
    }

    fn reload(&self, reload: Reload<'_>) {
        self.notifier.reloading();
        self.board.learning.while_nothing_changes(|| self.reload_now(reload));
        self.notifier.ready("inspecting");
    }

    fn reload_now(&self, reload: Reload<'_>) {
        let before = self.board.recipe.load_full();
        let announced = |prepared: Prepared| {
            let deed = Deed::new("recipe.reload", prepared.in_force.tag.as_ref());
            let deed = deed.before(in_words(&before)).after(in_words(&prepared));
            self.board.access.trail().append(&Who::signal(), deed)?;
            Ok(prepared)
        };
        match reload(&before).and_then(announced) {
            Ok(prepared) => {
                let (old, new) = (&before.in_force.tag, prepared.in_force.tag.clone());
                tracing::info!("recipe {new} is in force from the next part on, instead of {old}");
                if let Err(error) = self.board.learning.know(&prepared) {
                    tracing::error!("{error}");
                }
                self.board.line.swap_recipe(prepared.in_force.clone());
                self.board.recipe.store(Arc::new(prepared));
            }
            Err(error) => tracing::error!("recipe {} stays in force: {}", before.in_force.tag, words::of(&error)),
        }
    }

    /// Finishes what is in flight, each part by its deadline, then ends page and store. Gives the line's last word.
    ///
    /// # Errors
    /// The store did not keep everything; the line's numbers are in the log.
    pub fn finish(self) -> anyhow::Result<LineStatus> {
        self.notifier.stopping();
        // Whoever calls for parts gets an answer to each call before the line takes no more.
        if let Some(plc) = &self.plc {
            plc.quiet(DRAIN);
        }
        self.board.line.begin_drain();
        if !self.board.line.wait(DRAIN) {
            tracing::error!("parts are still in flight after {DRAIN:?}; they are given up");
        }
        if let Some(plc) = self.plc {
            plc.stop();
        }
        if let Some(server) = self.server {
            server.stop();
        }
        self.board.learner.close();
        self.retention.stop();
        self.learning.stop();
        self.checks.stop();
        self.alerts.stop();
        self.board.serials.save();
        let mut status = self.board.line.status();
        let store = self.board.store.clone();
        match Arc::into_inner(self.board) {
            Some(board) => status.counts = board.line.drain(),
            None => tracing::warn!("a request did not end; its thread is left behind"),
        }
        let closed = store.close();
        // The last acknowledged parts, too.
        drop(self.traces);
        closed.with_context(|| format!("at the end, after {} parts", status.counts.triggered))?;
        Ok(status)
    }
}
