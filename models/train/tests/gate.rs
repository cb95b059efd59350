//! The gate of a promotion through its public surface: exact figures, laws, and the promise by simulation.

use std::collections::BTreeMap;

use models::bundle::Disposition::{self, Fail, Pass, Review};
use models_train::gate::missing::{beyond, missing};
use models_train::gate::paired::{CLOSE, CLOSE_SHARE, GAMMA, NonInferiority, p_worse};
use models_train::gate::power::{needed, power};
use models_train::gate::{FlipKind, GateError, Judgement, Outcome, Said, Set, SetJudgement, Terms, Truth, judge};
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

const ALPHA: f64 = 0.05;

fn part(set: Set, key: &str, truth: (&str, bool), verdicts: [Disposition; 2]) -> Outcome {
    let (label, good) = truth;
    // A model that is right about the part is right about the class.
    let said = |verdict| {
        let right = (verdict == Pass) == good && verdict != Review;
        Said { verdict, label: if right { label } else { "something else" }.to_owned() }
    };
    let [champion, candidate] = verdicts.map(said);
    let truth = Some(Truth { label: label.to_owned(), good });
    Outcome { set, key: key.to_owned(), truth, champion, candidate }
}

/// Parts of one kind with the same verdicts.
fn parts(set: Set, truth: (&str, bool), verdicts: [Disposition; 2], count: usize) -> Vec<Outcome> {
    let key = |nth| format!("{}-{}-{verdicts:?}-{nth}", set.name(), truth.0);
    (0..count).map(|nth| part(set, &key(nth), truth, verdicts)).collect()
}

const GOOD: (&str, bool) = ("good", true);
const CRACK: (&str, bool) = ("crack", false);
const DENT: (&str, bool) = ("dent", false);

/// `good` and `bad` parts on which both models are right.
fn clean(set: Set, good: usize, bad: usize) -> Vec<Outcome> {
    [parts(set, GOOD, [Pass, Pass], good), parts(set, CRACK, [Fail, Fail], bad)].concat()
}

fn pooled(judgement: &Judgement) -> &SetJudgement {
    judgement.sets.iter().find(|set| set.name == "pooled").expect("both sets together are always there")
}

fn judged(outcomes: &[Outcome]) -> Judgement {
    judge(outcomes, &Terms::default()).expect("parts that can be judged")
}

fn says(judgement: &Judgement, text: &str) -> bool {
    judgement.words.iter().any(|words| words.contains(text))
}

#[test]
fn without_a_difference_p_is_a_power_of_what_the_margin_leaves() {
    for (n, margin) in [(299, 0.01), (59, 0.05), (20, 0.1)] {
        let test = NonInferiority::new(n, margin);
        let by_hand = (1.0 - margin).powi(n as i32);
        assert!((test.chance(0, 0, 0.0) - by_hand).abs() < 1e-10, "{n} {margin}");
        assert!((test.p(0, 0) - by_hand - GAMMA).abs() < 2.0 * CLOSE, "{n} {margin}: {}", test.p(0, 0));
    }
    assert!(NonInferiority::new(299, 0.01).p(0, 0) <= ALPHA && NonInferiority::new(298, 0.01).p(0, 0) > ALPHA);
}

#[test]
fn the_sign_test_is_a_sum_of_a_pascal_row() {
    assert_eq!(p_worse(0, 7), 1.0);
    for (lost, won, p) in [(5, 0, 1.0 / 32.0), (4, 0, 1.0 / 16.0), (6, 1, 8.0 / 128.0), (7, 1, 9.0 / 256.0)] {
        assert!((p_worse(lost, won) - p).abs() < 1e-12, "{lost} {won}");
    }
}

/// The score of Tango 1998, with the restricted share found by bisection of the likelihood's slope and not by the formula.
fn score(n: usize, margin: f64, lost: usize, won: usize) -> f64 {
    let (n, l, w) = (n as f64, lost as f64, won as f64);
    let slope = |q: f64| l / (q + margin) + w / q - 2.0 * (n - l - w) / (1.0 - 2.0 * q - margin);
    let (mut low, mut high) = (1e-12, (1.0 - margin) / 2.0 - 1e-12);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if slope(middle) > 0.0 { low = middle } else { high = middle }
    }
    (l - w - n * margin) / (n * (2.0 * low + margin - margin * margin)).sqrt()
}

