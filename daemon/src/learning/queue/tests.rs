//! Budget, diversity, and a lot that nothing biases.

use proptest::prelude::*;
use stages::sample::{Reason, Why, audited};
use stages::verdict::Verdict;

use super::*;

fn item(id: u64, minute: i64, value: f32, why: Why, look: [f32; 3]) -> Item {
    Item {
        id,
        at: Timestamp::from_second(minute * 60).expect("a time"),
        serial: None,
        verdict: Verdict::Fail,
        label: Some(["scratch", "burr"][id as usize % 2].into()),
        reasons: vec![Reason { why, value, detail: String::new() }],
        sketch: models::sketch::Sketch::of(&look),
        model: "m".into(),
    }
}

fn same(_: &str) -> f32 {
    1.0
}

fn any_item() -> impl Strategy<Value = Item> {
    let why = prop_oneof![8 => Just(Why::LowMargin), 3 => Just(Why::Unlike), 1 => Just(Why::Audit)];
    let look = prop::array::uniform3(-1.0_f32..1.0);
    (0_u64..400, 0_i64..240, 0.0_f32..1.0, why, look)
        .prop_map(|(id, minute, value, why, look)| item(id, minute, value, why, look))
}

#[derive(Debug, Clone)]
enum Step {
    Offer(Item),
    /// Answers the worthiest.
    Answer,
    /// Takes the last answer back.
    Undo,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![8 => any_item().prop_map(Step::Offer), 2 => Just(Step::Answer), 1 => Just(Step::Undo)]
}

proptest! {
    #[test]
    fn the_budget_holds_no_part_comes_twice_and_the_lot_is_never_left_out(steps in prop::collection::vec(any_step(), 1..400)) {
        let budget = Budget { per_hour: 5, waiting: 12 };
        let mut queue = Queue::default();
        let (mut taken, mut gone, mut answered) = (Vec::new(), Vec::new(), Vec::<Item>::new());
        for step in steps {
            match step {
                Step::Offer(item) => {
                    let (id, lot, seen) = (item.id, item.is_audited(), taken.contains(&item.id));
                    match queue.offer(item, &budget, &same) {
                        Offer::Taken(dropped) => {
                            prop_assert!(!seen, "part {id} came a second time");
                            prop_assert!(queue.get(id).is_some());
                            taken.push(id);
                            for id in dropped {
                                prop_assert!(queue.get(id).is_none() && taken.contains(&id) && !gone.contains(&id));
                                gone.push(id);
                            }
                        }
                        Offer::Refused => prop_assert!(seen || !lot, "the lot fell on {id}, and it was refused"),
                    }
                }
                Step::Answer => {
                    if let Some(item) = queue.by_worth(&same).first().map(|(_, item)| (*item).clone()) {
                        queue.answer(&item);
                        prop_assert!(queue.get(item.id).is_none());
                        answered.push(item);
                    }
                }
                Step::Undo => if let Some(item) = answered.pop() { queue.undo(item) },
            }
            let chosen: Vec<&Item> = queue.items().chain(&answered).filter(|item| !item.is_audited()).collect();
            for hour in 0..4 {
                let of_hour = chosen.iter().filter(|item| super::hour(item.at) == hour).count();
                prop_assert!(of_hour <= budget.per_hour, "{of_hour} parts of one hour");
            }
        }
    }

    #[test]
    fn of_one_hour_the_worthiest_stay(values in prop::collection::hash_set(1_u16..1000, 8..60)) {
        let budget = Budget { per_hour: 7, waiting: 100 };
        let mut queue = Queue::default();
        let mut values: Vec<u16> = values.into_iter().collect();
        for (id, value) in (1..).zip(&values) {
            // All as far from each other as can be: only the value tells.
            queue.offer(Item { sketch: None, label: None, ..item(id, 1, f32::from(*value) / 1000.0, Why::LowMargin, [1.0; 3]) }, &budget, &same);
        }
        values.sort_unstable_by(|a, b| b.cmp(a));
        let left: Vec<u16> = queue.by_worth(&same).iter().map(|(_, item)| (item.value() * 1000.0).round() as u16).collect();
        prop_assert_eq!(&left[..], &values[..7]);
    }
}

#[test]
fn a_twin_gives_way_to_a_part_that_is_different_and_a_common_label_to_a_rare_one() {
    let budget = Budget { per_hour: 2, waiting: 10 };
    let mut queue = Queue::default();
    let far = [-1.0, 1.0, 0.2];
    for (id, look) in [(1, [1.0, 0.5, 0.1]), (3, [1.0, 0.5, 0.1]), (5, far)] {
        queue.offer(item(id, 1, 0.8, Why::LowMargin, look), &budget, &same);
    }
    let left: Vec<u64> = queue.items().map(|item| item.id).collect();
    assert_eq!(left, [3, 5], "of the twins one has gone");

    // Of two that are worth the same, the one of the label that people gave seldom comes first.
    let rare = |label: &str| if label == "burr" { 0.0 } else { 1.0 };
    let mut queue = Queue::default();
    for id in [1, 2] {
        queue.offer(Item { sketch: None, ..item(id, 1, 0.8, Why::LowMargin, far) }, &budget, &rare);
    }
    let order: Vec<u64> = queue.by_worth(&rare).iter().map(|(_, item)| item.id).collect();
    assert_eq!(order, [2, 1], "2 is a scratch, 1 a burr, and of burrs there are many");
}

#[test]
fn parts_of_another_model_are_not_compared() {
    let mut queue = Queue::default();
    queue.put(item(1, 1, 0.8, Why::LowMargin, [1.0, 0.5, 0.1]));
    let twin = item(3, 1, 0.8, Why::LowMargin, [1.0, 0.5, 0.1]);
    assert_eq!(queue.distance(&twin), 0.0);
    assert_eq!(queue.distance(&Item { model: "n".into(), ..twin }), 1.0);
}

/// The lot decides by the id alone; so of the parts that the queue holds as audited, as many are bad as of all parts.
#[test]
fn the_audited_share_is_unbiased_whatever_the_model_thinks() {
    let budget = Budget { per_hour: 20, waiting: 100 };
    let mut queue = Queue::default();
    // Parts that are bad in one of ten cases, and which the model finds odd far more often than the good ones.
    let bad = |id: u64| audited(id ^ 0xbad, 0.1);
    let (mut all, mut drawn) = (0, 0);
    for id in 1..=20_000_u64 {
        let lot = audited(id, 0.05);
        let why = if lot { Why::Audit } else { Why::LowMargin };
        let value = if bad(id) { 0.9 } else { 0.2 };
        queue.offer(Item { sketch: None, ..item(id, id as i64 / 200, value, why, [1.0; 3]) }, &budget, &same);
        (all, drawn) = (all + u32::from(bad(id)), drawn + u32::from(lot));
    }
    let lot: Vec<u64> = queue.items().filter(|item| item.is_audited()).map(|item| item.id).collect();
    let chosen: Vec<u64> = queue.items().filter(|item| !item.is_audited()).map(|item| item.id).collect();
    let share = |ids: &[u64]| ids.iter().filter(|&&id| bad(id)).count() as f64 / ids.len() as f64;
    assert_eq!(lot.len(), drawn as usize, "every one that was drawn is there");
    // Three standard deviations of a share of 0.1 from 1,000 parts.
    assert!((share(&lot) - f64::from(all) / 20_000.0).abs() < 0.03, "{}", share(&lot));
    assert!(share(&chosen) > 0.9, "the chosen ones say nothing of the rate: {}", share(&chosen));
}
