//! PLC and conveyor. Each scan reads what the line says, takes one step on either side of the handshake, and writes what has changed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::faults::{AWAY, EVERY, Fault, Incident, MISSED};
use super::report::Report;
use super::wire::Wire;
use super::{LineArgs, PATIENCE};
use crate::io::signals::{Answer, ErrorCode, Heard, Said};

/// Faults that are told before the machine gives up.
const ENOUGH: usize = 20;

/// See the module.
pub(super) struct Machine {
    args: LineArgs,
    wire: Wire,
    heard: Heard,
    /// Ids go on from here.
    next_id: u32,
    called: u64,
    due: Instant,
    raised_at: Instant,
    /// The trigger that is held is the second one for its part.
    again: bool,
    /// The next trigger repeats the last id.
    repeat: bool,
    /// Taken, without a result read yet: id, and when it was taken.
    expected: VecDeque<(u32, Instant)>,
    last_part: Option<u32>,
    /// What stood there at the start.
    session: u16,
    missed_before: u32,
    progress: Instant,
    incident: Option<Incident>,
    faulted: u64,
    report: Report,
}

impl Machine {
    pub(super) async fn connect(args: &LineArgs) -> anyhow::Result<Machine> {
        let mut wire = Wire::connect(args.plc).await?;
        let now = Instant::now();
        // A PLC that starts says nothing, and reads away what an earlier one has left.
        let mut heard = Heard::default();
        let said = loop {
            wire.write(&heard).await?;
            let said = wire.read().await?;
            if said.trigger_ready && !said.result_ready && !said.busy && !heard.result_ack {
                break said;
            }
            heard.result_ack = said.result_ready;
            anyhow::ensure!(now.elapsed() < PATIENCE, "the line does not become ready: it says {said:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        Ok(Machine {
            args: args.clone(),
            wire,
            heard,
            next_id: said.ack_id.wrapping_add(1).max(1),
            called: 0,
            due: Instant::now(),
            raised_at: now,
            again: false,
            repeat: false,
            expected: VecDeque::new(),
            last_part: None,
            session: said.session,
            missed_before: said.missed,
            progress: Instant::now(),
            incident: None,
            faulted: 0,
            report: Report::default(),
        })
    }

