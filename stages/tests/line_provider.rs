//! A provider that is lost while the line runs: the processor takes over where it may, else the line goes into safe hold.

mod line_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use line_support::*;
use models::bundle::Manifest;
use models::fallback::WithFallback;
use models::prediction::{Model, Prediction};
use models::preprocess::Preprocess;
use models::runtime::{Provider, RuntimeError};
use stages::capture::Pace;
use stages::infer::Infer;
use stages::line::LineState;
use stages::preprocess::Preprocess as PreprocessStage;
use stages::verdict::{Cause, Verdict};

const FAILED: Verdict = Verdict::NoDecision(Cause::StageFailed);

/// What a card does at a call, counted from 1.
type Script = Box<dyn Fn(u32) -> Result<(), &'static str> + Send + Sync>;

/// A model on a card that does what a test says.
struct Card {
    model: FakeModel,
    calls: Arc<AtomicU32>,
    script: Script,
}

impl Card {
    fn new(script: impl Fn(u32) -> Result<(), &'static str> + Send + Sync + 'static) -> Arc<Card> {
        Arc::new(Card { model: fake(), calls: Arc::default(), script: Box::new(script) })
    }
}

fn fake() -> FakeModel {
    FakeModel::new(Preprocess::imagenet(32))
}

impl Model for Card {
    fn manifest(&self) -> &Manifest {
        self.model.manifest()
    }
    fn digest(&self) -> &Arc<str> {
        self.model.digest()
    }
    fn provider(&self) -> Provider {
        Provider::Cuda
    }
    fn predict(&self, tensor: &[f32]) -> Result<Prediction, RuntimeError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        (self.script)(call)
            .map_err(|reason| RuntimeError::Run { provider: Provider::Cuda, reason: reason.to_owned() })?;
        Ok(Prediction { provider: Provider::Cuda, ..self.model.predict(tensor)? })
    }
}

/// A line with this model on so many threads; gives the verdicts of `parts` parts, one after the other.
fn inspect(model: Arc<dyn Model>, workers: usize, deadline_ms: u32, parts: usize) -> (Rig, Vec<Verdict>) {
    let (feed, source) = fed(Pace::Triggered);
    let chain = vec![
        Box::new(PreprocessStage { workers: 1 }) as _,
        Box::new(Infer { workers }) as _,
        decider(|_| Verdict::Pass),
    ];
    let rig = Setup { recipe: recipe_of(model, 1, deadline_ms, 0.0), ..Setup::default() }.start(source, chain);
    for part in 0..parts {
        feed.send(trigger(loose_frame(part as u64))).expect("the line listens");
        until("its verdict", || rig.gate.seen().len() > part);
    }
    let verdicts = rig.gate.seen().iter().map(|(_, verdict, _)| *verdict).collect();
    until("all are recorded", || rig.memory.recorded().len() == parts);
    (rig, verdicts)
}

/// Who computed each part; none: nobody did.
fn providers(rig: &Rig) -> Vec<Option<Provider>> {
    rig.memory.recorded().iter().map(|inspection| inspection.provider).collect()
}

#[test]
fn the_processor_takes_over_from_a_provider_that_fails_and_no_part_is_lost() {
    let card = Card::new(|call| if call < 3 { Ok(()) } else { Err("device removed") });
    let calls = card.calls.clone();
    let model = Arc::new(WithFallback::new(card, Arc::new(fake()), Duration::from_secs(1)));
    let (rig, verdicts) = inspect(model.clone(), 1, 20_000, 6);
    assert_eq!(verdicts, [Verdict::Pass; 6]);
    let (card, processor) = (Some(Provider::Cuda), Some(Provider::Cpu));
    assert_eq!(providers(&rig), [card, card, processor, processor, processor, processor]);
    assert_eq!(calls.load(Ordering::SeqCst), 4, "after two errors in a row it is not asked again");
    assert_eq!(model.provider(), Provider::Cpu);
    let (lost, reason) = model.lost().expect("the card is lost");
    assert!(lost == Provider::Cuda && reason.contains("device removed"), "{reason}");
    assert!(rig.line.drain().obey_the_law());
}

#[test]
fn one_error_alone_is_a_moments_and_the_provider_stays() {
    let card = Card::new(|call| if call % 3 == 0 { Err("busy") } else { Ok(()) });
    let model = Arc::new(WithFallback::new(card, Arc::new(fake()), Duration::from_secs(1)));
    let (rig, verdicts) = inspect(model.clone(), 1, 20_000, 9);
    assert_eq!(verdicts, [Verdict::Pass; 9]);
    assert_eq!((model.provider(), model.lost()), (Provider::Cuda, None));
    rig.line.drain();
}

#[test]
fn a_call_that_never_comes_back_costs_its_part_and_the_processor_takes_over() {
    let door = Door::default();
    let inner = door.clone();
    let card = Card::new(move |call| {
        if call == 3 {
            inner.wait();
        }
        Ok(())
    });
    let calls = card.calls.clone();
    let model = Arc::new(WithFallback::new(card, Arc::new(fake()), Duration::from_millis(300)));
    // Two threads, as one is in the call until its hang is noticed.
    let (rig, verdicts) = inspect(model.clone(), 2, 500, 6);
    let late = Verdict::NoDecision(Cause::Late);
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Pass, late, Verdict::Pass, Verdict::Pass, Verdict::Pass]);
    assert_eq!(calls.load(Ordering::SeqCst), 3, "a provider that hangs is not asked again");
    assert_eq!(model.provider(), Provider::Cpu);
    door.open();
    assert!(rig.line.drain().obey_the_law());
}

#[test]
fn without_a_fallback_three_failures_in_a_row_end_in_safe_hold() {
    // One failure is between good ones first: it does not count towards the three.
    let card = Card::new(|call| if call == 2 || call > 3 { Err("device removed") } else { Ok(()) });
    let (rig, verdicts) = inspect(card, 1, 20_000, 6);
    assert_eq!(verdicts, [Verdict::Pass, FAILED, Verdict::Pass, FAILED, FAILED, FAILED]);
    until("safe hold", || matches!(rig.line.status().state, LineState::SafeHold(_)));
    let LineState::SafeHold(reason) = rig.line.status().state else { unreachable!("it was there") };
    assert!(reason.contains("`infer` failed 3 times in a row") && reason.contains("device removed"), "{reason}");
    let counts = rig.line.drain();
    assert_eq!((counts.pass, counts.no_decision), (2, 4));
}
