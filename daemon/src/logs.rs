//! Logs: for a person on a terminal, to the journal under systemd, else as JSON lines; always beside standard output.

use std::io::{self, IsTerminal};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use anyhow::{Context, anyhow};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// What is logged when nobody says otherwise.
const DEFAULT: &str = "info";

/// Changes the filter later; set once.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts logging. `level` comes from the command line and wins over a configuration's.
///
/// # Errors
/// A level that nobody understands, or a second call.
pub fn init(level: Option<&str>) -> anyhow::Result<()> {
    let (filter, handle) = reload::Layer::new(parse(level.unwrap_or(DEFAULT))?);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match Form::of_stderr() {
        Form::Journal => registry.with(tracing_journald::layer().context("no connection to the journal")?).try_init(),
        form => registry.with(form.layer()).try_init(),
    };
    started.context("logging was started before")?;
    if level.is_none() {
        // Only then may a configuration change it.
        FILTER.set(handle).map_err(|_| anyhow!("logging was started before"))?;
    }
    Ok(())
}

/// Takes a configuration's level, unless the command line gave one.
///
/// # Errors
/// A level that nobody understands.
pub fn prefer(level: &str) -> anyhow::Result<()> {
    let filter = parse(level)?;
    match FILTER.get() {
        Some(handle) => handle.reload(filter).context("the log level cannot be changed"),
        None => Ok(()),
    }
}

/// Whether a level can be used; says what is wrong with it.
///
/// # Errors
/// The level, the reason, the way out.
pub fn check(level: &str) -> anyhow::Result<()> {
    parse(level).map(drop)
}

fn parse(level: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(level).map_err(|error| {
        anyhow!("log level `{level}`: {error}; use error, warn, info, debug, trace, or a list as `info,stages=debug`")
    })
}

/// How a log line looks.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    Person,
    Journal,
    Json,
}

impl Form {
    fn of_stderr() -> Form {
        if io::stderr().is_terminal() {
            Form::Person
        } else if is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref()) {
            Form::Journal
        } else if std::env::var_os("INVOCATION_ID").is_some() {
            // Under systemd, but into a file or a socket: for a collector.
            Form::Json
        } else {
            Form::Person
        }
    }

    fn layer<S>(&self) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
    {
        let plain = tracing_subscriber::fmt::layer().with_writer(io::stderr);
        match self {
            Form::Json => plain.json().boxed(),
            _ => plain.with_target(false).with_ansi(io::stderr().is_terminal()).boxed(),
        }
    }
}

/// Whether `JOURNAL_STREAM` (`device:inode`) names what standard error is connected to: it is inherited, so being set is not
/// enough. See systemd.exec(5).
fn is_journal(stream: Option<&str>) -> bool {
    let Some((device, inode)) = stream.and_then(|stream| stream.split_once(':')) else { return false };
    let path = format!("/proc/self/fd/{}", io::stderr().as_raw_fd());
    std::fs::metadata(path).is_ok_and(|stderr| device.parse() == Ok(stderr.dev()) && inode.parse() == Ok(stderr.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_recognised_by_device_and_inode() {
        let stderr = std::fs::metadata(format!("/proc/self/fd/{}", io::stderr().as_raw_fd())).expect("stderr is open");
        let (device, inode) = (stderr.dev(), stderr.ino());
        assert!(is_journal(Some(&format!("{device}:{inode}"))));
        for other in [format!("{device}:{}", inode + 1), format!("{}:{inode}", device + 1), "x".into(), String::new()] {
            assert!(!is_journal(Some(&other)), "{other}");
        }
        assert!(!is_journal(None));
    }

    #[test]
    fn a_level_is_a_word_or_a_list() {
        for good in ["info", "warn,stages=debug", "off"] {
            check(good).expect(good);
        }
        let words = check("info,stages=loud").expect_err("no such level").to_string();
        assert!(words.contains("stages=loud") && words.contains("use error"), "{words}");
    }
}
