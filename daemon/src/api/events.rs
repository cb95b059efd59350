//! `/api/v1/events`: what happens on the line, as it happens. Server-sent events: a browser reconnects by itself and says
//! with `Last-Event-ID` what it has seen.
//!
//! Only acknowledged inspections are sent, each once and in order. A client that was away is sent what it missed, from the
//! store; one that was away too long, or that reads too slowly, gets a `gap` and reads `/inspections` instead.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, KeepAliveStream, Sse};
use serde::Serialize;
use stages::inspection::Inspection;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;

use super::Api;
use super::alerts::AlertsView;
use super::inspections::blocking;
use super::line::LineView;
use super::problem::Problem;
use super::view::InspectionView;
use crate::access::Who;
use crate::store::{Store, Stored};
use crate::supervise::{Board, Viewer};

/// Events on their way to one client. Beyond, its task waits, and the store's channel counts what it misses.
const QUEUE: usize = 16;
/// Missed inspections that are sent again; whoever missed more reads them by pages.
const MAX_RESUME: usize = 500;
/// Inspections read from the store at once.
const CHUNK: usize = 100;
/// Between two `status` events.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// Inspections were left out: read `/inspections`.
#[derive(Debug, Serialize)]
struct Gap {
    /// How many, where it is known.
    missed: Option<u64>,
}

/// What happens on the line.
///
/// `event: inspection` with `id: <part id>` and an Inspection as data; `event: status` every second with a Line; `event: alerts`
/// with Alerts, at the start and when one changes; `event: learning` with nothing, when labels, the queue, jobs or models have changed;
/// `event: gap` when inspections were left out. Resumes after `Last-Event-ID`. While somebody listens, previews are made.
#[utoipa::path(get, path = "/api/v1/events",
    params(("Last-Event-ID" = Option<u64>, Header, description = "Id of the last inspection seen")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "Too many listen already"),
    ))]
pub(super) async fn events(
    State(api): State<Api>,
    who: Who,
    headers: HeaderMap,
) -> Result<Sse<KeepAliveStream<Events>>, Problem> {
    let seen = last_event_id(&headers)?;
    let too_many =
        || Problem::later(format!("{} listen already: close one, or raise `api.max_viewers`", api.board.max_viewers));
    let viewer = api.board.watch().ok_or_else(too_many)?;
    let (send, receive) = mpsc::channel(QUEUE);
    let client = Client { board: api.board, who, send, seen, _viewer: viewer };
    tokio::spawn(client.serve(api.stopping));
    Ok(Sse::new(ReceiverStream::new(receive)).keep_alive(KeepAlive::default()))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    id.map(Some).ok_or_else(|| Problem::bad_request("`Last-Event-ID` is no part id"))
}

type Events = ReceiverStream<Result<Event, Infallible>>;

/// One listener.
struct Client {
    board: Arc<Board>,
    /// Whose stream it is. It ends with their session or their right.
    who: Who,
    send: mpsc::Sender<Result<Event, Infallible>>,
    /// The newest inspection that it has.
    seen: Option<u64>,
    /// Keeps previews going.
    _viewer: Viewer,
}

/// The client went away, or the server stops.
struct Gone;

impl Client {
    async fn serve(mut self, mut stopping: watch::Receiver<bool>) {
        let client = self.send.clone();
        tokio::select! {
            _gone = self.follow() => {}
            () = client.closed() => {}
            _stop = stopping.wait_for(|stop| *stop) => {}
        }
    }

    async fn follow(&mut self) -> Result<Infallible, Gone> {
        // First the subscription, then the past: nothing can fall between them.
        let mut live = self.board.store.subscribe();
        self.status().await?;
        let mut revision = self.board.alerts.revision();
        self.alerts().await?;
        let mut learned = self.board.learning.revision();
        match self.seen {
            Some(seen) if seen < self.board.store.next_id() => self.catch_up(seen).await?,
            Some(_) => {
                // It saw other records than these: the state directory was changed. Its id would hide all new ones.
                self.seen = None;
                self.gap(None).await?;
            }
            None => {}
        }
        let mut every = tokio::time::interval(STATUS_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        every.tick().await;
        loop {
            tokio::select! {
                _ = every.tick() => {
                    self.may_stay()?;
                    self.status().await?;
                    let newest = self.board.alerts.revision();
                    if newest != revision {
                        revision = newest;
                        self.alerts().await?;
                    }
                    let newest = self.board.learning.revision();
                    if newest != learned {
                        learned = newest;
                        self.send(Event::default().event("learning").data("{}")).await?;
                    }
                }
                received = live.recv() => match received {
                    Ok(inspection) => self.inspection(inspection).await?,
                    Err(broadcast::error::RecvError::Lagged(missed)) => self.gap(Some(missed)).await?,
                    Err(broadcast::error::RecvError::Closed) => return Err(Gone),
                },
            }
        }
    }

    /// Sends what came after `seen` and is on record.
    async fn catch_up(&mut self, seen: u64) -> Result<(), Gone> {
        let mut sent = 0;
        let mut last = seen;
        loop {
            let store = self.board.store.clone();
            let read = blocking(move || Ok(store.after(last, CHUNK))).await;
            let missed = match read {
                Ok(missed) => missed,
                // The client reads by pages and finds the same trouble, in words.
                Err(_) => return self.gap(None).await,
            };
            let Some(newest) = missed.last() else { return Ok(()) };
            last = newest.inspection.id;
            sent += missed.len();
            if sent > MAX_RESUME {
                return self.gap(None).await;
            }
            for stored in missed {
                self.stored(stored).await?;
            }
        }
    }

    async fn inspection(&mut self, inspection: Arc<Inspection>) -> Result<(), Gone> {
        if self.seen.is_some_and(|seen| inspection.id <= seen) {
            return Ok(());
        }
        self.stored(Stored { inspection, late: None }).await
    }

    async fn stored(&mut self, stored: Stored) -> Result<(), Gone> {
        let id = stored.inspection.id;
        let event = named("inspection", &view(stored, &self.board.store));
        self.send(event.id(id.to_string())).await?;
        self.seen = Some(id);
        Ok(())
    }

    fn may_stay(&self) -> Result<(), Gone> {
        match self.board.access.still(&self.who) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Gone),
            Err(error) => {
                tracing::error!("a stream ends because nobody knows who may see it: {error}");
                Err(Gone)
            }
        }
    }

    async fn status(&self) -> Result<(), Gone> {
        self.send(named("status", &LineView::of(&self.board))).await
    }

    async fn alerts(&self) -> Result<(), Gone> {
        // The alerts' lock may wait for the disk, so it is asked for on a thread for that.
        let alerts = self.board.alerts.clone();
        match blocking(move || Ok(AlertsView::of(&alerts))).await {
            Ok(view) => self.send(named("alerts", &view)).await,
            // Said in the log; the page asks again with the next change.
            Err(_) => Ok(()),
        }
    }

    async fn gap(&self, missed: Option<u64>) -> Result<(), Gone> {
        self.send(named("gap", &Gap { missed })).await
    }

    async fn send(&self, event: Event) -> Result<(), Gone> {
        self.send.send(Ok(event)).await.map_err(|_| Gone)
    }
}

fn view(stored: Stored, store: &Store) -> InspectionView {
    InspectionView::of(stored, store)
}

fn named(name: &'static str, data: &impl Serialize) -> Event {
    let event = Event::default().event(name);
    // Only maps with keys that are not text cannot become JSON; there are none here.
    event.json_data(data).unwrap_or_else(|error| Event::default().event("gap").comment(error.to_string()))
}
