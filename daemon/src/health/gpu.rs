//! The graphics card, asked through NVIDIA's management library. Having none is normal.

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;

use super::Finding;

const WHAT: &str = "gpu";

pub(super) fn findings() -> Vec<Finding> {
    let nvml = match Nvml::init() {
        Ok(nvml) => nvml,
        // No library: no driver, so most likely no card.
        Err(NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound) => {
            return vec![Finding::note(WHAT, "no NVIDIA driver: inspection runs on the processor")];
        }
        Err(error) => {
            return vec![Finding::warning(
                WHAT,
                format!("the NVIDIA driver does not answer: {error}"),
                "run `nvidia-smi`; a driver that was updated wants a restart of the machine",
            )];
        }
    };
    let count = nvml.device_count().unwrap_or(0);
    if count == 0 {
        return vec![Finding::note(WHAT, "an NVIDIA driver, but no card: inspection runs on the processor")];
    }
    (0..count).map(|index| describe(&nvml, index).unwrap_or_else(|error| unreadable(index, &error))).collect()
}

fn describe(nvml: &Nvml, index: u32) -> Result<Finding, NvmlError> {
    let card = nvml.device_by_index(index)?;
    let memory = card.memory_info()?;
    // Not every card has the sensor.
    let heat = card.temperature(TemperatureSensor::Gpu).map_or(String::new(), |celsius| format!(", {celsius} °C"));
    let said = format!(
        "{}: {}, {} of {} MiB in use{heat}, driver {}",
        index,
        card.name()?,
        memory.used >> 20,
        memory.total >> 20,
        nvml.sys_driver_version()?
    );
    Ok(Finding::ok(WHAT, said))
}

fn unreadable(index: u32, error: &NvmlError) -> Finding {
    Finding::warning(WHAT, format!("card {index} does not answer: {error}"), "run `nvidia-smi` and `dmesg`")
}
