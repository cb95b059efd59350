//! The log for TensorBoard, read back by a reader that shares no line with the writer. `tests/tests/tensorboard.rs` asks the real one.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the failure")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use models::image::{Image, PixelFormat};
use models::preprocess::Preprocess;
use models_train::Settings;
use models_train::loss::Score;
use models_train::progress::{Progress, Stage};
use models_train::samples::Sample;
use models_train::tensorboard::proto::{SessionLog, What};
use models_train::tensorboard::writer::{Writer, masked_crc};
use models_train::tensorboard::{Run, hparams};

/// CRC-32C bit by bit, masked: slow, and plainly the definition.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The records of a file, or what is wrong with it.
fn records(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at_checked(12).ok_or("cut off in a length")?;
        let said = |at: &[u8]| u32::from_le_bytes(at.try_into().unwrap());
        if said(&head[8..]) != checksum(&head[..8]) {
            return Err("a damaged length".into());
        }
        let length = u64::from_le_bytes(head[..8].try_into().unwrap()) as usize;
        let (record, rest) = rest.split_at_checked(length).ok_or("cut off in a record")?;
        let (tail, rest) = rest.split_at_checked(4).ok_or("cut off in a checksum")?;
        if said(tail) != checksum(record) {
            return Err("a damaged record".into());
        }
        all.push(record.to_vec());
        bytes = rest;
    }
    Ok(all)
}

/// A field of a protobuf message: its number, and its content (the bytes of a number, or what is inside).
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn number(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = number(&mut bytes);
        let content = match key & 7 {
            0 => number(&mut bytes).to_le_bytes().to_vec(),
            kind => {
                let length = match kind {
                    1 => 8,
                    5 => 4,
                    2 => number(&mut bytes) as usize,
                    other => panic!("wire type {other}"),
                };
                let (content, rest) = bytes.split_at(length);
                bytes = rest;
                content.to_vec()
            }
        };
        all.push((key >> 3, content));
    }
    all
}

fn field(bytes: &[u8], number: u64) -> Option<Vec<u8>> {
    fields(bytes).into_iter().find(|(at, _)| *at == number).map(|(_, content)| content)
}

/// What event files say, in the order of their names.
#[derive(Default)]
struct Said {
    versions: Vec<String>,
    /// Steps at which a session says that it starts.
    starts: Vec<u64>,
    /// Steps and values by tag; the value is the content of `simple_value`, else that of the whole entry.
    values: BTreeMap<String, Vec<(u64, Vec<u8>)>>,
}

impl Said {
    fn of(folder: &Path) -> Said {
        let mut said = Said::default();
        for path in event_files(folder) {
            for event in records(&fs::read(path).unwrap()).expect("a sound file") {
                said.take(&event);
            }
        }
        said
    }

    fn take(&mut self, event: &[u8]) {
        let step = field(event, 2).map_or(0, |step| u64::from_le_bytes(step.try_into().unwrap()));
        assert!(field(event, 1).is_some(), "each event has its time");
        self.versions.extend(field(event, 3).map(|text| String::from_utf8(text).unwrap()));
        self.starts.extend(field(event, 7).map(|_| step));
        for (_, value) in fields(&field(event, 5).unwrap_or_default()) {
            let tag = String::from_utf8(field(&value, 1).expect("a tag")).unwrap();
            let content = field(&value, 2).unwrap_or(value);
            self.values.entry(tag).or_default().push((step, content));
        }
    }

    fn scalars(&self, tag: &str) -> Vec<(u64, f32)> {
        let scalar = |(step, bytes): &(u64, Vec<u8>)| (*step, f32::from_le_bytes(bytes[..].try_into().unwrap()));
        self.values.get(tag).into_iter().flatten().map(scalar).collect()
    }

    fn steps(&self, tag: &str) -> Vec<u64> {
        self.scalars(tag).into_iter().map(|(step, _)| step).collect()
    }
}

fn event_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("events.out.tfevents."));
    files.sort();
    files
}

