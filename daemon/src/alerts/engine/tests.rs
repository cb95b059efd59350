//! Rules, facts and time in; messages out: grouping, quiet hours, restarts and kills, and every GPU alarm with a scripted card.

use super::super::rule::Severity;
use super::super::rules::testing::{at, card, fail, well, with_cards};
use super::super::ruleset::{Origin, built_in};
use super::*;
use crate::health::{GpuCard, ThrottleReason};
use crate::outbox::{Contents, Outbox};

/// An engine with its outbox, played in simulated time.
struct Rig {
    dir: tempfile::TempDir,
    rules: BTreeMap<String, Named>,
    engine: Engine,
    facts: Facts,
    second: i64,
    group_wait_s: u32,
}

fn rules(texts: &[(&str, &str)]) -> BTreeMap<String, Named> {
    let rule = |text: &str| Named { origin: Origin::Configured, rule: toml::from_str(text).unwrap() };
    texts.iter().map(|(name, text)| ((*name).to_owned(), rule(text))).collect()
}

fn shipped() -> BTreeMap<String, Named> {
    built_in().into_iter().map(|(name, rule)| (name, Named { origin: Origin::BuiltIn, rule })).collect()
}

impl Rig {
    fn new(rules: BTreeMap<String, Named>, group_wait_s: u32) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), rules.clone(), audience(group_wait_s));
        Rig { dir, rules, engine, facts: well(at(0)), second: 0, group_wait_s }
    }

    /// One second later. What is due goes to the outbox, which is opened anew each time, as after a kill.
    fn step(&mut self) {
        self.facts = Facts {
            now: at(self.second),
            ..with_cards(&Facts { now: at(self.second), ..self.facts.clone() }, &self.facts.health.gpus.cards.clone())
        };
        self.engine.look(&self.facts);
        let due = self.engine.due(at(self.second));
        self.engine.save(at(self.second)).unwrap();
        if !due.is_empty() {
            Outbox::open(self.dir.path()).unwrap().push(due).unwrap();
            self.engine.handed_over();
            self.engine.save(at(self.second)).unwrap();
        }
        self.second += 1;
    }

    fn run(&mut self, seconds: i64) {
        (0..seconds).for_each(|_| self.step());
    }

    fn restart(&mut self) {
        self.engine = Engine::open(self.dir.path(), self.rules.clone(), audience(self.group_wait_s));
    }

    fn cards(&mut self, cards: &[GpuCard]) {
        self.facts = with_cards(&self.facts, cards);
    }

    fn active(&self) -> Vec<String> {
        self.engine.active().into_iter().map(|alert| alert.rule).collect()
    }

    /// What was queued for a destination: subjects.
    fn told(&self, to: &str) -> Vec<String> {
        let waiting = Contents::read(self.dir.path()).unwrap().waiting;
        waiting.into_iter().filter(|it| *it.message.to == *to).map(|it| it.message.subject).collect()
    }
}

fn audience(group_wait_s: u32) -> Audience {
    let webhook = Destination::default();
    let chat = Destination { kind: DestinationKind::Slack, min_severity: Severity::Warning, ..Destination::default() };
    Audience {
        line: "press-3".into(),
        destinations: [("mes".to_owned(), webhook), ("chat".to_owned(), chat)].into(),
        group_wait_s,
        zone: TimeZone::UTC,
    }
}

fn note(by: &str, second: i64) -> Note {
    Note { by: by.into(), at: at(second), comment: None }
}

#[test]
fn no_card_is_no_alarm() {
    let mut rig = Rig::new(shipped(), 0);
    rig.facts.provider.fallbacks = vec![(models::runtime::Provider::Cuda, "no such library".into())];
    rig.run(300);
    assert_eq!((rig.active(), rig.told("mes")), (vec![], vec![]));
}

