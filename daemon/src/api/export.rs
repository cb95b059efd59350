//! `/api/v1/export`: what matches, as a file, written while it is read. Whoever asks may give it a ticket, and see by it how far it has come.

use std::collections::VecDeque;
use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

use super::Api;
use super::address::At;
use super::inspections::{Wanted, blocking};
use super::problem::Problem;
use crate::background::yield_to_the_line;
use crate::exports::{self, Form};

/// Exports at once: each reads the whole record.
const AT_ONCE: usize = 2;
/// Tickets that are remembered.
const REMEMBERED: usize = 32;
/// Bytes that are sent at once; four such pieces wait at most.
const PIECE: usize = 64 << 10;

/// The newest exports.
#[derive(Debug, Clone, Default)]
pub(super) struct Exports(Arc<Mutex<VecDeque<Running>>>);

#[derive(Debug, Clone)]
struct Running {
    ticket: String,
    view: ExportView,
}

/// In which form.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ExportForm)]
pub(super) enum FormWord {
    /// Comma-separated values.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// Pictures that were kept, with the table.
    Zip,
}

/// Form and ticket.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct How {
    r#as: FormWord,
    /// 8 to 64 letters, digits and `-`, made up by the caller.
    ticket: Option<String>,
}

/// How an export stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ExportState)]
enum StateWord {
    /// Nothing has come with this ticket: the request is still under way, was refused, or is long forgotten.
    Unknown,
    Running,
    Done,
    /// Nobody took it any more, or it could not be read.
    Failed,
}

/// How far an export has come.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Export)]
pub(super) struct ExportView {
    state: StateWord,
    /// Parts so far.
    done: u64,
    /// Parts that match, counted beforehand.
    of: u64,
    /// Why it failed.
    #[schema(required = true)]
    reason: Option<String>,
}

/// Every inspection that matches, newest first, as a file. It is read while it is sent: a file that ends early is no sound file of its form.
/// `limit` has no meaning here.
#[utoipa::path(get, path = "/api/v1/export", operation_id = "export", params(How, Wanted), responses(
    (status = 200, description = "The file", content((Vec<u8> = "text/csv"), (Vec<u8> = "application/vnd.apache.parquet"), (Vec<u8> = "application/zip"))),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 503, body = Problem, content_type = "application/problem+json", description = "Others are being written, or the index is being built"),
))]
pub(super) async fn export(State(api): State<Api>, query: axum::http::Uri) -> Result<Response, Problem> {
    let (how, wanted) = asked(query.query().unwrap_or_default())?;
    let form = match how.r#as {
        FormWord::Csv => Form::Csv,
        FormWord::Parquet => Form::Parquet,
        FormWord::Zip => Form::Zip,
    };
    let filter = wanted.filter()?;
    let store = api.board.store.clone();
    let count = {
        let (store, filter) = (store.clone(), filter.clone());
        blocking(move || {
            if store.rebuilding().is_some() {
                return Err(Problem::later("the index is being built: parts would be missing; ask again in a minute"));
            }
            Ok(store.count(&filter)?)
        })
        .await?
    };
    let ticket = api.exports.begin(how.ticket, count)?;
    let name = format!("{}-{}.{}", api.board.name, Timestamp::now().strftime("%Y%m%d-%H%M%S"), form.ending());
    let (sender, pieces) = channel(4);
    tokio::task::spawn_blocking(move || {
        yield_to_the_line();
        let mut out = BufWriter::with_capacity(PIECE, Pieces(sender.clone()));
        let written = exports::write(&store, &filter, form, &mut out, &mut |done| ticket.at(done));
        let written = written.and_then(|()| Ok(out.flush()?));
        if let Err(error) = &written {
            tracing::warn!("{error}");
            // The reader, if there still is one, learns that the file is not whole.
            let _ = sender.blocking_send(Err(io::Error::other(error.to_string())));
        }
        // Nothing more is to come of it, also where it failed with some of it unsent.
        let (_, _unsent) = out.into_parts();
        ticket.end(written.err().map(|error| error.to_string()));
    });
    let headers = [
        (header::CONTENT_TYPE, form.media().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, Body::from_stream(ReceiverStream::new(pieces))).into_response())
}

