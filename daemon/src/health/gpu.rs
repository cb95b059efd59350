//! The graphics cards, asked through NVIDIA's management library, behind a trait: tests put a scripted one in place. Having
//! none is normal.

use std::collections::HashMap;

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{EccCounter, MemoryError, TemperatureSensor, TemperatureThreshold};
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, EventSet, Nvml};

use super::Finding;
use super::report::{GpuCard, GpuReport, ThrottleReason};

const WHAT: &str = "gpu";
/// Critical errors of a card that are kept.
const KEPT_XIDS: usize = 16;

/// Looks at the graphics cards.
pub trait GpuProbe: Send {
    /// How they are now. No driver: a report without cards and without trouble.
    fn look(&mut self) -> GpuReport;
}

/// NVIDIA's own library. It is loaded when first asked, and tried anew while it is not there: a driver may be loaded later.
#[derive(Default)]
pub struct Nvidia {
    session: Option<Session>,
    xids: HashMap<String, Vec<u64>>,
}

/// The library, open. It stays so: event sets borrow it for as long as the program runs.
struct Session {
    nvml: &'static Nvml,
    events: Option<EventSet<'static>>,
}

impl GpuProbe for Nvidia {
    fn look(&mut self) -> GpuReport {
        let session = match self.session.take().map_or_else(Session::open, Ok) {
            Ok(session) => self.session.insert(session),
            Err(error) if is_absent(&error) => return GpuReport::default(),
            Err(error) => {
                return GpuReport { cards: Vec::new(), trouble: Some(format!("the driver does not answer: {error}")) };
            }
        };
        session.collect(&mut self.xids);
        let count = match session.nvml.device_count() {
            Ok(count) => count,
            Err(error) => {
                return GpuReport { cards: Vec::new(), trouble: Some(format!("the driver does not answer: {error}")) };
            }
        };
        let mut report = GpuReport::default();
        for index in 0..count {
            match session.nvml.device_by_index(index).and_then(|card| read(&card)) {
                Ok(card) => {
                    let xid = self.xids.get(&card.uuid).cloned().unwrap_or_default();
                    report.cards.push(GpuCard { xid, ..card });
                }
                Err(error) => report.trouble = Some(format!("card {index} does not answer: {error}")),
            }
        }
        report
    }
}

impl Session {
    fn open() -> Result<Session, NvmlError> {
        let nvml: &'static Nvml = Box::leak(Box::new(Nvml::init()?));
        Ok(Session { nvml, events: listen(nvml) })
    }

    /// Takes in the critical errors since the last look.
    fn collect(&mut self, xids: &mut HashMap<String, Vec<u64>>) {
        let Some(events) = &self.events else { return };
        // A time-out of zero is refused by some drivers.
        while let Ok(event) = events.wait(1) {
            let value = match event.event_data {
                Some(XidError::Value(value)) => value,
                _ => continue,
            };
            let Ok(uuid) = event.device.uuid() else { continue };
            let of_card = xids.entry(uuid).or_default();
            of_card.push(value);
            if of_card.len() > KEPT_XIDS {
                of_card.remove(0);
            }
        }
    }
}

/// Critical errors of all cards; none where the driver does not tell.
fn listen(nvml: &'static Nvml) -> Option<EventSet<'static>> {
    let mut events = nvml.create_event_set().ok()?;
    for index in 0..nvml.device_count().ok()? {
        let card = nvml.device_by_index(index).ok()?;
        events = card.register_events(EventTypes::CRITICAL_XID_ERROR, events).ok()?;
    }
    Some(events)
}

/// Only a card that does not even say who it is counts as not answering; any other value may be missing.
fn read(card: &Device<'_>) -> Result<GpuCard, NvmlError> {
    let memory = card.memory_info().ok();
    let watts = |milliwatts: u32| f64::from(milliwatts) / 1000.0;
    Ok(GpuCard {
        uuid: card.uuid()?,
        name: card.name()?,
        busy_percent: card.utilization_rates().ok().map(|rates| rates.gpu),
        memory_used_bytes: memory.as_ref().map(|memory| memory.used),
        memory_total_bytes: memory.as_ref().map(|memory| memory.total),
        temperature_c: card.temperature(TemperatureSensor::Gpu).ok(),
        slowdown_c: card.temperature_threshold(TemperatureThreshold::Slowdown).ok(),
        power_w: card.power_usage().ok().map(watts),
        power_limit_w: card.enforced_power_limit().ok().map(watts),
        throttled_by: card.current_throttle_reasons().map(reasons).unwrap_or_default(),
        ecc_uncorrected: card.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile).ok(),
        xid: Vec::new(),
    })
}

