//! Files that are not as they were written.

use std::fs;
use std::path::Path;

use inspectd::store::{LastEnd, Store, StoreError};
use stages::record::Recorder;
use stages::verdict::{Cause, Verdict};

use crate::support::{Dice, acknowledged, all, copy_journal, ids, inspection, journal_files, open, options, put, time};

/// Several segments of parts 1 to `parts`, closed in order.
fn filled(parts: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = open(dir.path(), options());
    for id in 1..=parts {
        put(&store, id);
        // Now and then, so that segments are rolled at their size.
        if id % 50 == 0 {
            acknowledged(&store, id);
        }
    }
    store.close().expect("closes");
    dir
}

fn copy(of: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    copy_journal(of, dir.path());
    dir
}

fn change(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).expect("readable");
    change(&mut bytes);
    fs::write(file, bytes).expect("written");
}

#[test]
fn one_flipped_bit_costs_one_record_at_most_and_is_reported_to_the_byte() {
    const PARTS: u64 = 400;
    let sound = filled(PARTS);
    let files = journal_files(sound.path());
    assert!(files.len() >= 3, "several segments: {}", files.len());
    let mut dice = Dice(0x5EED);
    for case in 0..24 {
        // The newest segment half of the time: the only one that is read at a start.
        let which = if case % 2 == 0 { files.len() - 1 } else { dice.roll(files.len() as u64) as usize };
        let dir = copy(sound.path());
        let file = &journal_files(dir.path())[which];
        let size = fs::metadata(file).expect("there").len();
        // The first bytes are the header: hit it too.
        let at = if case % 8 == 0 { dice.roll(64) } else { dice.roll(size) };
        change(file, |bytes| bytes[at as usize] ^= 1 << (case % 8));
        let context = format!("segment {which} of {}, byte {at} of {size}", files.len());

        let (store, report) = open(dir.path(), options());
        assert!(report.next_id > PARTS, "{context}");
        let found = all(&store);
        let whole = found.iter().filter(|i| ***i == inspection(i.id)).count() as u64;
        assert!(whole >= PARTS - 1, "{context}: {whole}");
        for part in found.iter().filter(|i| ***i != inspection(i.id)) {
            assert_eq!(part.verdict, Verdict::NoDecision(Cause::Restart), "{context}: part {}", part.id);
            assert!(part.detail.as_ref().is_some_and(|d| d.contains("damaged")), "{context}");
        }
        if which == files.len() - 1 {
            let [damage] = &report.damage[..] else { panic!("{context}: {:?}", report.damage) };
            assert!(damage.offset <= at && at < damage.offset + damage.bytes, "{context}: {damage:?}");
            let kept = fs::read(&damage.kept).expect("kept aside");
            let original = fs::read(&files[which]).expect("readable");
            let range = damage.offset as usize..(damage.offset + damage.bytes) as usize;
            let differs = kept.iter().zip(&original[range]).filter(|(a, b)| a != b).count();
            assert_eq!((kept.len() as u64, differs), (damage.bytes, 1), "{context}");
        } else {
            assert!(report.damage.is_empty(), "{context}: older segments are not read at a start");
        }
        // The line goes on.
        put(&store, report.next_id);
        drop(store);
        let (_, report) = open(dir.path(), options());
        assert_eq!((report.damage.len(), report.last_end), (0, LastEnd::Closed), "{context}: reported once");
    }
}

#[test]
fn a_file_cut_anywhere_loses_what_was_cut_and_nothing_else() {
    let sound = filled(60);
    let last = journal_files(sound.path()).len() - 1;
    let size = fs::metadata(&journal_files(sound.path())[last]).expect("there").len();
    let mut dice = Dice(77);
    for _ in 0..25 {
        let keep = dice.roll(size);
        let dir = copy(sound.path());
        change(&journal_files(dir.path())[last], |bytes| bytes.truncate(keep as usize));
        let (store, report) = open(dir.path(), options());
        let found = all(&store);
        let expected: Vec<u64> = (1..=found.len() as u64).collect();
        assert_eq!(ids(&found), expected, "a prefix: cut at {keep}");
        let unlike: Vec<u64> = found.iter().filter(|i| ***i != inspection(i.id)).map(|i| i.id).collect();
        assert_eq!(unlike, report.restarted, "cut at {keep}");
        assert!(unlike.len() <= 1, "one part was in flight at most: cut at {keep}");
        let cut: u64 = report.damage.iter().map(|d| d.bytes).sum();
        assert!(cut <= keep, "only what is left of the last record: cut at {keep}");
        assert!(!report.missing_segments.contains(&1));
    }
}

