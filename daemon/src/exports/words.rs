//! A record as a row of a table: one column a fact, the same in every form.

use stages::inspection::Inspection;

use crate::store::{PurposeKind, verdict_words};
use crate::words::harmless;

/// Columns.
const CELLS: usize = 17;

/// Their names. Added to at the end only: whoever reads columns by their places goes on reading.
pub(crate) const HEADING: [&str; CELLS] = [
    "id",
    "line",
    "camera",
    "serial",
    "lot",
    "triggered_at",
    "verdict",
    "cause",
    "label",
    "score",
    "recipe",
    "model",
    "provider",
    "latency_us",
    "evidence",
    "detail",
    "purpose",
];

/// A record in words. What comes from outside is made harmless for spreadsheets.
pub(crate) fn cells(part: &Inspection) -> [String; CELLS] {
    let (verdict, cause) = verdict_words(part.verdict);
    let foreign = |text: Option<&str>| harmless(text.unwrap_or_default());
    [
        part.id.to_string(),
        part.line.to_string(),
        part.camera.to_string(),
        foreign(part.serial.as_deref()),
        foreign(part.lot.as_deref()),
        part.triggered_at.to_string(),
        verdict.to_owned(),
        cause.to_owned(),
        foreign(part.label.as_deref()),
        score(part).map(|score| score.to_string()).unwrap_or_default(),
        part.recipe.to_string(),
        part.model.to_string(),
        part.provider.map(|it| it.to_string()).unwrap_or_default(),
        part.ledger.total_us.to_string(),
        part.evidence.clone().unwrap_or_default(),
        foreign(part.detail.as_deref()),
        PurposeKind::of(part).name().to_owned(),
    ]
}

/// The score of the label that the verdict rests on.
pub(super) fn score(part: &Inspection) -> Option<f32> {
    part.scores.iter().find(|it| Some(&it.label) == part.label.as_ref()).map(|it| it.score)
}
