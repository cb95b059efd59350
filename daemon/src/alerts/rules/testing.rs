//! What tests of conditions share: parts, facts, and a bench that plays them to one watcher in simulated time.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use models::runtime::Provider;
use stages::inspection::{Inspection, KeptHeat};
use stages::ledger::Ledger;
use stages::line::LineState;
use stages::verdict::{Cause, Verdict};

use super::super::facts::{Facts, LineFacts, ProviderFacts, StoreFacts};
use super::{Condition, Level, Reading, Watch};
use crate::health::{ClockState, CpuReport, DiskReport, GpuCard, GpuReport, HealthReport, MemoryReport};

pub(crate) fn part(verdict: Verdict, label: Option<&str>) -> Inspection {
    Inspection {
        id: 1,
        line: "line".into(),
        camera: "camera".into(),
        serial: None,
        lot: None,
        identity: None,
        call: None,
        origin: None,
        triggered_at: Timestamp::UNIX_EPOCH,
        verdict,
        detail: None,
        label: label.map(Arc::from),
        found: Vec::new(),
        scores: Vec::new(),
        heat: None,
        regions: Vec::new(),
        views: Arc::default(),
        recipe: "r@1".into(),
        model: "m".into(),
        provider: Some(Provider::Cpu),
        ledger: Ledger::default(),
        evidence: None,
        truth: None,
        conditions: Vec::new(),
        check: None,
        image: None,
        pose: None,
        sample: Default::default(),
    }
}

pub(crate) fn pass() -> Inspection {
    part(Verdict::Pass, Some("good"))
}

pub(crate) fn fail(label: &str) -> Inspection {
    part(Verdict::Fail, Some(label))
}

pub(crate) fn no_decision(cause: Cause) -> Inspection {
    part(Verdict::NoDecision(cause), None)
}

/// A failed part whose heat map of 16 x 16 cells is a bump a cell wide at this place.
pub(crate) fn fail_at(label: &str, x: f64, y: f64) -> Inspection {
    const SIDE: u16 = 16;
    let bump = |at: u16| {
        let (column, row) = (f64::from(at % SIDE) + 0.5, f64::from(at / SIDE) + 0.5);
        let distance = (column - x * f64::from(SIDE)).hypot(row - y * f64::from(SIDE));
        (250.0 * (-distance * distance).exp()) as u8
    };
    let heat = KeptHeat { label: label.into(), width: SIDE, height: SIDE, cells: (0..SIDE * SIDE).map(bump).collect() };
    Inspection { heat: Some(heat), ..fail(label) }
}

/// A moment of simulated time.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000 + second)
}

/// A line and a machine with nothing wrong.
pub(crate) fn well(now: Timestamp) -> Facts {
    Facts {
        now,
        line: LineFacts { state: LineState::Running, camera: "camera".into(), source_trouble: None },
        provider: ProviderFacts { active: Provider::Cpu, fallbacks: Vec::new() },
        store: StoreFacts::default(),
        plc: None,
        drift: Vec::new(),
        health: Arc::new(HealthReport {
            at: now,
            gpus: GpuReport::default(),
            cpu: CpuReport { cores: 2, busy_percent: Some(30.0), load_1m: Some(1.0) },
            memory: MemoryReport {
                total_bytes: Some(8 << 30),
                available_bytes: Some(4 << 30),
                own_bytes: Some(1 << 28),
            },
            disks: vec![DiskReport {
                path: "/state".into(),
                total_bytes: 100 << 30,
                free_bytes: 50 << 30,
                days_left: None,
            }],
            clock: ClockState::Synchronised,
        }),
        outbox: Vec::new(),
        dead_letters: 0,
    }
}

/// Facts with these cards.
pub(crate) fn with_cards(facts: &Facts, cards: &[GpuCard]) -> Facts {
    let gpus = GpuReport { cards: cards.to_vec(), trouble: None };
    let health = HealthReport { gpus, at: facts.now, ..HealthReport::clone(&facts.health) };
    Facts { health: Arc::new(health), ..facts.clone() }
}

/// A card at work.
pub(crate) fn card(uuid: &str) -> GpuCard {
    GpuCard {
        uuid: uuid.into(),
        name: "T4".into(),
        temperature_c: Some(60),
        slowdown_c: Some(93),
        ecc_uncorrected: Some(0),
        ..GpuCard::default()
    }
}

/// Plays parts and facts to one watcher.
pub(crate) struct Bench {
    watch: Box<dyn Watch>,
    second: i64,
    /// What it looks at; its `now` is set by the bench.
    pub(crate) facts: Facts,
}

impl Bench {
    pub(crate) fn new(condition: &impl Condition) -> Bench {
        assert_eq!(condition.problems(), [], "a test's own configuration");
        Bench { watch: condition.watch(), second: 0, facts: well(at(0)) }
    }

    pub(crate) fn part(&mut self, part: &Inspection) {
        self.watch.part(part, at(self.second));
    }

    pub(crate) fn wait(&mut self, seconds: i64) {
        self.second += seconds;
    }

    pub(crate) fn readings(&mut self) -> Vec<Reading> {
        self.facts.now = at(self.second);
        self.watch.look(&self.facts).readings
    }

    /// Of the only subject.
    fn only(&mut self) -> Reading {
        let mut readings = self.readings();
        assert_eq!(readings.len(), 1, "{readings:?}");
        readings.remove(0)
    }

    pub(crate) fn level(&mut self) -> Level {
        self.only().level
    }

    pub(crate) fn value(&mut self) -> Option<f64> {
        self.only().value
    }

    pub(crate) fn text(&mut self) -> String {
        self.only().text
    }

    /// The same rule after a restart.
    pub(crate) fn restart(&mut self, condition: &impl Condition) {
        let memory = self.watch.memory();
        self.watch = condition.watch();
        if let Some(memory) = memory {
            self.watch.recall(&memory);
        }
    }

    pub(crate) fn forget(&mut self, subject: &str) {
        self.watch.forget(subject);
    }
}
