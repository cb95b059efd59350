//! `[access]`: who is let in, and how.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::Problem;
use super::sections::ApiSection;

/// Whether callers must say who they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessMode {
    /// Users sign in, programs show tokens.
    #[default]
    Users,
    /// Whoever reaches the port may do everything. On this machine only, as in the demo.
    Open,
}

/// `[access]`: users, sessions, TLS.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessSection {
    /// `users` or `open`.
    pub mode: AccessMode,
    /// A session ends after this time without a request.
    pub session_idle_min: u32,
    /// A session ends after this time in any case: a shift and a half.
    pub session_h: u32,
    /// Addresses of reverse proxies that are believed about whom they speak for (`X-Forwarded-For`, `X-Forwarded-Proto`).
    pub trusted_proxies: Vec<IpAddr>,
    /// `[access.tls]`; absent: plain HTTP, for this machine only.
    pub tls: Option<TlsSection>,
}

impl Default for AccessSection {
    fn default() -> AccessSection {
        AccessSection {
            mode: AccessMode::Users,
            session_idle_min: 60,
            session_h: 12,
            trusted_proxies: Vec::new(),
            tls: None,
        }
    }
}

/// `[access.tls]`: the server's certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSection {
    /// Certificate chain, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// Make a certificate of our own, which browsers will warn of.
    pub self_signed: bool,
}

impl AccessSection {
    pub(super) fn relative_to(&mut self, folder: &Path) {
        if let Some(tls) = &mut self.tls {
            for path in [&mut tls.certificate, &mut tls.key].into_iter().flatten() {
                *path = folder.join(&*path);
            }
        }
    }

    pub(super) fn problems(&self, api: &ApiSection) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, value, most) in
            [("session_idle_min", self.session_idle_min, 30 * 24 * 60), ("session_h", self.session_h, 30 * 24)]
        {
            if !(1..=most).contains(&value) {
                problems.push(Problem::new(format!("access.{name}"), format!("is {value}: give 1 to {most}")));
            }
        }
        if let Some(tls) = &self.tls {
            problems.extend(tls.problem());
        }
        let far = !api.listen.ip().is_loopback();
        let named = api.hosts.iter().any(|host| !host.eq_ignore_ascii_case("localhost"));
        if self.mode == AccessMode::Open && (far || named) {
            let why =
                if far { "`api.listen` is reached from other machines" } else { "`api.hosts` has names for others" };
            problems.push(Problem::new(
                "access.mode",
                format!("is `open`, but {why}: write `mode = \"users\"`, or serve 127.0.0.1 without `hosts`"),
            ));
        }
        if far && self.tls.is_none() {
            problems.push(Problem::new(
                "access.tls",
                "is missing, but `api.listen` is reached from other machines, and passwords would be read on the way: \
                 add `[access.tls]` with `self_signed = true` or a certificate, or listen on 127.0.0.1 behind a proxy \
                 that has TLS (docs/ACCESS.md)",
            ));
        }
        problems
    }
}

impl TlsSection {
    fn problem(&self) -> Option<Problem> {
        let text = match (&self.certificate, &self.key, self.self_signed) {
            (Some(_), Some(_), false) | (None, None, true) => return None,
            (None, None, false) => "is empty: give `certificate` and `key`, or write `self_signed = true`",
            (_, _, true) => "has both a certificate of its own and `self_signed = true`: choose one",
            (Some(_), None, false) => "has a certificate without its `key`",
            (None, Some(_), false) => "has a key without its `certificate`",
        };
        Some(Problem::new("access.tls", text))
    }
}
