//! A journal file with anything in it: the store starts, and a second start finds what the first one found.
#![no_main]

use std::fs;

use inspectd::store::{Options, Store};
use libfuzzer_sys::fuzz_target;

/// Everything on record, as text: it is compared, not read.
fn opened(folder: &std::path::Path) -> Vec<String> {
    let options = Options { line: "fuzzed".into(), reserve_bytes: 0, ..Options::default() };
    let (store, _) = Store::open(folder, options).expect("damage is no error");
    let records = store.after(0, 1000).iter().map(|stored| format!("{:?}", stored.inspection)).collect();
    store.close().expect("a sound disk");
    records
}

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("journal");
    fs::create_dir(&journal).expect("made");
    fs::write(journal.join("0000000001.journal"), bytes).expect("written");
    let first = opened(folder.path());
    assert_eq!(first, opened(folder.path()));
});
