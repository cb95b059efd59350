//! Puts `disk.c` between the program and the C library, and turns its switches.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The built library with its files: what a power cut cannot take, the boot id, the switches.
pub(crate) struct Shim {
    folder: TempDir,
    switches: File,
}

impl Shim {
    /// Builds it; none, and a word on the terminal, where there is no C compiler.
    pub(crate) fn build() -> Option<Shim> {
        let folder = tempfile::tempdir().expect("a folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/disk.c");
        let library = folder.path().join("disk.so");
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).args([&library, &source]).arg("-ldl").status();
        if !built.is_ok_and(|status| status.success()) {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "no C compiler, but CI must run this test");
            eprintln!("SKIPPED: `cc` cannot build the disk that fails");
            return None;
        }
        fs::create_dir(folder.path().join("safe")).expect("made");
        let path = folder.path().join("switches");
        fs::write(&path, [0; 16]).expect("written");
        let switches = File::options().write(true).open(path).expect("opened");
        let shim = Shim { folder, switches };
        shim.boot(0);
        Some(shim)
    }

    /// The program with this disk under its state folder. It forgets nothing unless `FAULTS_SAFE` is set: copies of long files take long.
    pub(crate) fn command(&self, binary: &Path, state: &Path) -> Command {
        let mut command = Command::new(binary);
        command
            .env("LD_PRELOAD", self.folder.path().join("disk.so"))
            .env("FAULTS_ROOT", state)
            .env("FAULTS_BOOT", self.folder.path().join("boot"))
            .env("FAULTS_SWITCHES", self.folder.path().join("switches"));
        command
    }

    /// Where lies what a power cut cannot take.
    pub(crate) fn safe(&self) -> PathBuf {
        self.folder.path().join("safe")
    }

    /// From now on each fsync below the journal's folder fails, or none.
    pub(crate) fn sync_fails(&self, fails: bool) {
        self.switches.write_all_at(&i64::from(fails).to_ne_bytes(), 0).expect("written");
    }

    /// The wall clock is off by so much.
    pub(crate) fn clock_off_by_ms(&self, by: i64) {
        self.switches.write_all_at(&by.to_ne_bytes(), 8).expect("written");
    }

    /// The machine was started for the n-th time.
    pub(crate) fn boot(&self, nth: usize) {
        fs::write(self.folder.path().join("boot"), format!("boot-{nth}\n")).expect("written");
    }
}

/// The names that were synced with a folder: each file's mark, and its name.
pub(crate) fn synced_names(safe: &Path, folder: &str) -> Option<Vec<(String, String)>> {
    let file = File::open(safe.join(format!("{folder}.names"))).ok()?;
    let lines = BufReader::new(file).lines().map(|line| line.expect("text"));
    Some(
        lines
            .map(|line| line.split_once(' ').map(|(id, name)| (id.to_owned(), name.to_owned())).expect("a pair"))
            .collect(),
    )
}
