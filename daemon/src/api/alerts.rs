//! `/api/v1/alerts`: what is wrong, who has seen it, and the rules; `/api/v1/outbox`: the messages to others.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::address::At;
use super::body::Sent;
use super::inspections::blocking;
use super::problem::Problem;
use crate::access::Who;
use crate::alerts::{Alert, Alerts, Named, Note, Origin, PutError, Rule};
use crate::audit::Deed;
use crate::outbox::{Contents, OutboxError, Standing};

/// What is said of an alert, at most so long.
const MAX_COMMENT: usize = 1000;
/// Messages that are shown of each list.
const SHOWN: usize = 200;

/// Alerts that are on and that were.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Alerts)]
pub(super) struct AlertsView {
    /// On now: the worst first, then the newest.
    active: Vec<Alert>,
    /// Over: the newest first, 200 at most.
    recent: Vec<Alert>,
}

impl AlertsView {
    pub(super) fn of(alerts: &Alerts) -> AlertsView {
        let (active, recent) = alerts.alerts();
        AlertsView { active, recent }
    }
}

/// What somebody has to say.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = AlertAction)]
pub(super) struct Action {
    /// For those who are told, and for the audit trail; 1000 characters at most.
    #[schema(max_length = 1000)]
    comment: Option<String>,
}

impl Action {
    fn note(self, who: &Who) -> Result<Note, Problem> {
        let comment = self.comment.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        if comment.as_ref().is_some_and(|text| text.chars().count() > MAX_COMMENT) {
            return Err(Problem::unprocessable(format!("`comment` has more than {MAX_COMMENT} characters")));
        }
        Ok(Note { by: who.name.to_string(), at: Timestamp::now(), comment })
    }
}

/// Alerts that are on and that were.
#[utoipa::path(get, path = "/api/v1/alerts", operation_id = "list_alerts", responses((status = 200, body = AlertsView)))]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<AlertsView>, Problem> {
    let alerts = api.board.alerts.clone();
    blocking(move || Ok(Json(AlertsView::of(&alerts)))).await
}

/// Says that somebody has seen an alert: reminders end. Seen before: nothing changes.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/acknowledge", operation_id = "acknowledge_alert",
    params(("id" = String, Path, description = "Alert id")), request_body = Action,
    responses(
        (status = 200, body = Alert),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "Not on, or not any more"),
    ))]
pub(super) async fn acknowledge(
    State(api): State<Api>,
    At(id): At<String>,
    who: Who,
    Sent(action): Sent<Action>,
) -> Result<Json<Alert>, Problem> {
    settle(api, who, id, action, ("alert.acknowledge", Alerts::acknowledge)).await
}

/// Ends an alert by hand. It fires again only after its condition was well once. Of a lost graphics card: it was taken out.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/resolve", operation_id = "resolve_alert",
    params(("id" = String, Path, description = "Alert id")), request_body = Action,
    responses(
        (status = 200, body = Alert),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "Not on, or not any more"),
    ))]
pub(super) async fn resolve(
    State(api): State<Api>,
    At(id): At<String>,
    who: Who,
    Sent(action): Sent<Action>,
) -> Result<Json<Alert>, Problem> {
    settle(api, who, id, action, ("alert.resolve", Alerts::resolve)).await
}

/// What can be done to an alert by its id.
type Settling = fn(&Alerts, &str, Note) -> Option<Alert>;

