//! `/api/v1/line`: what the line is doing, and its last ten minutes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use models::bundle::Disposition;
use serde::Serialize;
use stages::capture::statistics::SourceStatistics;
use stages::line::{Counts, LatencySummary, LineState};
use utoipa::ToSchema;

use super::Api;
use super::view::{OriginWord, ProviderWord};
use crate::serials::Tally;
use crate::store::IndexState;
use crate::supervise::{Board, Point, Prepared};

/// What the line is doing. `counts` obeys the law: `triggered` is the sum of the others.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Line)]
pub(super) struct LineView {
    /// The line's name.
    #[schema(value_type = String)]
    line: Arc<str>,
    state: StateWord,
    /// Why it is in this state, or what is wrong, in words.
    #[schema(required = true)]
    state_reason: Option<String>,
    counts: CountsView,
    /// Trigger to verdict since the start.
    latency: LatencyView,
    /// Time inside each stage.
    stages: Vec<StageView>,
    /// Trigger to verdict, at most.
    deadline_ms: u32,
    /// Verdicts over the last 10 s.
    parts_per_s: f64,
    /// Evidence pictures and previews that were left out because too many were held.
    pictures_dropped: u64,
    /// Stages rebuilt after a panic.
    restarts: u64,
    /// Threads given up because they hung.
    abandoned: u64,
    /// Results that came after their verdict.
    late_results: u64,
    /// `name@version`.
    #[schema(value_type = String)]
    recipe: Arc<str>,
    source: SourceView,
    identity: IdentityCountsView,
    model: ModelView,
    store: StoreView,
    /// Start of the program.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// Version of the program.
    version: &'static str,
}

/// State of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StateWord {
    /// Up, no part for a while.
    Ready,
    /// Parts are coming.
    Running,
    /// Every part is `no_decision`, for the reason given.
    SafeHold,
    /// Every part is `no_decision` until golden samples were judged right, for the reason given.
    NotReady,
    /// No new parts are taken.
    Draining,
    /// The source ended or the line was drained.
    Stopped,
}

/// The law: `triggered == pass + fail + review + no_decision + in_flight`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Counts)]
struct CountsView {
    triggered: u64,
    pass: u64,
    fail: u64,
    review: u64,
    no_decision: u64,
    in_flight: u64,
}

/// A distribution of times.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Latency)]
struct LatencyView {
    p50_us: u64,
    p95_us: u64,
    p99_us: u64,
    max_us: u64,
}

/// A stage with the time that parts spend inside it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StageLatency)]
struct StageView {
    name: &'static str,
    p50_us: u64,
    p95_us: u64,
    p99_us: u64,
    max_us: u64,
}

/// Where the parts come from.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Source)]
struct SourceView {
    name: String,
    kind: &'static str,
    /// What came from the camera and what was lost; absent for sources that have nothing to lose.
    #[serde(skip_serializing_if = "Option::is_none")]
    statistics: Option<SourceStatisticsView>,
}

/// Counts of a camera since the program started; packets: of the present connection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourceStatistics)]
struct SourceStatisticsView {
    /// Whether the camera answers.
    connected: bool,
    /// Vendor, model, serial number, address.
    #[schema(required = true)]
    device: Option<String>,
    /// Settings that the camera has taken otherwise than asked for, and other things that a person should know.
    adjusted: Vec<String>,
    /// Whole pictures.
    pictures: u64,
    /// Pictures with holes; each is a part without a decision.
    incomplete: u64,
    /// Numbers left out in the camera's count.
    missing: u64,
    /// Pictures that were overtaken, and so came too late for their parts, which are counted as missing.
    late: u64,
    /// Pictures of a stream that were too old for a verdict, or overtaken by newer ones.
    stale: u64,
    /// Numbers that came twice.
    repeated: u64,
    /// Pictures that were bit for bit the one before.
    frozen: u64,
    /// Pictures that no software trigger had asked for.
    unasked: u64,
    /// Software triggers without a picture in time.
    unanswered: u64,
    /// Pictures for which no buffer was free.
    unbuffered: u64,
    /// Times that the camera was connected.
    connections: u64,
    /// Times that the camera was lost.
    lost: u64,
    /// Times that pictures stayed away although the camera answered.
    stalls: u64,
    /// Exposure of the last picture, where the camera says so.
    #[schema(required = true)]
    exposure_us: Option<f64>,
    /// Packets that did not come by themselves.
    packets_missing: u64,
    /// Packets that came when asked for again.
    packets_resent: u64,
    /// Times that packets were asked for again.
    resend_requests: u64,
    /// Pictures that found no free buffer in the driver.
    underruns: u64,
}