/// Every outcome of `n` parts, added up at every nuisance on a fine grid.
#[test]
fn p_is_what_enumeration_finds() {
    for (n, margin) in [(6, 0.1), (9, 0.3), (14, 0.05)] {
        let factorials: Vec<f64> = (0..=n)
            .scan(1.0, |f, k| {
                *f *= (k as f64).max(1.0);
                Some(*f)
            })
            .collect();
        let outcomes: Vec<(usize, usize)> = (0..=n).flat_map(|l| (0..=n - l).map(move |w| (l, w))).collect();
        let scores: BTreeMap<_, f64> = outcomes.iter().map(|&(l, w)| ((l, w), score(n, margin, l, w))).collect();
        for &(lost, won) in &outcomes {
            let limit = scores[&(lost, won)] + 1e-7;
            let region: Vec<_> = outcomes.iter().filter(|outcome| scores[outcome] <= limit).collect();
            let chance = |q: f64| -> f64 {
                region
                    .iter()
                    .map(|&&(l, w)| {
                        let rest = n - l - w;
                        let ways = factorials[n] / factorials[l] / factorials[w] / factorials[rest];
                        ways * (q + margin).powi(l as i32)
                            * q.powi(w as i32)
                            * (1.0 - 2.0 * q - margin).max(0.0).powi(rest as i32)
                    })
                    .sum()
            };
            let [low, high] = models_train::evaluation::intervals::two_sided(won, n, 1.0 - GAMMA);
            let high = high.min((1.0 - margin) / 2.0);
            let test = NonInferiority::new(n, margin);
            if low > high {
                assert_eq!(test.p(lost, won), GAMMA);
                continue;
            }
            let grid = (0..=4000).map(|k| low + (high - low) * k as f64 / 4000.0).map(chance).fold(0.0, f64::max);
            let (p, by_hand) = (test.p(lost, won), (grid + GAMMA).min(1.0));
            assert!(
                p >= by_hand - 1e-9 && p <= by_hand + CLOSE + by_hand / 400.0,
                "n {n} margin {margin} {lost} {won}: {p}, by hand {by_hand}"
            );
        }
    }
}

#[test]
fn few_parts_are_counted_out() {
    let judgement = judged(&clean(Set::Golden, 400, 120));
    assert!(!judgement.passed);
    let escapes = pooled(&judgement).escapes.unwrap();
    assert_eq!((escapes.n, escapes.lost, escapes.missing), (120, 0, Some(180)));
    // 299 are enough; the number is told to a percent.
    assert!(says(&judgement, "180 more bad parts are needed"), "{:#?}", judgement.words);
    let judgement = judged(&clean(Set::Golden, 400, 299));
    assert!(judgement.passed, "{:#?}", judgement.words);
    assert_eq!(pooled(&judgement).escapes.unwrap().missing, None);
}

#[test]
fn missing_parts_are_enough_and_much_less_is_not() {
    for (n, lost, won) in [(100, 0, 0), (200, 1, 0), (300, 2, 2), (20, 1, 0)] {
        let more = missing(n, lost, won, 0.01, ALPHA).unwrap();
        let at = |total: usize| match beyond(n, lost, won, 0.01) {
            true => (lost, won),
            false => ((lost * total).div_ceil(n), won * total / n),
        };
        let p = |total: usize| {
            let (lost, won) = at(total);
            NonInferiority::new(total, 0.01).p(lost, won)
        };
        assert!(p(n + more) <= ALPHA && p((n + more) * 99 / 100 - 1) > ALPHA, "{n} {lost} {won}: {more}");
    }
}

#[test]
fn a_worse_candidate_is_told_so_and_not_sent_for_more_parts() {
    let worse = [clean(Set::Golden, 400, 390), parts(Set::Golden, CRACK, [Fail, Pass], 10)].concat();
    let judgement = judged(&worse);
    let escapes = pooled(&judgement).escapes.unwrap();
    assert!(!judgement.passed && escapes.regressed && escapes.missing.is_none());
    assert!(says(&judgement, "Escapes: the candidate is worse (p = less than 0.001)"), "{:#?}", judgement.words);
    assert!(says(&judgement, "10 lost, 0 won") && says(&judgement, "a rise of 2.5 %. More parts would not help"));
}