/// How far an export has come.
#[utoipa::path(get, path = "/api/v1/exports/{ticket}", operation_id = "export_progress",
    params(("ticket" = String, Path, description = "As it was given")), responses(
    (status = 200, body = ExportView),
))]
pub(super) async fn progress(State(api): State<Api>, At(ticket): At<String>) -> Result<Json<ExportView>, Problem> {
    check(&ticket)?;
    let running = api.exports.lock();
    let found = running.iter().find(|it| it.ticket == ticket).map(|it| it.view.clone());
    // Who made the ticket up asks as soon as it has, and a browser sends the request itself when it likes: that is no error.
    Ok(Json(found.unwrap_or(ExportView { state: StateWord::Unknown, done: 0, of: 0, reason: None })))
}

/// Refuses what can be no ticket.
fn check(ticket: &str) -> Result<(), Problem> {
    let plain = ticket.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match plain && (8..=64).contains(&ticket.len()) {
        true => Ok(()),
        false => Err(Problem::bad_request("`ticket`: give 8 to 64 letters, digits and `-`")),
    }
}

/// Both halves refuse what neither knows, so the query is cut in two.
fn asked(query: &str) -> Result<(How, Wanted), Problem> {
    let is_how = |pair: &&str| ["as", "ticket"].contains(&pair.split('=').next().unwrap_or_default());
    let (how, wanted): (Vec<&str>, Vec<&str>) = query.split('&').partition(is_how);
    let refused = |refused: QueryRejection| Problem::bad_request(refused.body_text());
    let uri = |pairs: Vec<&str>| {
        format!("/?{}", pairs.join("&")).parse().map_err(|_| Problem::bad_request("the query cannot be read"))
    };
    let Query(how) = Query::<How>::try_from_uri(&uri(how)?).map_err(refused)?;
    let Query(wanted) = Query::<Wanted>::try_from_uri(&uri(wanted)?).map_err(refused)?;
    Ok((how, wanted))
}

impl Exports {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, ticket: Option<String>, of: u64) -> Result<Ticket, Problem> {
        ticket.as_deref().map(check).transpose()?;
        let mut running = self.lock();
        if running.iter().filter(|it| it.view.state == StateWord::Running).count() >= AT_ONCE {
            return Err(Problem::later(format!("{AT_ONCE} exports are being written already: wait for one of them")));
        }
        let ticket = ticket.unwrap_or_else(|| format!("#{}", Timestamp::now().as_nanosecond()));
        if running.iter().any(|it| it.ticket == ticket) {
            return Err(Problem::conflict("`ticket` was given to another export: make up a new one"));
        }
        while running.len() >= REMEMBERED {
            let Some(oldest) = running.iter().position(|it| it.view.state != StateWord::Running) else { break };
            running.remove(oldest);
        }
        let view = ExportView { state: StateWord::Running, done: 0, of, reason: None };
        running.push_back(Running { ticket: ticket.clone(), view });
        Ok(Ticket { exports: self.clone(), ticket })
    }
}

/// Tells of one export. One that is dropped without a word has failed.
struct Ticket {
    exports: Exports,
    ticket: String,
}

impl Ticket {
    fn change(&self, change: impl FnOnce(&mut ExportView)) {
        if let Some(running) = self.exports.lock().iter_mut().find(|it| it.ticket == self.ticket) {
            change(&mut running.view);
        }
    }

    fn at(&self, done: u64) {
        self.change(|view| view.done = done);
    }

    fn end(&self, reason: Option<String>) {
        self.change(|view| {
            view.state = if reason.is_some() { StateWord::Failed } else { StateWord::Done };
            view.reason = reason;
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.change(|view| {
            if view.state == StateWord::Running {
                view.state = StateWord::Failed;
            }
        });
    }
}

/// Hands on what is written; waits while the reader is slow.
struct Pieces(Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody takes it any more");
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
