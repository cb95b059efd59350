//! Records as the API shows them.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use models::runtime::Provider;
use serde::{Deserialize, Serialize};
use stages::check::{CheckMark, Purpose};
use stages::frame::View;
use stages::identify::Origin;
use stages::inspection::{
    Identity, IdentityState, ImageHealth, KeptHeat, LabelScore, MissingSerials, RegionSays, Truth, ViewWeight,
};
use stages::ledger::Ledger;
use stages::prepare::Pose;
use stages::verdict::{Cause, Verdict};
use utoipa::ToSchema;

use crate::store::{Store, Stored};

/// The one answer that every part gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum VerdictWord {
    /// Good.
    Pass,
    /// Bad.
    Fail,
    /// A person should look.
    Review,
    /// No answer, with a cause; the line treats it as a reject.
    NoDecision,
}

impl VerdictWord {
    pub(super) fn split(verdict: Verdict) -> (VerdictWord, Option<CauseWord>) {
        match verdict {
            Verdict::Pass => (VerdictWord::Pass, None),
            Verdict::Fail => (VerdictWord::Fail, None),
            Verdict::Review => (VerdictWord::Review, None),
            Verdict::NoDecision(cause) => (VerdictWord::NoDecision, Some(cause.into())),
        }
    }
}

/// Why there was no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum CauseWord {
    /// The deadline passed.
    Late,
    /// A queue was full, or no frame buffer was free.
    Overload,
    /// A trigger without a picture.
    NoFrame,
    /// The picture ends early.
    Truncated,
    /// The picture cannot be read.
    Unreadable,
    /// Not the size that the recipe asks for.
    WrongSize,
    /// Nothing to see.
    Blank,
    /// Over- or underexposed.
    Saturated,
    /// Out of focus.
    OutOfFocus,
    /// Exposure or light differ from the golden picture.
    LightChanged,
    /// The part could not be aligned.
    NotAligned,
    /// A stage failed on this part.
    StageFailed,
    /// The line was in safe hold.
    SafeHold,
    /// The program ended while the part was in flight.
    Restart,
}

impl From<Cause> for CauseWord {
    fn from(cause: Cause) -> CauseWord {
        match cause {
            Cause::Late => CauseWord::Late,
            Cause::Overload => CauseWord::Overload,
            Cause::NoFrame => CauseWord::NoFrame,
            Cause::Truncated => CauseWord::Truncated,
            Cause::Unreadable => CauseWord::Unreadable,
            Cause::WrongSize => CauseWord::WrongSize,
            Cause::Blank => CauseWord::Blank,
            Cause::Saturated => CauseWord::Saturated,
            Cause::OutOfFocus => CauseWord::OutOfFocus,
            Cause::LightChanged => CauseWord::LightChanged,
            Cause::NotAligned => CauseWord::NotAligned,
            Cause::StageFailed => CauseWord::StageFailed,
            Cause::SafeHold => CauseWord::SafeHold,
            Cause::Restart => CauseWord::Restart,
        }
    }
}

/// What computed the scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ProviderWord {
    /// NVIDIA TensorRT, half precision.
    Tensorrt,
    /// NVIDIA CUDA, full precision.
    Cuda,
    /// The processor, full precision.
    Cpu,
}

impl From<Provider> for ProviderWord {
    fn from(provider: Provider) -> ProviderWord {
        match provider {
            Provider::Tensorrt => ProviderWord::Tensorrt,
            Provider::Cuda => ProviderWord::Cuda,
            Provider::Cpu => ProviderWord::Cpu,
        }
    }
}