#[test]
fn one_kind_of_parts_is_not_enough_or_is() {
    let only_good = judged(&clean(Set::Golden, 1000, 0));
    assert!(!only_good.passed && pooled(&only_good).escapes.is_none());
    assert!(says(&only_good, "Escapes cannot be judged: there are no bad parts"), "{:#?}", only_good.words);
    assert!(says(&only_good, "At least 299 are needed for a margin of 1 %"));
    let only_bad = judged(&clean(Set::Golden, 0, 1000));
    assert!(only_bad.passed && pooled(&only_bad).overkill.is_none());
    assert!(says(&only_bad, "Overkill cannot be judged: there are no good parts; the gate judges without it"));
    let nothing = judged(&[]);
    assert!(!nothing.passed && says(&nothing, "Reviews cannot be judged"), "{:#?}", nothing.words);
}

/// Within the margin over all, and yet one set falls behind.
#[test]
fn no_set_alone_may_regress() {
    let behind =
        [clean(Set::Golden, 2000, 3000), clean(Set::Newest, 400, 300), parts(Set::Newest, DENT, [Fail, Pass], 5)];
    let judgement = judged(&behind.concat());
    assert!(pooled(&judgement).escapes.unwrap().non_inferior && !judgement.passed);
    assert!(
        says(&judgement, "in the newest set alone the candidate is worse (5 lost, 0 won of 305"),
        "{:#?}",
        judgement.words
    );
}

#[test]
fn a_class_that_regresses_blocks_and_a_new_one_cannot() {
    // Cracks are still rejected, but no longer called cracks. Two classes: p must be below 0.025, and 1 / 64 is.
    let mut outcomes = clean(Set::Golden, 400, 400);
    for part in outcomes.iter_mut().filter(|part| part.candidate.label == "crack").take(6) {
        part.candidate.label = "scratch".to_owned();
    }
    let judgement = judged(&outcomes);
    assert!(!judgement.passed && pooled(&judgement).escapes.unwrap().non_inferior);
    assert!(says(
        &judgement,
        "Class `crack` (pooled set): the candidate recognises 394 of 400, the champion 400 (p = 0.016)"
    ));
    outcomes.iter_mut().find(|part| part.candidate.label == "scratch").unwrap().candidate.label = "crack".to_owned();
    assert!(judged(&outcomes).passed, "1 / 32 is above 0.025");
    let new = [clean(Set::Golden, 400, 400), parts(Set::Golden, DENT, [Review, Fail], 30)].concat();
    let judgement = judged(&new);
    let dent = &pooled(&judgement).classes[1];
    assert_eq!((dent.name.as_str(), dent.champion_right, dent.candidate_right, dent.p), ("dent", 0, 30, 1.0));
    assert!(judgement.passed, "{:#?}", judgement.words);
}

#[test]
fn reviews_have_a_margin_of_their_own() {
    let reviewed = [clean(Set::Golden, 400, 360), parts(Set::Golden, CRACK, [Fail, Review], 40)].concat();
    let judgement = judged(&reviewed);
    assert!(!judgement.passed && !pooled(&judgement).reviews.unwrap().non_inferior);
    assert!(says(&judgement, "Reviews: the candidate is worse"), "{:#?}", judgement.words);
}

#[test]
fn the_shadow_set_warns_of_a_flood() {
    let shadow = |rejects: usize| {
        let mut parts =
            [parts(Set::Shadow, GOOD, [Pass, Pass], 1000 - rejects), parts(Set::Shadow, GOOD, [Pass, Fail], rejects)];
        parts.iter_mut().flatten().for_each(|part| part.truth = None);
        judged(&[parts.concat(), clean(Set::Golden, 400, 400)].concat())
    };
    let calm = shadow(20);
    assert!(calm.passed && says(&calm, "of 1000 parts without a label 2 % change their verdict"), "{:#?}", calm.words);
    let flood = shadow(21);
    assert!(!flood.passed && flood.shadow.unwrap().rejects_risen);
    assert!(says(&flood, "the share of rejects rises to more than 2 times and by more than 2 %: this blocks"));
}

#[test]
fn flips_come_worst_first_and_are_capped() {
    let outcomes = [
        parts(Set::Golden, GOOD, [Fail, Pass], 2),
        parts(Set::Golden, GOOD, [Pass, Fail], 2),
        parts(Set::Golden, CRACK, [Review, Fail], 1),
        parts(Set::Newest, CRACK, [Review, Pass], 1),
        clean(Set::Golden, 5, 5),
    ]
    .concat();
    let judgement = judge(&outcomes, &Terms { flips: 5, ..Terms::default() }).unwrap();
    let kinds: Vec<FlipKind> = judgement.flips.iter().map(|flip| flip.kind).collect();
    use FlipKind::{NewEscape, NewOverkill, Won};
    assert_eq!((kinds, judgement.flips_total), (vec![NewEscape, NewOverkill, NewOverkill, Won, Won], 6));
    let again: Judgement = serde_json::from_str(&serde_json::to_string(&judgement).unwrap()).unwrap();
    // JSON keeps p-values to the last bit but one.
    assert_eq!((again.passed, again.flips, again.words), (judgement.passed, judgement.flips, judgement.words));
}