/// Does something to an alert, with its entry in the audit trail first.
async fn settle(
    api: Api,
    who: Who,
    id: String,
    action: Action,
    (deed, how): (&'static str, Settling),
) -> Result<Json<Alert>, Problem> {
    let note = action.note(&who)?;
    blocking(move || {
        let (active, _) = api.board.alerts.alerts();
        let alert = active.into_iter().find(|alert| alert.id == id).ok_or_else(|| unknown(&id))?;
        let deed = Deed::new(deed, id.as_str()).because(note.comment.clone());
        api.board.access.trail().append(&who, deed.before(alert))?;
        how(&api.board.alerts, &id, note).map(Json).ok_or_else(|| unknown(&id))
    })
    .await
}

fn unknown(id: &str) -> Problem {
    Problem::not_found(format!("no alert `{id}` is on; `/api/v1/alerts` lists those that are"))
}

/// The rules in force, by name.
#[utoipa::path(get, path = "/api/v1/alerts/rules", operation_id = "alert_rules", responses((status = 200, body = BTreeMap<String, Named>)))]
pub(super) async fn rules(State(api): State<Api>) -> Result<Json<BTreeMap<String, Named>>, Problem> {
    let alerts = api.board.alerts.clone();
    blocking(move || Ok(Json(alerts.rules()))).await
}

/// Puts a rule in force, in place of the one with this name if there is one.
#[utoipa::path(put, path = "/api/v1/alerts/rules/{name}", operation_id = "put_alert_rule",
    params(("name" = String, Path, description = "Up to 64 of a-z, 0-9, `-` and `_`")), request_body = Rule,
    responses(
        (status = 204, description = "In force"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "What is wrong with it"),
    ))]
pub(super) async fn put_rule(
    State(api): State<Api>,
    At(name): At<String>,
    who: Who,
    Sent(rule): Sent<Rule>,
) -> Result<StatusCode, Problem> {
    blocking(move || {
        let alerts = &api.board.alerts;
        let wrong = |error: PutError| match error {
            PutError::Wrong(text) => Problem::unprocessable(text),
            PutError::Disk(_) => Problem::internal(error.to_string()),
        };
        alerts.check_rule(&name, &rule).map_err(wrong)?;
        let deed = Deed::new("alert_rule.put", name.as_str()).before(alerts.rules().get(&name)).after(&rule);
        api.board.access.trail().append(&who, deed)?;
        alerts.put_rule(&name, rule).map_err(wrong)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Takes away a rule that was put in force here; the one that it stood in for is in force again.
#[utoipa::path(delete, path = "/api/v1/alerts/rules/{name}", operation_id = "delete_alert_rule",
    params(("name" = String, Path, description = "Name of the rule")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, body = Problem, content_type = "application/problem+json",
            description = "There is none, or it is built in or configured: put one with `enabled: false` in its place"),
    ))]
pub(super) async fn delete_rule(State(api): State<Api>, At(name): At<String>, who: Who) -> Result<StatusCode, Problem> {
    blocking(move || {
        let alerts = &api.board.alerts;
        let old = alerts.rules().remove(&name).filter(|named| named.origin == Origin::Api);
        let Some(old) = old else {
            return Err(Problem::not_found(format!(
                "no rule `{name}` was put in force over HTTP; to switch off one that is built in or configured, put one with \
                 `enabled: false` in its place"
            )));
        };
        api.board.access.trail().append(&who, Deed::new("alert_rule.delete", name.as_str()).before(old))?;
        match alerts.delete_rule(&name) {
            Ok(_) => Ok(StatusCode::NO_CONTENT),
            Err(error) => Err(Problem::internal(format!("the rule `{name}` stays: {error}; check the disk"))),
        }
    })
    .await
}

/// Messages to others.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Outbox)]
pub(super) struct OutboxView {
    destinations: Vec<DestinationView>,
    /// Oldest first, 200 at most.
    waiting: Vec<WaitingView>,
    /// Given up; newest first, 200 at most.
    dead: Vec<DeadView>,
}

/// A destination as it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Destination)]
struct DestinationView {
    #[schema(value_type = String)]
    name: Arc<str>,
    /// Messages that wait for it.
    waiting: usize,
    /// Delivered lately.
    delivered: u64,
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    delivered_at: Option<Timestamp>,
    /// Failures in a row.
    failures: u32,
    /// Nothing is sent before.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    paused_until: Option<Timestamp>,
    /// Why the last attempt failed.
    #[schema(required = true)]
    error: Option<String>,
    /// Why nothing is sent there any more; a replay enables it.
    #[schema(required = true)]
    disabled: Option<String>,
    /// Results up to this part are on their way or delivered.
    #[schema(required = true)]
    results_up_to: Option<u64>,
}

