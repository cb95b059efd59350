//! `inspectd alerts`: what is wrong, who is told, and what was given up. It reads beside a running line; to send again what was
//! given up it asks the line if one runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::line::LineArgs;
use super::{FAILURE, SUCCESS, out};
use crate::alerts::{Alert, Change, Notice, Severity, What, alerts_in};
use crate::config::{self, Config};
use crate::linelog;
use crate::outbox::{Contents, Kind, Message, Outbox, OutboxError, Outcome, message_id};

/// Arguments of `alerts`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Send a test message to the destinations of a configuration, at once and without the outbox.
    Test {
        #[command(flatten)]
        at: At,
        /// Only this destination.
        #[arg(long, value_name = "NAME")]
        to: Option<String>,
    },
    /// List alerts that are on, destinations as they stand, and messages that wait or were given up.
    List {
        #[command(flatten)]
        at: At,
        /// The state directory; default: the configuration's.
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// Alerts that are over, too.
        #[arg(long)]
        all: bool,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Send messages that were given up again, under their ids.
    Replay {
        #[command(flatten)]
        at: At,
        /// The state directory; default: the configuration's.
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// Only this message.
        #[arg(value_name = "ID", conflicts_with = "to")]
        id: Option<String>,
        /// All for this destination, which is enabled if it was disabled; without it and without an id: all.
        #[arg(long, value_name = "NAME")]
        to: Option<String>,
        /// Where the line that runs can be asked; default: as configured.
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// A file with a token that may do it there (`inspectd tokens add`); not needed where access is open.
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
struct At {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/inspectd/inspectd.toml")]
    config: PathBuf,
}

impl At {
    /// The state directory that was named, else the configuration's.
    fn state(&self, named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
        match named {
            Some(dir) => Ok(dir),
            None => Ok(Config::load(&self.config)?.store.dir.unwrap_or_else(config::default_state_dir)),
        }
    }
}

/// Exit code 0, or 1 when a destination did not take its test.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Test { at, to } => test(&Config::load(&at.config)?, to.as_deref()),
        Action::List { at, state, all, json } => list(&at.state(state)?, all, json),
        Action::Replay { at, state, id, to, url, token_file } => {
            let state = at.state(state)?;
            match Outbox::open(&state) {
                Ok(outbox) => replay(&outbox, id.as_deref(), to.as_deref()),
                Err(OutboxError::Log(linelog::LogError::Locked(_))) => {
                    let url = match url {
                        Some(url) => url,
                        None => format!("http://{}", Config::load(&at.config)?.api.listen),
                    };
                    ask(&LineArgs { url, token_file }, id.as_deref(), to.as_deref())
                }
                Err(error) => Err(error.into()),
            }
        }
    }
}

fn test(config: &Config, only: Option<&str>) -> anyhow::Result<ExitCode> {
    let section = &config.alerts;
    let allowed = section.allow_list();
    let wanted: Vec<_> =
        section.destinations.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)).collect();
    if wanted.is_empty() {
        let there: Vec<&str> = section.destinations.keys().map(String::as_str).collect();
        match only {
            Some(name) => bail!("there is no destination `{name}`; there are: {}", there.join(", ")),
            None => bail!("nobody is told: add a section `[alerts.destinations.NAME]` to `{}`", config.path.display()),
        }
    }
    let now = Timestamp::now();
    let changes = [sample(now)];
    let notice = Notice { at: now, line: &config.line.name, changes: &changes };
    let mut refused = false;
    for (name, destination) in wanted {
        let message = Message {
            id: message_id(&["test", name, &now.to_string()]),
            to: name.as_str().into(),
            kind: Kind::Alert,
            queued_at: now,
            subject: notice.subject(),
            body: notice.body(destination.kind)?.into(),
            last_part: None,
        };
        let outcome = match destination.sender(&allowed) {
            Ok(sender) => sender.send(&message, now),
            Err(reason) => Outcome::Refused(reason),
        };
        match outcome {
            Outcome::Delivered => out::line(format_args!("ok       {name} has {}", message.id))?,
            Outcome::Refused(reason) | Outcome::Away(reason, _) | Outcome::Gone(reason) => {
                refused = true;
                out::line(format_args!("problem  {name}: {reason}"))?;
            }
        }
    }
    Ok(ExitCode::from(if refused { FAILURE } else { SUCCESS }))
}