/// Acceptance: each alarm of a card fires after its rule's time, holds over its hysteresis, and resolves after its rule's time.
#[test]
fn every_alarm_of_a_scripted_card_fires_holds_and_resolves() {
    let good = card("GPU-1");
    let hot = GpuCard { temperature_c: Some(90), ..good.clone() };
    let warm = GpuCard { temperature_c: Some(86), ..good.clone() };
    let slow = GpuCard { throttled_by: vec![ThrottleReason::HwThermal], ..good.clone() };
    let faulty = GpuCard { ecc_uncorrected: Some(1), ..good.clone() };
    // Rule, what it is while bad, what it is between, seconds until it fires and resolves.
    type Case = (&'static str, Vec<GpuCard>, Option<GpuCard>, i64, i64);
    let cases: [Case; 3] = [
        ("gpu-hot", vec![hot], Some(warm), 60, 60),
        ("gpu-throttling", vec![slow], None, 30, 60),
        ("gpu-lost", vec![], None, 10, 60),
    ];
    for (rule, bad, between, fires_after, resolves_after) in cases {
        let mut rig = Rig::new(shipped(), 0);
        rig.facts.provider.active = models::runtime::Provider::Cuda;
        rig.cards(std::slice::from_ref(&good));
        rig.run(30);
        rig.cards(&bad);
        rig.run(fires_after);
        assert_eq!(rig.active(), Vec::<String>::new(), "{rule}: too early");
        rig.run(1);
        assert_eq!(rig.active(), [rule]);
        rig.restart();
        rig.run(100);
        assert_eq!(rig.active(), [rule], "it outlives a restart");
        if let Some(between) = between {
            rig.cards(&[between]);
            rig.run(200);
            assert_eq!(rig.active(), [rule], "it holds between its limits");
        }
        rig.cards(std::slice::from_ref(&good));
        rig.run(resolves_after);
        assert_eq!(rig.active(), [rule], "{rule}: it resolves too early");
        rig.run(1);
        assert_eq!(rig.active(), Vec::<String>::new());
        let told = rig.told("mes");
        assert_eq!(told.len(), 2, "told once that it fired and once that it is over: {told:?}");
        assert!(told[0].contains(rule) && told[1].contains("RESOLVED"), "{told:?}");
    }
    let mut rig = Rig::new(shipped(), 0);
    rig.facts.provider.active = models::runtime::Provider::Cuda;
    rig.cards(&[faulty]);
    rig.run(500);
    assert_eq!(rig.active(), ["gpu-errors"], "it goes on until somebody has seen it");
    let id = rig.engine.active()[0].id.clone();
    rig.engine.resolve(&id, note("anna", 500)).unwrap();
    rig.run(100);
    assert_eq!(rig.active(), Vec::<String>::new());
}

#[test]
fn a_card_that_is_not_used_is_an_alarm() {
    let mut rig = Rig::new(shipped(), 0);
    rig.cards(&[card("GPU-1")]);
    rig.run(11);
    assert_eq!(rig.active(), ["provider-fell-back"]);
    assert!(rig.engine.active()[0].machine);
}

const ROW: &str = "resolve_after_s = 0\n[when]\nkind = \"fails_in_a_row\"\ncount = 2\n";
const HOLD: &str = "severity = \"info\"\nresolve_after_s = 0\n[when]\nkind = \"safe_hold\"\n";
const CAMERA: &str = "severity = \"critical\"\nresolve_after_s = 0\n[when]\nkind = \"camera_lost\"\n";

#[test]
fn changes_of_a_group_are_told_together_and_a_critical_one_takes_them_along() {
    let mut rig = Rig::new(rules(&[("row", ROW), ("hold", HOLD), ("camera", CAMERA)]), 10);
    (0..2).for_each(|_| rig.engine.part(&fail("pit"), at(0)));
    rig.step();
    rig.facts.line.state = stages::line::LineState::SafeHold("test".into());
    rig.run(9);
    assert_eq!(rig.told("mes"), Vec::<String>::new(), "they wait for company");
    rig.run(2);
    assert_eq!(rig.told("mes").len(), 1);
    assert!(rig.told("mes")[0].ends_with("and 1 more"), "{:?}", rig.told("mes"));
    assert!(!rig.told("chat")[0].contains("more"), "chat does not want `info`");
    rig.facts.line.source_trouble = Some("link down".into());
    rig.step();
    assert_eq!(rig.told("mes").len(), 2, "a critical one does not wait");
}

#[test]
fn quiet_hours_hold_back_all_but_the_critical_and_forget_what_is_over() {
    // at(0) is 08:00 UTC; quiet for the first hour.
    let quiet = format!("quiet_hours = [\"07:00-09:00\"]\n{ROW}");
    let hold = format!("quiet_hours = [\"07:00-09:00\"]\n{HOLD}");
    let camera = format!("quiet_hours = [\"07:00-09:00\"]\n{CAMERA}");
    assert_eq!(at(0).to_string(), "2027-01-15T08:00:00Z");
    let mut rig = Rig::new(rules(&[("row", &quiet), ("hold", &hold), ("camera", &camera)]), 0);
    (0..2).for_each(|_| rig.engine.part(&fail("pit"), at(0)));
    rig.facts.line.state = stages::line::LineState::SafeHold("test".into());
    rig.run(5);
    assert_eq!((rig.active().len(), rig.told("mes").len()), (2, 0), "on, and nobody is told");
    rig.facts.line.source_trouble = Some("link down".into());
    rig.step();
    assert_eq!(rig.told("mes").len(), 1, "critical");
    rig.facts.line.state = stages::line::LineState::Running;
    rig.run(5);
    rig.restart();
    rig.second = 3600;
    rig.run(3);
    let told = rig.told("mes");
    assert_eq!(told.len(), 2, "the row is told of after the quiet hours, the hold that came and went is not: {told:?}");
    assert!(told[1].contains("row"), "{told:?}");
}

#[test]
fn acknowledgements_go_to_programs_and_end_reminders() {
    let row = format!("remind_s = 60\n{ROW}");
    let mut rig = Rig::new(rules(&[("row", &row)]), 0);
    (0..2).for_each(|_| rig.engine.part(&fail("pit"), at(0)));
    rig.run(130);
    assert_eq!(rig.told("chat").len(), 3, "fired and reminded twice");
    let id = rig.engine.active()[0].id.clone();
    assert_eq!(rig.engine.acknowledge("alert_x", note("anna", 130)), None);
    rig.engine.acknowledge(&id, note("anna", 130)).unwrap();
    rig.run(200);
    assert_eq!((rig.told("chat").len(), rig.told("mes").len()), (3, 4));
    assert!(rig.told("mes")[3].contains("ACKNOWLEDGED"));
}

#[test]
fn killed_at_any_moment_each_change_is_told_under_one_id() {
    let mut rig = Rig::new(rules(&[("row", ROW), ("hold", HOLD)]), 5);
    (0..2).for_each(|_| rig.engine.part(&fail("pit"), at(0)));
    rig.facts.line.state = stages::line::LineState::SafeHold("test".into());
    rig.run(5);
    // Noted and handed over, but killed before it was crossed out.
    rig.engine.look(&Facts { now: at(6), ..rig.facts.clone() });
    let due = rig.engine.due(at(6));
    assert_eq!(due.len(), 2, "one for each destination... {due:?}");
    rig.engine.save(at(6)).unwrap();
    Outbox::open(rig.dir.path()).unwrap().push(due).unwrap();
    rig.restart();
    rig.second = 40;
    rig.run(20);
    assert_eq!((rig.told("mes").len(), rig.told("chat").len()), (1, 1), "told again under the same id is told once");
}

#[test]
fn a_state_that_is_damaged_is_set_aside() {
    let mut rig = Rig::new(rules(&[("row", ROW)]), 0);
    (0..2).for_each(|_| rig.engine.part(&fail("pit"), at(0)));
    rig.step();
    let path = rig.dir.path().join("alerts/state.json");
    std::fs::write(&path, "{\"format\":1,").unwrap();
    rig.restart();
    assert_eq!(rig.active(), Vec::<String>::new());
    assert!(path.with_extension("damaged.json").exists());
    std::fs::write(&path, "{\"format\":9,\"machine\":{\"tracks\":[],\"recent\":[]},\"held\":[],\"memory\":{}}")
        .unwrap();
    assert!(alerts_in(rig.dir.path()).unwrap_err().contains("format 9"));
}

#[test]
fn other_rules_end_what_they_no_longer_ask_for() {
    let mut rig = Rig::new(rules(&[("row", ROW)]), 0);
    (0..2).for_each(|_| rig.engine.part(&fail("pit"), at(0)));
    rig.step();
    assert_eq!(rig.active(), ["row"]);
    rig.engine.set_rules(rules(&[("row", &format!("severity = \"critical\"\n{ROW}"))]));
    rig.step();
    assert_eq!(rig.engine.active()[0].severity, Severity::Critical, "the watch goes on under another severity");
    rig.engine.set_rules(rules(&[("row", &format!("enabled = false\n{ROW}"))]));
    rig.step();
    assert_eq!(rig.active(), Vec::<String>::new());
}
