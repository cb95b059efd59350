//! Counts what both models did on a set of labelled parts, and tests it.

use std::collections::BTreeMap;

use models::bundle::Disposition;
use serde::{Deserialize, Serialize};

use super::paired::{NonInferiority, p_worse};
use super::{Outcome, Said, Terms, Truth, missing};

/// The name of the golden and the newest set together.
pub(super) const POOLED: &str = "pooled";

/// Both models on a set of labelled parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetJudgement {
    /// `golden`, `newest`, or `pooled` for both.
    pub name: String,
    /// Good parts.
    pub n_good: usize,
    /// Bad parts.
    pub n_bad: usize,
    /// Bad parts that pass; `None` without bad parts.
    pub escapes: Option<Comparison>,
    /// Good parts that fail; `None` without good parts.
    pub overkill: Option<Comparison>,
    /// Parts, good or bad, that a person is asked about; `None` without parts.
    pub reviews: Option<Comparison>,
    /// Each class of the truth, by name.
    pub classes: Vec<ClassJudgement>,
}

/// One kind of mishap, with both models.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Parts to which it can happen.
    pub n: usize,
    /// To how many it happens with the champion.
    pub champion: usize,
    /// And with the candidate.
    pub candidate: usize,
    /// With the candidate alone.
    pub lost: usize,
    /// With the champion alone.
    pub won: usize,
    /// The share by which the candidate must be shown not to be worse.
    pub margin: f64,
    /// Exact p-value of that: were the candidate worse by the margin, so good a result would come no more often.
    pub p: f64,
    /// Whether it was shown.
    pub non_inferior: bool,
    /// How many more such parts would let the test pass, see [`missing::missing`]; `None` where it passes,
    /// where the candidate is worse, and where not even [`missing::MOST`] would do.
    pub missing: Option<usize>,
    /// Exact p-value of the candidate being worse at all (sign test).
    pub regression_p: f64,
    /// Whether it is.
    pub regressed: bool,
}

/// A class of the truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassJudgement {
    /// Its name.
    pub name: String,
    /// Its parts.
    pub n: usize,
    /// Those that the champion names rightly.
    pub champion_right: usize,
    /// Those that the candidate names rightly.
    pub candidate_right: usize,
    /// Whether the candidate is worse: `p` is below alpha divided by the number of classes (Bonferroni).
    pub regressed: bool,
    /// Exact p-value of that (sign test).
    pub p: f64,
}

impl SetJudgement {
    /// Whether this set alone does not stand in the way. Margins are asked of both sets together only.
    pub(super) fn allows(&self) -> bool {
        let classes = !self.classes.iter().any(|class| class.regressed);
        match self.name == POOLED {
            true => {
                let shown = |compared: Option<Comparison>| compared.is_some_and(|compared| compared.non_inferior);
                classes
                    && shown(self.escapes)
                    && (self.overkill.is_none() || shown(self.overkill))
                    && shown(self.reviews)
            }
            false => classes && ![self.escapes, self.overkill].iter().flatten().any(|compared| compared.regressed),
        }
    }
}

pub(super) fn judge_set(name: &str, parts: &[&Outcome], terms: &Terms) -> SetJudgement {
    let (good, bad): (Vec<&Outcome>, Vec<&Outcome>) = parts.iter().partition(|part| is(part, |truth| truth.good));
    let verdict = |wanted: Disposition| move |_: &Outcome, said: &Said| said.verdict == wanted;
    SetJudgement {
        name: name.to_owned(),
        n_good: good.len(),
        n_bad: bad.len(),
        escapes: compare(&bad, verdict(Disposition::Pass), terms.escape_margin, terms.alpha),
        overkill: compare(&good, verdict(Disposition::Fail), terms.overkill_margin, terms.alpha),
        reviews: compare(parts, verdict(Disposition::Review), terms.review_margin, terms.alpha),
        classes: classes(parts, terms.alpha),
    }
}

fn is(part: &Outcome, what: impl Fn(&Truth) -> bool) -> bool {
    part.truth.as_ref().is_some_and(what)
}

/// How often something happens with each model, and with one alone.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    champion: usize,
    candidate: usize,
    lost: usize,
    won: usize,
}

fn count(parts: &[&Outcome], mishap: impl Fn(&Outcome, &Said) -> bool) -> Counts {
    let mut counts = Counts::default();
    for part in parts {
        let (before, now) = (mishap(part, &part.champion), mishap(part, &part.candidate));
        counts.champion += usize::from(before);
        counts.candidate += usize::from(now);
        counts.lost += usize::from(now && !before);
        counts.won += usize::from(before && !now);
    }
    counts
}

fn compare(
    parts: &[&Outcome],
    mishap: impl Fn(&Outcome, &Said) -> bool,
    margin: f64,
    alpha: f64,
) -> Option<Comparison> {
    let n = parts.len();
    if n == 0 {
        return None;
    }
    let Counts { champion, candidate, lost, won } = count(parts, mishap);
    let p = NonInferiority::new(n, margin).p(lost, won);
    let regression_p = p_worse(lost, won);
    let (non_inferior, regressed) = (p <= alpha, regression_p < alpha);
    let open = !non_inferior && !regressed;
    let missing = if open { missing::missing(n, lost, won, margin, alpha) } else { None };
    Some(Comparison { n, champion, candidate, lost, won, margin, p, non_inferior, missing, regression_p, regressed })
}

fn classes(parts: &[&Outcome], alpha: f64) -> Vec<ClassJudgement> {
    let mut by_class: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for &part in parts {
        if let Some(truth) = &part.truth {
            by_class.entry(&truth.label).or_default().push(part);
        }
    }
    let each = alpha / by_class.len().max(1) as f64;
    let judge = |(name, parts): (&str, Vec<&Outcome>)| {
        let n = parts.len();
        let Counts { champion, candidate, lost, won } =
            count(&parts, |part, said| !is(part, |truth| truth.label == said.label));
        let p = p_worse(lost, won);
        let (champion_right, candidate_right) = (n - champion, n - candidate);
        ClassJudgement { name: name.to_owned(), n, champion_right, candidate_right, regressed: p < each, p }
    };
    by_class.into_iter().map(judge).collect()
}
