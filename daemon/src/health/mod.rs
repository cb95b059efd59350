//! The machine's health, one file a subject: what `inspectd doctor` says once, and what `monitor` watches while the line runs.

mod disks;
mod gpu;
mod host;
mod monitor;
mod report;
mod runtime;
mod systemd;

use std::path::Path;

use serde::Serialize;

pub use gpu::{GpuProbe, Nvidia};
pub use monitor::{Monitor, Sampler, disks_of};
pub use report::{ClockState, CpuReport, DiskReport, GpuCard, GpuReport, HealthReport, MemoryReport, ThrottleReason};
pub use systemd::Notifier;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// For information: nothing is wrong.
    Note,
    /// The line runs, but not as well as it could.
    Warning,
    /// The line cannot run.
    Broken,
}

impl Severity {
    /// As printed.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Broken => "broken",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// How much it matters.
    #[serde(skip)]
    pub severity: Severity,
    /// The subject.
    pub what: &'static str,
    /// What was found.
    pub said: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(what: &'static str, said: impl Into<String>) -> Finding {
        Finding { severity: Severity::Ok, what, said: said.into(), remedy: None }
    }

    fn note(what: &'static str, said: impl Into<String>) -> Finding {
        Finding { severity: Severity::Note, ..Finding::ok(what, said) }
    }

    fn warning(what: &'static str, said: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { severity: Severity::Warning, remedy: Some(remedy.into()), ..Finding::ok(what, said) }
    }

    fn broken(what: &'static str, said: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { severity: Severity::Broken, remedy: Some(remedy.into()), ..Finding::ok(what, said) }
    }
}

pub use host::state_dir;

/// Looks at everything. `state`: the directory for records.
pub fn examine(state: &Path) -> Vec<Finding> {
    let mut findings = vec![host::processors(), host::state_dir(state), host::disk(state), host::clock()];
    findings.extend(runtime::findings());
    findings.extend(gpu::findings(&mut Nvidia::default()));
    findings
}
