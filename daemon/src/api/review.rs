//! `/api/v1/queue`, `/api/v1/inspections/{id}/label`, `/api/v1/labels/undo`: parts that are worth a person's look, and what people say of
//! them.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use jiff::Timestamp;
use models::bundle::Disposition;
use serde::{Deserialize, Serialize};
use stages::inspection::Inspection;
use stages::sample::Why;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::address::At;
use super::body::Sent;
use super::inspections::blocking;
use super::problem::Problem;
use super::view::{ScoreView, VerdictWord};
use crate::access::Who;
use crate::learning::{Answer, DeskError, Given, Item, Labels, Way};
use crate::supervise::Board;

/// Items of one answer at most.
const MAX_ITEMS: usize = 200;
/// Labelled parts that are shown beside one.
const NEIGHBOURS: usize = 6;

/// Why a part waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReasonWord {
    /// The two best labels are nearly as likely.
    LowMargin,
    /// The heads say different things.
    HeadsDisagree,
    /// It looks like nothing that the model knows.
    Unlike,
    /// It lies far from all that the model learned from, as more parts lately do than usual.
    Drifted,
    /// A person asked for it.
    Asked,
    /// Chosen by lot.
    Audit,
    /// Somebody labelled it; another person should, too.
    SecondOpinion,
}

impl From<Why> for ReasonWord {
    fn from(why: Why) -> ReasonWord {
        match why {
            Why::LowMargin => ReasonWord::LowMargin,
            Why::HeadsDisagree => ReasonWord::HeadsDisagree,
            Why::Unlike => ReasonWord::Unlike,
            Why::Drifted => ReasonWord::Drifted,
            Why::Asked => ReasonWord::Asked,
            Why::Audit => ReasonWord::Audit,
        }
    }
}

/// A reason, in words.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueReason)]
struct ReasonView {
    reason: ReasonWord,
    detail: String,
}

/// A part that waits for a look.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueItem)]
pub(super) struct ItemView {
    id: u64,
    #[schema(value_type = String, format = DateTime)]
    triggered_at: Timestamp,
    #[schema(required = true, value_type = Option<String>)]
    serial: Option<Arc<str>>,
    verdict: VerdictWord,
    /// What the verdict rests on.
    #[schema(required = true, value_type = Option<String>)]
    label: Option<Arc<str>>,
    /// How much a look is worth, 0 to 1: oddity, diversity and rarity.
    value: f32,
    /// What the model said, in its order; empty while the record cannot be found.
    scores: Vec<ScoreView>,
    reasons: Vec<ReasonView>,
    /// SHA-256 of the graph that decided it.
    #[schema(value_type = String)]
    model: Arc<str>,
}

impl ItemView {
    fn of(item: &Item, value: f32) -> ItemView {
        let reasons =
            item.reasons.iter().map(|reason| ReasonView { reason: reason.why.into(), detail: reason.detail.clone() });
        ItemView {
            id: item.id,
            triggered_at: item.at,
            serial: item.serial.clone(),
            verdict: VerdictWord::split(item.verdict).0,
            label: item.label.clone(),
            value,
            scores: Vec::new(),
            reasons: reasons.collect(),
            model: item.model.clone(),
        }
    }

    fn second_opinion(item: &Item) -> ItemView {
        let detail = "somebody has labelled it; what do you say?".into();
        let reasons = vec![ReasonView { reason: ReasonWord::SecondOpinion, detail }];
        ItemView { reasons, ..ItemView::of(item, item.value()) }
    }
}

/// What waits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Queue)]
pub(super) struct QueueView {
    /// All that waits for you.
    waiting: usize,
    /// The most valuable first.
    items: Vec<ItemView>,
}

/// How much is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// 1 to 200; 50 if absent.
    limit: Option<usize>,
}

/// What waits for a look, the most valuable first.
#[utoipa::path(get, path = "/api/v1/queue", operation_id = "list_queue", params(Wanted), responses(
    (status = 200, body = QueueView),
    (status = 400, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn queue(
    State(api): State<Api>,
    who: Who,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<QueueView>, Problem> {
    let Query(wanted) = wanted.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    let limit = wanted.limit.unwrap_or(50);
    if !(1..=MAX_ITEMS).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}: give 1 to {MAX_ITEMS}")));
    }
    blocking(move || {
        let desk = api.board.learning.desk.lock();
        let chosen = desk.queue.by_worth(&|label| desk.labels.rarity(label));
        let second: Vec<&Item> = desk.labels.second_opinions(&who.name).collect();
        let waiting = chosen.len() + second.len();
        let mut items: Vec<ItemView> = chosen.into_iter().map(|(worth, item)| ItemView::of(item, worth)).collect();
        items.extend(second.into_iter().map(ItemView::second_opinion));
        items.sort_by(|a, b| b.value.total_cmp(&a.value));
        items.truncate(limit);
        drop(desk);
        for item in &mut items {
            item.scores = api.board.store.get(item.id)?.map(|stored| scores(&stored.inspection)).unwrap_or_default();
        }
        Ok(Json(QueueView { waiting, items }))
    })
    .await
}

