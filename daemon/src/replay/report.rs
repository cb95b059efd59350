//! What a replay found: every number that `--json` and the API give. The worker makes it, the parent shows it.
//!
//! Each part of the range is in exactly one of the numbers of [`Parts`], so that none is left out silently.

use std::collections::BTreeMap;
use std::fmt::Display;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stages::inspection::{Inspection, LabelScore};
use stages::stage::Decision;
use stages::verdict::Verdict;
use utoipa::ToSchema;

use super::timeline::Timeline;
use crate::store::{self, Filter};

/// Grows when a field changes its meaning. New fields may come without that.
const FORMAT: u32 = 1;

/// Everything that is known after a replay. This is the object that `--json` prints and that the API lets download.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayReport)]
pub(crate) struct Report {
    format: u32,
    /// Which parts were asked for.
    pub(crate) range: Asked,
    /// What they were decided anew with.
    pub(crate) tried: Tried,
    /// How many.
    pub(crate) parts: Parts,
    /// The recipes that were in force, and what is known of them.
    pub(crate) recipes: Vec<RecipeUsed>,
    /// Recorded verdict and new one, of every part that was decided anew.
    pub(crate) verdicts: Vec<Cell>,
    /// The kinds of change, the most frequent first.
    pub(crate) changes: Vec<Change>,
    /// Every part whose verdict changes, oldest first.
    pub(crate) changed: Vec<Changed>,
    /// The verdicts that change, by time.
    pub(crate) timeline: Timeline,
    /// Parts whose record names a picture that is not there any more.
    pub(crate) missing: Vec<Unseen>,
    /// Parts whose picture cannot be read.
    pub(crate) unreadable: Vec<Unseen>,
    /// Parts that cannot be decided anew for another reason, by reason.
    pub(crate) undecidable: Vec<Undecidable>,
    /// What has to be known to read the rest rightly, in words.
    pub(crate) notes: Vec<String>,
    /// Bytes of the journal that are no records.
    pub(crate) damaged_bytes: u64,
}

/// Which parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayRange)]
pub(crate) struct Asked {
    #[schema(value_type = String, format = DateTime)]
    pub(crate) from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) to: Timestamp,
    #[schema(required = true)]
    pub(crate) serial: Option<String>,
    #[schema(required = true)]
    pub(crate) label: Option<String>,
    #[schema(required = true)]
    pub(crate) verdict: Option<String>,
    #[schema(required = true)]
    pub(crate) limit: Option<u64>,
}

impl Asked {
    /// As the records are asked.
    pub(crate) fn filter(&self) -> anyhow::Result<Filter> {
        let verdict = self.verdict.as_ref().map(|word| word.parse()).transpose().map_err(anyhow::Error::msg)?;
        Ok(Filter {
            from: Some(self.from),
            to: Some(self.to),
            verdict,
            label: self.label.clone(),
            serial: self.serial.clone(),
            ..Filter::default()
        })
    }
}

/// From what a part is decided anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReplayBasis)]
pub(crate) enum Basis {
    /// The scores on record.
    Scores,
    /// The pictures that were kept.
    Pictures,
}

/// What is tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayTried)]
pub(crate) struct Tried {
    pub(crate) from: Basis,
    /// Name and digest of another model.
    #[schema(required = true)]
    pub(crate) model: Option<ModelName>,
    /// Thresholds that were given.
    pub(crate) thresholds: BTreeMap<String, f32>,
    /// Another recipe for all parts, as `name@version`.
    #[schema(required = true)]
    pub(crate) recipe: Option<String>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayModel)]
pub(crate) struct ModelName {
    pub(crate) name: String,
    pub(crate) digest: String,
}

/// Each part asked for is in exactly one of the lower numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayParts)]
pub(crate) struct Parts {
    /// Asked for: all that follow together, but `changed`, `unchanged`, `other_label` and `not_reproduced`, which are of `decided`.
    pub(crate) asked_for: u64,
    /// Not looked at, because of `--limit`.
    pub(crate) beyond_limit: u64,
    /// Decided anew: `changed` and `unchanged`.
    pub(crate) decided: u64,
    pub(crate) changed: u64,
    pub(crate) unchanged: u64,
    /// Of the unchanged: same verdict, another label.
    pub(crate) other_label: u64,
    /// Of the decided: the recorded verdict does not follow from the recipe that is taken for that of its time.
    pub(crate) not_reproduced: u64,
    /// No picture was kept.
    pub(crate) without_picture: u64,
    /// A picture was kept and is gone.
    pub(crate) missing: u64,
    /// The picture cannot be read.
    pub(crate) unreadable: u64,
    /// No scores on record: nobody judged the part.
    pub(crate) without_scores: u64,
    /// See [`Report::undecidable`].
    pub(crate) undecidable: u64,
}