fn reasons(bits: ThrottleReasons) -> Vec<ThrottleReason> {
    [
        (ThrottleReasons::HW_THERMAL_SLOWDOWN, ThrottleReason::HwThermal),
        (ThrottleReasons::SW_THERMAL_SLOWDOWN, ThrottleReason::SwThermal),
        (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, ThrottleReason::PowerBrake),
        (ThrottleReasons::HW_SLOWDOWN, ThrottleReason::HwSlowdown),
        (ThrottleReasons::SW_POWER_CAP, ThrottleReason::PowerCap),
    ]
    .into_iter()
    .filter(|(bit, _)| bits.contains(*bit))
    .map(|(_, reason)| reason)
    .collect()
}

/// No library, or none that fits: no driver, so most likely no card.
fn is_absent(error: &NvmlError) -> bool {
    matches!(error, NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound)
}

/// For `inspectd doctor`.
pub(super) fn findings(probe: &mut dyn GpuProbe) -> Vec<Finding> {
    let GpuReport { cards, trouble } = probe.look();
    let mut findings: Vec<Finding> = cards.iter().map(describe).collect();
    if let Some(trouble) = trouble {
        let remedy = "run `nvidia-smi` and `dmesg`; a driver that was updated wants a restart of the machine";
        findings.push(Finding::warning(WHAT, trouble, remedy));
    }
    if findings.is_empty() {
        findings
            .push(Finding::note(WHAT, "no NVIDIA driver or card: inspection runs on the processor, which is normal"));
    }
    findings
}

fn describe(card: &GpuCard) -> Finding {
    let mib = |bytes: Option<u64>| bytes.map_or("?".to_owned(), |bytes| (bytes >> 20).to_string());
    let heat = card.temperature_c.map_or(String::new(), |celsius| format!(", {celsius} °C"));
    let said =
        format!("{}: {} of {} MiB in use{heat}", card.name, mib(card.memory_used_bytes), mib(card.memory_total_bytes));
    match card.throttled_by.first() {
        Some(reason) => {
            Finding::warning(WHAT, format!("{said}, slowed down: {}", reason.words()), "look at its cooling and power")
        }
        None => Finding::ok(WHAT, said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Severity;

    struct Scripted(GpuReport);

    impl GpuProbe for Scripted {
        fn look(&mut self) -> GpuReport {
            self.0.clone()
        }
    }

    #[test]
    fn doctor_takes_no_card_as_normal_and_names_a_slow_one() {
        let none = findings(&mut Scripted(GpuReport::default()));
        assert_eq!((none.len(), none[0].severity), (1, Severity::Note));
        assert!(none[0].said.contains("normal"));
        let hot = GpuCard {
            name: "T4".into(),
            temperature_c: Some(91),
            throttled_by: vec![ThrottleReason::HwThermal],
            ..GpuCard::default()
        };
        let found = findings(&mut Scripted(GpuReport { cards: vec![hot], trouble: Some("card 1 is gone".into()) }));
        assert_eq!(found.iter().map(|it| it.severity).collect::<Vec<_>>(), [Severity::Warning, Severity::Warning]);
        assert!(found[0].said.contains("91 °C") && found[0].said.contains("too hot"), "{}", found[0].said);
    }
}
