//! One receiver, as configured under `[alerts.destinations.NAME]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::client::{self, HttpClient, HttpOptions};
use super::guard::AllowList;
use super::mail::{self, MailClient, MailOptions, MailSetup};
use super::postman::Sender;
use super::sign::Secret;
use crate::alerts::Severity;

/// How it is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DestinationKind {
    /// Plain JSON with the signature of Standard Webhooks.
    #[default]
    Webhook,
    /// A Slack incoming webhook.
    Slack,
    /// A Microsoft Teams workflow: an Adaptive Card.
    Teams,
    /// Prometheus Alertmanager, `/api/v2/alerts`.
    Alertmanager,
    /// E-mail, by SMTP.
    Email,
}

/// Results of parts for an MES.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResultsPush {
    /// Parts in a message at most; 1: a message a part.
    pub parts: usize,
    /// A message that is not full goes out this long after its first part.
    pub within_s: u32,
}

impl Default for ResultsPush {
    fn default() -> Self {
        ResultsPush { parts: 100, within_s: 10 }
    }
}

/// One receiver.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Destination {
    /// How it is spoken to.
    pub kind: DestinationKind,
    /// Where it is.
    pub url: Option<String>,
    /// Sender and recipients; for e-mail.
    pub mail: Option<MailOptions>,
    /// Keys to sign with, the newest first: `whsec_...`, or `file:PATH` of a file with one. Webhooks need one.
    pub secrets: Vec<String>,
    /// A token for the header `Authorization: Bearer`, or `file:PATH`.
    pub bearer: Option<String>,
    /// Certificates (PEM) of the plant's own authority, in place of the public ones.
    pub ca_file: Option<PathBuf>,
    /// An attempt takes no longer.
    pub timeout_s: u32,
    /// Whether it gets alerts.
    pub alerts: bool,
    /// Alerts below this are not for it.
    pub min_severity: Severity,
    /// Results of parts; absent: none. Webhooks only.
    pub results: Option<ResultsPush>,
}

impl Default for Destination {
    fn default() -> Self {
        Destination {
            kind: DestinationKind::default(),
            url: None,
            mail: None,
            secrets: Vec::new(),
            bearer: None,
            ca_file: None,
            timeout_s: 15,
            alerts: true,
            min_severity: Severity::Info,
            results: None,
        }
    }
}

impl Destination {
    /// What is wrong with it by itself: key and reason. Files are not looked at.
    pub fn problems(&self, allowed: &AllowList) -> Vec<(&'static str, String)> {
        let mut problems = match self.kind {
            DestinationKind::Email => self.mail_problems(),
            _ => self.http_problems(allowed),
        };
        if !(1..=120).contains(&self.timeout_s) {
            problems.push(("timeout_s", format!("is {}: give 1 to 120", self.timeout_s)));
        }
        if let Some(results) = &self.results {
            if self.kind != DestinationKind::Webhook {
                problems.push(("results", "are for `kind = \"webhook\"` only".to_owned()));
            }
            if !(1..=1000).contains(&results.parts) {
                problems.push(("results.parts", format!("is {}: give 1 to 1000", results.parts)));
            }
            if results.within_s > 3600 {
                problems.push(("results.within_s", format!("is {}: give 0 to 3600", results.within_s)));
            }
        }
        problems
    }

    fn mail_problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        match &self.url {
            None => {
                problems.push(("url", "is missing: say where the mail server is, as smtp://mail.plant:587".to_owned()));
            }
            Some(url) => problems.extend(mail::problem(url).map(|text| ("url", text))),
        }
        match &self.mail {
            None => problems
                .push(("mail", "is missing: say `mail = { from = \"...\", recipients = [\"...\"] }`".to_owned())),
            Some(mail) => problems.extend(mail.problems()),
        }
        if !self.secrets.is_empty() || self.bearer.is_some() {
            let text = "and `bearer` are for HTTP: a mail server takes `mail.user` and `mail.password`";
            problems.push(("secrets", text.to_owned()));
        }
        problems
    }

    fn http_problems(&self, allowed: &AllowList) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        match &self.url {
            None => problems.push(("url", "is missing: say where the receiver is".to_owned())),
            Some(url) => problems.extend(client::problem(url, allowed).map(|text| ("url", text))),
        }
        if self.mail.is_some() {
            problems.push(("mail", "is for `kind = \"email\"` only".to_owned()));
        }
        if self.kind == DestinationKind::Webhook && self.secrets.is_empty() {
            let text = "are missing: a receiver must be able to tell who sends; make one with `printf whsec_; openssl rand -base64 32`";
            problems.push(("secrets", text.to_owned()));
        }
        for secret in self.secrets.iter().filter(|secret| !secret.starts_with(FILE)) {
            problems.extend(Secret::parse(secret).err().map(|text| ("secrets", format!("has one that {text}"))));
        }
        problems
    }

    /// Makes its files relative to a folder.
    pub fn relative_to(&mut self, folder: &Path) {
        self.ca_file = self.ca_file.take().map(|path| folder.join(path));
        let password = self.mail.iter_mut().flat_map(MailOptions::texts_mut);
        let texts = self.secrets.iter_mut().chain(&mut self.bearer).chain(password);
        for text in texts {
            if let Some(path) = text.strip_prefix(FILE) {
                *text = format!("{FILE}{}", folder.join(path).display());
            }
        }
    }

    /// Reads the files that it names, and is ready to send.
    ///
    /// # Errors
    /// A file that cannot be used; [`problems`](Self::problems) were not looked at.
    pub fn sender(&self, allowed: &AllowList) -> Result<Sender, String> {
        let timeout = Duration::from_secs(u64::from(self.timeout_s));
        let url = self.url.as_deref().ok_or("has no `url`")?;
        if self.kind == DestinationKind::Email {
            let options = self.mail.as_ref().ok_or("has no `mail`")?;
            let setup = MailSetup { url, options, ca_file: self.ca_file.as_deref(), timeout, allowed: allowed.clone() };
            return MailClient::new(setup).map(Sender::mail);
        }
        let secrets =
            self.secrets.iter().map(|text| Secret::parse(&resolve(text)?).map_err(|why| format!("a secret {why}")));
        let options = HttpOptions {
            url,
            secrets: secrets.collect::<Result<_, _>>()?,
            bearer: self.bearer.as_deref().map(resolve).transpose()?,
            ca_file: self.ca_file.as_deref(),
            timeout,
            allowed: allowed.clone(),
        };
        HttpClient::new(options).map(Sender::http)
    }
}

/// Before the path of a file that holds a secret, as systemd's credentials do.
const FILE: &str = "file:";

/// A secret itself, or what its file holds.
pub(crate) fn resolve(text: &str) -> Result<String, String> {
    match text.strip_prefix(FILE) {
        None => Ok(text.to_owned()),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(content) => Ok(content.trim().to_owned()),
            Err(error) => Err(format!("the secret's file `{path}` cannot be read: {error}")),
        },
    }
}
