//! What readers may ask for.

use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use stages::inspection::{Inspection, LabelScore};
use stages::verdict::{Cause, Verdict};

use super::entry::LateRecord;
use super::purpose::PurposeKind;

/// A kept inspection with what came later.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The record.
    pub inspection: Arc<Inspection>,
    /// The result that came after the verdict, if one did.
    pub late: Option<Arc<LateRecord>>,
}

/// A verdict without its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VerdictKind {
    /// Good.
    Pass,
    /// Bad.
    Fail,
    /// For a person.
    Review,
    /// No answer.
    NoDecision,
}

impl From<Verdict> for VerdictKind {
    fn from(verdict: Verdict) -> VerdictKind {
        match verdict {
            Verdict::Pass => VerdictKind::Pass,
            Verdict::Fail => VerdictKind::Fail,
            Verdict::Review => VerdictKind::Review,
            Verdict::NoDecision(_) => VerdictKind::NoDecision,
        }
    }
}

impl VerdictKind {
    /// As in the API: `pass`, `fail`, `review`, `no_decision`.
    pub fn name(self) -> &'static str {
        match self {
            VerdictKind::Pass => "pass",
            VerdictKind::Fail => "fail",
            VerdictKind::Review => "review",
            VerdictKind::NoDecision => "no_decision",
        }
    }
}

impl FromStr for VerdictKind {
    type Err = String;
    fn from_str(text: &str) -> Result<VerdictKind, String> {
        [VerdictKind::Pass, VerdictKind::Fail, VerdictKind::Review, VerdictKind::NoDecision]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| format!("unknown verdict `{text}`: use pass, fail, review or no_decision"))
    }
}

/// A verdict and the cause of no decision, as in the API and in JSON; no cause: empty.
pub fn verdict_words(verdict: Verdict) -> (&'static str, &'static str) {
    let cause = match verdict {
        Verdict::NoDecision(cause) => cause_word(cause),
        _ => "",
    };
    (VerdictKind::from(verdict).name(), cause)
}

fn cause_word(cause: Cause) -> &'static str {
    match cause {
        Cause::Late => "late",
        Cause::Overload => "overload",
        Cause::NoFrame => "no_frame",
        Cause::Truncated => "truncated",
        Cause::Unreadable => "unreadable",
        Cause::WrongSize => "wrong_size",
        Cause::Blank => "blank",
        Cause::Saturated => "saturated",
        Cause::OutOfFocus => "out_of_focus",
        Cause::LightChanged => "light_changed",
        Cause::NotAligned => "not_aligned",
        Cause::StageFailed => "stage_failed",
        Cause::SafeHold => "safe_hold",
        Cause::Restart => "restart",
    }
}

/// Which inspections to return. Every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Triggered at or after this.
    pub from: Option<Timestamp>,
    /// Triggered before this.
    pub to: Option<Timestamp>,
    /// This verdict.
    pub verdict: Option<VerdictKind>,
    /// Sent through for this.
    pub purpose: Option<PurposeKind>,
    /// The label the verdict rests on, or one of those found.
    pub label: Option<String>,
    /// Exactly this serial number.
    pub serial: Option<String>,
    /// Exactly this lot.
    pub lot: Option<String>,
    /// This recipe: `name@version`, or the name for all its versions.
    pub recipe: Option<String>,
    /// The model whose digest begins so.
    pub model: Option<String>,
    /// This source.
    pub camera: Option<String>,
    /// The region that the verdict rests on.
    pub region: Option<String>,
    /// Lowest and highest score: of `label`, else of the label that the verdict rests on. A part without one is not in any range.
    pub score: (Option<f32>, Option<f32>),
    /// Ids below this: the cursor of the page before.
    pub before_id: Option<u64>,
    /// Ids above this.
    pub after_id: Option<u64>,
    /// How many at most; 1 to [`Filter::MAX_LIMIT`], anything else is taken as the nearest of these.
    pub limit: usize,
}

impl Filter {
    /// The longest page.
    pub const MAX_LIMIT: usize = 1000;

    /// Whether `inspection` is asked for, paging apart.
    pub fn matches(&self, inspection: &Inspection) -> bool {
        let label = |wanted: &String| {
            inspection.label.as_deref() == Some(wanted) || inspection.found.iter().any(|f| *f.label == **wanted)
        };
        self.from.is_none_or(|from| inspection.triggered_at >= from)
            && self.to.is_none_or(|to| inspection.triggered_at < to)
            && self.verdict.is_none_or(|verdict| verdict == inspection.verdict.into())
            && self.purpose.is_none_or(|purpose| purpose == PurposeKind::of(inspection))
            && self.label.as_ref().is_none_or(label)
            && self.serial.as_ref().is_none_or(|serial| inspection.serial.as_deref() == Some(serial))
            && self.lot.as_ref().is_none_or(|lot| inspection.lot.as_deref() == Some(lot))
            && self.recipe.as_ref().is_none_or(|recipe| is_recipe(&inspection.recipe, recipe))
            && self.model.as_ref().is_none_or(|model| is_model(&inspection.model, model))
            && self.camera.as_ref().is_none_or(|camera| *inspection.camera == **camera)
            && self
                .region
                .as_ref()
                .is_none_or(|region| inspection.regions.first().is_some_and(|first| *first.region == **region))
            && self.has_score(inspection)
            && self.after_id.is_none_or(|after| inspection.id > after)
    }

    fn has_score(&self, inspection: &Inspection) -> bool {
        let (low, high) = self.score;
        if low.is_none() && high.is_none() {
            return true;
        }
        let label = self.label.as_deref().or(inspection.label.as_deref());
        let score = label.and_then(|label| score_of(inspection, label));
        score.is_some_and(|score| score >= low.unwrap_or(0.0) && score <= high.unwrap_or(1.0))
    }
}

/// The score that a part has for a label: by the classifier, else by whatever found it, else by its region.
pub(super) fn score_of(part: &Inspection, label: &str) -> Option<f32> {
    let named = |scores: &[LabelScore]| scores.iter().find(|it| *it.label == *label).map(|it| it.score);
    let region = || part.regions.iter().find(|it| it.label.as_deref() == Some(label)).and_then(|it| it.score);
    named(&part.scores).or_else(|| named(&part.found)).or_else(region)
}

/// Whether a recipe's `name@version` is the one asked for, by that or by its name.
pub fn is_recipe(tag: &str, asked: &str) -> bool {
    tag == asked || tag.rsplit_once('@').is_some_and(|(name, _)| name == asked)
}

/// Whether a model's digest begins as asked.
pub fn is_model(digest: &str, asked: &str) -> bool {
    digest.starts_with(asked)
}

/// One page, newest first.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The inspections.
    pub items: Vec<Stored>,
    /// `before_id` of the next page; none when there is nothing more. A page may be short, even empty, and yet have a next:
    /// a rare match in a long record is looked for in bounded steps.
    pub next: Option<u64>,
    /// The index is being built, or is off (then both numbers are 0): older inspections may be missing from the page.
    pub rebuilding: Option<Progress>,
    /// Records that the index names and that cannot be read back; each is logged.
    pub unreadable: usize,
}

/// How far the index has come, in bytes of the journal. Both grow while the line runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Read so far.
    pub done_bytes: u64,
    /// To be read.
    pub total_bytes: u64,
}
