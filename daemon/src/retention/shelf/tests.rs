//! The order in which pictures go.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn picture(verdict: VerdictKind, at_s: i64) -> Picture {
    Picture { at_s, bytes: 1 << 20, verdict: Some(verdict), ending: 0 }
}

/// Parts 1 to 40, by turns pass, fail, review, no decision.
fn shelf() -> Shelf {
    let mut shelf = Shelf::default();
    for id in 1..=40 {
        let verdict =
            [VerdictKind::NoDecision, VerdictKind::Pass, VerdictKind::Fail, VerdictKind::Review][id as usize % 4];
        shelf.put(id, picture(verdict, 1000 * id as i64));
    }
    shelf
}

/// In the order in which they go.
fn emptied(mut shelf: Shelf) -> Vec<(u64, Rank)> {
    let mut gone = Vec::new();
    while let Some((id, rank)) = shelf.least() {
        shelf.take(id);
        gone.push((id, rank));
    }
    gone
}

#[test]
fn good_parts_go_first_and_bad_ones_and_those_that_wait_last() {
    let mut shelf = shelf();
    // 1 passed and waits, 5 passed and was answered, 2 failed and was answered, 3 waits.
    shelf.people(HashSet::from([1, 3]), HashSet::from([5, 2, 7]));
    let gone = emptied(shelf);
    let ranks: Vec<Rank> = gone.iter().map(|(_, rank)| *rank).collect();
    assert!(ranks.is_sorted(), "{ranks:?}");
    let of = |rank: Rank| gone.iter().filter(|(_, it)| *it == rank).map(|(id, _)| *id).collect::<Vec<u64>>();
    assert_eq!(of(Rank::Pass), [9, 13, 17, 21, 25, 29, 33, 37]);
    assert_eq!(of(Rank::Reviewed), [5, 7]);
    assert_eq!(of(Rank::NoDecision), [4, 8, 12, 16, 20, 24, 28, 32, 36, 40]);
    assert_eq!(of(Rank::Review), [11, 15, 19, 23, 27, 31, 35, 39]);
    assert_eq!(of(Rank::Fail), [2, 6, 10, 14, 18, 22, 26, 30, 34, 38]);
    assert_eq!(of(Rank::Waiting), [1, 3]);
    assert_eq!(gone.len(), 40);
}

#[test]
fn what_is_held_is_not_offered_until_holds_change_and_an_answer_taken_back_counts() {
    let mut shelf = shelf();
    shelf.hold(1);
    shelf.hold(2);
    assert_eq!(shelf.least(), Some((5, Rank::Pass)));
    assert_eq!(shelf.of_rank(Rank::Held), Sum { pictures: 2, bytes: 2 << 20 });
    assert!(emptied(shelf).iter().all(|(id, _)| *id > 2));

    let mut shelf = self::shelf();
    shelf.hold(1);
    shelf.people(HashSet::from([1]), HashSet::new());
    assert_eq!(shelf.of_rank(Rank::Waiting).pictures, 0, "held is held");
    shelf.look_again();
    assert_eq!(shelf.of_rank(Rank::Waiting).pictures, 1);
    shelf.people(HashSet::new(), HashSet::from([1]));
    assert_eq!(shelf.of_rank(Rank::Reviewed).pictures, 1);
    shelf.people(HashSet::new(), HashSet::new());
    assert_eq!(shelf.least(), Some((1, Rank::Pass)));
}

#[test]
fn each_verdict_has_its_own_limits_and_what_waits_has_none() {
    let one = |limits: PictureLimits| PicturesByVerdict { fail: limits, ..PicturesByVerdict::default() };
    let gone = |limits: PictureLimits, now_s: Option<i64>| {
        let mut shelf = shelf();
        shelf.people(HashSet::from([2]), HashSet::new());
        let limits = one(limits);
        let mut gone = Vec::new();
        while let Some(id) = shelf.beyond_limits(&limits, now_s) {
            shelf.take(id);
            gone.push(id);
        }
        gone
    };
    let none = PictureLimits::default();
    assert!(gone(none, Some(i64::MAX / 2)).is_empty());
    assert_eq!(gone(PictureLimits { count: Some(7), ..none }, None), [6, 10]);
    assert_eq!(gone(PictureLimits { mb: Some(8), ..none }, None), [6]);
    assert_eq!(gone(PictureLimits { days: Some(1), ..none }, Some(86_400 + 14_001)), [6, 10, 14]);
    assert!(gone(PictureLimits { days: Some(1), ..none }, None).is_empty(), "a clock that is not trusted ages nothing");
    assert!(gone(PictureLimits { days: Some(1), ..none }, Some(0)).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn sums_are_what_stands_there_whatever_happens(steps in prop::collection::vec((0u8..6, 0u64..30, 0usize..5), 1..120)) {
        let verdicts = [None, Some(VerdictKind::Pass), Some(VerdictKind::Fail), Some(VerdictKind::Review), Some(VerdictKind::NoDecision)];
        let mut shelf = Shelf::default();
        let mut model: std::collections::BTreeMap<u64, Picture> = std::collections::BTreeMap::new();
        for (step, id, of) in steps {
            match step {
                0 | 1 => {
                    let picture = Picture { at_s: id as i64, bytes: 10 + of as u64, verdict: verdicts[of], ending: 0 };
                    shelf.put(id, picture);
                    model.insert(id, picture);
                }
                2 => prop_assert_eq!(shelf.take(id), model.remove(&id)),
                3 => shelf.people(HashSet::from([id]), HashSet::from([id / 2])),
                4 => shelf.hold(id),
                _ => shelf.look_again(),
            }
            let sum = Sum { pictures: model.len() as u64, bytes: model.values().map(|it| it.bytes).sum() };
            prop_assert_eq!(shelf.all(), sum);
            if let Some((id, rank)) = shelf.least() {
                prop_assert!(model.contains_key(&id) && rank < Rank::Held);
            } else {
                prop_assert_eq!(shelf.of_rank(Rank::Held), sum);
            }
        }
    }
}
