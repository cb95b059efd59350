//! The gate of a promotion: whether a candidate model may take the champion's place, judged on the same labelled parts.
//!
//! [`judge`] takes what both models said of each part and gives a [`Judgement`]: figures, the parts that flip, and sentences for the
//! person who decides. Pure: no file, no clock, no network. docs/GATE.md says what it promises and what not.
//!
//! One file a thing: [`paired`] (the exact tests), [`missing`] (how many more parts it takes), [`power`] (how many to plan
//! with), `compare` (counting and judging a set),
//! `shadow` (parts without truth), `flips`, `words`.

mod compare;
mod flips;
pub mod missing;
pub mod paired;
pub mod power;
mod shadow;
mod terms;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use models::bundle::Disposition;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use compare::{ClassJudgement, Comparison, SetJudgement};
pub use flips::{Flip, FlipKind};
pub use shadow::Shadow;
pub use terms::Terms;

/// Where a part comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Set {
    /// The parts that are kept for measuring and never learned from.
    Golden,
    /// The newest labelled parts.
    Newest,
    /// Parts of the running line that nobody labelled.
    Shadow,
}

impl Set {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Set::Golden => "golden",
            Set::Newest => "newest",
            Set::Shadow => "shadow",
        }
    }
}

/// What a part is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// Its class.
    pub label: String,
    /// Whether such a part should pass.
    pub good: bool,
}

/// What a model said of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// What the line would do.
    pub verdict: Disposition,
    /// The class it was taken for.
    pub label: String,
}

/// A part, and what both models said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Where it comes from.
    pub set: Set,
    /// Names the part: once in a set; the same part in two sets is counted once where they are taken together.
    pub key: String,
    /// What it is. The shadow set is judged without, even where it is known.
    pub truth: Option<Truth>,
    /// What the champion said.
    pub champion: Said,
    /// What the candidate said.
    pub candidate: Said,
}

/// Why nothing was judged.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum GateError {
    /// A part is there twice.
    #[error("part `{key}` is there twice in the {set} set; each may count once: leave one out")]
    Twice {
        /// The part.
        key: String,
        /// The set's name.
        set: &'static str,
    },
    /// A part of two sets is not the same in both.
    #[error(
        "part `{key}` is in the golden and in the newest set with another truth or other verdicts; measure both sets anew"
    )]
    Differs {
        /// The part.
        key: String,
    },
    /// A part that should be labelled is not.
    #[error("part `{key}` of the {set} set has no label; only shadow parts may lack one: label it or leave it out")]
    Unlabelled {
        /// The part.
        key: String,
        /// The set's name.
        set: &'static str,
    },
    /// Terms that cannot be.
    #[error("{name} is {value}, and must be {range}")]
    Terms {
        /// The term.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
}

/// Whether the candidate may take the champion's place, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Whether it may.
    pub passed: bool,
    /// The golden and the newest set, where they have parts, and both together, named `pooled`.
    pub sets: Vec<SetJudgement>,
    /// The parts without truth, where there are any.
    pub shadow: Option<Shadow>,
    /// Labelled parts whose verdict changes, the worst first; so many as the terms say.
    pub flips: Vec<Flip>,
    /// All of them.
    pub flips_total: usize,
    /// What it comes to, in sentences.
    pub words: Vec<String>,
}

/// Judges a candidate. The order of the parts does not matter.
///
/// # Errors
/// [`GateError`]: a part is there twice, has no label, or the terms cannot be.
pub fn judge(outcomes: &[Outcome], terms: &Terms) -> Result<Judgement, GateError> {
    terms.check()?;
    refuse(outcomes)?;
    let of = |set: Set| -> Vec<&Outcome> { outcomes.iter().filter(|part| part.set == set).collect() };
    let pooled = pool(outcomes)?;
    let mut sets: Vec<SetJudgement> = [Set::Golden, Set::Newest]
        .into_iter()
        .map(|set| (set.name(), of(set)))
        .filter(|(_, parts)| !parts.is_empty())
        .map(|(name, parts)| compare::judge_set(name, &parts, terms))
        .collect();
    sets.push(compare::judge_set(compare::POOLED, &pooled, terms));
    let shadow = shadow::watch(&of(Set::Shadow), terms);
    let passed = sets.iter().all(SetJudgement::allows) && !shadow.is_some_and(|shadow| shadow.blocks());
    let (flips, flips_total) = flips::list(&pooled, terms.flips);
    let words = words::all(passed, &sets, shadow.as_ref(), terms);
    Ok(Judgement { passed, sets, shadow, flips, flips_total, words })
}

fn refuse(outcomes: &[Outcome]) -> Result<(), GateError> {
    let mut seen = BTreeSet::new();
    for Outcome { set, key, truth, .. } in outcomes {
        if !seen.insert((*set, key)) {
            return Err(GateError::Twice { key: key.clone(), set: set.name() });
        }
        if truth.is_none() && *set != Set::Shadow {
            return Err(GateError::Unlabelled { key: key.clone(), set: set.name() });
        }
    }
    Ok(())
}

/// The labelled parts of both sets, each once, by key.
fn pool(outcomes: &[Outcome]) -> Result<Vec<&Outcome>, GateError> {
    let mut parts: BTreeMap<&str, &Outcome> = BTreeMap::new();
    for part in outcomes.iter().filter(|part| part.set != Set::Shadow) {
        if let Some(other) = parts.insert(&part.key, part) {
            let same = |a: &Outcome, b: &Outcome| {
                (&a.truth, &a.champion, &a.candidate) == (&b.truth, &b.champion, &b.candidate)
            };
            if !same(other, part) {
                return Err(GateError::Differs { key: part.key.clone() });
            }
        }
    }
    Ok(parts.into_values().collect())
}
