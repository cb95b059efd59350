//! Power cuts: what was not synced is gone, or there in part, and no acknowledged record is lost.
//!
//! The program runs on the disk of `disk.c`, which copies aside what each fsync makes safe. A cut is a kill -9, after which the state folder
//! is made anew: of each file and each folder either what was safe (a name without its folder's fsync is gone, bytes without their
//! file's fsync are gone), or, by lot, all or a part of what was written since. The next start sees another boot id.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use system_tests::{Program, binary};

use crate::line;
use crate::oracle::{Oracle, restarts};
use crate::rounds;
use crate::shim::{Shim, synced_names};

#[test]
fn a_power_cut_takes_no_acknowledged_record_and_no_label() {
    let Some(binary) = binary() else { return };
    let Some(shim) = Shim::build() else { return };
    let cuts = rounds(8, 100);
    let seed = 8;
    println!("seed {seed}, {cuts} cuts");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let mut state = folder.path().join("state-0");
    fs::create_dir(&state).expect("made");
    all_is_safe(&state, &shim.safe());

    let oracle = Oracle::default();
    let mut labels: BTreeMap<u64, String> = BTreeMap::new();
    for cut in 0..cuts {
        let program = start(&shim, &binary, &state);
        let listener = oracle.listen(&program);
        oracle.check(&program);
        for (id, label) in labels.iter().rev().take(20) {
            assert_eq!(label_of(&program, *id), json!(label), "part {id} was labelled");
        }
        thread::sleep(Duration::from_millis(random.random_range(20..500)));
        if let Some(id) = oracle.records().keys().next_back().filter(|_| cut % 2 == 0) {
            let label = format!("kind {}", cut % 7);
            let said = json!({ "answer": "label", "label": label });
            let (status, text) = program.refused(&format!("/api/v1/inspections/{id}/label"), &said);
            assert!((200..300).contains(&status), "{status} {text}");
            labels.insert(*id, label);
        }
        program.kill();
        listener.join().expect("the oracle saw nothing wrong");

        let next = folder.path().join(format!("state-{}", cut + 1));
        Cut { safe: shim.safe(), actual: walk(&state), strict: random.random_bool(0.4), random: &mut random }
            .folder(&state, &next);
        fs::remove_dir_all(&state).expect("removed");
        fs::remove_dir_all(shim.safe()).expect("removed");
        fs::create_dir(shim.safe()).expect("made");
        all_is_safe(&next, &shim.safe());
        shim.boot(cut + 1);
        state = next;
    }

    let program = start(&shim, &binary, &state);
    let kept = oracle.check(&program);
    let acknowledged = oracle.count();
    assert!(acknowledged > cuts, "only {acknowledged} records were acknowledged: nothing was tested");
    println!(
        "{cuts} power cuts: {} records, {acknowledged} acknowledged before a cut, 0 lost, {} closed by a restart; {} labels, 0 lost",
        kept.len(),
        restarts(&kept),
        labels.len()
    );
}

/// With the patience that its configuration has: threads of a crowded machine may be without a core for seconds, and a line that
/// hangs ends to be started anew, as it should.
fn start(shim: &Shim, binary: &Path, state: &Path) -> Program {
    let mut command = shim.command(binary, state);
    command.env("FAULTS_SAFE", shim.safe());
    let folder = state.parent().expect("a folder");
    Program::spawn(line::run(command, &line::configured(folder, state, "")))
        .unwrap_or_else(|why| panic!("a start failed: {why}"))
}

fn label_of(program: &Program, id: u64) -> Value {
    program.get(&format!("/api/v1/inspections/{id}/label"))["label"].clone()
}

/// What tells a file from every other, as `disk.c` has it.
fn mark(about: &Metadata) -> String {
    let born = about.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |age| age.as_nanos());
    format!("{}-{born}", about.ino())
}

/// Every file below a folder, by its mark.
fn walk(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for item in fs::read_dir(folder).expect("a folder").map(|item| item.expect("an item").path()) {
        found.insert(mark(&fs::symlink_metadata(&item).expect("there")), item.clone());
        if item.is_dir() {
            found.extend(walk(&item));
        }
    }
    found
}

/// After a start of the machine, all that is there is on the medium.
fn all_is_safe(folder: &Path, safe: &Path) {
    let mut names = String::new();
    for item in fs::read_dir(folder).expect("a folder").map(|item| item.expect("an item").path()) {
        let of = mark(&fs::metadata(&item).expect("there"));
        names.push_str(&format!("{of} {}\n", item.file_name().and_then(|name| name.to_str()).expect("a name")));
        if item.is_dir() {
            all_is_safe(&item, safe);
        } else {
            fs::copy(&item, safe.join(format!("{of}.file"))).expect("copied");
        }
    }
    let of = mark(&fs::metadata(folder).expect("there"));
    fs::write(safe.join(format!("{of}.names")), names).expect("written");
}

struct Cut<'a> {
    safe: PathBuf,
    /// What the program had written, by mark.
    actual: BTreeMap<String, PathBuf>,
    /// Nothing is left by luck.
    strict: bool,
    random: &'a mut ChaCha8Rng,
}

impl Cut<'_> {
    fn lucky(&mut self) -> bool {
        !self.strict && self.random.random_bool(0.5)
    }

    fn folder(&mut self, from: &Path, to: &Path) {
        fs::create_dir(to).expect("made");
        let of = mark(&fs::metadata(from).expect("there"));
        self.names(&of, Some(from), to);
    }

    /// `from`: where the folder is now, if it still is.
    fn names(&mut self, of: &str, from: Option<&Path>, to: &Path) {
        let now = from.filter(|_| self.lucky()).map(names_now);
        for (of, name) in now.or_else(|| synced_names(&self.safe, of)).unwrap_or_default() {
            let at = self.actual.get(&of).cloned();
            let to = to.join(name);
            if at.as_ref().is_some_and(|at| at.is_dir()) || self.safe.join(format!("{of}.names")).exists() {
                fs::create_dir(&to).expect("made");
                self.names(&of, at.as_deref(), &to);
            } else {
                let bytes = self.bytes(&of, at.as_deref());
                fs::write(&to, bytes).expect("written");
            }
        }
    }

    fn bytes(&mut self, of: &str, at: Option<&Path>) -> Vec<u8> {
        let safe = fs::read(self.safe.join(format!("{of}.file"))).unwrap_or_default();
        let Some(mut now) = at.map(|at| fs::read(at).expect("readable")).filter(|_| self.lucky()) else { return safe };
        if now.starts_with(&safe) {
            let size = now.len();
            now.truncate(self.random.random_range(safe.len()..=size));
            // The size may be there before the bytes are.
            if self.random.random_bool(0.3) {
                now.resize(size, 0);
            }
        }
        now
    }
}

fn names_now(folder: &Path) -> Vec<(String, String)> {
    let items = fs::read_dir(folder).expect("a folder").map(|item| item.expect("an item"));
    let named =
        |item: fs::DirEntry| (mark(&item.metadata().expect("there")), item.file_name().into_string().expect("text"));
    items.map(named).collect()
}