#[test]
fn a_damaged_range_with_whole_parts_in_it_leaves_no_part_without_a_verdict() {
    let sound = filled(80);
    let last = journal_files(sound.path()).len() - 1;
    let dir = copy(sound.path());
    change(&journal_files(dir.path())[last], |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle - 2500..middle + 2500].fill(0xC1);
    });
    let (store, report) = open(dir.path(), options());
    assert_eq!(report.damage.len(), 1);
    assert!(report.damage[0].bytes >= 5000 && !report.damage[0].torn_tail);
    assert!(report.restarted.len() >= 3, "{:?}", report.restarted);
    assert_eq!(ids(&all(&store)), (1..=80).collect::<Vec<_>>(), "every trigger has its verdict");
}

#[test]
fn garbage_and_nothing_at_all_are_survived() {
    for (name, bytes) in [
        ("zeros", vec![0; 5000]),
        ("garbage", (0..5000u32).map(|i| ((i * 7919) >> 3) as u8).collect()),
        ("nothing", vec![]),
    ] {
        let dir = copy(filled(30).path());
        let last = journal_files(dir.path()).pop().expect("a segment");
        fs::write(&last, &bytes).expect("written");
        let (store, report) = open(dir.path(), options());
        assert_eq!(report.damage.iter().map(|d| d.bytes).sum::<u64>(), bytes.len() as u64, "{name}");
        put(&store, report.next_id);
        acknowledged(&store, 1);
    }
}

#[test]
fn a_journal_of_a_newer_program_is_refused_and_not_touched() {
    let sound = filled(3);
    let last = journal_files(sound.path()).pop().expect("a segment");
    change(&last, |bytes| {
        let length = u32::from_le_bytes(bytes[12..16].try_into().expect("four"));
        bytes[8..12].copy_from_slice(&2u32.to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[8..16]);
        crc.update(&bytes[20..20 + length as usize]);
        bytes[16..20].copy_from_slice(&crc.finalize().to_le_bytes());
    });
    let before = fs::read(&last).expect("readable");
    let error = Store::open(sound.path(), options()).err().expect("refused");
    assert!(matches!(error, StoreError::NewerFormat { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("run the newer inspectd"), "{error}");
    assert_eq!(fs::read(&last).expect("readable"), before);
}

#[test]
fn a_missing_file_is_named_and_the_rest_is_found() {
    let dir = copy(filled(400).path());
    let files = journal_files(dir.path());
    fs::remove_file(&files[1]).expect("removed");
    let (store, report) = open(dir.path(), options());
    assert_eq!(report.missing_segments, [2]);
    assert!(report.next_id == 401);
    let found = all(&store);
    assert!(found.len() > 100 && found.len() < 400);
    assert!(store.get(found[0].id).expect("readable").is_some());
}

#[test]
fn a_record_damaged_while_the_line_runs_is_an_error_for_its_reader_only() {
    let dir = filled(300);
    let (store, _) = open(dir.path(), options());
    assert!(store.wait_for_index(crate::support::WAIT));
    let first = journal_files(dir.path()).remove(0);
    // In place, as a bad sector would.
    change(&first, |bytes| {
        let name = b"part-20.png";
        let at = bytes.windows(name.len()).position(|w| w == name).expect("part 20 is in the first segment");
        bytes[at] ^= 0x40;
    });
    let errors: Vec<String> = (1..=300).filter_map(|id| store.get(id).err().map(|e| e.to_string())).collect();
    let [error] = &errors[..] else { panic!("one record: {errors:?}") };
    assert!(error.contains("is damaged (its checksum does not match)"), "{error}");
    assert!(store.get(20).is_err());
    store.opened(301, time(301)).expect("the line goes on");
}
