//! The handshake in simulated time: by hand, and over random schedules of what PLC and line may do.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const TERMS: Terms = Terms {
    capacity: 8,
    ack_wait: Duration::from_millis(1000),
    heartbeat: Duration::from_millis(500),
    recipes: 3,
    session: 77,
};

const RUNS: LineLook = LineLook { takes: true, held: false, recipe: 2 };

/// A handshake with a line that keeps what it was called for, and a PLC whose bits are set one by one.
struct Rig {
    handshake: Handshake,
    now: Instant,
    plc: Heard,
    /// Calls that the line has and has not decided.
    calls: VecDeque<u32>,
    /// Ids whose result the PLC has read, in order.
    read: Vec<u32>,
    accepted: Vec<u32>,
    doubled: u64,
}

impl Rig {
    fn new() -> Rig {
        let mut rig = Rig {
            handshake: Handshake::new(TERMS),
            now: Instant::now(),
            plc: Heard::default(),
            calls: VecDeque::new(),
            read: Vec::new(),
            accepted: Vec::new(),
            doubled: 0,
        };
        assert_eq!(rig.handshake.said(), Said::SAFE, "before anybody has looked at the line");
        rig.look(RUNS);
        rig
    }

    fn look(&mut self, line: LineLook) {
        self.handshake.look(line, self.now);
        self.law();
    }