impl From<SourceStatistics> for SourceStatisticsView {
    fn from(of: SourceStatistics) -> SourceStatisticsView {
        SourceStatisticsView {
            connected: of.connected,
            device: of.device,
            adjusted: of.adjusted,
            pictures: of.pictures,
            incomplete: of.incomplete,
            missing: of.missing,
            late: of.late,
            stale: of.stale,
            repeated: of.repeated,
            frozen: of.frozen,
            unasked: of.unasked,
            unanswered: of.unanswered,
            unbuffered: of.unbuffered,
            connections: of.connections,
            lost: of.lost,
            stalls: of.stalls,
            exposure_us: of.exposure_us,
            packets_missing: of.packets.missing,
            packets_resent: of.packets.resent,
            resend_requests: of.packets.resend_requests,
            underruns: of.packets.underruns,
        }
    }
}

/// Serial numbers of the parts since the program started.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IdentityCounts)]
struct IdentityCountsView {
    from: OriginWord,
    /// Parts with a serial number.
    read: u64,
    /// Parts that should have one and have none.
    unread: u64,
    /// Parts whose serial number another part had before.
    repeated: u64,
    /// Times that serial numbers were left out.
    gaps: u64,
    /// Serial numbers left out, together.
    missing: u64,
    /// Parts whose serial number comes before one that was there already.
    late: u64,
    /// Serial numbers that were sent and wait for their parts.
    waiting: usize,
}

impl IdentityCountsView {
    fn of(board: &Board) -> IdentityCountsView {
        let Tally { read, unread, repeated, gaps, missing, late } = board.serials.tally();
        let from = board.recipe.load().in_force.recipe.identity.from.into();
        let waiting = board.serials.queued().waiting.len();
        IdentityCountsView { from, read, unread, repeated, gaps, missing, late, waiting }
    }
}

/// The model in force.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
struct ModelView {
    name: String,
    /// SHA-256 of the graph, hexadecimal.
    #[schema(value_type = String)]
    digest: Arc<str>,
    provider: ProviderWord,
    /// Providers that were wished for and do not work here.
    fallbacks: Vec<FallbackView>,
    labels: Vec<LabelView>,
}

/// A provider that does not work here.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fallback)]
struct FallbackView {
    provider: ProviderWord,
    reason: String,
}

/// A label, what it means for the part, and from which score it counts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelLabel)]
struct LabelView {
    #[schema(value_type = String)]
    name: Arc<str>,
    verdict: DispositionWord,
    /// 0 to 1.
    threshold: f32,
}

/// What a label means for the part.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum DispositionWord {
    Pass,
    Review,
    Fail,
}

/// The records.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Store)]
struct StoreView {
    state: StoreWord,
    /// Records on the medium since the program started.
    acknowledged: u64,
    /// What is wrong, or how far a rebuild has come.
    #[schema(required = true)]
    detail: Option<String>,
}

/// State of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StoreWord {
    /// As it should be.
    Ok,
    /// Everything is kept; older records may be missing from searches.
    Rebuilding,
    /// Nothing is kept any more.
    Failed,
}

/// What the line is doing.
#[utoipa::path(get, path = "/api/v1/line", responses((status = 200, body = LineView)))]
pub(super) async fn line(State(api): State<Api>) -> Json<LineView> {
    Json(LineView::of(&api.board))
}