/// Everything known of one inspected part.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Inspection)]
pub(super) struct InspectionView {
    /// Grows with every trigger, never used twice.
    id: u64,
    /// The line's name.
    #[schema(value_type = String)]
    line: Arc<str>,
    /// The camera's name.
    #[schema(value_type = String)]
    camera: Arc<str>,
    /// Serial number, where one is known.
    #[schema(required = true, value_type = Option<String>)]
    serial: Option<Arc<str>>,
    /// The lot that its serial number names, where the recipe says how.
    #[schema(required = true, value_type = Option<String>)]
    lot: Option<Arc<str>>,
    /// How it came by its serial number, where the recipe says how it should, or where something is to be said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<IdentityView>,
    /// The call that it answers, where a PLC calls for parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<u32>,
    /// File or stream position of the picture.
    #[schema(required = true, value_type = Option<String>)]
    origin: Option<Arc<str>>,
    /// Wall-clock time of the trigger.
    #[schema(value_type = String, format = DateTime)]
    triggered_at: Timestamp,
    verdict: VerdictWord,
    /// With `no_decision` only.
    #[schema(required = true)]
    cause: Option<CauseWord>,
    /// In words.
    #[schema(required = true)]
    detail: Option<String>,
    /// The label the verdict rests on.
    #[schema(required = true, value_type = Option<String>)]
    label: Option<Arc<str>>,
    /// Every label over its threshold, worst first.
    found: Vec<ScoreView>,
    /// Every label's score, in the model's order.
    scores: Vec<ScoreView>,
    /// Where `label` was seen.
    #[schema(required = true)]
    heat: Option<HeatView>,
    /// What each region of the picture says, the worst first: the verdict, its label, the scores and the heat map are that one's. Empty where
    /// the model sees the whole picture at once.
    regions: Vec<RegionView>,
    /// Where each camera's picture lies in the picture, from left to right; empty where one camera sees the part.
    views: Vec<PlaceView>,
    /// `name@version`.
    #[schema(value_type = String)]
    recipe: Arc<str>,
    /// SHA-256 of the model's graph, hexadecimal.
    #[schema(value_type = String)]
    model: Arc<str>,
    #[schema(required = true)]
    provider: Option<ProviderWord>,
    ledger: LedgerView,
    /// How the picture that the model saw, and with it `heat`, lies in the captured one; absent where they are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pose: Option<PoseView>,
    /// Whether `/image` will answer with a picture.
    has_image: bool,
    /// A picture was kept, and retention has let it go.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    picture_let_go: bool,
    /// What was wrong with the machine meanwhile: names of alerts.
    #[schema(value_type = Vec<String>)]
    conditions: Vec<Arc<str>>,
    /// Of a simulated part: what it really is.
    #[schema(required = true)]
    truth: Option<TruthView>,
    /// It was sent through to check the line, and is no production.
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<CheckView>,
    /// How its picture was taken, as the quality gate measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<ImageView>,
    /// A result that came after the verdict.
    #[schema(required = true)]
    late_result: Option<LateView>,
}

/// Where a part's serial number comes from.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SerialOrigin)]
pub(super) enum OriginWord {
    /// The source: the PLC's call, a folder's file name as a whole.
    Source,
    /// The file's name, by a pattern.
    Name,
    /// A code in the picture.
    Code,
    /// Sent over the API.
    Api,
    /// Counted by the line.
    Counted,
}

impl From<Origin> for OriginWord {
    fn from(origin: Origin) -> OriginWord {
        match origin {
            Origin::Source => OriginWord::Source,
            Origin::Name => OriginWord::Name,
            Origin::Code => OriginWord::Code,
            Origin::Api => OriginWord::Api,
            Origin::Counted => OriginWord::Counted,
        }
    }
}

/// How a part came by its serial number, or why it has none.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Identity)]
struct IdentityView {
    from: OriginWord,
    state: IdentityWord,
    /// Why there is none, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Kind of the code that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    /// The newest part before it that had the same serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    repeats: Option<u64>,
    /// Serial numbers that were left out before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<MissingView>,
}

/// Whether a part has a serial number.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = IdentityState)]
enum IdentityWord {
    Read,
    Unread,
}

/// Serial numbers that were left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MissingSerials)]
struct MissingView {
    /// How many parts that means: numbers left out, less the parts between that had no serial number.
    count: u64,
    #[schema(value_type = String)]
    first: Arc<str>,
    #[schema(value_type = String)]
    last: Arc<str>,
}

impl From<Identity> for IdentityView {
    fn from(identity: Identity) -> IdentityView {
        IdentityView {
            from: identity.from.into(),
            state: match identity.state {
                IdentityState::Read => IdentityWord::Read,
                IdentityState::Unread => IdentityWord::Unread,
            },
            detail: identity.detail,
            format: identity.format.map(|format| format.word()),
            repeats: identity.repeats,
            missing: identity.missing.map(|MissingSerials { count, first, last }| MissingView { count, first, last }),
        }
    }
}

/// How a picture was taken.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImageHealth)]
struct ImageView {
    /// Mean grey level, 0 to 255.
    brightness: f32,
    /// Standard deviation of the grey levels.
    contrast: f32,
    /// Variance of the Laplacian; not measured on every part.
    #[schema(required = true)]
    sharpness: Option<f32>,
}