fn at(stage: Stage, step: usize, selection: Option<f32>) -> Progress {
    let selection = selection.map(|loss| Score { loss: 4.0 * loss, weight: 4.0, right: 3, count: 4 });
    let images = step * 32;
    Progress {
        step,
        images,
        rate: Some(1e-3),
        loss: 0.5,
        accuracy: 0.25,
        selection,
        ..Progress::share(stage, 0.5, Duration::ZERO)
    }
}

fn columns() -> hparams::Settings {
    let settings = Settings::new(2, Preprocess::imagenet(64));
    hparams::Settings::of(&settings, 60).with_all_layers(&settings, 60)
}

fn sample() -> Sample {
    let image = Image { width: 40, height: 30, format: PixelFormat::Mono8, data: vec![90; 1200] };
    Sample { image, labels: vec![1], weight: 1.0, mask: None }
}

#[test]
fn checksums_are_those_of_the_definition() {
    // The check value that the catalogue of checksums gives for CRC-32C is 0xe3069283.
    assert_eq!(masked_crc(b"123456789"), 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8));
    // What every event file of TensorFlow begins with: a record of 24 bytes, and the checksum of that length.
    assert_eq!(masked_crc(&24_u64.to_le_bytes()), 0x224b_7fa3);
    for length in [0, 1, 7, 64, 1000] {
        let bytes: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
        assert_eq!(masked_crc(&bytes), checksum(&bytes), "{length} bytes");
    }
}

#[test]
fn a_damaged_or_cut_record_is_noticed() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file).unwrap();
    writer.write(7, What::SessionLog(SessionLog { status: 1 })).unwrap();
    assert_eq!(records(&file).unwrap().len(), 2);
    for place in 0..file.len() {
        let mut damaged = file.clone();
        damaged[place] ^= 0x10;
        assert!(records(&damaged).is_err(), "byte {place} is another one, and nobody notices");
    }
    let whole = 12 + 24 + 4;
    for length in (1..file.len()).filter(|length| *length != whole) {
        assert!(records(&file[..length]).is_err(), "only {length} bytes are left, and nobody notices");
    }
}

/// Takes so many bytes.
struct Disk<'a>(&'a mut Vec<u8>, usize);

impl Write for Disk<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.1.saturating_sub(self.0.len());
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let some = &bytes[..bytes.len().min(room)];
        self.0.extend(some);
        Ok(some.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_said_and_spoils_nothing_before_it() {
    let mut file = Vec::new();
    let mut writer = Writer::new(Disk(&mut file, 200)).unwrap();
    let written =
        (0..).take_while(|&step| writer.write(step, What::SessionLog(SessionLog { status: 1 })).is_ok()).count();
    assert!(written > 2 && file.len() == 200, "{written} events, {} bytes", file.len());
    let sound = (0..200).rev().find_map(|length| records(&file[..length]).ok()).unwrap();
    assert_eq!(sound.len(), 1 + written);
}

#[test]
fn a_training_is_told_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::create(folder.path(), "s-1", Path::new("s.bundle")).unwrap();
    assert_eq!(run.folder(), folder.path().join("s-1"));
    run.begin(&columns(), "# a training").unwrap();
    run.pictures("train/samples", &[sample(), sample()], 2, 2).unwrap();
    run.progress(&Progress::share(Stage::Features, 1.0, Duration::ZERO)).unwrap();
    for (step, loss) in [(120, 0.7), (240, 0.6)] {
        run.progress(&at(Stage::Head, step, Some(loss))).unwrap();
    }
    for step in 1..=40 {
        std::thread::sleep(Duration::from_millis(1));
        run.progress(&at(Stage::All, step, (step % 20 == 0).then_some(0.5))).unwrap();
    }
    assert!(run.folder().join("unfinished.json").exists());
    run.done(&[(hparams::TEST_ACCURACY, 0.75)], Some("# card")).unwrap();
    assert!(!run.folder().join("unfinished.json").exists());

    let said = Said::of(run.folder());
    assert_eq!(said.versions, ["brain.Event:2"]);
    assert_eq!(said.steps("train/loss"), [120, 240, 260, 280], "one axis for all stages");
    assert_eq!(said.scalars("selection/loss"), [(120, 0.7), (240, 0.6), (260, 0.5), (280, 0.5)]);
    assert!(said.scalars("selection/accuracy").iter().all(|(_, value)| *value == 0.75));
    assert!(said.scalars("train/accuracy").iter().all(|(_, value)| *value == 0.25));
    assert!(said.scalars("train/learning_rate").iter().all(|(_, value)| *value == 1e-3));
    assert!(said.scalars("train/images_per_second").iter().all(|(_, value)| value.is_finite() && *value > 0.0));
    assert_eq!(said.scalars("final/test_accuracy"), [(280, 0.75)]);
    for tag in ["_hparams_/experiment", "_hparams_/session_start_info", "training", "train/samples", "model_card"] {
        assert_eq!(said.values[tag].len(), 1, "{tag}");
    }
    let image = field(&said.values["train/samples"][0].1, 4).expect("an image");
    assert!(field(&image, 4).unwrap().starts_with(b"\x89PNG"));
    assert!(said.starts.is_empty());
}

