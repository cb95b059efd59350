//! The record that links a part, its verdict, and everything that led to it.

use std::sync::Arc;

use jiff::Timestamp;
use models::runtime::Provider;
use serde::{Deserialize, Serialize};

use crate::check::CheckMark;
use crate::frame::View;
use crate::identify::Origin;
use crate::identify::code::Format;
use crate::ledger::Ledger;
use crate::prepare::Pose;
use crate::sample::Sample;
use crate::verdict::Verdict;

/// A label with its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelScore {
    /// The label's name.
    pub label: Arc<str>,
    /// Its probability, 0 to 1.
    pub score: f32,
}

/// A heat map small enough to keep: one byte a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptHeat {
    /// The label it shows.
    pub label: Arc<str>,
    /// Cells across.
    pub width: u16,
    /// Cells down.
    pub height: u16,
    /// Probability of the label at each cell, 0 to 255, row-major.
    #[serde(with = "serde_bytes_vec")]
    pub cells: Vec<u8>,
}

/// What a simulated part really is. Absent on a real line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// True label; `good` for a good part.
    pub label: Arc<str>,
    /// Every defect on the part with its contrast-to-noise ratio.
    pub defects: Vec<TrueDefect>,
    /// The picture was spoilt on purpose: the right answer is no decision.
    pub bad_frame: bool,
}

/// One simulated defect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrueDefect {
    /// Its label.
    pub label: Arc<str>,
    /// Contrast-to-noise ratio.
    pub cnr: f32,
    /// Box in pixels: left, top, width, height.
    pub bbox: [f32; 4],
}

/// How a picture was taken, as the quality gate measures it: what a camera's light and focus do to it over time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageHealth {
    /// Mean grey level, 0 to 255.
    pub brightness: f32,
    /// Standard deviation of the grey levels.
    pub contrast: f32,
    /// Variance of the Laplacian; measured on every part where the recipe has a limit for it, otherwise on some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharpness: Option<f32>,
}

/// What a region of the picture says of a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionSays {
    /// Its name in the recipe.
    pub region: Arc<str>,
    /// Its own verdict.
    pub verdict: Verdict,
    /// The label that rests on.
    pub label: Option<Arc<str>>,
    /// That label's score, 0 to 1; absent where another head than the classifier named it.
    pub score: Option<f32>,
    /// The pixels that it rests on: left, top, width, height.
    pub tile: [u32; 4],
    /// SHA-256 of the graph of its model.
    pub model: Arc<str>,
    /// What each view weighed, the heaviest first, where its model sees several together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<ViewWeight>,
}

/// What a view weighed in a decision by several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewWeight {
    /// The view's name.
    pub view: Arc<str>,
    /// Its weight, 0 to 1; those of all views add up to 1. Absent: its picture did not come.
    pub weight: Option<f32>,
}

/// How a part came by its serial number, or why it has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Where it comes from.
    pub from: Origin,
    /// Whether there is one.
    pub state: IdentityState,
    /// Whether it should be the next after the one before it.
    #[serde(default)]
    pub consecutive: bool,
    /// Why there is none, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Kind of the code that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// The newest part before it that had the same serial number. Filled by the recorder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<u64>,
    /// Serial numbers that were left out before it. Filled by the recorder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<MissingSerials>,
}

impl Identity {
    /// A serial number was read.
    pub fn read(from: Origin, consecutive: bool) -> Identity {
        let state = IdentityState::Read;
        Identity { from, state, consecutive, detail: None, format: None, repeats: None, missing: None }
    }

    /// There is none, for this reason.
    pub fn unread(from: Origin, consecutive: bool, detail: String) -> Identity {
        Identity { state: IdentityState::Unread, detail: Some(detail), ..Identity::read(from, consecutive) }
    }
}

/// Whether a part has a serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityState {
    /// It has one.
    Read,
    /// It has none.
    Unread,
}

/// Serial numbers that were left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingSerials {
    /// How many parts that means: numbers left out, less the parts between that had no serial number.
    pub count: u64,
    /// The first that was left out.
    pub first: Arc<str>,
    /// The last.
    pub last: Arc<str>,
}

/// Everything known of one inspected part. The journal keeps it as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// Part id: grows with every trigger, never used twice.
    pub id: u64,
    /// The line's name.
    pub line: Arc<str>,
    /// The source's name.
    pub camera: Arc<str>,
    /// Serial number, where one is known.
    pub serial: Option<Arc<str>>,
    /// The lot that its serial number names, where the recipe says how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<Arc<str>>,
    /// How it came by its serial number, where the recipe says how it should, or where something is to be said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The call that it answers, where parts are called for by a PLC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<u32>,
    /// File or stream position the picture came from.
    pub origin: Option<Arc<str>>,
    /// Wall-clock time of the trigger.
    pub triggered_at: Timestamp,
    /// The answer.
    pub verdict: Verdict,
    /// In words: the thing, the reason. Always there for `NoDecision`.
    pub detail: Option<String>,
    /// The label the verdict rests on.
    pub label: Option<Arc<str>>,
    /// Every label over its threshold, worst first.
    pub found: Vec<LabelScore>,
    /// Every label's score, in the model's order.
    pub scores: Vec<LabelScore>,
    /// Heat map of `label`, over the whole picture.
    pub heat: Option<KeptHeat>,
    /// What each region says, the worst first: the verdict, its label, the scores and the heat map are that one's. None where the model
    /// sees the whole picture at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<RegionSays>,
    /// Where each camera's picture lies in the picture of several; none where there is one camera, or no picture.
    #[serde(default = "no_views", skip_serializing_if = "is_one")]
    pub views: Arc<[View]>,
    /// Recipe name and version, as `name@version`.
    pub recipe: Arc<str>,
    /// SHA-256 of the model's graph.
    pub model: Arc<str>,
    /// Provider that computed the scores.
    pub provider: Option<Provider>,
    /// Where the time went.
    pub ledger: Ledger,
    /// Path of the evidence image below the evidence folder, once it is to be written.
    pub evidence: Option<String>,
    /// What the part really is, when simulated.
    pub truth: Option<Truth>,
    /// How the picture was taken; absent where there was none to measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageHealth>,
    /// How the picture that the model saw lies in the captured one; absent where they are the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pose: Option<Pose>,
    /// Whether a person should look, and why.
    #[serde(default, skip_serializing_if = "Sample::is_empty")]
    pub sample: Sample,
    /// What was wrong with the machine meanwhile: names of alerts. Filled by the recorder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Arc<str>>,
    /// It was sent through to check the line: it is no production.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckMark>,
}

fn no_views() -> Arc<[View]> {
    Arc::default()
}

fn is_one(views: &Arc<[View]>) -> bool {
    views.is_empty()
}

mod serde_bytes_vec {
    //! Bytes as bytes, not as a list of numbers.
    use serde::{Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl<'de> de::Visitor<'de> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: de::Error>(self, v: &[u8]) -> Result<Vec<u8>, E> {
                Ok(v.to_vec())
            }
            fn visit_byte_buf<E: de::Error>(self, v: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(v)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
                let mut out = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    out.push(byte);
                }
                Ok(out)
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}