/// A labelled part that looks like it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Neighbour)]
struct NeighbourView {
    id: u64,
    #[schema(value_type = String)]
    label: Arc<str>,
    /// 0: alike, 1: nothing in common.
    distance: f32,
}

/// A part that waits, with the labelled parts that look most like it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueItemDetail)]
pub(super) struct ItemDetail {
    #[serde(flatten)]
    item: ItemView,
    /// Nearest first, 6 at most.
    neighbours: Vec<NeighbourView>,
}

/// One part that waits. Of any other part on record, what the queue would say of it.
#[utoipa::path(get, path = "/api/v1/queue/{id}", operation_id = "get_queue_item",
    params(("id" = u64, Path, description = "Part id")), responses(
    (status = 200, body = ItemDetail),
    (status = 404, body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn item(State(api): State<Api>, who: Who, At(id): At<u64>) -> Result<Json<ItemDetail>, Problem> {
    blocking(move || {
        let Board { store, learning, .. } = &*api.board;
        let found = store.get(id)?;
        let scores = found.as_ref().map(|stored| scores(&stored.inspection)).unwrap_or_default();
        let desk = learning.desk.lock();
        let view = if desk.labels.wants_second(id, &who.name) {
            desk.labels.about(id).last().map(|given| (given.item.clone(), ItemView::second_opinion(&given.item)))
        } else {
            let item = desk.queue.get(id).cloned().or_else(|| found.map(|stored| Item::of(&stored.inspection)));
            item.map(|item| (item.clone(), ItemView::of(&item, item.value())))
        };
        let (item, view) = view.ok_or_else(|| Problem::not_found(format!("no part {id} is on record")))?;
        let view = ItemView { scores, ..view };
        Ok(Json(ItemDetail { item: view, neighbours: neighbours(&api.board, &desk.labels, &item) }))
    })
    .await
}

fn scores(inspection: &Inspection) -> Vec<ScoreView> {
    inspection.scores.iter().map(ScoreView::from).collect()
}

/// Labelled parts that look like it to the model in force (or else to the one that decided it), nearest first.
fn neighbours(board: &Board, labels: &Labels, item: &Item) -> Vec<NeighbourView> {
    let Board { learning, .. } = board;
    let now = learning.registry.trunk_of(board.recipe.load().in_force.model.digest());
    let then = || learning.registry.trunk_of(&item.model);
    let seen_now = learning.look_of(item, &now).map(|sketch| (sketch, now));
    if seen_now.is_none() {
        learning.ask_for_look(item.id);
    }
    let Some((sketch, trunk)) = seen_now.or_else(|| Some((item.sketch?, then()))) else { return Vec::new() };
    let near = labels.all().filter(|(id, _)| *id != item.id).filter_map(|(id, labelled)| {
        let other = learning.look_of(&labelled.given.item, &trunk)?;
        Some(NeighbourView { id, label: labelled.label.clone(), distance: sketch.distance(&other) })
    });
    let mut near: Vec<NeighbourView> = near.collect();
    near.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    near.truncate(NEIGHBOURS);
    near
}

/// What somebody says of a part.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = LabelAnswer)]
pub(super) enum Said {
    /// It is this. A name that no model knows makes a new kind, which the line knows within seconds.
    Label {
        /// 1 to 64 characters.
        label: String,
        /// Of a new kind: what it means for a part; `fail` if absent.
        #[serde(default)]
        verdict: Option<Means>,
    },
    /// It cannot be told.
    Unsure {},
    /// Not now.
    Skip {},
}

/// What a new kind means for a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = NewKindMeans)]
pub(super) enum Means {
    Fail,
    Review,
}

impl From<Means> for Disposition {
    fn from(means: Means) -> Disposition {
        match means {
            Means::Fail => Disposition::Fail,
            Means::Review => Disposition::Review,
        }
    }
}

/// What an answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AnswerWord)]
enum AnswerWord {
    Label,
    Unsure,
    Skip,
}

/// How somebody came to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AnswerWay)]
enum WayWord {
    Queue,
    Override,
    SecondOpinion,
}

/// A kind that the line learns from this label.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NewKind)]
struct NewKindView {
    #[schema(value_type = String)]
    label: Arc<str>,
    /// Parts that carry the label.
    shots: usize,
    /// Why it could not be registered the last time.
    #[schema(required = true)]
    trouble: Option<String>,
}

/// An answer that was kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Answer)]
pub(super) struct AnswerView {
    id: u64,
    answer: AnswerWord,
    #[schema(required = true, value_type = Option<String>)]
    label: Option<Arc<str>>,
    #[schema(value_type = String)]
    by: Arc<str>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    way: WayWord,
    /// Taken back.
    undone: bool,
    /// The label is none that the network was trained on.
    #[schema(required = true)]
    new_kind: Option<NewKindView>,
}

impl AnswerView {
    fn of(given: &Given, new_kind: Option<NewKindView>) -> AnswerView {
        let answered = &given.answered;
        AnswerView {
            id: answered.id,
            answer: match answered.answer {
                Answer::Label { .. } => AnswerWord::Label,
                Answer::Unsure => AnswerWord::Unsure,
                Answer::Skip => AnswerWord::Skip,
            },
            label: answered.answer.label().cloned(),
            by: answered.by.clone(),
            at: answered.at,
            way: match answered.way {
                Way::Queue => WayWord::Queue,
                Way::Override => WayWord::Override,
                Way::SecondOpinion => WayWord::SecondOpinion,
            },
            undone: given.undone,
            new_kind,
        }
    }
}

/// Says what a part is. Any part on record, whether it waits or not.
#[utoipa::path(post, path = "/api/v1/inspections/{id}/label", operation_id = "label_inspection",
    params(("id" = u64, Path, description = "Part id")), request_body = Said,
    responses(
        (status = 200, body = AnswerView),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Not a name"),
    ))]
