//! The sections of the configuration, and what can be wrong with each by itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use models::bundle::{SignatureError, Trust, TrustedKey};
use serde::Deserialize;
use stages::line::Limits;

use super::error::Problem;
use crate::retention::RetentionSection;
use crate::store::{EvidenceOptions, RawFormat};

/// `[line]`: the line, and what its parts are inspected with.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LineSection {
    /// The line's name: letters, digits, `-` and `_`.
    pub name: String,
    /// The recipe's file.
    pub recipe: PathBuf,
    /// Sizes and times that bound the line.
    pub limits: Limits,
}

impl LineSection {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        if self.name.is_empty() {
            problems.push(Problem::new("line.name", "is missing: give the line a name, for records and the screen"));
        } else if !self.name.chars().all(plain) || self.name.chars().count() > 64 {
            let text = format!("is `{}`: use up to 64 letters, digits, `-` and `_`", self.name);
            problems.push(Problem::new("line.name", text));
        }
        if self.recipe.as_os_str().is_empty() {
            problems.push(Problem::new("line.recipe", "is missing: give the recipe's file"));
        }
        problems.extend(self.limits.problems().iter().map(|text| Problem::from_text(text, "line.")));
        problems
    }
}

/// `[store]`: records and evidence pictures.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSection {
    /// The state directory; absent: systemd's, else `~/.local/state/inspectd`.
    pub dir: Option<PathBuf>,
    /// Room on the disk that the journal keeps for itself: records go on while the disk is full.
    pub reserve_mb: u32,
    /// `[store.evidence]`: how pictures are kept. Which are kept is the recipe's matter.
    pub evidence: EvidenceOptions,
    /// `[store.retention]`: how long pictures and records are kept.
    pub retention: RetentionSection,
}

impl Default for StoreSection {
    fn default() -> Self {
        StoreSection {
            dir: None,
            reserve_mb: 32,
            evidence: EvidenceOptions::default(),
            retention: RetentionSection::default(),
        }
    }
}

impl StoreSection {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.dir.as_ref().is_some_and(|dir| dir.as_os_str().is_empty()) {
            problems.push(Problem::new("store.dir", "is empty: give a directory, or leave it out"));
        }
        if self.reserve_mb > 1024 {
            problems.push(Problem::new("store.reserve_mb", format!("is {}: give 0 to 1024", self.reserve_mb)));
        }
        let evidence = &self.evidence;
        for (key, text) in self.retention.problems(evidence.least_free_mb) {
            problems.push(Problem::new(format!("store.retention.{key}"), text));
        }
        if matches!(evidence.raw, RawFormat::Jpeg { quality } if !(1..=100).contains(&quality)) {
            problems.push(Problem::new(
                "store.evidence.raw",
                "has a quality outside 1 to 100; or use `raw = \"png\"`, lossless",
            ));
        }
        for (name, value, most) in [
            ("queue", evidence.queue, 1024),
            ("previews", evidence.previews, 4096),
            ("preview_px", evidence.preview_px as usize, 4096),
        ] {
            if !(1..=most).contains(&value) {
                problems.push(Problem::new(format!("store.evidence.{name}"), format!("is {value}: give 1 to {most}")));
            }
        }
        problems
    }
}

/// `[api]`: the live page and the HTTP interface.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiSection {
    /// Address and port; port 0: any free one. Other machines are served only over TLS (`[access.tls]`).
    pub listen: SocketAddr,
    /// Host names under which browsers may reach the page, besides `localhost` and IP addresses. Others are refused, so
    /// that no foreign web page can point its own name at this machine (DNS rebinding).
    pub hosts: Vec<String>,
    /// Browsers and programs that may follow the live events at once.
    pub max_viewers: usize,
    /// Connections that are open at once; further ones wait. One address gets half of them, unless it is a trusted proxy.
    pub max_connections: usize,
}

impl Default for ApiSection {
    fn default() -> Self {
        ApiSection {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8787),
            hosts: Vec::new(),
            max_viewers: 32,
            max_connections: 256,
        }
    }
}

impl ApiSection {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for host in &self.hosts {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            if host.is_empty() || !host.chars().all(plain) {
                let text = format!("has `{host}`: give bare host names, without port and scheme");
                problems.push(Problem::new("api.hosts", text));
            }
        }
        if !(1..=1024).contains(&self.max_viewers) {
            problems.push(Problem::new("api.max_viewers", format!("is {}: give 1 to 1024", self.max_viewers)));
        }
        if !(8..=4096).contains(&self.max_connections) {
            problems.push(Problem::new("api.max_connections", format!("is {}: give 8 to 4096", self.max_connections)));
        }
        problems
    }
}

/// `[models]`: which models this machine accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsSection {
    /// Public keys in minisign's form (the second line of a `.pub` file). A signature that lies beside a model must be by one
    /// of them; without any, signatures are not looked at.
    pub trusted_keys: Vec<String>,
    /// Refuse models without a signature. The one inside the program is trusted as the program is.
    pub require_signature: bool,
}

impl ModelsSection {
    /// Whom this machine believes. The keys of a section without [`problems`](Self::problems) are all good.
    pub fn trust(&self) -> Trust {
        Trust { keys: self.keys().filter_map(Result::ok).collect(), required: self.require_signature }
    }

    fn keys(&self) -> impl Iterator<Item = Result<TrustedKey, SignatureError>> + '_ {
        self.trusted_keys.iter().map(|text| text.parse())
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let wrong = self.keys().filter_map(Result::err);
        let mut problems: Vec<Problem> =
            wrong.map(|error| Problem::new("models.trusted_keys", format!("cannot be used: {error}"))).collect();
        if self.require_signature && self.trusted_keys.is_empty() {
            let text = "asks for signatures by a trusted key, but there is none: name one in `trusted_keys`";
            problems.push(Problem::new("models.require_signature", text));
        }
        problems
    }
}

/// `[log]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    /// error, warn, info, debug, trace, or a list as `info,stages=debug`; `--log-level` wins over it.
    pub level: Option<String>,
}

impl LogSection {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let wrong = self.level.as_deref().and_then(|level| crate::logs::check(level).err());
        wrong.into_iter().map(|error| Problem::new("log.level", format!("cannot be used: {error}"))).collect()
    }
}
