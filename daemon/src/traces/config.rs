//! `[traces]`: which collector is told, and of which parts.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use ureq::http::Uri;

use super::Target;
use crate::outbox;

/// `[traces]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TracesSection {
    /// The collector's whole URL for traces, as `http://127.0.0.1:4318/v1/traces`; absent: there are none.
    pub endpoint: Option<String>,
    /// Share of parts that are sent, 0 to 1; those that were rejected or not decided always are.
    pub sample: f64,
    /// A token for the header `Authorization: Bearer`, or `file:PATH` of one.
    pub bearer: Option<String>,
    /// Certificates (PEM) of the plant's own authority; absent: those that everybody trusts.
    pub ca_file: Option<PathBuf>,
    /// Whether another machine may be told without encryption.
    pub insecure: bool,
}

impl Default for TracesSection {
    fn default() -> Self {
        TracesSection { endpoint: None, sample: 1.0, bearer: None, ca_file: None, insecure: false }
    }
}

impl TracesSection {
    /// Keys and what is wrong with them.
    pub(crate) fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut wrong = |key: &str, text: String| problems.push((format!("traces.{key}"), text));
        if !(0.0..=1.0).contains(&self.sample) {
            wrong("sample", format!("is {}: give a share between 0 and 1", self.sample));
        }
        if let Some(text) = self.endpoint.as_deref().and_then(|url| self.wrong_with(url)) {
            wrong("endpoint", text);
        }
        let further = [("bearer", self.bearer.is_some()), ("ca_file", self.ca_file.is_some())];
        for (key, _) in further.into_iter().filter(|(_, set)| *set && self.endpoint.is_none()) {
            wrong(key, "is given without `endpoint`: say where traces go, or leave it out".to_owned());
        }
        problems
    }

    fn wrong_with(&self, url: &str) -> Option<String> {
        let example = "https://collector.plant:4318/v1/traces";
        let Ok(uri) = url.parse::<Uri>() else { return Some(format!("is `{url}`, which is no URL; as {example}")) };
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host().filter(|host| !host.is_empty())) else {
            return Some(format!("is `{url}`: give a whole URL, as {example}"));
        };
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Some("has a user name in it: leave it out, and use `bearer`".to_owned());
        }
        if matches!(uri.path(), "" | "/") {
            return Some(format!("is `{url}`: traces have a path of their own there, usually {example}"));
        }
        match scheme {
            "https" => None,
            "http" if is_own(host) => None,
            "http" if self.insecure && self.bearer.is_none() => None,
            "http" if self.insecure => {
                Some("is not encrypted, so anybody could read `bearer`: use https, or leave the token out".to_owned())
            }
            "http" => Some(
                "is not encrypted, and traces carry serial numbers: use https, or write `insecure = true` if it is inside the plant"
                    .to_owned(),
            ),
            other => Some(format!("has the scheme `{other}`: OTLP over https or http is spoken")),
        }
    }

    /// Paths become relative to the configuration's folder.
    pub(crate) fn relative_to(&mut self, folder: &Path) {
        self.ca_file = self.ca_file.take().map(|path| folder.join(path));
    }

    /// What the exporter is started with; none where nobody is told.
    ///
    /// # Errors
    /// The token's or the certificates' file cannot be read.
    pub(crate) fn target(&self) -> anyhow::Result<Option<Target>> {
        let Some(endpoint) = self.endpoint.clone() else { return Ok(None) };
        let failed = |key: &'static str| move |why| anyhow::anyhow!("`traces.{key}`: {why}");
        let bearer = self.bearer.as_deref().map(outbox::secret_of).transpose().map_err(failed("bearer"))?;
        let roots = self.ca_file.as_deref().map(outbox::own_roots).transpose().map_err(failed("ca_file"))?;
        Ok(Some(Target { endpoint, sample: self.sample, bearer, roots }))
    }
}

/// This machine's own address.
fn is_own(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(endpoint: &str) -> TracesSection {
        TracesSection { endpoint: Some(endpoint.to_owned()), ..TracesSection::default() }
    }

    #[test]
    fn what_cannot_be_told_is_refused_in_words() {
        let said = |section: &TracesSection| {
            section.problems().into_iter().map(|(key, text)| format!("{key} {text}")).collect::<Vec<_>>().join("; ")
        };
        for good in
            ["http://127.0.0.1:4318/v1/traces", "http://[::1]:4318/x", "http://localhost/t", "https://c.plant/t"]
        {
            assert_eq!(said(&section(good)), "", "{good}");
        }
        for (bad, words) in [
            ("127.0.0.1:4318", "whole URL"),
            ("http://", "no URL"),
            ("http://127.0.0.1:4318", "a path of their own"),
            ("http://collector.plant:4318/v1/traces", "write `insecure = true`"),
            ("http://127.0.0.1.evil.example/v1/traces", "not encrypted"),
            ("https://me:you@collector.plant/v1/traces", "user name"),
            ("grpc://collector.plant:4317/t", "scheme `grpc`"),
            ("a b", "no URL"),
        ] {
            let problems = said(&section(bad));
            assert!(problems.starts_with("traces.endpoint ") && problems.contains(words), "{bad}: {problems}");
        }
        let open = TracesSection { insecure: true, ..section("http://collector.plant:4318/v1/traces") };
        assert_eq!(said(&open), "");
        assert!(said(&TracesSection { bearer: Some("x".into()), ..open }).contains("anybody could read"));
        for sample in [-0.1, 1.1, f64::NAN] {
            let problems = said(&TracesSection { sample, ..TracesSection::default() });
            assert!(problems.contains("between 0 and 1"), "{problems}");
        }
        assert!(said(&TracesSection { bearer: Some("x".into()), ..TracesSection::default() }).contains("without"));
    }

    #[test]
    fn files_of_tokens_and_certificates_are_named_where_they_cannot_be_read() {
        let good = section("https://c.plant/t");
        assert!(TracesSection::default().target().expect("nothing to read").is_none());
        for bad in [
            TracesSection { bearer: Some("file:/nowhere/token".into()), ..good.clone() },
            TracesSection { ca_file: Some("/nowhere/ca.pem".into()), ..good },
        ] {
            let Err(error) = bad.target() else { panic!("nothing is there") };
            assert!(error.to_string().contains("/nowhere/"), "{error}");
        }
    }
}
