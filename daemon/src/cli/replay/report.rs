//! What a replay found: every number that `--json` gives. The worker makes it, the parent prints it.
//!
//! Each part of the range is in exactly one of the numbers of [`Parts`], so that none is left out silently.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stages::inspection::{Inspection, LabelScore};
use stages::stage::Decision;
use stages::verdict::Verdict;

use super::super::records;

/// Grows when a field changes its meaning. New fields may come without that.
const FORMAT: u32 = 1;

/// Everything that is known after a replay. This is the object that `--json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    format: u32,
    /// Which parts were asked for.
    pub(super) range: Asked,
    /// What they were decided anew with.
    pub(super) tried: Tried,
    /// How many.
    pub(super) parts: Parts,
    /// The recipes that were in force, and what is known of them.
    pub(super) recipes: Vec<RecipeUsed>,
    /// Recorded verdict and new one, of every part that was decided anew.
    pub(super) verdicts: Vec<Cell>,
    /// The kinds of change, the most frequent first.
    pub(super) changes: Vec<Change>,
    /// Every part whose verdict changes, oldest first.
    pub(super) changed: Vec<Changed>,
    /// Parts whose record names a picture that is not there any more.
    pub(super) missing: Vec<Unseen>,
    /// Parts whose picture cannot be read.
    pub(super) unreadable: Vec<Unseen>,
    /// Parts that cannot be decided anew for another reason, by reason.
    pub(super) undecidable: Vec<Undecidable>,
    /// What has to be known to read the rest rightly, in words.
    pub(super) notes: Vec<String>,
    /// Bytes of the journal that are no records.
    pub(super) damaged_bytes: u64,
}

/// Which parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) serial: Option<String>,
    pub(super) label: Option<String>,
    pub(super) verdict: Option<String>,
    pub(super) limit: Option<u64>,
}

/// From what a part is decided anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Basis {
    /// The scores on record.
    Scores,
    /// The pictures that were kept.
    Pictures,
}

/// What is tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tried {
    pub(super) from: Basis,
    /// Name and digest of another model.
    pub(super) model: Option<ModelName>,
    /// Thresholds given on the command line.
    pub(super) thresholds: BTreeMap<String, f32>,
    /// Another recipe for all parts, as `name@version`.
    pub(super) recipe: Option<String>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ModelName {
    pub(super) name: String,
    pub(super) digest: String,
}

/// Each part asked for is in exactly one of the lower numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parts {
    /// Asked for: all that follow together, but `changed`, `unchanged`, `other_label` and `not_reproduced`, which are of `decided`.
    pub(super) asked_for: u64,
    /// Not looked at, because of `--limit`.
    pub(super) beyond_limit: u64,
    /// Decided anew: `changed` and `unchanged`.
    pub(super) decided: u64,
    pub(super) changed: u64,
    pub(super) unchanged: u64,
    /// Of the unchanged: same verdict, another label.
    pub(super) other_label: u64,
    /// Of the decided: the recorded verdict does not follow from the recipe that is taken for that of its time.
    pub(super) not_reproduced: u64,
    /// No picture was kept.
    pub(super) without_picture: u64,
    /// A picture was kept and is gone.
    pub(super) missing: u64,
    /// The picture cannot be read.
    pub(super) unreadable: u64,
    /// No scores on record: nobody judged the part.
    pub(super) without_scores: u64,
    /// See [`Report::undecidable`].
    pub(super) undecidable: u64,
}

/// Where what is known of a recipe comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    /// A recipe file of exactly this name and version.
    File,
    /// The audit trail, which notes the thresholds at every reload.
    Trail,
    /// Unknown: the recipe that was given is taken for it.
    Given,
    /// Unknown: the recipe that the configuration names today is taken for it.
    Configured,
    /// Unknown: the model's own thresholds are taken.
    Model,
}

impl Source {
    /// Whether this is what was in force.
    pub(super) fn is_known(self) -> bool {
        matches!(self, Source::File | Source::Trail)
    }
}

/// A recipe that parts were inspected with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RecipeUsed {
    /// As on record, `name@version`.
    pub(super) recipe: String,
    pub(super) parts: u64,
    pub(super) source: Source,
    /// What was taken for it.
    pub(super) taken: String,
}

/// A verdict and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) verdict: String,
    /// Why there is no decision.
    pub(super) cause: Option<String>,
    /// None where there is none, or where the stored scores do not tell which of several.
    pub(super) label: Option<String>,
}

impl Said {
    pub(super) fn new(verdict: Verdict, label: Option<&str>) -> Said {
        let (verdict, cause) = records::words(verdict);
        Said {
            verdict: verdict.into(),
            cause: (!cause.is_empty()).then(|| cause.into()),
            label: label.map(str::to_owned),
        }
    }
}

/// Parts of one verdict before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cell {
    pub(super) before: String,
    pub(super) after: String,
    pub(super) parts: u64,
}

/// A part by what people know it by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Which {
    pub(super) id: u64,
    pub(super) at: Timestamp,
    pub(super) serial: Option<String>,
}

impl Which {
    pub(super) fn of(part: &Inspection) -> Which {
        Which { id: part.id, at: part.triggered_at, serial: part.serial.as_deref().map(str::to_owned) }
    }
}

/// All parts that change in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) before: String,
    pub(super) after: String,
    pub(super) parts: u64,
    pub(super) first: Which,
    pub(super) last: Which,
    /// Each once, in the order of their first part.
    pub(super) serials: Vec<String>,
    /// Parts that have none.
    pub(super) without_serial: u64,
}