impl From<ImageHealth> for ImageView {
    fn from(ImageHealth { brightness, contrast, sharpness }: ImageHealth) -> ImageView {
        ImageView { brightness, contrast, sharpness }
    }
}

/// Why a part was sent through that is no production.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Check)]
struct CheckView {
    purpose: PurposeWord,
    /// Number of the run or study; 0: outside of one, known by its serial number.
    run: u64,
    /// Its place in it, from 1.
    sample: u32,
    /// How often it was seen in it, this time included.
    repeat: u32,
    /// What it is known to be.
    #[schema(required = true)]
    known: Option<KnownWord>,
    /// Whether the line judged it so.
    #[schema(required = true)]
    right: Option<bool>,
}

/// Why a part was sent through that is no production.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CheckPurpose)]
enum PurposeWord {
    GoldenSample,
    Gauge,
    SetUp,
}

/// What a part is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Known)]
pub(super) enum KnownWord {
    Good,
    Bad,
}

impl From<CheckMark> for CheckView {
    fn from(CheckMark { purpose, run, sample, repeat, known, right }: CheckMark) -> CheckView {
        let purpose = match purpose {
            Purpose::GoldenSample => PurposeWord::GoldenSample,
            Purpose::Gauge => PurposeWord::Gauge,
            Purpose::SetUp => PurposeWord::SetUp,
        };
        CheckView { purpose, run, sample, repeat, known: known.map(Into::into), right }
    }
}

/// A label with its score.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LabelScore)]
pub(super) struct ScoreView {
    #[schema(value_type = String)]
    label: Arc<str>,
    /// Probability, 0 to 1.
    score: f32,
}

/// What a region of the picture says.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Region)]
struct RegionView {
    /// Its name in the recipe.
    #[schema(value_type = String)]
    region: Arc<str>,
    verdict: VerdictWord,
    /// The label that rests on.
    #[schema(required = true, value_type = Option<String>)]
    label: Option<Arc<str>>,
    /// That label's probability; none where another head than the classifier named it.
    #[schema(required = true)]
    score: Option<f32>,
    /// The pixels that it rests on: left, top, width, height.
    tile: [u32; 4],
    /// SHA-256 of the graph of its model, hexadecimal.
    #[schema(value_type = String)]
    model: Arc<str>,
    /// What each view weighed, the heaviest first, where its model sees several together; empty where it sees one picture.
    weights: Vec<WeightView>,
}

/// What a view weighed in a decision by several.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ViewWeight)]
struct WeightView {
    /// Its name.
    #[schema(value_type = String)]
    view: Arc<str>,
    /// 0 to 1; those of all views add up to 1. None: its picture did not come.
    #[schema(required = true)]
    weight: Option<f32>,
}

/// One camera's picture in the picture of several.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CameraView)]
struct PlaceView {
    /// What the camera sees, as the configuration has it.
    #[schema(value_type = String)]
    name: Arc<str>,
    /// Its pixels: left, top, width, height.
    area: [u32; 4],
}

/// A heat map.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Heat)]
struct HeatView {
    #[schema(value_type = String)]
    label: Arc<str>,
    /// Cells across.
    width: u16,
    /// Cells down.
    height: u16,
    /// Base64 of one byte a cell, row-major: the label's probability there, 0 to 255.
    cells: String,
}

/// How a prepared picture lies in the captured one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pose)]
struct PoseView {
    /// From pixels of the prepared picture to those of the captured one, counted from the upper left corner:
    /// `x' = m[0] x + m[1] y + m[2]`, `y' = m[3] x + m[4] y + m[5]`.
    to_captured: [f64; 6],
    /// Width and height of the prepared picture.
    size: [u32; 2],
    /// Width and height of the captured one.
    captured: [u32; 2],
    /// How clearly the part was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    /// Millimetres that a pixel is long on the plane where parts lie, with a calibrated camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    mm_per_pixel: Option<f64>,
}

/// Where the time went, in microseconds since the trigger.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ledger)]
struct LedgerView {
    /// Trigger to verdict.
    total_us: u32,
    marks: Vec<MarkView>,
}

/// One stage's work on the part.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mark)]
struct MarkView {
    stage: String,
    entered_us: u32,
    left_us: u32,
}

/// What a simulated part really is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Truth)]
struct TruthView {
    #[schema(value_type = String)]
    label: Arc<str>,
    defects: Vec<DefectView>,
    /// The picture was spoilt on purpose.
    bad_frame: bool,
}

