//! The host: processors, disk, permissions, clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::statvfs::statvfs;

use super::Finding;
use super::report::ClockState;

/// Free space below which evidence will soon be dropped.
const LOW_DISK_BYTES: u64 = 5 << 30;
/// Free space below which the journal itself is at risk.
const NO_DISK_BYTES: u64 = 256 << 20;

pub(super) fn processors() -> Finding {
    match std::thread::available_parallelism() {
        Ok(count) if count.get() >= 2 => Finding::ok("processors", format!("{count} cores for inspection")),
        Ok(_) => Finding::warning(
            "processors",
            "1 core: inspection and everything else share it",
            "give the machine or the container at least 2 cores",
        ),
        Err(error) => Finding::warning(
            "processors",
            format!("their number is unknown: {error}"),
            "set `line.limits.workers` in the configuration",
        ),
    }
}

/// Whether records can be written where they should be.
pub fn state_dir(dir: &Path) -> Finding {
    const WHAT: &str = "state directory";
    let who = nix::unistd::geteuid();
    match try_write(dir) {
        Ok(()) => Finding::ok(WHAT, format!("`{}` can be written", dir.display())),
        Err(error) => Finding::broken(
            WHAT,
            format!("`{}` cannot be written by user {who}: {error}", dir.display()),
            format!("`chown {who} {}`, or set `store.dir` to a directory that this user owns", dir.display()),
        ),
    }
}

/// Makes the directory and a file in it, and takes the file away again.
fn try_write(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    let probe = dir.join(format!(".inspectd-probe-{}", std::process::id()));
    fs::write(&probe, b"x")?;
    fs::remove_file(&probe)
}

pub(super) fn disk(dir: &Path) -> Finding {
    const WHAT: &str = "disk";
    let existing = nearest_existing(dir);
    let stat = match statvfs(&existing) {
        Ok(stat) => stat,
        Err(error) => {
            return Finding::warning(WHAT, format!("`{}`: {error}", existing.display()), "check that it is mounted");
        }
    };
    // The widths differ between platforms, so the conversions are not always useless.
    #[allow(clippy::useless_conversion)]
    let (free, fragment) = (u64::from(stat.blocks_available()), u64::from(stat.fragment_size()));
    let bytes = free.saturating_mul(fragment);
    let said = format!("{} free for `{}`", size(bytes), dir.display());
    let remedy = "free space, or set `store.dir` to a larger disk";
    match bytes {
        0..NO_DISK_BYTES => Finding::broken(WHAT, said, remedy),
        NO_DISK_BYTES..LOW_DISK_BYTES => Finding::warning(WHAT, said, remedy),
        _ => Finding::ok(WHAT, said),
    }
}

fn nearest_existing(path: &Path) -> PathBuf {
    path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn size(bytes: u64) -> String {
    match bytes {
        0..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

/// Whether the clock is set by a time server: records carry wall-clock times.
pub(super) fn clock() -> Finding {
    const WHAT: &str = "clock";
    const REMEDY: &str = "install chrony or enable systemd-timesyncd, so that records carry true times";
    match clock_state() {
        ClockState::Synchronised => Finding::ok(WHAT, "set by a time server"),
        ClockState::Free => Finding::warning(WHAT, "not set by a time server", REMEDY),
        ClockState::Unknown => {
            Finding::warning(WHAT, "it is unknown whether a time server sets it (no timedatectl here)", REMEDY)
        }
    }
}

pub(super) fn clock_state() -> ClockState {
    // Left by systemd-timesyncd once it has set the clock.
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return ClockState::Synchronised;
    }
    let asked = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output();
    match asked {
        Ok(output) if output.stdout.trim_ascii() == b"yes" => ClockState::Synchronised,
        Ok(output) if output.status.success() => ClockState::Free,
        _ => ClockState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Severity;

    #[test]
    fn a_directory_that_can_be_made_is_fine_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/b");
        assert_eq!(state_dir(&state).severity, Severity::Ok);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
    }

    #[test]
    fn a_file_in_the_way_is_named_with_a_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        let finding = state_dir(&file.join("state"));
        assert_eq!(finding.severity, Severity::Broken);
        assert!(finding.said.contains("file/state"), "{}", finding.said);
        assert!(finding.remedy.unwrap().contains("store.dir"));
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(size(300 << 20), "300 MiB");
        assert_eq!(size(3 << 29), "1.5 GiB");
    }
}
