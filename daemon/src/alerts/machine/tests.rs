//! The life of an alert in simulated time: by example, and compared with a plain reading of the rules over random histories.

use proptest::prelude::*;

use super::super::rules::testing::at;
use super::*;

fn rule(for_s: u32, resolve_after_s: u32, remind_s: u32) -> Rule {
    let text = format!(
        "severity = \"warning\"\nfor_s = {for_s}\nresolve_after_s = {resolve_after_s}\nremind_s = {remind_s}\n[when]\nkind = \"gpu_hot\"\n"
    );
    toml::from_str(&text).unwrap()
}

/// One subject, played second by second.
struct Play {
    machine: Machine,
    rule: Rule,
}

impl Play {
    fn new(rule: Rule) -> Play {
        Play { machine: Machine::default(), rule }
    }

    fn step(&mut self, second: i64, level: Level) -> Vec<What> {
        let reading =
            Reading { subject: "GPU-1".into(), level, value: Some(second as f64), text: format!("{level:?}") };
        let changes = self.machine.observe("hot", &self.rule, &[reading], Level::Good, at(second));
        changes.into_iter().map(|change| change.what).collect()
    }

    fn note(by: &str, second: i64) -> Note {
        Note { by: by.into(), at: at(second), comment: None }
    }

    fn id(&self) -> String {
        self.machine.active()[0].id.clone()
    }
}

#[test]
fn an_alert_fires_holds_and_resolves_as_its_rule_says() {
    let mut play = Play::new(rule(10, 20, 0));
    assert_eq!(play.step(0, Level::Bad), []);
    assert_eq!(play.step(9, Level::Bad), []);
    assert_eq!(play.step(10, Level::Bad), [What::Fired]);
    assert_eq!(play.machine.active()[0].since, at(0));
    assert_eq!(play.step(11, Level::Bad), [], "told once");
    assert_eq!(play.step(12, Level::Good), []);
    assert_eq!(play.step(30, Level::Between), [], "a break: well for 18 s is not 20");
    assert_eq!(play.step(40, Level::Good), []);
    assert_eq!(play.step(59, Level::Good), []);
    assert_eq!(play.step(60, Level::Good), [What::Resolved]);
    assert!(play.machine.active().is_empty());
    let over = play.machine.recent().next().unwrap();
    assert_eq!((over.fired_at, over.resolved_at), (at(10), Some(at(60))));
    assert!(play.machine.tracks.is_empty(), "nothing is kept of what is well");
}

#[test]
fn a_short_trouble_fires_nothing() {
    let mut play = Play::new(rule(10, 0, 0));
    for second in 0..100 {
        let level = if second % 10 == 9 { Level::Between } else { Level::Bad };
        assert_eq!(play.step(second, level), [], "{second}");
    }
}

#[test]
fn reminders_end_with_the_acknowledgement() {
    let mut play = Play::new(rule(0, 0, 60));
    assert_eq!(play.step(0, Level::Bad), [What::Fired]);
    assert_eq!(play.step(59, Level::Bad), []);
    assert_eq!(play.step(60, Level::Bad), [What::Reminded]);
    assert_eq!(play.step(61, Level::Bad), []);
    let id = play.id();
    let (alert, change) = play.machine.acknowledge(&id, Play::note("anna", 70)).unwrap();
    assert_eq!((alert.acknowledged.unwrap().by, change.unwrap().what), ("anna".to_owned(), What::Acknowledged));
    let (alert, change) = play.machine.acknowledge(&id, Play::note("ben", 71)).unwrap();
    assert_eq!((alert.acknowledged.unwrap().by, change), ("anna".to_owned(), None), "the first one stays");
    assert_eq!(play.step(1000, Level::Bad), []);
    assert_eq!(play.machine.acknowledge("alert_x", Play::note("ben", 71)), None);
}

#[test]
fn what_was_resolved_by_hand_is_silent_until_it_was_well_once() {
    let mut play = Play::new(rule(0, 0, 0));
    play.step(0, Level::Bad);
    let id = play.id();
    let change = play.machine.resolve(&id, Play::note("anna", 5)).unwrap();
    assert_eq!(change.alert.resolved_by.unwrap().by, "anna");
    assert_eq!(play.step(6, Level::Bad), []);
    assert_eq!(play.step(7, Level::Good), []);
    assert_eq!(play.step(8, Level::Bad), [What::Fired]);
    assert_ne!(play.id(), id);
}

#[test]
fn a_subject_that_is_there_no_more_ends_and_so_does_a_rule() {
    let mut play = Play::new(rule(0, 0, 0));
    play.step(0, Level::Bad);
    let gone = play.machine.observe("hot", &play.rule, &[], Level::Between, at(1));
    assert!(gone.is_empty(), "nothing is known of it");
    let gone = play.machine.observe("hot", &play.rule, &[], Level::Good, at(2));
    assert_eq!(gone[0].what, What::Resolved);
    play.step(3, Level::Bad);
    assert_eq!(play.machine.keep_only(|name| name != "hot", at(4))[0].what, What::Resolved);
    assert!(play.machine.tracks.is_empty());
}

#[test]
fn a_clock_that_is_set_back_neither_fires_nor_hangs() {
    let mut play = Play::new(rule(10, 10, 0));
    play.step(1000, Level::Bad);
    assert_eq!(play.step(5, Level::Bad), []);
    assert_eq!(play.step(15, Level::Bad), [What::Fired]);
    play.step(16, Level::Good);
    play.step(2, Level::Good);
    assert_eq!(play.step(12, Level::Good), [What::Resolved]);
}

/// What the rules say, read plainly: whether the alert is on after each second.
fn oracle(levels: &[Level], for_s: usize, resolve_after_s: usize) -> Vec<bool> {
    let mut on = false;
    (0..levels.len())
        .map(|now| {
            let run = |level: Level| levels[..=now].iter().rev().take_while(|&&it| it == level).count();
            match on {
                false => on = run(Level::Bad) > for_s,
                true => on = run(Level::Good) <= resolve_after_s,
            }
            on
        })
        .collect()
}

fn level() -> impl Strategy<Value = Level> {
    prop_oneof![4 => Just(Level::Bad), 1 => Just(Level::Between), 4 => Just(Level::Good)]
}

/// Stretches, so that clocks have a chance to run out.
fn history() -> impl Strategy<Value = Vec<Level>> {
    proptest::collection::vec((level(), 1_usize..12), 1..30)
        .prop_map(|runs| runs.into_iter().flat_map(|(level, length)| vec![level; length]).collect())
}

proptest! {
    #[test]
    fn any_history_goes_as_the_rule_says_whenever_it_is_restarted(
        levels in history(), for_s in 0_u32..8, resolve_after_s in 0_u32..8, restart_every in 1_usize..20,
    ) {
        let mut play = Play::new(rule(for_s, resolve_after_s, 0));
        let expected = oracle(&levels, for_s as usize, resolve_after_s as usize);
        let mut on = false;
        for (second, &level) in levels.iter().enumerate() {
            let changes = play.step(second as i64, level);
            for change in &changes {
                // Turns alternate: fired, resolved, fired ...
                prop_assert_eq!(*change, if on { What::Resolved } else { What::Fired });
                on = !on;
            }
            prop_assert_eq!(play.machine.active().len() == 1, expected[second], "after second {}", second);
            prop_assert_eq!(on, expected[second]);
            if second % restart_every == 0 {
                let kept = serde_json::to_string(&play.machine).unwrap();
                play.machine = serde_json::from_str(&kept).unwrap();
            }
        }
    }
}
