//! The parts whose verdict changes: what a person looks at before deciding.

use models::bundle::Disposition;
use serde::{Deserialize, Serialize};

use super::Outcome;

/// What a changed verdict means, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlipKind {
    /// A bad part that passes now.
    NewEscape,
    /// A good part that fails now.
    NewOverkill,
    /// An escape or an overkill less.
    Won,
    /// Neither: a review that comes or goes.
    Other,
}

/// A labelled part whose verdict changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flip {
    /// What that means.
    pub kind: FlipKind,
    /// The part.
    pub key: String,
    /// Its class.
    pub truth: String,
    /// The champion's verdict.
    pub champion: Disposition,
    /// The candidate's verdict.
    pub candidate: Disposition,
    /// The class the champion took it for.
    pub champion_label: String,
    /// The class the candidate took it for.
    pub candidate_label: String,
}

/// The worst flips, `most` of them, and how many there are in all.
pub(super) fn list(parts: &[&Outcome], most: usize) -> (Vec<Flip>, usize) {
    let mut flips: Vec<Flip> = parts.iter().filter_map(|part| flip(part)).collect();
    let total = flips.len();
    flips.sort_by(|a, b| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
    flips.truncate(most);
    (flips, total)
}

fn flip(part: &Outcome) -> Option<Flip> {
    let Outcome { key, truth, champion, candidate, .. } = part;
    let truth = truth.as_ref().filter(|_| champion.verdict != candidate.verdict)?;
    let mishap = if truth.good { Disposition::Fail } else { Disposition::Pass };
    let kind = match (candidate.verdict == mishap, champion.verdict == mishap) {
        (true, _) if truth.good => FlipKind::NewOverkill,
        (true, _) => FlipKind::NewEscape,
        (false, true) => FlipKind::Won,
        (false, false) => FlipKind::Other,
    };
    Some(Flip {
        kind,
        key: key.clone(),
        truth: truth.label.clone(),
        champion: champion.verdict,
        candidate: candidate.verdict,
        champion_label: champion.label.clone(),
        candidate_label: candidate.label.clone(),
    })
}
