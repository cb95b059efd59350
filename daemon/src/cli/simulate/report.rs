//! What came of a simulation.

use std::collections::BTreeMap;

use serde::Serialize;

use super::faults::{Fault, Incident, Times};

/// Figures and faults.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// Parts that were called for.
    called: u64,
    /// Triggers that the line took.
    pub(super) taken: u64,
    /// Triggers that it missed and said so.
    pub(super) missed: u64,
    /// Triggers that it refused because they came twice.
    pub(super) doubled: u64,
    /// Results by verdict.
    pub(super) verdicts: BTreeMap<String, u64>,
    /// Trigger to its acknowledgement.
    trigger_ack: Option<Times>,
    /// Acknowledged trigger to result, as the PLC sees it.
    result: Option<Times>,
    /// Faults that were played.
    faults: usize,
    /// From the fault until the line said so.
    detection: Option<Times>,
    /// From the fault's end until all was as before.
    recovery: Option<Times>,
    /// What should not have been.
    pub(super) wrong: Vec<String>,
    #[serde(skip)]
    pub(super) ack_ms: Vec<f64>,
    #[serde(skip)]
    pub(super) result_ms: Vec<f64>,
    #[serde(skip)]
    pub(super) incidents: Vec<Incident>,
}

impl Report {
    pub(super) fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    pub(super) fn is_sound(&self) -> bool {
        self.wrong.is_empty()
    }

    /// Makes figures of what was gathered.
    pub(super) fn finish(&mut self, called: u64, fault: Option<Fault>) -> Report {
        let mut report = std::mem::take(self);
        report.called = called;
        let results: u64 = report.verdicts.values().sum();
        if report.taken != results {
            report.wrong(format!("{} triggers were taken, and {results} results came", report.taken));
        }
        if called != report.taken + report.missed {
            report.wrong(format!("of {called} parts {} were taken and {} missed", report.taken, report.missed));
        }
        if fault.is_none() && report.missed > 0 {
            report.wrong(format!("{} triggers were missed: the line is slower than this rate", report.missed));
        }
        if fault.is_some() && report.incidents.is_empty() {
            report.wrong("no fault was played: ask for more parts".to_owned());
        }
        report.trigger_ack = Times::of(std::mem::take(&mut report.ack_ms));
        report.result = Times::of(std::mem::take(&mut report.result_ms));
        report.faults = report.incidents.len();
        report.detection = Times::of(report.incidents.iter().filter_map(Incident::detection_ms).collect());
        report.recovery = Times::of(report.incidents.iter().filter_map(Incident::recovery_ms).collect());
        report
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let verdicts = self.verdicts.iter().map(|(verdict, parts)| format!("{parts} {verdict}"));
        let verdicts = verdicts.collect::<Vec<_>>().join(", ");
        let Report { called, taken, missed, doubled, faults, .. } = self;
        let mut lines = vec![format!(
            "{called} parts: {taken} taken, {missed} missed, {doubled} doubled triggers refused; results: {verdicts}"
        )];
        for (what, times) in [
            ("trigger to its acknowledgement", &self.trigger_ack),
            ("acknowledged trigger to result", &self.result),
            ("fault to its detection", &self.detection),
            ("end of the fault to recovery", &self.recovery),
        ] {
            lines.extend(times.as_ref().map(|times| format!("{what}: {}", times.words())));
        }
        if *faults > 0 {
            lines.push(format!("{faults} faults were played"));
        }
        lines.extend(self.wrong.iter().map(|wrong| format!("WRONG: {wrong}")));
        lines.push(
            if self.is_sound() { "every part got its result, in order" } else { "not as it should be" }.to_owned(),
        );
        lines
    }
}