impl LineView {
    pub(super) fn of(board: &Board) -> LineView {
        let status = board.line.status();
        let prepared = board.recipe.load();
        let (state, reason) = match status.state {
            LineState::Ready => (StateWord::Ready, None),
            LineState::Running => (StateWord::Running, None),
            LineState::SafeHold(reason) => (StateWord::SafeHold, Some(reason)),
            LineState::NotReady(reason) => (StateWord::NotReady, Some(reason)),
            LineState::Draining => (StateWord::Draining, None),
            LineState::Stopped => (StateWord::Stopped, None),
        };
        let stages = status.stages.into_iter().map(|(name, latency)| {
            let LatencySummary { p50_us, p95_us, p99_us, max_us, .. } = latency;
            StageView { name, p50_us, p95_us, p99_us, max_us }
        });
        LineView {
            line: board.name.clone(),
            state,
            state_reason: reason.or(status.source_trouble),
            counts: status.counts.into(),
            latency: status.latency.into(),
            stages: stages.collect(),
            deadline_ms: prepared.in_force.recipe.deadline_ms,
            parts_per_s: board.trend.per_second(),
            pictures_dropped: status.pictures_dropped,
            restarts: status.restarts,
            abandoned: status.abandoned,
            late_results: status.late_results,
            recipe: prepared.in_force.tag.clone(),
            source: SourceView {
                name: board.source.name.clone(),
                kind: board.source.kind,
                statistics: status.source.map(Into::into),
            },
            identity: IdentityCountsView::of(board),
            model: ModelView::of(&prepared),
            store: StoreView::of(board),
            started_at: board.started_at,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

impl ModelView {
    fn of(prepared: &Prepared) -> ModelView {
        let in_force = &prepared.in_force;
        let fallbacks = prepared.fallbacks().into_iter();
        let labels = in_force.labels.iter().zip(&in_force.label_names).map(|(label, name)| LabelView {
            name: name.clone(),
            verdict: match label.verdict {
                Disposition::Pass => DispositionWord::Pass,
                Disposition::Review => DispositionWord::Review,
                Disposition::Fail => DispositionWord::Fail,
            },
            threshold: label.threshold,
        });
        ModelView {
            name: prepared.manifest().name.clone(),
            digest: in_force.model.digest().clone(),
            provider: in_force.model.provider().into(),
            fallbacks: fallbacks.map(|(provider, reason)| FallbackView { provider: provider.into(), reason }).collect(),
            labels: labels.collect(),
        }
    }
}

impl StoreView {
    fn of(board: &Board) -> StoreView {
        let stats = board.store.stats();
        let (state, detail) = match (stats.failed, stats.index) {
            (Some(reason), _) => (StoreWord::Failed, Some(reason.to_string())),
            (None, IndexState::Ready) => (StoreWord::Ok, None),
            (None, IndexState::Rebuilding(progress)) => {
                let (done, total) = (progress.done_bytes >> 20, progress.total_bytes >> 20);
                (StoreWord::Rebuilding, Some(format!("the index is being built: {done} of {total} MiB read")))
            }
            // Every record is kept; only searching is limited.
            (None, IndexState::Off(reason)) => (StoreWord::Rebuilding, Some(reason)),
        };
        StoreView { state, acknowledged: stats.acknowledged, detail }
    }
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> CountsView {
        let Counts { triggered, pass, fail, review, no_decision, in_flight } = counts;
        CountsView { triggered, pass, fail, review, no_decision, in_flight }
    }
}

impl From<LatencySummary> for LatencyView {
    fn from(latency: LatencySummary) -> LatencyView {
        let LatencySummary { p50_us, p95_us, p99_us, max_us, .. } = latency;
        LatencyView { p50_us, p95_us, p99_us, max_us }
    }
}

/// The last ten minutes, second by second.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Trend)]
pub(super) struct TrendView {
    /// Seconds between two points.
    step_s: u32,
    /// Oldest first.
    points: Vec<PointView>,
}

/// One second, by time of verdict.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrendPoint)]
struct PointView {
    /// Its beginning.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The sum of the others.
    triggered: u64,
    pass: u64,
    fail: u64,
    review: u64,
    no_decision: u64,
    /// Trigger to verdict; 0 without a verdict.
    p50_us: u32,
    p99_us: u32,
}

/// The last ten minutes.
#[utoipa::path(get, path = "/api/v1/line/trend", responses((status = 200, body = TrendView)))]
pub(super) async fn trend(State(api): State<Api>) -> Json<TrendView> {
    let (started_at, points) = api.board.trend.points();
    let view = |point: Point| PointView {
        at: started_at + SignedDuration::from_secs(point.second as i64),
        triggered: point.decided(),
        pass: point.pass,
        fail: point.fail,
        review: point.review,
        no_decision: point.no_decision,
        p50_us: point.p50_us,
        p99_us: point.p99_us,
    };
    Json(TrendView { step_s: 1, points: points.into_iter().map(view).collect() })
}