#[test]
fn what_goes_on_goes_on_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let (out, other) = (folder.path().join("s.bundle"), folder.path().join("t.bundle"));
    assert!(Run::resume(&logs, &out).unwrap().is_none(), "no log at all");
    let mut run = Run::create(&logs, "s-1", &out).unwrap();
    run.begin(&columns(), "first").unwrap();
    run.progress(&at(Stage::Head, 240, Some(0.6))).unwrap();
    run.progress(&at(Stage::All, 20, Some(0.5))).unwrap();
    drop(run);
    // The name has the process in it, which is here the same.
    let [first] = &event_files(&logs.join("s-1"))[..] else { panic!("one file") };
    fs::rename(first, logs.join("s-1/events.out.tfevents.0000000001.host.1")).unwrap();

    assert!(Run::resume(&logs, &other).unwrap().is_none(), "of another bundle");
    let mut run = Run::resume(&logs, &out).unwrap().expect("it is unfinished");
    assert_eq!(run.folder(), logs.join("s-1"));
    run.begin(&columns(), "second").unwrap();
    run.pictures("train/samples", &[sample()], 1, 1).unwrap();
    run.progress(&at(Stage::All, 40, Some(0.4))).unwrap();
    run.progress(&Progress::share(Stage::Features, 1.0, Duration::ZERO)).unwrap();
    run.progress(&at(Stage::Head, 30, Some(0.3))).unwrap();
    run.done(&[], None).unwrap();
    let said = Said::of(&logs.join("s-1"));
    assert_eq!(said.steps("selection/loss"), [240, 260, 280, 310]);
    assert_eq!((said.starts.clone(), said.versions.len()), (vec![280], 2), "what is said from there on is said anew");
    assert_eq!(said.values["training"].len(), 1);
    assert!(!said.values.contains_key("train/samples"), "pictures belong to the beginning");
    assert!(Run::resume(&logs, &out).unwrap().is_none(), "it is over");
}

#[test]
fn runs_do_not_get_into_each_others_way() {
    let folder = tempfile::tempdir().unwrap();
    let new = || Run::create(folder.path(), "s-1", Path::new("s.bundle"));
    let (first, second) = (new().unwrap(), new().unwrap());
    assert_eq!(second.folder(), folder.path().join("s-1.2"));
    second.leave().unwrap();
    assert!(!folder.path().join("s-1.2").exists(), "a log that never began leaves nothing");
    let mut first = first;
    first.begin(&columns(), "words").unwrap();
    first.fail("it diverged").unwrap();
    assert_eq!(Said::of(first.folder()).values["_hparams_/session_end_info"].len(), 1);
    first.leave().unwrap();
    assert!(folder.path().join("s-1").exists(), "one that began stays");

    let file = folder.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let refused = Run::create(&file, "s-1", Path::new("s.bundle")).err().expect("no folder").to_string();
    assert!(refused.contains("file") && refused.contains("not a directory"), "{refused}");
}
