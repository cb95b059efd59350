//! Asks the line that runs, over its HTTP interface: what the page can do, a terminal can.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::Value;
use ureq::Body;
use ureq::http::Response;

/// Which line, and on whose word.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LineArgs {
    /// Where the line that runs can be asked.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8787", global = true)]
    pub(super) url: String,
    /// A file with a token that may do it there (`inspectd tokens add`); not needed where access is open.
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) token_file: Option<PathBuf>,
}

/// How it is asked.
#[derive(Clone, Copy)]
enum Method<'a> {
    Get,
    Post(&'a Value),
    PostBytes(&'a [u8]),
    Delete,
}

impl LineArgs {
    /// What is there at a path below `/api/v1/`.
    ///
    /// # Errors
    /// No line answers, or it refuses, in its own words.
    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(path, Method::Get)
    }

    /// As [`get`](Self::get), for somebody who looks at the screen meanwhile.
    ///
    /// # Errors
    /// As [`get`](Self::get), or nothing came in time.
    pub(super) fn get_within(&self, path: &str, patience: Duration) -> anyhow::Result<Value> {
        let mut answer = self.send_within(path, Method::Get, patience)?;
        Ok(answer.body_mut().read_json().unwrap_or(Value::Null))
    }

    /// A file that is there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(super) fn get_bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let mut answer = self.send(path, Method::Get)?;
        answer.body_mut().read_to_vec().context("the line's answer ended early")
    }

    /// Changes something there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(super) fn post(&self, path: &str, body: impl Serialize) -> anyhow::Result<Value> {
        self.ask(path, Method::Post(&serde_json::to_value(body)?))
    }

    /// Asks about a file of one's own.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(super) fn post_bytes(&self, path: &str, bytes: &[u8]) -> anyhow::Result<Value> {
        self.ask(path, Method::PostBytes(bytes))
    }

    /// Removes something there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(super) fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(path, Method::Delete)
    }

    /// What is there that is no JSON.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(super) fn text(&self, path: &str) -> anyhow::Result<String> {
        let mut answer = self.send(path, Method::Get)?;
        answer.body_mut().read_to_string().context("the answer broke off")
    }

    fn ask(&self, path: &str, method: Method<'_>) -> anyhow::Result<Value> {
        let mut answer = self.send(path, method)?;
        Ok(answer.body_mut().read_json().unwrap_or(Value::Null))
    }

    fn send(&self, path: &str, method: Method<'_>) -> anyhow::Result<Response<Body>> {
        self.send_within(path, method, Duration::from_secs(60))
    }

    fn send_within(&self, path: &str, method: Method<'_>, patience: Duration) -> anyhow::Result<Response<Body>> {
        let config = ureq::Agent::config_builder().timeout_global(Some(patience)).http_status_as_error(false);
        let agent: ureq::Agent = config.proxy(None).build().into();
        let url = format!("{}/api/v1/{path}", self.url.trim_end_matches('/'));
        let token = self.token()?;
        let unreachable = || format!("no line answers at {url}: does one run there? (`--url` names another place)");
        let mut answer = match method {
            Method::Get => {
                let request = agent.get(&url);
                let request = if let Some(token) = token { request.header("authorization", token) } else { request };
                request.call().with_context(unreachable)?
            }
            Method::Delete => {
                let request = agent.delete(&url).header("x-inspectd", "1");
                let request = if let Some(token) = token { request.header("authorization", token) } else { request };
                request.call().with_context(unreachable)?
            }
            Method::Post(_) | Method::PostBytes(_) => {
                let request = agent.post(&url).header("x-inspectd", "1");
                let request = if let Some(token) = token { request.header("authorization", token) } else { request };
                let sent = match method {
                    Method::Post(body) => request.send_json(body),
                    Method::PostBytes(bytes) => request.content_type("application/octet-stream").send(bytes),
                    Method::Get | Method::Delete => unreachable!("matched above"),
                };
                sent.with_context(unreachable)?
            }
        };
        if !answer.status().is_success() {
            let said: Value = answer.body_mut().read_json().unwrap_or(Value::Null);
            bail!("the line says: {}", said["detail"].as_str().unwrap_or("nothing that this program understands"));
        }
        Ok(answer)
    }

    fn token(&self) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let token =
            std::fs::read_to_string(path).with_context(|| format!("the token `{}` cannot be read", path.display()))?;
        Ok(Some(format!("Bearer {}", token.trim())))
    }
}

/// A text of an answer; empty where it is none.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Enough of a digest to tell models apart.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
