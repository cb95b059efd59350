//! Looks at the machine every few seconds, on a thread of its own: a driver that hangs keeps nobody else waiting.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use jiff::Timestamp;

use super::disks::Disk;
use super::gpu::GpuProbe;
use super::host;
use super::report::{ClockState, CpuReport, HealthReport, MemoryReport};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// Asking for the clock may start a program, so it is done less often.
const CLOCK_EVERY_S: i64 = 60;

/// Looks at everything, once per call.
pub struct Sampler {
    gpus: Box<dyn GpuProbe>,
    disks: Vec<Disk>,
    /// Ticks of all cores so far: busy, all.
    ticks: Option<(u64, u64)>,
    clock: Option<(Timestamp, ClockState)>,
}

impl Sampler {
    /// `paths`: one on each disk that matters.
    pub fn new(gpus: Box<dyn GpuProbe>, paths: &[PathBuf]) -> Sampler {
        Sampler { gpus, disks: paths.iter().map(|path| Disk::new(path)).collect(), ticks: None, clock: None }
    }

    /// How the machine is now.
    pub fn look(&mut self, now: Timestamp) -> HealthReport {
        HealthReport {
            at: now,
            gpus: self.gpus.look(),
            cpu: self.cpu(),
            memory: memory(),
            disks: self.disks.iter_mut().filter_map(|disk| disk.look(now)).collect(),
            clock: self.clock(now),
        }
    }

    fn cpu(&mut self) -> CpuReport {
        let ticks = read("/proc/stat").and_then(|text| busy_and_all(&text));
        let before = std::mem::replace(&mut self.ticks, ticks);
        let share = ticks.zip(before).and_then(|((busy, all), (busy_before, all_before))| {
            let passed = all.checked_sub(all_before).filter(|&passed| passed > 0)?;
            Some(100.0 * busy.saturating_sub(busy_before) as f64 / passed as f64)
        });
        let load = read("/proc/loadavg").and_then(|text| text.split(' ').next()?.parse().ok());
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        CpuReport { cores, busy_percent: share, load_1m: load }
    }

    fn clock(&mut self, now: Timestamp) -> ClockState {
        match self.clock {
            Some((at, state)) if (0..CLOCK_EVERY_S).contains(&now.duration_since(at).as_secs()) => state,
            _ => self.clock.insert((now, host::clock_state())).1,
        }
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// Of the first line of `/proc/stat`, proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal.
fn busy_and_all(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some((all - idle, all))
}

fn memory() -> MemoryReport {
    let (machine, own) = (read("/proc/meminfo"), read("/proc/self/status"));
    let field =
        |text: &Option<String>, name| text.as_deref().and_then(|text| kibibytes(text, name)).map(|kib| kib << 10);
    MemoryReport {
        total_bytes: field(&machine, "MemTotal:"),
        available_bytes: field(&machine, "MemAvailable:"),
        own_bytes: field(&own, "VmRSS:"),
    }
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The thread, and its newest report.
pub struct Monitor {
    newest: Arc<ArcSwap<HealthReport>>,
    /// Dropped to end the thread.
    _stop: Sender<()>,
}

impl Monitor {
    /// Looks once, then every few seconds. The thread ends soon after the monitor is dropped; it is not waited for, since a
    /// driver may hang.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(mut sampler: Sampler) -> std::io::Result<Monitor> {
        let newest = Arc::new(ArcSwap::from_pointee(HealthReport {
            at: Timestamp::now(),
            gpus: super::GpuReport::default(),
            cpu: CpuReport::default(),
            memory: memory(),
            disks: Vec::new(),
            clock: ClockState::Unknown,
        }));
        let (stop, stopped) = bounded::<()>(0);
        let told = newest.clone();
        let work = move || {
            loop {
                told.store(Arc::new(sampler.look(Timestamp::now())));
                if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("health".to_owned()).spawn(work)?;
        Ok(Monitor { newest, _stop: stop })
    }

    /// The newest report.
    pub fn report(&self) -> Arc<HealthReport> {
        self.newest.load_full()
    }
}

/// The disks that matter: where records lie, and where temporary files do. Each once.
pub fn disks_of(state: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let mut seen = Vec::new();
    let wanted = [state.to_owned(), std::env::temp_dir(), PathBuf::from("/")];
    wanted
        .into_iter()
        .filter(|path| {
            let device = fs::metadata(path).map(|meta| meta.dev()).ok();
            device.is_some_and(|device| {
                !seen.contains(&device) && {
                    seen.push(device);
                    true
                }
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_words_are_understood() {
        let stat = "cpu  100 5 45 800 50 0 3 2 0 0\ncpu0 1 2 3 4\n";
        assert_eq!(busy_and_all(stat), Some((155, 1005)));
        assert_eq!(kibibytes("MemTotal:  16 kB\nMemAvailable:   12345 kB\n", "MemAvailable:"), Some(12345));
        for odd in ["", "cpu", "cpu 1 2", "MemTotal: x kB"] {
            assert_eq!((busy_and_all(odd), kibibytes(odd, "MemTotal:")), (None, None), "{odd}");
        }
    }

    struct NoGpu;
    impl GpuProbe for NoGpu {
        fn look(&mut self) -> crate::health::GpuReport {
            crate::health::GpuReport::default()
        }
    }

    #[test]
    fn this_machine_reports_itself() {
        let dir = tempfile::tempdir().unwrap();
        let paths = disks_of(dir.path());
        assert_eq!(paths[0], dir.path());
        let mut sampler = Sampler::new(Box::new(NoGpu), &paths);
        let report = sampler.look(Timestamp::now());
        assert!(report.cpu.cores > 0 && report.cpu.load_1m.is_some());
        assert!(report.memory.own_bytes > Some(1 << 20) && report.memory.available_bytes < report.memory.total_bytes);
        assert!(report.disks[0].free_bytes <= report.disks[0].total_bytes && report.disks[0].days_left.is_none());
    }
}