    fn pass_ms(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn say(&mut self, change: impl FnOnce(&mut Heard)) -> Said {
        change(&mut self.plc);
        let mut placed = None;
        self.handshake.hear(self.plc.clone(), self.now, |call| {
            placed = Some(call.id);
            true
        });
        if let Some(id) = placed {
            self.calls.push_back(id);
            self.accepted.push(id);
        }
        self.law();
        self.handshake.said()
    }

    /// The whole trigger, up and down. True: it was taken.
    fn trigger(&mut self, id: u32) -> bool {
        let said = self.say(|plc| (plc.id, plc.trigger) = (id, true));
        let taken = said.trigger_ack;
        assert_eq!(taken, !said.error || said.error_code == ErrorCode::SafeHold as u16);
        if taken {
            assert_eq!(said.ack_id, id);
        }
        self.say(|plc| plc.trigger = false);
        taken
    }

    /// The line decides its oldest part.
    fn decide(&mut self, verdict: Answer) {
        let Some(id) = self.calls.pop_front() else { return };
        assert!(self.handshake.decide(Outcome { id, verdict, ..Outcome::NONE }, self.now));
        self.law();
    }

    /// Reads what is shown and acknowledges it, up and down.
    fn acknowledge(&mut self) -> Option<Outcome> {
        let said = self.handshake.said();
        if said.result_ready {
            self.read.push(said.result.id);
        }
        let after = self.say(|plc| plc.result_ack = true);
        assert!(!after.result_ready && after.result == Outcome::NONE, "the bit falls, and nothing stands there");
        self.say(|plc| plc.result_ack = false);
        said.result_ready.then_some(said.result)
    }

    fn law(&self) {
        let tally = self.handshake.tally();
        let Tally { triggered, pass, fail, review, no_decision, in_flight, waiting, acknowledged, .. } = tally;
        assert_eq!(triggered, pass + fail + review + no_decision + in_flight, "{tally:?}");
        assert_eq!(triggered, in_flight + waiting + acknowledged, "no result is lost or doubled: {tally:?}");
        assert!(in_flight + waiting <= TERMS.capacity as u64, "{tally:?}");
        assert_eq!(triggered, self.accepted.len() as u64);
    }
}

#[test]
fn one_part_from_trigger_to_acknowledgement() {
    let mut rig = Rig::new();
    let said = rig.handshake.said();
    assert!(said.trigger_ready && !said.result_ready && !said.busy && !said.error);
    assert_eq!((said.session, said.recipe), (77, 2));

    let said = rig.say(|plc| (plc.id, plc.recipe, plc.trigger) = (41, 2, true));
    assert!(said.trigger_ack && !said.trigger_ready, "ready again when the trigger has fallen");
    assert_eq!(said.ack_id, 41);
    let said = rig.say(|plc| plc.trigger = false);
    assert!(!said.trigger_ack && said.trigger_ready && !said.result_ready);

    rig.decide(Answer::Fail);
    let said = rig.handshake.said();
    assert!(said.result_ready);
    assert_eq!((said.result.id, said.result.verdict), (41, Answer::Fail));
    assert_eq!(rig.acknowledge().map(|result| result.id), Some(41));
    let tally = rig.handshake.tally();
    assert_eq!((tally.triggered, tally.fail, tally.acknowledged, tally.in_flight), (1, 1, 1, 0));
    assert_eq!(rig.handshake.done().map(|done| done.outcome.id).collect::<Vec<_>>(), [41]);
}

#[test]
fn eight_results_wait_and_further_triggers_are_missed() {
    let mut rig = Rig::new();
    for id in 1..=8 {
        assert!(rig.trigger(id), "{id}");
        rig.decide(Answer::Pass);
    }
    let said = rig.handshake.said();
    assert!(said.busy && !said.trigger_ready);
    assert_eq!(said.result.id, 1, "the first one stays");
    for id in 9..=12 {
        let said = rig.say(|plc| (plc.id, plc.trigger) = (id, true));
        assert_eq!((said.trigger_ack, said.error_code), (false, ErrorCode::Busy as u16));
        rig.say(|plc| plc.trigger = false);
    }
    assert_eq!((rig.handshake.said().missed, rig.handshake.said().error_code), (4, 0));

    rig.pass_ms(1001);
    rig.look(RUNS);
    assert!(rig.handshake.said().ack_overdue, "that is an alarm");
    assert_eq!(rig.handshake.overdue(rig.now).map(|(id, _)| id), Some(1));
    for id in 1..=8 {
        assert_eq!(rig.acknowledge().map(|result| result.id), Some(id), "in order, each once");
    }
    let said = rig.handshake.said();
    assert!(said.trigger_ready && !said.ack_overdue && !said.busy);
    assert_eq!(rig.handshake.tally().late_acks, 1, "the others had no chance to be acknowledged before");
    assert!(rig.trigger(13));
}

#[test]
fn an_acknowledgement_that_stays_up_holds_the_next_result_back_and_is_an_alarm() {
    let mut rig = Rig::new();
    assert!(rig.trigger(1) && rig.trigger(2));
    rig.decide(Answer::Pass);
    rig.decide(Answer::Pass);
    let said = rig.say(|plc| plc.result_ack = true);
    assert!(!said.result_ready, "1 was acknowledged; 2 waits until the acknowledgement falls");
    rig.pass_ms(1500);
    rig.look(RUNS);
    assert!(rig.handshake.said().ack_overdue);
    let said = rig.say(|plc| plc.result_ack = false);
    assert_eq!((said.result_ready, said.result.id), (true, 2));
}

#[test]
fn a_trigger_that_comes_twice_or_for_another_recipe_is_refused() {
    let mut rig = Rig::new();
    assert!(rig.trigger(5));
    let codes = [(5, 0), (6, 4), (6, 3), (6, 1)].map(|(id, recipe)| {
        let said = rig.say(|plc| (plc.id, plc.recipe, plc.trigger) = (id, recipe, true));
        rig.say(|plc| plc.trigger = false);
        assert!(!said.trigger_ack && said.error);
        said.error_code
    });
    let [doubled, unknown, other, _] = codes;
    assert_eq!(doubled, ErrorCode::Doubled as u16);
    assert_eq!([unknown, other], [ErrorCode::RecipeUnknown as u16, ErrorCode::RecipeNotInForce as u16]);
    let tally = rig.handshake.tally();
    assert_eq!((tally.triggered, tally.doubled, tally.refused, tally.missed), (1, 1, 3, 0));
    assert_eq!(rig.handshake.said().error_code, 0, "it goes with the trigger");
    // Without ids nothing can be told apart, so nothing is refused.
    assert!(rig.say(|plc| (plc.id, plc.recipe, plc.trigger) = (0, 0, true)).trigger_ack);
    rig.say(|plc| plc.trigger = false);
    assert!(rig.trigger(0));
}

#[test]
fn a_line_that_takes_nothing_says_so_and_misses_triggers() {
    let mut rig = Rig::new();
    rig.look(LineLook { takes: false, ..RUNS });
    let said = rig.handshake.said();
    assert_eq!((said.trigger_ready, said.error_code), (false, ErrorCode::NotReady as u16));
    assert!(!rig.trigger(1));
    rig.look(LineLook { held: true, ..RUNS });
    let said = rig.handshake.said();
    assert_eq!((said.trigger_ready, said.error_code), (true, ErrorCode::SafeHold as u16));
    assert!(rig.trigger(2), "in safe hold every part gets its no decision");
    // The source has ended meanwhile.
    rig.handshake.hear(Heard { trigger: true, id: 3, ..Heard::default() }, rig.now, |_| false);
    assert_eq!((rig.handshake.said().missed, rig.handshake.said().trigger_ack), (2, false));
}

#[test]
fn the_heart_beats_with_looks_alone_and_outputs_are_safe_at_the_end() {
    let mut rig = Rig::new();
    let first = rig.handshake.said().beat;
    rig.pass_ms(5000);
    rig.say(|plc| plc.id = 1);
    assert_eq!(rig.handshake.said().beat, first, "what the PLC does keeps nobody alive");
    rig.look(RUNS);
    assert_eq!(rig.handshake.said().beat, first + 1);
    assert!(rig.trigger(1));
    rig.handshake.quiet();
    assert!(!rig.handshake.said().trigger_ready && !rig.trigger(2));
    rig.decide(Answer::Pass);
    assert!(rig.handshake.said().result_ready, "what was taken gets its result");
    rig.handshake.end();
    assert_eq!(rig.handshake.said(), Said::SAFE);
    rig.pass_ms(5000);
    rig.look(RUNS);
    assert_eq!(rig.handshake.said(), Said::SAFE);
}

#[test]
fn a_trigger_that_is_up_at_the_first_sight_is_no_rise() {
    let mut rig = Rig::new();
    rig.plc = Heard { trigger: true, id: 9, ..Heard::default() };
    rig.handshake.prime(rig.plc.clone());
    assert!(!rig.say(|_| {}).trigger_ack);
    rig.say(|plc| plc.trigger = false);
    assert!(rig.trigger(9));
}

#[test]
fn a_call_that_the_line_forgot_gets_no_decision() {
    let mut rig = Rig::new();
    assert!(rig.trigger(1) && rig.trigger(2));
    rig.calls.pop_front();
    rig.decide(Answer::Pass);
    assert_eq!(rig.acknowledge().map(|result| (result.id, result.verdict)), Some((1, Answer::NoDecision)));
    assert_eq!(rig.acknowledge().map(|result| (result.id, result.verdict)), Some((2, Answer::Pass)));
    assert!(!rig.handshake.decide(Outcome { id: 2, ..Outcome::NONE }, rig.now), "nobody waits for another one");
}

/// What may happen next.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The trigger bit, with the id of a new part or of the one before, and a recipe's index.
    Trigger { up: bool, again: bool, recipe: u16 },
    /// The acknowledgement's bit.
    Ack(bool),
    /// The line decides its oldest part.
    Decide(u8),
    /// The line is looked at.
    Look { takes: bool, held: bool },
    /// Milliseconds pass.
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let recipe = prop_oneof![6 => Just(0_u16), 2 => Just(2), 1 => 0_u16..6];
    prop_oneof![
        4 => (any::<bool>(), prop::bool::weighted(0.1), recipe)
            .prop_map(|(up, again, recipe)| Step::Trigger { up, again, recipe }),
        4 => any::<bool>().prop_map(Step::Ack),
        3 => (0_u8..4).prop_map(Step::Decide),
        1 => (prop::bool::weighted(0.8), prop::bool::weighted(0.2))
            .prop_map(|(takes, held)| Step::Look { takes, held }),
        1 => (0_u16..2000).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever PLC and line do, in whatever order: every trigger that was acknowledged gets exactly one result with its id, in order;
    /// what is shown does not change while its bit is up; and every rise of the trigger is counted once.
    #[test]
    fn every_trigger_taken_gets_exactly_one_result(steps in prop::collection::vec(step(), 1..400)) {
        let mut rig = Rig::new();
        let (mut next_id, mut rises) = (1_u32, 0_u64);
        let mut shown: Option<Outcome> = None;
        for step in steps {
            let before = rig.handshake.said();
            match step {
                Step::Trigger { up, again, recipe } => {
                    let rise = up && !rig.plc.trigger;
                    rises += u64::from(rise);
                    let known = rig.accepted.contains(&(next_id - 1));
                    if rise && !again {
                        next_id += 1;
                    }
                    let id = next_id - 1;
                    let taken = rig.accepted.len();
                    let said = rig.say(|plc| (plc.trigger, plc.id, plc.recipe) = (up, id, recipe));
                    prop_assert_eq!(rig.accepted.len() > taken, rise && said.trigger_ack);
                    if rise && before.trigger_ready && !(again && known) && [0, 2].contains(&recipe) {
                        prop_assert!(said.trigger_ack, "ready is a promise");
                    }
                    rig.doubled += u64::from(rise && said.error_code == ErrorCode::Doubled as u16);
                }
                Step::Ack(up) => {
                    let rise = up && !rig.plc.result_ack;
                    if rise && before.result_ready {
                        rig.read.push(before.result.id);
                        shown = None;
                    }
                    rig.say(|plc| plc.result_ack = up);
                }
                Step::Decide(verdict) => {
                    rig.decide([Answer::Pass, Answer::Fail, Answer::Review, Answer::NoDecision][usize::from(verdict)]);
                }
                Step::Look { takes, held } => rig.look(LineLook { takes, held, recipe: 2 }),
                Step::Wait(ms) => rig.pass_ms(ms.into()),
            }
            let said = rig.handshake.said();
            match shown {
                Some(result) => prop_assert_eq!((said.result_ready, said.result), (true, result)),
                None => shown = said.result_ready.then_some(said.result),
            }
            if !said.result_ready {
                prop_assert_eq!(said.result, Outcome::NONE);
            }
            let tally = rig.handshake.tally();
            prop_assert_eq!(rises, tally.triggered + tally.missed + tally.doubled + tally.refused);
            prop_assert_eq!(tally.doubled, rig.doubled);
        }
        // Everything comes to its end.
        rig.say(|plc| (plc.trigger, plc.result_ack) = (false, false));
        while !rig.calls.is_empty() || rig.handshake.said().result_ready {
            rig.decide(Answer::Pass);
            rig.acknowledge();
        }
        prop_assert_eq!(&rig.read, &rig.accepted, "each once, in order");
        prop_assert_eq!(rig.handshake.is_idle(), (true, true));
    }
}
