//! `/api/v1/learning`: how the loop stands: labels, queue, agreement, and what the audit says of the line.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use models::bundle::{Disposition, Manifest};
use models_train::evaluation::intervals::{self, Interval};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::inspections::blocking;
use super::problem::Problem;
use super::review::ReasonWord;
use crate::learning::{Answer, Labels, Way, names};
use crate::supervise::Board;

/// Of the intervals that are shown.
const CONFIDENCE: f64 = 0.95;

/// The state of the loop.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Learning)]
pub(super) struct LearningView {
    /// The model's labels in its order, then registered kinds, then names that no model knows.
    labels: Vec<LabelView>,
    queue: QueueFigures,
    answers: AnswerFigures,
    second_opinion: SecondOpinion,
    estimates: Estimates,
}

/// A label with the parts that carry it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LabelCount)]
struct LabelView {
    name: String,
    verdict: MeaningWord,
    origin: OriginWord,
    count: usize,
}

/// What a label means for a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Meaning)]
enum MeaningWord {
    Pass,
    Review,
    Fail,
}

/// Where a label comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LabelOrigin)]
enum OriginWord {
    /// The network was trained on it.
    Model,
    /// A kind, registered from labelled parts.
    Registered,
    /// No model knows it yet.
    New,
}

#[derive(Debug, Serialize, ToSchema)]
struct QueueFigures {
    waiting: usize,
    per_hour: usize,
    taken_this_hour: usize,
    reasons: Vec<ReasonCount>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ReasonCount {
    reason: ReasonWord,
    count: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct AnswerFigures {
    labelled: usize,
    unsure: usize,
    skipped: usize,
    /// Labels of parts that did not wait: somebody saw that the verdict was wrong, or wanted to say that it was right.
    overrides: usize,
}

#[derive(Debug, Serialize, ToSchema)]
struct SecondOpinion {
    /// Share of the queue's labels for which one is asked.
    share: f32,
    pairs: usize,
    /// Cohen's kappa; none without pairs.
    #[schema(required = true)]
    kappa: Option<f64>,
}

/// From the audited parts alone, which were chosen by lot.
#[derive(Debug, Serialize, ToSchema)]
struct Estimates {
    /// Share of parts that is audited.
    share: f32,
    /// Audited parts with a label.
    audited: u64,
    bad: u64,
    good: u64,
    /// Share of bad parts that passed; none without one.
    #[schema(required = true)]
    escape_rate: Option<f64>,
    /// Clopper and Pearson, 95 %.
    #[schema(required = true, value_type = Option<Vec<f64>>)]
    escape_ci: Option<Interval>,
    /// Share of good parts that failed; none without one.
    #[schema(required = true)]
    overkill_rate: Option<f64>,
    #[schema(required = true, value_type = Option<Vec<f64>>)]
    overkill_ci: Option<Interval>,
}

/// The state of the loop: labels, queue, agreement, and what the audit says of the line.
#[utoipa::path(get, path = "/api/v1/learning", operation_id = "get_learning", responses((status = 200, body = LearningView)))]
pub(super) async fn learning(State(api): State<Api>) -> Result<Json<LearningView>, Problem> {
    blocking(move || Ok(Json(LearningView::of(&api.board)))).await
}

impl LearningView {
    fn of(board: &Board) -> LearningView {
        let prepared = board.recipe.load();
        let review = &prepared.in_force.recipe.review;
        let desk = board.learning.desk.lock();
        let (queue, labels) = (&desk.queue, &desk.labels);
        let mut reasons: BTreeMap<ReasonWord, usize> = BTreeMap::new();
        for reason in queue.items().flat_map(|item| &item.reasons) {
            *reasons.entry(reason.why.into()).or_default() += 1;
        }
        let agreement = labels.agreement();
        let meaning: BTreeMap<&str, Disposition> = names(prepared.manifest()).collect();
        let audited = labels.audited(|label| Some(*meaning.get(label)? == Disposition::Pass));
        let rate = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        let ci = |part: u64, of: u64| (of > 0).then(|| intervals::two_sided(part as usize, of as usize, CONFIDENCE));
        LearningView {
            labels: labels_of(prepared.manifest(), labels),
            queue: QueueFigures {
                waiting: queue.len(),
                per_hour: review.per_hour as usize,
                taken_this_hour: queue.taken_in_hour(Timestamp::now()),
                reasons: reasons.into_iter().map(|(reason, count)| ReasonCount { reason, count }).collect(),
            },
            answers: AnswerFigures {
                labelled: labels.counts().values().sum(),
                unsure: labels.count(|answered| answered.answer == Answer::Unsure),
                skipped: labels.count(|answered| answered.answer == Answer::Skip),
                overrides: labels.count(|answered| answered.way == Way::Override),
            },
            second_opinion: SecondOpinion {
                share: board.learning.section.second_opinion,
                pairs: agreement.pairs,
                kappa: agreement.kappa,
            },
            estimates: Estimates {
                share: review.audit_fraction,
                audited: audited.parts,
                bad: audited.bad,
                good: audited.good,
                escape_rate: rate(audited.escapes, audited.bad),
                escape_ci: ci(audited.escapes, audited.bad),
                overkill_rate: rate(audited.overkill, audited.good),
                overkill_ci: ci(audited.overkill, audited.good),
            },
        }
    }
}

fn labels_of(manifest: &Manifest, labels: &Labels) -> Vec<LabelView> {
    let counts = labels.counts();
    let own = manifest.labels.len();
    let mut views: Vec<LabelView> = names(manifest)
        .enumerate()
        .map(|(at, (name, verdict))| LabelView {
            name: name.to_owned(),
            verdict: verdict.into(),
            origin: if at < own { OriginWord::Model } else { OriginWord::Registered },
            count: counts.get(name).copied().unwrap_or(0),
        })
        .collect();
    for (name, &count) in counts {
        if !views.iter().any(|view| view.name == **name) {
            let verdict = labels.means(name).unwrap_or(Disposition::Fail).into();
            views.push(LabelView { name: name.to_string(), verdict, origin: OriginWord::New, count });
        }
    }
    views
}

impl From<Disposition> for MeaningWord {
    fn from(verdict: Disposition) -> MeaningWord {
        match verdict {
            Disposition::Pass => MeaningWord::Pass,
            Disposition::Review => MeaningWord::Review,
            Disposition::Fail => MeaningWord::Fail,
        }
    }
}
