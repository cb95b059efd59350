//! A judgement in sentences, for the engineer who answers for the line.

use super::compare::{Comparison, POOLED, SetJudgement};
use super::missing::{MOST, beyond};
use super::shadow::Shadow;
use super::terms::Terms;
use crate::evaluation::intervals::clean_needed;

/// What is compared, in words.
#[derive(Debug, Clone, Copy)]
struct Matter {
    /// As a sentence begins.
    title: &'static str,
    /// The parts to which it happens.
    parts: &'static str,
    /// What happened to those that are counted.
    happens: &'static str,
}

const ESCAPES: Matter = Matter { title: "Escapes", parts: "bad parts", happens: "passed" };
const OVERKILL: Matter = Matter { title: "Overkill", parts: "good parts", happens: "failed" };
const REVIEWS: Matter = Matter { title: "Reviews", parts: "labelled parts", happens: "sent to a person" };

pub(super) fn all(passed: bool, sets: &[SetJudgement], shadow: Option<&Shadow>, terms: &Terms) -> Vec<String> {
    let mut words = vec![String::from(match passed {
        true => "The candidate passes the gate.",
        false => "The candidate does not pass the gate.",
    })];
    let (pooled, alone): (Vec<&SetJudgement>, Vec<&SetJudgement>) = sets.iter().partition(|set| set.name == POOLED);
    for set in pooled {
        words.extend(margins(set, terms));
    }
    // A set that is the only one was told above; what blocks it is told all the same.
    words.extend(alone.iter().flat_map(|set| by_itself(set, alone.len() > 1)));
    words.extend(sets.iter().flat_map(classes));
    words.extend(shadow.into_iter().flat_map(|shadow| changes(shadow, terms)));
    words
}

/// The tests that the gate asks of all labelled parts together.
fn margins(set: &SetJudgement, terms: &Terms) -> Vec<String> {
    let matters = [
        (ESCAPES, set.escapes, terms.escape_margin),
        (OVERKILL, set.overkill, terms.overkill_margin),
        (REVIEWS, set.reviews, terms.review_margin),
    ];
    matters
        .into_iter()
        .map(|(matter, compared, margin)| match compared {
            Some(compared) => margin_test(matter, &compared),
            None => unjudged(matter, margin, terms.alpha),
        })
        .collect()
}

fn unjudged(Matter { title, parts, .. }: Matter, margin: f64, alpha: f64) -> String {
    let needed = clean_needed(margin, 1.0 - alpha);
    let then = match title == OVERKILL.title {
        true => "the gate judges without it.".to_owned(),
        false => {
            format!("nothing passes without them. At least {needed} are needed for a margin of {}.", percent(margin))
        }
    };
    format!("{title} cannot be judged: there are no {parts}; {then}")
}

fn margin_test(matter: Matter, compared: &Comparison) -> String {
    let Matter { title, parts, happens } = matter;
    let Comparison { n, champion, candidate, lost, won, margin, p, regression_p, .. } = *compared;
    let counts = format!(
        "{happens} {candidate} of {n} {parts} with the candidate, {champion} with the champion ({lost} lost, {won} won)"
    );
    let margin = percent(margin);
    if compared.non_inferior {
        let though = match compared.regressed {
            true => format!(" It is worse nevertheless (p = {}), by less than that.", short(regression_p)),
            false => String::new(),
        };
        return format!("{title}: shown not to be worse by {margin} (p = {}): {counts}.{though}", short(p));
    }
    let net = percent((lost as f64 - won as f64) / n as f64);
    if compared.regressed {
        let p = short(regression_p);
        return format!(
            "{title}: the candidate is worse (p = {p}): {counts}, a rise of {net}. More parts would not help."
        );
    }
    let more = match compared.missing {
        Some(missing) => format!("{missing} more {parts} are needed"),
        None => format!("more than {MOST} {parts} would be needed: only a wider margin helps"),
    };
    let p = short(p);
    match beyond(n, lost, won, compared.margin) {
        true => format!(
            "{title}: not shown to be within {margin} (p = {p}): {counts}, a rise of {net}. If not one more is lost, {more}."
        ),
        false => format!(
            "{title}: too few parts to show that it is not worse by {margin} (p = {p}): {counts}. At these rates {more}."
        ),
    }
}

/// What one set says without the other.
fn by_itself(set: &SetJudgement, few: bool) -> Vec<String> {
    let name = &set.name;
    let one = |(matter, compared): (Matter, Option<Comparison>)| {
        let Matter { title, parts, .. } = matter;
        let Comparison { n, lost, won, regression_p, missing, regressed, .. } = compared?;
        if regressed {
            let p = short(regression_p);
            return Some(format!(
                "{title}: in the {name} set alone the candidate is worse ({lost} lost, {won} won of {n} {parts}, p = {p}): this blocks."
            ));
        }
        let missing = missing.filter(|_| few)?;
        Some(format!(
            "{title}: the {name} set alone has too few parts to tell ({n} {parts}, at least {missing} more are needed); it counts \
             together with the other."
        ))
    };
    [(ESCAPES, set.escapes), (OVERKILL, set.overkill)].into_iter().filter_map(one).collect()
}

fn classes(set: &SetJudgement) -> Vec<String> {
    let lost = set.classes.iter().filter(|class| class.regressed);
    lost.map(|class| {
        format!(
            "Class `{}` ({} set): the candidate recognises {} of {}, the champion {} (p = {}): this blocks.",
            class.name,
            set.name,
            class.candidate_right,
            class.n,
            class.champion_right,
            short(class.p)
        )
    })
    .collect()
}

fn changes(shadow: &Shadow, terms: &Terms) -> Vec<String> {
    let share = |count: usize| percent(count as f64 / shadow.n as f64);
    let Shadow { n, changed, champion_rejects, candidate_rejects, champion_reviews, candidate_reviews, .. } = *shadow;
    let mut words = vec![format!(
        "Shadow: of {n} parts without a label {} change their verdict; rejects {} with the candidate and {} with the champion, reviews {} and {}.",
        share(changed),
        share(candidate_rejects),
        share(champion_rejects),
        share(candidate_reviews),
        share(champion_reviews)
    )];
    for (what, risen) in [("rejects", shadow.rejects_risen), ("reviews", shadow.reviews_risen)] {
        if risen {
            words.push(format!(
                "Shadow: the share of {what} rises to more than {} times and by more than {}: this blocks.",
                terms.shadow_factor,
                percent(terms.shadow_points)
            ));
        }
    }
    words
}

/// A share in percent, without digits that say nothing.
fn percent(share: f64) -> String {
    format!("{} %", (1e4 * share).round() / 1e2)
}

fn short(p: f64) -> String {
    if p < 0.001 { "less than 0.001".to_owned() } else { format!("{p:.3}") }
}
