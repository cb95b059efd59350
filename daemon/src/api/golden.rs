//! `/api/v1/golden`: golden samples: whether the line has shown that it judges right, and the way to show it.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stages::check::{GoldenSamples, Known};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::body::Sent;
use super::inspections::blocking;
use super::problem::Problem;
use super::view::{KnownWord, VerdictWord};
use crate::access::Who;
use crate::audit::Deed;
use crate::golden::{GoldenError, Judged, Outcome, Proof, Run, next_due};
use crate::supervise::Board;

/// Runs of the first answer.
const NEWEST: usize = 20;
/// Most runs of a page.
const MOST: usize = 200;
/// Most characters of a reason.
pub(super) const LONGEST_REASON: usize = 500;

/// How golden samples stand.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Golden)]
pub(super) struct GoldenView {
    /// `name@version` of the recipe in force.
    #[schema(value_type = String)]
    recipe: Arc<str>,
    /// What it names; empty: it has no golden samples.
    samples: Vec<SampleView>,
    /// Samples are known by their serial numbers and may come in any order, between other parts.
    by_serial: bool,
    /// Beginnings of shifts at which they are due.
    shifts: Vec<String>,
    /// Hours after which they are due again; 0: not by hours.
    every_h: f64,
    on_changeover: bool,
    /// Why the line is not ready.
    #[schema(required = true, value_type = Option<String>)]
    refused: Option<Arc<str>>,
    /// When the clock will demand them.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    next_due: Option<Timestamp>,
    /// Why the line counts as one that judges right.
    #[schema(required = true)]
    proof: Option<ProofView>,
    /// The run that is on.
    #[schema(required = true)]
    on: Option<RunView>,
    /// The newest runs that are over, the newest first.
    runs: Vec<RunView>,
}

/// A part whose answer is known.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GoldenSample)]
struct SampleView {
    name: String,
    known: KnownWord,
    /// Of a bad one: a label that must be found on it.
    #[schema(required = true)]
    label: Option<String>,
    #[schema(required = true)]
    serial: Option<String>,
    /// What the line said; none: it has not come yet.
    #[schema(required = true)]
    judged: Option<JudgedView>,
}

/// What the line said of a sample.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GoldenJudged)]
struct JudgedView {
    /// The part on record.
    part: u64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    verdict: VerdictWord,
    #[schema(required = true, value_type = Option<String>)]
    label: Option<Arc<str>>,
    right: bool,
}

/// A run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GoldenRun)]
struct RunView {
    number: u64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = String)]
    by: Arc<str>,
    #[schema(value_type = String)]
    recipe: Arc<str>,
    #[schema(value_type = String)]
    model: Arc<str>,
    samples: Vec<SampleView>,
    #[schema(required = true)]
    outcome: Option<OutcomeWord>,
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    /// Why it ended so.
    #[schema(required = true)]
    words: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GoldenOutcome)]
enum OutcomeWord {
    Passed,
    Failed,
    /// Nothing had gone wrong until then.
    Cancelled,
    /// The program ended, or recipe or model changed: it has to be repeated.
    Interrupted,
}

/// Why the line counts as one that judges right.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GoldenProof)]
struct ProofView {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = String)]
    recipe: Arc<str>,
    /// The run that passed; none: somebody has overridden.
    #[schema(required = true)]
    run: Option<u64>,
    #[schema(value_type = String)]
    by: Arc<str>,
    /// Why somebody has overridden.
    #[schema(required = true)]
    reason: Option<String>,
}

/// Which runs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Runs at most, 1 to 200; default 20.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// Numbers below this.
    before: Option<u64>,
}

/// Runs that are over, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GoldenRuns)]
pub(super) struct RunsView {
    runs: Vec<RunView>,
}

/// Why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = GoldenCancel)]
pub(super) struct Cancel {
    /// For the record.
    reason: Option<String>,
}

/// Why the line may go on all the same.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GoldenOverride)]
pub(super) struct Overrule {
    /// 1 to 500 characters, for the audit trail.
    reason: String,
}