#[test]
fn what_cannot_be_judged_is_refused_by_name() {
    let twice = vec![part(Set::Golden, "a", GOOD, [Pass, Pass]), part(Set::Golden, "a", GOOD, [Pass, Pass])];
    let error = judge(&twice, &Terms::default()).unwrap_err();
    assert_eq!(error, GateError::Twice { key: "a".to_owned(), set: "golden" });
    assert!(error.to_string().contains("`a`"));
    let differs = vec![part(Set::Golden, "b", GOOD, [Pass, Pass]), part(Set::Newest, "b", GOOD, [Pass, Fail])];
    assert_eq!(judge(&differs, &Terms::default()), Err(GateError::Differs { key: "b".to_owned() }));
    let both = vec![part(Set::Golden, "b", GOOD, [Pass, Pass]), part(Set::Newest, "b", GOOD, [Pass, Pass])];
    assert_eq!(pooled(&judged(&both)).n_good, 1);
    let bare = vec![Outcome { truth: None, ..part(Set::Newest, "c", GOOD, [Pass, Pass]) }];
    assert!(matches!(judge(&bare, &Terms::default()), Err(GateError::Unlabelled { key, .. }) if key == "c"));
    let none = Terms { escape_margin: 0.0, ..Terms::default() };
    assert!(judge(&[], &none).unwrap_err().to_string().contains("the margin for escapes is 0, and must be"));
}

/// The test alone, over the truth: at the margin it passes no more often than alpha, wherever the nuisance is.
#[test]
fn the_size_is_kept_at_every_nuisance() {
    for (n, margin) in [(120, 0.05), (350, 0.01)] {
        let test = NonInferiority::new(n, margin);
        for won in [0.0, 0.0005, 0.002, 0.005, 0.01, 0.03] {
            let size = power(&test, [won + margin, won], ALPHA);
            assert!(size <= ALPHA, "n {n}, margin {margin}, won {won}: {size}");
        }
    }
    let n = needed(0.02, 0.01, ALPHA, 0.8).unwrap();
    assert!(power(&NonInferiority::new(n, 0.02), [0.005; 2], ALPHA) >= 0.8);
}

/// Shares of what may happen to a part of a simulated line.
#[derive(Clone, Copy)]
struct Line {
    escapes: [f64; 2],
    overkill: [f64; 2],
    reviews: [f64; 2],
    mistaken: [f64; 2],
}

const EQUAL: Line = Line { escapes: [0.0025; 2], overkill: [0.0025; 2], reviews: [0.0025; 2], mistaken: [0.005; 2] };
const PARTS: usize = 1_000;

/// PARTS good and PARTS bad parts of four kinds, one half golden and the other newest.
fn draw(line: Line, seed: u64) -> Vec<Outcome> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |nth: usize| {
        let good = nth.is_multiple_of(2);
        let label = if good { "good" } else { ["crack", "dent", "pit", "stain"][nth / 2 % 4] };
        let (right, wrong) = if good { (Pass, Fail) } else { (Fail, Pass) };
        let mishaps = [(if good { line.overkill } else { line.escapes }, wrong), (line.reviews, Review)];
        let mut verdicts = [right; 2];
        let mut at = random.random::<f64>();
        for ([lost, won], verdict) in mishaps {
            if (0.0..lost).contains(&at) {
                verdicts[1] = verdict;
            }
            if (lost..lost + won).contains(&at) {
                verdicts[0] = verdict;
            }
            at -= lost + won;
        }
        let set = if nth / 2 < PARTS / 2 { Set::Golden } else { Set::Newest };
        let mut outcome = part(set, &nth.to_string(), (label, good), verdicts);
        let at = random.random::<f64>();
        let [lost, won] = line.mistaken;
        if at < lost {
            outcome.candidate.label = "other".to_owned();
        } else if at < lost + won {
            outcome.champion.label = "other".to_owned();
        }
        outcome
    };
    (0..2 * PARTS).map(&mut draw).collect()
}

