//! Parts of the running line whose truth nobody knows: they cannot say who is right, only how much would change.

use models::bundle::Disposition;
use serde::{Deserialize, Serialize};

use super::{Outcome, Said, Terms};

/// Both models on parts without truth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    /// Parts.
    pub n: usize,
    /// Those whose verdict changes.
    pub changed: usize,
    /// Parts that the champion fails.
    pub champion_rejects: usize,
    /// Parts that the candidate fails.
    pub candidate_rejects: usize,
    /// Parts that the champion sends to a person.
    pub champion_reviews: usize,
    /// Parts that the candidate sends to a person.
    pub candidate_reviews: usize,
    /// Whether the share of rejects rises beyond what the terms allow.
    pub rejects_risen: bool,
    /// Whether the share of reviews does.
    pub reviews_risen: bool,
}

impl Shadow {
    /// Whether it stands in the way.
    pub fn blocks(&self) -> bool {
        self.rejects_risen || self.reviews_risen
    }
}

pub(super) fn watch(parts: &[&Outcome], terms: &Terms) -> Option<Shadow> {
    let n = parts.len();
    if n == 0 {
        return None;
    }
    let count = |who: fn(&Outcome) -> &Said, verdict: Disposition| {
        parts.iter().filter(|part| who(part).verdict == verdict).count()
    };
    let both = |verdict| (count(|part| &part.champion, verdict), count(|part| &part.candidate, verdict));
    let (champion_rejects, candidate_rejects) = both(Disposition::Fail);
    let (champion_reviews, candidate_reviews) = both(Disposition::Review);
    let risen = |before: usize, now: usize| {
        let [before, now] = [before, now].map(|count| count as f64 / n as f64);
        now > terms.shadow_factor * before && now - before > terms.shadow_points
    };
    Some(Shadow {
        n,
        changed: parts.iter().filter(|part| part.champion.verdict != part.candidate.verdict).count(),
        champion_rejects,
        candidate_rejects,
        champion_reviews,
        candidate_reviews,
        rejects_risen: risen(champion_rejects, candidate_rejects),
        reviews_risen: risen(champion_reviews, candidate_reviews),
    })
}