/// How golden samples stand: what is due, what is being shown, and what came of it.
#[utoipa::path(get, path = "/api/v1/golden", operation_id = "get_golden", responses((status = 200, body = GoldenView)))]
pub(super) async fn golden(State(api): State<Api>) -> Json<GoldenView> {
    Json(GoldenView::of(&api.board))
}

/// Runs that are over, the newest first.
#[utoipa::path(get, path = "/api/v1/golden/runs", operation_id = "list_golden_runs", params(Wanted), responses(
    (status = 200, body = RunsView),
    (status = 400, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn runs(
    State(api): State<Api>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<RunsView>, Problem> {
    let Query(Wanted { limit, before }) = wanted.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    let limit = limit.unwrap_or(NEWEST);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}: give 1 to {MOST}")));
    }
    let routine = api.board.checks.golden.lock();
    let over = routine.runs().filter(|run| run.ended.is_some() && before.is_none_or(|before| run.number < before));
    Ok(Json(RunsView { runs: over.take(limit).map(RunView::of).collect() }))
}

/// From the next part on, golden samples are shown: in the recipe's order, or as their serial numbers say.
#[utoipa::path(post, path = "/api/v1/golden/runs", operation_id = "start_golden_run", responses(
    (status = 200, body = GoldenView),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "Something takes the parts that come already"),
    (status = 422, body = Problem, content_type = "application/problem+json", description = "The recipe names no golden samples"),
))]
pub(super) async fn start(State(api): State<Api>, who: Who) -> Result<Json<GoldenView>, Problem> {
    blocking(move || {
        let board = &api.board;
        if let Some(words) = board.checks.taken() {
            return Err(Problem::conflict(words));
        }
        let recipe = board.recipe.load().in_force.clone();
        if recipe.recipe.golden_samples.is_none() {
            return Err(GoldenError::NoSamples(recipe.tag.clone()).into());
        }
        board.access.trail().append(&who, Deed::new("golden.start", recipe.tag.as_ref()))?;
        board.checks.golden.start(&recipe, &who.name)?;
        Ok(Json(GoldenView::of(board)))
    })
    .await
}

/// Ends the run that is on. What was judged wrong in it so far still counts.
#[utoipa::path(post, path = "/api/v1/golden/cancel", operation_id = "cancel_golden_run", request_body = Cancel, responses(
    (status = 200, body = GoldenView),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "None is on"),
))]
pub(super) async fn cancel(
    State(api): State<Api>,
    who: Who,
    Sent(Cancel { reason }): Sent<Cancel>,
) -> Result<Json<GoldenView>, Problem> {
    let reason = reason.as_deref().map(reason_of).transpose()?;
    blocking(move || {
        let board = &api.board;
        let number = board.checks.golden.lock().on().map(|run| run.number).ok_or(GoldenError::NotOn)?;
        board.access.trail().append(&who, Deed::new("golden.cancel", number.to_string()).because(reason.clone()))?;
        board.checks.golden.cancel(&who.name, reason)?;
        Ok(Json(GoldenView::of(board)))
    })
    .await
}

/// Lets the line go on until golden samples are due the next time, although they were not judged right.
#[utoipa::path(post, path = "/api/v1/golden/override", operation_id = "override_golden", request_body = Overrule, responses(
    (status = 200, body = GoldenView),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "The line does not refuse because of them"),
))]
pub(super) async fn overrule(
    State(api): State<Api>,
    who: Who,
    Sent(Overrule { reason }): Sent<Overrule>,
) -> Result<Json<GoldenView>, Problem> {
    let reason = reason_of(&reason)?;
    blocking(move || {
        let board = &api.board;
        let recipe = board.recipe.load().in_force.clone();
        let refused = board.checks.golden.refusal(&recipe).ok_or(GoldenError::NothingToOverride)?;
        let deed = Deed::new("golden.override", recipe.tag.as_ref()).before(refused.as_ref());
        board.access.trail().append(&who, deed.because(Some(reason.clone())))?;
        board.checks.golden.overrule(&recipe, &who.name, reason)?;
        tracing::warn!("golden samples are overridden by {}: {refused}", who.name);
        Ok(Json(GoldenView::of(board)))
    })
    .await
}