/// A part whose verdict changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Changed {
    #[serde(flatten)]
    pub(super) part: Which,
    pub(super) before: Said,
    pub(super) after: Said,
    /// The highest score under what was tried.
    pub(super) top: Option<LabelScore>,
}

/// A part that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unseen {
    #[serde(flatten)]
    pub(super) part: Which,
    pub(super) verdict: String,
    /// Below the evidence folder.
    pub(super) picture: String,
    pub(super) reason: String,
}

/// Parts that cannot be decided anew for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Undecidable {
    /// With the way out.
    pub(super) reason: String,
    pub(super) parts: u64,
    pub(super) first: Which,
    pub(super) last: Which,
}

/// What became of one part.
pub(super) enum Fate {
    /// It was decided anew.
    Decided {
        after: Said,
        top: Option<LabelScore>,
        /// Whether the recorded verdict follows from the recipe of its time; `None`: not looked at.
        reproduced: Option<bool>,
    },
    WithoutPicture,
    Missing(String),
    Unreadable(String),
    WithoutScores,
    Undecidable(String),
}

impl Fate {
    pub(super) fn decided(decision: &Decision) -> Fate {
        Fate::Decided {
            after: Said::new(decision.verdict, decision.label.as_deref()),
            top: top(&decision.scores),
            reproduced: None,
        }
    }
}

/// The highest score.
pub(super) fn top(scores: &[LabelScore]) -> Option<LabelScore> {
    scores.iter().max_by(|a, b| a.score.total_cmp(&b.score)).cloned()
}

impl Report {
    pub(super) fn new(range: Asked, tried: Tried) -> Report {
        Report {
            format: FORMAT,
            range,
            tried,
            parts: Parts::default(),
            recipes: Vec::new(),
            verdicts: Vec::new(),
            changes: Vec::new(),
            changed: Vec::new(),
            missing: Vec::new(),
            unreadable: Vec::new(),
            undecidable: Vec::new(),
            notes: Vec::new(),
            damaged_bytes: 0,
        }
    }

    /// Counts a part.
    pub(super) fn count(&mut self, part: &Inspection, fate: Fate) {
        let parts = &mut self.parts;
        let before = Said::new(part.verdict, part.label.as_deref());
        let unseen = |reason: String| Unseen {
            part: Which::of(part),
            verdict: before.verdict.clone(),
            picture: part.evidence.clone().unwrap_or_default(),
            reason,
        };
        match fate {
            Fate::Decided { after, top, reproduced } => {
                parts.decided += 1;
                parts.not_reproduced += u64::from(reproduced == Some(false));
                self.cell(&before.verdict, &after.verdict);
                if before.verdict == after.verdict {
                    self.parts.unchanged += 1;
                    self.parts.other_label += u64::from(after.label.is_some() && before.label != after.label);
                } else {
                    self.parts.changed += 1;
                    self.changed.push(Changed { part: Which::of(part), before, after, top });
                }
            }
            Fate::WithoutPicture => parts.without_picture += 1,
            Fate::WithoutScores => parts.without_scores += 1,
            Fate::Missing(reason) => {
                parts.missing += 1;
                self.missing.push(unseen(reason));
            }
            Fate::Unreadable(reason) => {
                parts.unreadable += 1;
                self.unreadable.push(unseen(reason));
            }
            Fate::Undecidable(reason) => {
                parts.undecidable += 1;
                self.cannot(part, reason);
            }
        }
    }

    fn cell(&mut self, before: &str, after: &str) {
        match self.verdicts.iter_mut().find(|cell| cell.before == before && cell.after == after) {
            Some(cell) => cell.parts += 1,
            None => self.verdicts.push(Cell { before: before.into(), after: after.into(), parts: 1 }),
        }
    }

    fn cannot(&mut self, part: &Inspection, reason: String) {
        let which = Which::of(part);
        match self.undecidable.iter_mut().find(|group| group.reason == reason) {
            Some(group) => {
                group.parts += 1;
                if which.at < group.first.at {
                    group.first = which;
                } else if which.at >= group.last.at {
                    group.last = which;
                }
            }
            None => self.undecidable.push(Undecidable { reason, parts: 1, first: which.clone(), last: which }),
        }
    }

    /// Puts everything in its order; to be called once, at the end.
    pub(super) fn finish(&mut self) {
        // The order of writing is that of the triggers, unless somebody set the clock.
        self.changed.sort_by_key(|changed| (changed.part.at, changed.part.id));
        self.verdicts.sort_by_key(|cell| (rank(&cell.before), rank(&cell.after)));
        let mut changes: Vec<Change> = Vec::new();
        for Changed { part, before, after, .. } in &self.changed {
            let at = changes.iter().position(|it| it.before == before.verdict && it.after == after.verdict);
            let at = at.unwrap_or_else(|| {
                changes.push(Change {
                    before: before.verdict.clone(),
                    after: after.verdict.clone(),
                    parts: 0,
                    first: part.clone(),
                    last: part.clone(),
                    serials: Vec::new(),
                    without_serial: 0,
                });
                changes.len() - 1
            });
            let change = &mut changes[at];
            change.parts += 1;
            change.last = part.clone();
            match &part.serial {
                Some(serial) => change.serials.push(serial.clone()),
                None => change.without_serial += 1,
            }
        }
        for change in &mut changes {
            let mut seen = std::collections::HashSet::new();
            change.serials.retain(|serial| seen.insert(serial.clone()));
        }
        changes.sort_by_key(|change| std::cmp::Reverse(change.parts));
        self.changes = changes;
    }
}

/// From good to bad.
fn rank(verdict: &str) -> usize {
    ["pass", "review", "fail"].iter().position(|it| *it == verdict).unwrap_or(3)
}