/// A message on its way.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WaitingMessage)]
struct WaitingView {
    #[schema(value_type = String)]
    id: Arc<str>,
    #[schema(value_type = String)]
    to: Arc<str>,
    subject: String,
    #[schema(value_type = String, format = DateTime)]
    queued_at: Timestamp,
    attempts: u32,
    #[schema(required = true)]
    error: Option<String>,
}

/// A message that was given up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
struct DeadView {
    #[schema(value_type = String)]
    id: Arc<str>,
    #[schema(value_type = String)]
    to: Arc<str>,
    subject: String,
    #[schema(value_type = String, format = DateTime)]
    queued_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    given_up_at: Timestamp,
    reason: String,
}

impl OutboxView {
    fn of(contents: Contents) -> OutboxView {
        let destination = |(name, it): (Arc<str>, Standing)| DestinationView {
            name,
            waiting: it.waiting,
            delivered: it.delivered,
            delivered_at: it.delivered_at,
            failures: it.failures,
            paused_until: it.paused_until,
            error: it.error,
            disabled: it.disabled,
            results_up_to: it.cursor,
        };
        let waiting = contents.waiting.into_iter().take(SHOWN).map(|it| WaitingView {
            id: it.message.id,
            to: it.message.to,
            subject: it.message.subject,
            queued_at: it.message.queued_at,
            attempts: it.attempts,
            error: it.error,
        });
        let dead = contents.dead.into_iter().rev().take(SHOWN).map(|it| DeadView {
            id: it.message.id,
            to: it.message.to,
            subject: it.message.subject,
            queued_at: it.message.queued_at,
            given_up_at: it.at,
            reason: it.reason,
        });
        OutboxView {
            destinations: contents.standings.into_iter().map(destination).collect(),
            waiting: waiting.collect(),
            dead: dead.collect(),
        }
    }
}

/// Messages to others: what waits and what was given up.
#[utoipa::path(get, path = "/api/v1/outbox", operation_id = "read_outbox", responses((status = 200, body = OutboxView)))]
pub(super) async fn outbox(State(api): State<Api>) -> Result<Json<OutboxView>, Problem> {
    let alerts = api.board.alerts.clone();
    blocking(move || Ok(Json(OutboxView::of(alerts.contents())))).await
}

/// What is to be sent again: one message, or all of a destination, or all.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Replay {
    /// This message only.
    id: Option<String>,
    /// All for this destination, which is enabled if it was disabled.
    to: Option<String>,
}

/// How many are sent again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Replayed {
    messages: usize,
}

/// Sends messages that were given up again, under their ids.
#[utoipa::path(post, path = "/api/v1/outbox/replay", operation_id = "replay_messages", request_body = Replay,
    responses(
        (status = 200, body = Replayed),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "No such dead letter"),
    ))]
pub(super) async fn replay(
    State(api): State<Api>,
    who: Who,
    Sent(wanted): Sent<Replay>,
) -> Result<Json<Replayed>, Problem> {
    let Replay { id, to } = wanted;
    blocking(move || {
        let subject = id.as_deref().or(to.as_deref()).unwrap_or("all");
        api.board.access.trail().append(&who, Deed::new("outbox.replay", subject))?;
        let (outbox, now) = (api.board.alerts.outbox(), Timestamp::now());
        let done = match &id {
            Some(id) => outbox.replay(id, now).map(|()| 1),
            None => outbox.replay_all(to.as_deref(), now),
        };
        match done {
            Ok(messages) => Ok(Json(Replayed { messages })),
            Err(error @ OutboxError::Unknown(_)) => Err(Problem::not_found(error.to_string())),
            Err(error) => Err(Problem::internal(error.to_string())),
        }
    })
    .await
}