fn promoted(line: Line, trials: u64) -> f64 {
    let passed = (0..trials).into_par_iter().filter(|&seed| judged(&draw(line, seed)).passed).count();
    passed as f64 / trials as f64
}

/// The promise: a candidate that is worse by the margin in anything is promoted in at most 5 % of the trials, an equal or better one in
/// at least 80 %, with PARTS good and PARTS bad parts.
#[test]
fn worse_candidates_stay_out_and_equal_ones_come_in() {
    let equal = promoted(EQUAL, 1_000);
    let better = promoted(Line { escapes: [0.001, 0.006], ..EQUAL }, 250);
    println!("promoted: equal {equal}, better {better}");
    assert!(equal >= 0.8 && better >= 0.8, "equal {equal}, better {better}");
    for (what, line, trials) in [
        ("escapes", Line { escapes: [0.0125, 0.0025], ..EQUAL }, 1_000),
        ("overkill", Line { overkill: [0.0125, 0.0025], ..EQUAL }, 250),
        ("reviews", Line { reviews: [0.0225, 0.0025], ..EQUAL }, 250),
    ] {
        let share = promoted(line, trials);
        println!("promoted: {what} worse by the margin {share}");
        assert!(share <= 0.05, "{what}: worse by the margin and promoted in {share}");
    }
}

fn verdict() -> impl Strategy<Value = Disposition> {
    prop::sample::select(vec![Pass, Pass, Pass, Fail, Fail, Review])
}

fn outcomes() -> impl Strategy<Value = Vec<Outcome>> {
    let one = (
        prop::sample::select(vec![Set::Golden, Set::Newest, Set::Shadow]),
        prop::sample::select(vec![GOOD, CRACK, DENT]),
        [verdict(), verdict()],
    );
    prop::collection::vec(one, 0..40).prop_map(|raw| {
        raw.into_iter()
            .enumerate()
            .map(|(nth, (set, truth, verdicts))| part(set, &nth.to_string(), truth, verdicts))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn p_rises_with_what_is_lost_and_falls_with_what_is_won(n in 2_usize..300, lost in 0_usize..12, won in 0_usize..12, margin in 0.005_f64..0.3) {
        prop_assume!(lost + won < n);
        let test = NonInferiority::new(n, margin);
        let p = test.p(lost, won);
        prop_assert!(test.p(lost + 1, won) >= p * (1.0 - CLOSE_SHARE) - CLOSE);
        prop_assert!(test.p(lost, won + 1) <= p * (1.0 + CLOSE_SHARE) + CLOSE);
        prop_assert_eq!(test.shows(lost, won, ALPHA), p <= ALPHA);
    }

    /// Where it matters, that is for small p. For large p the order of the outcomes changes with the margin, and p may rise a little.
    #[test]
    fn p_falls_with_the_margin(n in 20_usize..400, lost in 0_usize..8, won in 0_usize..8, margin in 0.005_f64..0.2, wider in 1.05_f64..2.0) {
        let p = NonInferiority::new(n, margin).p(lost, won);
        prop_assume!(lost + won < n && p <= ALPHA);
        let at_wider = NonInferiority::new(n, margin * wider).p(lost, won);
        prop_assert!(at_wider <= p + 0.003, "{p} at {margin}, {at_wider} at {wider} times that");
    }

    #[test]
    fn the_order_of_parts_does_not_matter(outcomes in outcomes(), seed in any::<u64>()) {
        let mut shuffled = outcomes.clone();
        shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        prop_assert_eq!(judged(&outcomes), judged(&shuffled));
    }

    #[test]
    fn swapping_the_models_swaps_lost_and_won(outcomes in outcomes()) {
        let mut swapped = outcomes.clone();
        swapped.iter_mut().for_each(|part| std::mem::swap(&mut part.champion, &mut part.candidate));
        let (one, other) = (judged(&outcomes), judged(&swapped));
        prop_assert_eq!(one.flips_total, other.flips_total);
        for (one, other) in one.sets.iter().zip(&other.sets) {
            for (one, other) in [(one.escapes, other.escapes), (one.overkill, other.overkill), (one.reviews, other.reviews)] {
                let of = |side: Option<models_train::gate::Comparison>| side.map(|c| (c.n, c.champion, c.candidate, c.lost, c.won));
                prop_assert_eq!(of(one), of(other).map(|(n, champion, candidate, lost, won)| (n, candidate, champion, won, lost)));
                prop_assert!(one.is_none_or(|c| c.candidate + c.won == c.champion + c.lost));
            }
        }
    }
}
