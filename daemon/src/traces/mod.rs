//! One OpenTelemetry trace per part, sent by OTLP over HTTP to a collector.
//!
//! - `config` says where to, `otlp` is the wire's messages, [`part`] makes spans of a part.
//! - [`Exporter`] sends them, on one thread that yields to the line. It listens to the store's acknowledged parts and keeps a bounded queue:
//!   whatever the collector does, the line and the store never wait for it; what has no room is counted and gone.

mod config;
pub mod otlp;
pub mod part;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use prost::Message;
use stages::inspection::Inspection;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

pub use self::config::TracesSection;
use self::otlp::{Export, KeyValue, Resource, ResourceSpans, ScopeSpans};

/// Parts that may wait for the collector.
const MAX_WAITING: usize = 2048;
/// Parts in one request.
const BATCH: usize = 128;
/// Between two looks at the store's news.
const LOOK: Duration = Duration::from_millis(100);
/// After a request that failed.
const PAUSE: Duration = Duration::from_secs(5);
/// A request takes no longer. Meanwhile the store keeps its newest 256 parts for this thread; more than that are dropped.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where traces go, and of which parts.
pub struct Target {
    /// The whole URL, as `http://127.0.0.1:4318/v1/traces`.
    pub endpoint: String,
    /// The share of parts that is sent; what was rejected or not decided always is.
    pub sample: f64,
    /// A token for the header `Authorization: Bearer`.
    pub bearer: Option<String>,
    /// Certificates of the plant's own authority; none: those that everybody trusts.
    pub roots: Option<Vec<Certificate<'static>>>,
}

/// What became of the parts. Each part that the store acknowledged is in one of them, or waits.
#[derive(Debug, Default)]
pub struct Counts {
    /// The collector took them.
    pub sent: AtomicU64,
    /// Not in the share that is sent.
    pub left_out: AtomicU64,
    /// Lost: the collector was away, slow or did not want them.
    pub dropped: AtomicU64,
}

/// The thread that sends.
pub struct Exporter {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Sends each part that `parts` tells of from now on. `prepare` is called on the new thread, for its priority.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        target: Target,
        parts: Receiver<Arc<Inspection>>,
        prepare: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Exporter> {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let told = stop.clone();
        let mut work = Work {
            agent: agent(target.roots.as_deref()),
            target,
            parts,
            waiting: VecDeque::new(),
            counts: counts.clone(),
            again_at: None,
        };
        let run = move || {
            prepare();
            while !told.load(Ordering::Acquire) {
                let open = work.listen();
                work.send_due();
                if !open && work.waiting.is_empty() {
                    return;
                }
                if work.waiting.is_empty() || work.again_at.is_some() {
                    std::thread::sleep(LOOK);
                }
            }
            work.last();
        };
        let thread = std::thread::Builder::new().name("traces".to_owned()).spawn(run)?;
        Ok(Exporter { stop, counts, thread: Some(thread) })
    }

    /// What became of the parts so far.
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }
}

impl Drop for Exporter {
    /// Sends what waits if the collector is there, for three seconds and a request at most; the rest is dropped.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that sends traces died");
        }
    }
}

struct Work {
    agent: Agent,
    target: Target,
    parts: Receiver<Arc<Inspection>>,
    waiting: VecDeque<Arc<Inspection>>,
    counts: Arc<Counts>,
    /// The collector did not take the last request: when it is asked again.
    again_at: Option<Instant>,
}

/// Why a request came to nothing.
enum Failure {
    /// It may be taken later.
    Away(String),
    /// It never will.
    Refused(String),
}

impl Work {
    /// Takes what the store told. False: it tells no more.
    fn listen(&mut self) -> bool {
        loop {
            match self.parts.try_recv() {
                Ok(part) if !part::is_wanted(&part, self.target.sample) => add(&self.counts.left_out, 1),
                Ok(part) => {
                    // The newest are worth more: they say what happens now.
                    if self.waiting.len() >= MAX_WAITING && self.waiting.pop_front().is_some() {
                        add(&self.counts.dropped, 1);
                    }
                    self.waiting.push_back(part);
                }
                Err(TryRecvError::Lagged(missed)) => add(&self.counts.dropped, missed),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Closed) => return false,
            }
        }
    }

    fn send_due(&mut self) {
        if self.waiting.is_empty() || self.again_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let batch = self.waiting.len().min(BATCH);
        match self.post(batch) {
            Ok(()) => {
                self.waiting.drain(..batch);
                add(&self.counts.sent, batch as u64);
                if self.again_at.take().is_some() {
                    let lost = self.counts.dropped.load(Ordering::Relaxed);
                    tracing::info!("traces: the collector takes them again; {lost} parts have none since the start");
                }
            }
            Err(Failure::Away(reason)) => self.after(&reason),
            Err(Failure::Refused(reason)) => {
                self.waiting.drain(..batch);
                add(&self.counts.dropped, batch as u64);
                self.after(&reason);
            }
        }
    }

    /// Says once that the collector takes nothing, however often it is asked.
    fn after(&mut self, reason: &str) {
        if self.again_at.replace(Instant::now() + PAUSE).is_none() {
            let endpoint = &self.target.endpoint;
            tracing::warn!(
                "traces: `{endpoint}` does not take them: {reason}; the line goes on, what has no room is dropped"
            );
        }
    }

    fn last(&mut self) {
        self.listen();
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && self.again_at.is_none() && !self.waiting.is_empty() {
            self.send_due();
        }
        add(&self.counts.dropped, self.waiting.len() as u64);
        self.waiting.clear();
    }

    fn post(&self, batch: usize) -> Result<(), Failure> {
        let spans = self.waiting.iter().take(batch).flat_map(|part| part::spans(part)).collect();
        let attributes = vec![
            KeyValue::text("service.name", "inspectd"),
            KeyValue::text("service.version", env!("CARGO_PKG_VERSION")),
        ];
        let sender = ResourceSpans { resource: Some(Resource { attributes }), scope_spans: vec![ScopeSpans { spans }] };
        let body = Export { resource_spans: vec![sender] }.encode_to_vec();
        let mut request = self.agent.post(&self.target.endpoint).header("content-type", "application/x-protobuf");
        if let Some(bearer) = &self.target.bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        let answer = request.send(&body[..]).map_err(|error| Failure::Away(error.to_string()))?;
        let status = answer.status();
        match status.as_u16() {
            200..=299 => Ok(()),
            // OTLP's own list of what is worth another attempt.
            429 | 502 | 503 | 504 => Err(Failure::Away(format!("it answers {status}"))),
            _ => Err(Failure::Refused(format!("it answers {status}"))),
        }
    }
}

fn agent(roots: Option<&[Certificate<'static>]>) -> Agent {
    let roots = roots.map_or(RootCerts::WebPki, RootCerts::new_with_certs);
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(PATIENCE))
        .max_idle_connections(1)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .user_agent(concat!("inspectd/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