/// A reason in a person's words.
pub(super) fn reason_of(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let plain = text.chars().all(|c| !c.is_control());
    if text.is_empty() || text.chars().count() > LONGEST_REASON || !plain {
        return Err(Problem::unprocessable(format!("`reason`: give 1 to {LONGEST_REASON} characters on one line")));
    }
    Ok(text.to_owned())
}

impl GoldenView {
    fn of(board: &Board) -> GoldenView {
        let recipe = board.recipe.load().in_force.clone();
        let terms = recipe.recipe.golden_samples.clone().unwrap_or_default();
        let by_serial = terms.by_serial();
        let routine = board.checks.golden.lock();
        let now = Timestamp::now();
        let next_due = routine.proof().and_then(|proof| next_due(&terms, &board.alerts.zone(), proof.at, now));
        let GoldenSamples { shifts, every_h, on_changeover, sample } = terms;
        GoldenView {
            recipe: recipe.tag.clone(),
            samples: sample.into_iter().map(|sample| SampleView::of(sample, None)).collect(),
            by_serial,
            shifts,
            every_h,
            on_changeover,
            refused: routine.refusal(&recipe),
            next_due,
            proof: routine.proof().cloned().map(ProofView::from),
            on: routine.on().map(RunView::of),
            runs: routine.runs().filter(|run| run.ended.is_some()).take(NEWEST).map(RunView::of).collect(),
        }
    }
}

impl SampleView {
    fn of(sample: stages::check::GoldenSample, judged: Option<&Judged>) -> SampleView {
        let stages::check::GoldenSample { name, known, label, serial } = sample;
        let judged = judged.map(|judged| JudgedView {
            part: judged.part,
            at: judged.at,
            verdict: VerdictWord::split(judged.verdict).0,
            label: judged.label.clone(),
            right: judged.right,
        });
        SampleView { name, known: known.into(), label, serial, judged }
    }
}

impl RunView {
    fn of(run: &Run) -> RunView {
        let judged = |at: usize| run.judged.iter().find(|judged| judged.sample == at);
        let samples = run.samples.iter().cloned().enumerate().map(|(at, sample)| SampleView::of(sample, judged(at)));
        RunView {
            number: run.number,
            at: run.at,
            by: run.by.clone(),
            recipe: run.recipe.clone(),
            model: run.model.clone(),
            samples: samples.collect(),
            outcome: run.ended.as_ref().map(|ended| ended.outcome.into()),
            ended_at: run.ended.as_ref().map(|ended| ended.at),
            words: run.ended.as_ref().map(|ended| ended.words.clone()),
        }
    }
}

impl From<Outcome> for OutcomeWord {
    fn from(outcome: Outcome) -> OutcomeWord {
        match outcome {
            Outcome::Passed => OutcomeWord::Passed,
            Outcome::Failed => OutcomeWord::Failed,
            Outcome::Cancelled => OutcomeWord::Cancelled,
            Outcome::Interrupted => OutcomeWord::Interrupted,
        }
    }
}

impl From<Proof> for ProofView {
    fn from(Proof { at, recipe, run, by, reason }: Proof) -> ProofView {
        ProofView { at, recipe, run, by, reason }
    }
}

impl From<Known> for KnownWord {
    fn from(known: Known) -> KnownWord {
        match known {
            Known::Good => KnownWord::Good,
            Known::Bad => KnownWord::Bad,
        }
    }
}

impl From<GoldenError> for Problem {
    fn from(error: GoldenError) -> Problem {
        let words = error.to_string();
        match error {
            GoldenError::NoSamples(_) => Problem::unprocessable(words),
            GoldenError::On(_) | GoldenError::NotOn | GoldenError::NothingToOverride => Problem::conflict(words),
            GoldenError::Log(_) => Problem::internal(words),
        }
    }
}