    /// Until every part has its result, or something is so wrong that it never will.
    pub(super) async fn run(&mut self) {
        let mut scan = tokio::time::interval(Duration::from_millis(self.args.scan_ms));
        scan.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            scan.tick().await;
            match self.scan().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => self.report.wrong(format!("the connection failed: {error:#}")),
            }
            if self.progress.elapsed() > PATIENCE {
                self.report.wrong(format!("nothing has happened for {PATIENCE:?}; the line was told {:?}", self.heard));
            }
            if self.report.wrong.len() >= ENOUGH || self.progress.elapsed() > PATIENCE {
                return;
            }
        }
    }

    pub(super) fn report(mut self) -> Report {
        self.report.finish(self.called, self.args.fault)
    }

    /// True: all is done.
    async fn scan(&mut self) -> anyhow::Result<bool> {
        let said = self.wire.read().await?;
        if said.session != self.session {
            self.report.wrong("the line was started anew meanwhile".to_owned());
            self.session = said.session;
            self.expected.clear();
        }
        self.trigger_side(&said).await?;
        self.result_side(&said);
        self.watch(&said);
        self.wire.write(&self.heard).await?;
        let over = self.called >= self.args.parts && !self.heard.trigger && !self.repeat;
        if over && self.incident.is_none() && self.expected.is_empty() && !self.heard.result_ack && !said.result_ready {
            self.end(&said);
            return Ok(true);
        }
        Ok(false)
    }

    /// Raises the trigger for a part that is there, and lowers it once the line has answered.
    async fn trigger_side(&mut self, said: &Said) -> anyhow::Result<()> {
        if self.heard.trigger {
            return self.await_answer(said).await;
        }
        if said.trigger_ack {
            return Ok(());
        }
        let there = match self.args.rate {
            Some(_) => Instant::now() >= self.due,
            None => said.trigger_ready,
        };
        // A PLC that acknowledges nothing goes on calling, so that it sees what that leads to.
        let stubborn = self.args.fault == Some(Fault::NoAck) && self.incident.is_some_and(|it| !it.is_mended());
        if self.repeat || (self.called < self.args.parts && (there || stubborn)) {
            self.raise();
        }
        Ok(())
    }

    fn raise(&mut self) {
        let now = Instant::now();
        self.again = std::mem::take(&mut self.repeat);
        if self.again {
            self.incident = Some(Incident::begins());
        } else {
            self.heard.id = self.next_id;
            self.heard.serial = Some(format!("SIM-{}", self.next_id).into());
            self.next_id = self.next_id.wrapping_add(1).max(1);
            self.called += 1;
            if let Some(rate) = self.args.rate {
                self.due = self.due.max(now.checked_sub(Duration::from_secs(1)).unwrap_or(now))
                    + Duration::from_secs_f64(1.0 / rate);
            }
        }
        self.heard.trigger = true;
        self.raised_at = now;
        self.progress = now;
    }

    async fn await_answer(&mut self, said: &Said) -> anyhow::Result<()> {
        let code = said.error_code;
        if said.trigger_ack && said.ack_id == self.heard.id {
            self.heard.trigger = false;
            self.taken().await?;
        } else if code != 0 && code != ErrorCode::SafeHold as u16 {
            self.heard.trigger = false;
            match (self.again, code) {
                (true, code) if code == ErrorCode::Doubled as u16 => {
                    self.report.doubled += 1;
                    if let Some(incident) = &mut self.incident {
                        incident.detected();
                        incident.mended();
                    }
                }
                (false, code) if [ErrorCode::Busy as u16, ErrorCode::NotReady as u16].contains(&code) => {
                    self.report.missed += 1;
                }
                _ => self.report.wrong(format!("the trigger of part {} was refused with code {code}", self.heard.id)),
            }
        } else if self.raised_at.elapsed() > PATIENCE {
            self.report.wrong(format!("the trigger of part {} was not answered", self.heard.id));
            self.heard.trigger = false;
        }
        Ok(())
    }

    async fn taken(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        if self.again {
            self.report.wrong(format!("part {} was taken twice", self.heard.id));
        }
        self.report.taken += 1;
        self.report.ack_ms.push((now - self.raised_at).as_secs_f64() * 1e3);
        self.expected.push_back((self.heard.id, now));
        let due = self.report.taken.is_multiple_of(EVERY) && self.incident.is_none();
        match self.args.fault {
            Some(Fault::DoubleTrigger) if due => self.repeat = true,
            Some(Fault::DropConnection) if due => {
                let mut incident = Incident::begins();
                self.wire.drop_for(AWAY).await?;
                incident.mended();
                self.incident = Some(incident);
                self.faulted = u64::from(self.heard.id);
            }
            Some(Fault::NoAck) if self.faulted == 0 && self.called * 2 >= self.args.parts => {
                self.faulted = 1;
                self.incident = Some(Incident::begins());
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads a result and acknowledges it; lowers the acknowledgement once the line has seen it.
    fn result_side(&mut self, said: &Said) {
        if self.heard.result_ack {
            self.heard.result_ack = said.result_ready;
            return;
        }
        if !said.result_ready || self.holds_back(said) {
            return;
        }
        self.heard.result_ack = true;
        self.progress = Instant::now();
        let result = &said.result;
        match self.expected.pop_front() {
            Some((id, taken_at)) if id == result.id => {
                self.report.result_ms.push(taken_at.elapsed().as_secs_f64() * 1e3);
            }
            Some((id, _)) => {
                self.report.wrong(format!("the result of part {id} was due, and that of {} came", result.id));
            }
            None => self.report.wrong(format!("a result came for part {}, which waits for none", result.id)),
        }
        if self.last_part.is_some_and(|last| result.part <= last) {
            self.report
                .wrong(format!("part {} has the number {} on record, which is not a new one", result.id, result.part));
        }
        self.last_part = Some(result.part);
        let has_cause = (result.verdict == Answer::NoDecision) == (result.cause != 0);
        if !has_cause || (result.accept && [Answer::Fail, Answer::NoDecision].contains(&result.verdict)) {
            self.report.wrong(format!("the result of part {} contradicts itself: {result:?}", result.id));
        }
        *self.report.verdicts.entry(format!("{:?}", result.verdict)).or_insert(0) += 1;
        if self.args.fault == Some(Fault::DropConnection) && self.faulted == u64::from(result.id) {
            self.recovered();
        }
    }

    /// Whether the PLC does not acknowledge now, though it should.
    fn holds_back(&mut self, said: &Said) -> bool {
        match self.args.fault {
            Some(Fault::LateAck) => {
                let due = u64::from(said.result.id).is_multiple_of(EVERY) && self.faulted != u64::from(said.result.id);
                if due && self.incident.is_none() {
                    self.incident = Some(Incident::begins());
                }
                let Some(incident) = self.incident.as_mut().filter(|_| due) else { return false };
                if said.ack_overdue {
                    incident.detected();
                    incident.mended();
                    self.faulted = u64::from(said.result.id);
                }
                !said.ack_overdue
            }
            Some(Fault::NoAck) => {
                let missed = self.report.missed;
                let Some(incident) = self.incident.as_mut().filter(|it| !it.is_mended()) else { return false };
                if said.ack_overdue {
                    incident.detected();
                }
                if incident.is_detected() && (missed >= MISSED || self.called >= self.args.parts) {
                    incident.mended();
                }
                !incident.is_mended()
            }
            _ => false,
        }
    }

    /// Whether all is as it was before the fault.
    fn watch(&mut self, said: &Said) {
        let Some(incident) = &self.incident else { return };
        let over = match self.args.fault {
            _ if !incident.is_mended() => false,
            Some(Fault::LateAck | Fault::NoAck) => !said.ack_overdue && !said.busy,
            Some(Fault::DoubleTrigger) => !said.error,
            Some(Fault::DropConnection) | None => false,
        };
        if over {
            self.recovered();
        }
    }

    fn recovered(&mut self) {
        if let Some(mut incident) = self.incident.take() {
            incident.recovered();
            self.report.incidents.push(incident);
        }
    }

    fn end(&mut self, said: &Said) {
        let missed = u64::from(said.missed.wrapping_sub(self.missed_before));
        if missed != self.report.missed {
            self.report.wrong(format!("the line counts {missed} missed triggers, the PLC {}", self.report.missed));
        }
    }
}