/// Where what is known of a recipe comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RecipeSource)]
pub(crate) enum Source {
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
    pub(crate) fn is_known(self) -> bool {
        matches!(self, Source::File | Source::Trail)
    }
}

/// A recipe that parts were inspected with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecipeUsed)]
pub(crate) struct RecipeUsed {
    /// As on record, `name@version`.
    pub(crate) recipe: String,
    pub(crate) parts: u64,
    pub(crate) source: Source,
    /// What was taken for it.
    pub(crate) taken: String,
}

/// A verdict and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplaySaid)]
pub(crate) struct Said {
    pub(crate) verdict: String,
    /// Why there is no decision.
    #[schema(required = true)]
    pub(crate) cause: Option<String>,
    /// None where there is none, or where the stored scores do not tell which of several.
    #[schema(required = true)]
    pub(crate) label: Option<String>,
}

impl Said {
    pub(crate) fn new(verdict: Verdict, label: Option<&str>) -> Said {
        let (verdict, cause) = store::verdict_words(verdict);
        Said {
            verdict: verdict.into(),
            cause: (!cause.is_empty()).then(|| cause.into()),
            label: label.map(str::to_owned),
        }
    }
}

/// Parts of one verdict before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayCell)]
pub(crate) struct Cell {
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) parts: u64,
}

/// A part by what people know it by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayPart)]
pub(crate) struct Which {
    pub(crate) id: u64,
    #[schema(value_type = String, format = DateTime)]
    pub(crate) at: Timestamp,
    #[schema(required = true)]
    pub(crate) serial: Option<String>,
}

impl Which {
    pub(crate) fn of(part: &Inspection) -> Which {
        Which { id: part.id, at: part.triggered_at, serial: part.serial.as_deref().map(str::to_owned) }
    }
}

/// All parts that change in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayChange)]
pub(crate) struct Change {
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) parts: u64,
    pub(crate) first: Which,
    pub(crate) last: Which,
    /// Each once, in the order of their first part.
    pub(crate) serials: Vec<String>,
    /// Parts that have none.
    pub(crate) without_serial: u64,
}

/// A label with its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayScore)]
pub(crate) struct Score {
    pub(crate) label: String,
    /// 0 to 1.
    pub(crate) score: f32,
}

/// A part whose verdict changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayChanged)]
pub(crate) struct Changed {
    #[serde(flatten)]
    pub(crate) part: Which,
    pub(crate) before: Said,
    pub(crate) after: Said,
    /// The highest score under what was tried.
    #[schema(required = true)]
    pub(crate) top: Option<Score>,
}

/// A part that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayUnseen)]
pub(crate) struct Unseen {
    #[serde(flatten)]
    pub(crate) part: Which,
    pub(crate) verdict: String,
    /// Below the evidence folder.
    pub(crate) picture: String,
    pub(crate) reason: String,
}

/// Parts that cannot be decided anew for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplayUndecidable)]
pub(crate) struct Undecidable {
    /// With the way out.
    pub(crate) reason: String,
    pub(crate) parts: u64,
    pub(crate) first: Which,
    pub(crate) last: Which,
}

/// What became of one part.
pub(crate) enum Fate {
    /// It was decided anew.
    Decided {
        after: Said,
        top: Option<Score>,
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
    pub(crate) fn decided(decision: &Decision) -> Fate {
        Fate::Decided {
            after: Said::new(decision.verdict, decision.label.as_deref()),
            top: top(&decision.scores),
            reproduced: None,
        }
    }
}

/// The highest score.
pub(crate) fn top(scores: &[LabelScore]) -> Option<Score> {
    let highest = scores.iter().max_by(|a, b| a.score.total_cmp(&b.score))?;
    Some(Score { label: highest.label.to_string(), score: highest.score })
}

/// As in `inspectd records list`.
pub(crate) fn time(at: Timestamp) -> impl Display {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

impl Report {
    pub(crate) fn new(range: Asked, tried: Tried) -> Report {
        Report {
            format: FORMAT,
            range,
            tried,
            parts: Parts::default(),
            recipes: Vec::new(),
            verdicts: Vec::new(),
            changes: Vec::new(),
            changed: Vec::new(),
            timeline: Timeline::default(),
            missing: Vec::new(),
            unreadable: Vec::new(),
            undecidable: Vec::new(),
            notes: Vec::new(),
            damaged_bytes: 0,
        }
    }

    /// Counts a part.
    pub(crate) fn count(&mut self, part: &Inspection, fate: Fate) {
        let at = part.triggered_at;
        self.timeline.count(at, &part.verdict, &fate);
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
    pub(crate) fn finish(&mut self) {
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