/// An alert that says that it is none.
fn sample(now: Timestamp) -> Change {
    let alert = Alert {
        id: "alert_test".to_owned(),
        rule: "test".to_owned(),
        subject: String::new(),
        severity: Severity::Info,
        machine: true,
        text: "this is a test: nothing is wrong".to_owned(),
        value: None,
        since: now,
        fired_at: now,
        acknowledged: None,
        resolved_at: None,
        resolved_by: None,
    };
    Change { what: What::Fired, at: now, alert }
}

fn list(state: &Path, all: bool, as_json: bool) -> anyhow::Result<ExitCode> {
    let (active, recent) = alerts_in(state).map_err(|reason| {
        anyhow::anyhow!(
            "the alerts in `{}` cannot be read: {reason}; start the line once, it sets them aside",
            state.display()
        )
    })?;
    let contents = Contents::read(state)?;
    let over = if all { recent } else { Vec::new() };
    if as_json {
        out::json(&json!({"active": active, "recent": over, "outbox": outbox_json(&contents)}))?;
        return Ok(ExitCode::from(SUCCESS));
    }
    if active.is_empty() {
        out::line("no alert is on")?;
    }
    for alert in active.iter().chain(&over) {
        let state = match (&alert.resolved_at, &alert.acknowledged) {
            (Some(at), _) => format!("over since {at}"),
            (None, Some(note)) => format!("seen by {}", note.by),
            (None, None) => "on".to_owned(),
        };
        out::line(format_args!(
            "{:<8} {} {} ({state}, since {}): {}",
            alert.severity.word(),
            alert.id,
            alert.rule,
            alert.since,
            alert.text
        ))?;
    }
    for (name, standing) in &contents.standings {
        let trouble = standing.disabled.as_ref().map(|reason| format!(", disabled: {reason}"));
        let trouble = trouble.unwrap_or_default();
        out::line(format_args!("to       {name}: {} wait{trouble}", standing.waiting))?;
    }
    for it in &contents.waiting {
        let error = it.error.as_deref().map_or(String::new(), |error| format!("; {} attempts, {error}", it.attempts));
        out::line(format_args!("waits    {} to {}: {}{error}", it.message.id, it.message.to, it.message.subject))?;
    }
    for it in &contents.dead {
        out::line(format_args!(
            "dead     {} to {}: {}; {}",
            it.message.id, it.message.to, it.message.subject, it.reason
        ))?;
    }
    Ok(ExitCode::from(SUCCESS))
}

fn outbox_json(contents: &Contents) -> Value {
    let head = |message: &Message| json!({"id": message.id, "to": message.to, "subject": message.subject, "queued_at": message.queued_at});
    let with = |message: &Message, more: Value| match (head(message), more) {
        (Value::Object(mut one), Value::Object(more)) => {
            one.extend(more);
            Value::Object(one)
        }
        (one, _) => one,
    };
    let waiting =
        contents.waiting.iter().map(|it| with(&it.message, json!({"attempts": it.attempts, "error": it.error})));
    let dead = contents.dead.iter().map(|it| with(&it.message, json!({"given_up_at": it.at, "reason": it.reason})));
    json!({"waiting": waiting.collect::<Vec<_>>(), "dead": dead.collect::<Vec<_>>()})
}

fn replay(outbox: &Outbox, id: Option<&str>, to: Option<&str>) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    let count = match id {
        Some(id) => outbox.replay(id, now).map(|()| 1)?,
        None => outbox.replay_all(to, now)?,
    };
    out::line(format_args!("{count} messages are sent again once a line runs on this state directory"))?;
    Ok(ExitCode::from(SUCCESS))
}

/// The line that runs has the outbox, so it does it.
fn ask(line: &LineArgs, id: Option<&str>, to: Option<&str>) -> anyhow::Result<ExitCode> {
    let said = line.post("outbox/replay", json!({"id": id, "to": to}))?;
    out::line(format_args!("{} messages are sent again", said["messages"]))?;
    Ok(ExitCode::from(SUCCESS))
}