/// A simulated defect.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TrueDefect)]
struct DefectView {
    #[schema(value_type = String)]
    label: Arc<str>,
    /// Contrast-to-noise ratio.
    cnr: f32,
    /// Pixels: left, top, width, height.
    bbox: [f32; 4],
}

/// A result that came after its part's verdict.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LateResult)]
struct LateView {
    /// What the line would have said.
    verdict: VerdictWord,
    #[schema(required = true, value_type = Option<String>)]
    label: Option<Arc<str>>,
    /// Microseconds since the trigger.
    after_us: u32,
}

impl InspectionView {
    /// `store` knows whether there is a picture.
    pub(super) fn of(stored: Stored, store: &Store) -> InspectionView {
        let has_image = store.has_picture(&stored.inspection);
        let picture_let_go = !has_image && store.has_let_go(&stored.inspection);
        // The newest records are shared with the store and cloned here; older ones are ours alone.
        let inspection = Arc::unwrap_or_clone(stored.inspection);
        let (verdict, cause) = VerdictWord::split(inspection.verdict);
        InspectionView {
            id: inspection.id,
            line: inspection.line,
            camera: inspection.camera,
            serial: inspection.serial,
            lot: inspection.lot,
            identity: inspection.identity.map(IdentityView::from),
            call: inspection.call,
            origin: inspection.origin,
            triggered_at: inspection.triggered_at,
            verdict,
            cause,
            detail: inspection.detail,
            label: inspection.label,
            found: inspection.found.into_iter().map(ScoreView::from).collect(),
            scores: inspection.scores.into_iter().map(ScoreView::from).collect(),
            heat: inspection.heat.map(HeatView::from),
            regions: inspection.regions.into_iter().map(RegionView::from).collect(),
            views: inspection.views.iter().map(PlaceView::from).collect(),
            recipe: inspection.recipe,
            model: inspection.model,
            provider: inspection.provider.map(ProviderWord::from),
            ledger: inspection.ledger.into(),
            pose: inspection.pose.map(PoseView::from),
            has_image,
            picture_let_go,
            conditions: inspection.conditions,
            truth: inspection.truth.map(TruthView::from),
            check: inspection.check.map(CheckView::from),
            image: inspection.image.map(ImageView::from),
            late_result: stored.late.map(|late| LateView {
                verdict: VerdictWord::split(late.verdict).0,
                label: late.label.clone(),
                after_us: late.after_us,
            }),
        }
    }
}

impl From<RegionSays> for RegionView {
    fn from(RegionSays { region, verdict, label, score, tile, model, weights }: RegionSays) -> RegionView {
        let weights = weights.into_iter().map(|ViewWeight { view, weight }| WeightView { view, weight }).collect();
        RegionView { region, verdict: VerdictWord::split(verdict).0, label, score, tile, model, weights }
    }
}

impl From<&View> for PlaceView {
    fn from(View { name, area }: &View) -> PlaceView {
        PlaceView { name: name.clone(), area: [area.x, area.y, area.width, area.height] }
    }
}

impl From<&LabelScore> for ScoreView {
    fn from(score: &LabelScore) -> ScoreView {
        score.clone().into()
    }
}

impl From<LabelScore> for ScoreView {
    fn from(LabelScore { label, score }: LabelScore) -> ScoreView {
        ScoreView { label, score }
    }
}

impl From<KeptHeat> for HeatView {
    fn from(KeptHeat { label, width, height, cells }: KeptHeat) -> HeatView {
        HeatView { label, width, height, cells: STANDARD.encode(cells) }
    }
}

impl From<Pose> for PoseView {
    fn from(Pose { to_captured, size, captured, score, mm_per_pixel }: Pose) -> PoseView {
        PoseView { to_captured, size, captured, score, mm_per_pixel }
    }
}

impl From<Ledger> for LedgerView {
    fn from(ledger: Ledger) -> LedgerView {
        let marks = ledger.marks.into_iter().map(|mark| MarkView {
            stage: mark.stage.into_owned(),
            entered_us: mark.entered_us,
            left_us: mark.left_us,
        });
        LedgerView { total_us: ledger.total_us, marks: marks.collect() }
    }
}

impl From<Truth> for TruthView {
    fn from(truth: Truth) -> TruthView {
        let defects = truth.defects.into_iter();
        let defects = defects.map(|defect| DefectView { label: defect.label, cnr: defect.cnr, bbox: defect.bbox });
        TruthView { label: truth.label, defects: defects.collect(), bad_frame: truth.bad_frame }
    }
}