pub(super) async fn label(
    State(api): State<Api>,
    At(id): At<u64>,
    who: Who,
    Sent(said): Sent<Said>,
) -> Result<Json<AnswerView>, Problem> {
    let answer = match said {
        Said::Label { label, verdict } => Answer::Label { label: label.into(), means: verdict.map(Means::into) },
        Said::Unsure {} => Answer::Unsure,
        Said::Skip {} => Answer::Skip,
    };
    blocking(move || {
        let Board { store, learning, .. } = &*api.board;
        let given = learning.desk.answer(store, id, answer, &who.name)?;
        let new_kind = given.answered.answer.label().filter(|label| !is_own(&api.board, label)).map(|label| {
            let trouble = learning.kind_trouble(label);
            learning.ask_for_kind(label, &who.name);
            let shots = learning.desk.lock().labels.counts().get(label).copied().unwrap_or(0);
            NewKindView { label: label.clone(), shots, trouble }
        });
        Ok(Json(AnswerView::of(&given, new_kind)))
    })
    .await
}

/// Whether the network itself was trained on a label.
fn is_own(board: &Board, label: &str) -> bool {
    board.recipe.load().manifest().labels.iter().any(|own| own.name == label)
}

/// Everything that was said of a part, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Answers)]
pub(super) struct AnswersView {
    /// The label that holds; none: nobody gave one, or two people contradict each other.
    #[schema(required = true, value_type = Option<String>)]
    label: Option<Arc<str>>,
    answers: Vec<AnswerView>,
}

/// What was said of a part, by whom, and what holds.
#[utoipa::path(get, path = "/api/v1/inspections/{id}/label", operation_id = "get_labels",
    params(("id" = u64, Path, description = "Part id")), responses((status = 200, body = AnswersView)))]
pub(super) async fn labels(State(api): State<Api>, At(id): At<u64>) -> Result<Json<AnswersView>, Problem> {
    blocking(move || {
        let desk = api.board.learning.desk.lock();
        let label = desk.labels.of(id).map(|labelled| labelled.label.clone());
        let answers = desk.labels.about(id).map(|given| AnswerView::of(given, None)).collect();
        Ok(Json(AnswersView { label, answers }))
    })
    .await
}

/// The part that waits again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Undone)]
pub(super) struct UndoneView {
    id: u64,
}

/// Which answer.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = Undo)]
pub(super) struct Undo {
    /// Only if the last answer is about this part: so that asking twice does not take back two.
    id: Option<u64>,
}

/// Takes back the caller's last answer.
#[utoipa::path(post, path = "/api/v1/labels/undo", operation_id = "undo_label", request_body = Undo, responses(
    (status = 200, body = UndoneView),
    (status = 409, body = Problem, content_type = "application/problem+json", description = "There is none, or it is about another part"),
))]
pub(super) async fn undo(
    State(api): State<Api>,
    who: Who,
    Sent(undo): Sent<Undo>,
) -> Result<Json<UndoneView>, Problem> {
    blocking(move || {
        let learning = &api.board.learning;
        let id = learning.desk.undo(&who.name, undo.id)?;
        let label = {
            let desk = learning.desk.lock();
            let undone = desk.labels.about(id).filter(|given| given.undone).last();
            undone.and_then(|given| given.answered.answer.label().cloned())
        };
        if let Some(label) = label.filter(|label| !is_own(&api.board, label)) {
            learning.ask_for_kind(&label, &who.name);
        }
        Ok(Json(UndoneView { id }))
    })
    .await
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Problem {
        let words = error.to_string();
        match error {
            DeskError::NoPart(_) => Problem::not_found(words),
            DeskError::Name(_) | DeskError::Checked(_) => Problem::unprocessable(words),
            DeskError::NothingToUndo | DeskError::AnotherPart { .. } | DeskError::Full { .. } => {
                Problem::conflict(words)
            }
            DeskError::Store(error) => error.into(),
            DeskError::Log(_) => Problem::internal(words),
        }
    }
}
