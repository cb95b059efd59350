//! Folder and video sources through their public surface, with real files.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use models::image::PixelFormat;
use opencv::core::{Mat, Scalar, Size};
use opencv::prelude::*;
use opencv::videoio::VideoWriter;
use stages::capture::folder::{After, FolderConfig, Mode};
use stages::capture::video::VideoConfig;
use stages::capture::{Event, Source, SourceConfig, Trigger};
use stages::frame::Content;
use stages::verdict::Cause;

const SOON: Duration = Duration::from_millis(20);

fn folder(path: &Path, mode: Mode) -> FolderConfig {
    FolderConfig { path: path.to_owned(), mode, rate: None, after: After::Keep, settle_ms: 100, serial_from_name: true }
}

/// Asks until something comes, for at most ten seconds.
fn next(source: &mut dyn Source) -> Option<Trigger> {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        match source.next(SOON).expect("the source works") {
            Event::Trigger(trigger) => return Some(trigger),
            Event::End => return None,
            Event::Idle => {}
        }
    }
    panic!("nothing came for ten seconds");
}

fn serial(trigger: &Trigger) -> &str {
    trigger.serial.as_deref().expect("serials come from names")
}

#[test]
fn a_folder_read_once_gives_every_file_in_order_with_its_bytes_then_ends() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["b.jpg", "a.png", "c.bmp", ".hidden.jpg", "half.jpg.part", "x.tmp"] {
        fs::write(dir.path().join(name), name).unwrap();
    }
    fs::create_dir(dir.path().join("sub.jpg")).unwrap();
    let mut source = SourceConfig::Folder(folder(dir.path(), Mode::Once)).open().unwrap();
    let mut seen = Vec::new();
    while let Some(trigger) = next(&mut *source) {
        let frame = trigger.frame.as_ref().expect("readable");
        assert_eq!(frame.content(), Content::Encoded);
        assert!(frame.name().unwrap().ends_with(std::str::from_utf8(frame.bytes()).unwrap()));
        seen.push(serial(&trigger).to_owned());
    }
    assert_eq!(seen, ["a", "b", "c"]);
}

#[test]
fn a_file_that_is_gone_or_too_large_costs_one_part_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.jpg"), "a").unwrap();
    fs::write(dir.path().join("b.jpg"), "b").unwrap();
    fs::File::create(dir.path().join("c.jpg")).unwrap().set_len(300 << 20).unwrap();
    let mut source = SourceConfig::Folder(folder(dir.path(), Mode::Once)).open().unwrap();
    assert!(next(&mut *source).unwrap().frame.is_ok());
    fs::remove_file(dir.path().join("b.jpg")).unwrap();
    for words in ["cannot be read", "300 MiB is more than the limit of 256 MiB"] {
        let Err(fault) = next(&mut *source).unwrap().frame else { panic!("there is no picture") };
        assert_eq!(fault.cause, Cause::Unreadable);
        assert!(fault.detail.contains(words), "{}", fault.detail);
    }
    assert!(next(&mut *source).is_none());
}

#[test]
fn a_watched_file_is_taken_once_when_it_has_stopped_growing() {
    let dir = tempfile::tempdir().unwrap();
    let mut source = SourceConfig::Folder(folder(dir.path(), Mode::Watch)).open().unwrap();
    let path = dir.path().join("part1.jpg");
    let mut written = String::new();
    for _ in 0..5 {
        written.push_str("more ");
        fs::write(&path, &written).unwrap();
        assert!(matches!(source.next(SOON), Ok(Event::Idle)), "taken while it still grew");
    }
    let trigger = next(&mut *source).unwrap();
    assert_eq!(trigger.frame.unwrap().bytes(), written.as_bytes());
    for _ in 0..20 {
        assert!(matches!(source.next(SOON), Ok(Event::Idle)), "taken twice");
    }
    fs::write(&path, "another part under the same name").unwrap();
    assert_eq!(next(&mut *source).unwrap().frame.unwrap().bytes(), b"another part under the same name");
}

#[test]
fn a_watched_folder_keeps_its_rate_after_a_time_without_files() {
    let dir = tempfile::tempdir().unwrap();
    let config = FolderConfig { rate: Some(20.0), ..folder(dir.path(), Mode::Watch) };
    let mut source = SourceConfig::Folder(config).open().unwrap();
    let quiet = Instant::now() + Duration::from_millis(1200);
    while Instant::now() < quiet {
        assert!(matches!(source.next(SOON), Ok(Event::Idle)));
    }
    (0..8).for_each(|at| fs::write(dir.path().join(format!("{at}.jpg")), "x").unwrap());
    next(&mut *source).unwrap();
    let first = Instant::now();
    (1..8).for_each(|_| drop(next(&mut *source).unwrap()));
    // The first one may be due up to a look at the folder before it is seen.
    assert!(first.elapsed() >= Duration::from_millis(6 * 50), "all at once: {:?}", first.elapsed());
}

#[test]
fn a_watched_folder_that_moves_its_files_is_not_inspected_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("part1.jpg"), "one").unwrap();
    let config = FolderConfig { after: After::Move, ..folder(dir.path(), Mode::Watch) };
    let mut source = SourceConfig::Folder(config.clone()).open().unwrap();
    assert_eq!(serial(&next(&mut *source).unwrap()), "part1");
    assert!(dir.path().join("part1.jpg").exists(), "stays until its part is on record");
    assert!(matches!(source.next(SOON), Ok(Event::Idle)));
    assert!(dir.path().join("done/part1.jpg").exists());
    let mut again = SourceConfig::Folder(config).open().unwrap();
    fs::write(dir.path().join("part2.jpg"), "two").unwrap();
    assert_eq!(serial(&next(&mut *again).unwrap()), "part2");
}

#[test]
fn a_folder_that_vanishes_is_an_error_in_words_and_heals_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("drop");
    fs::create_dir(&inner).unwrap();
    let mut source = SourceConfig::Folder(folder(&inner, Mode::Watch)).open().unwrap();
    fs::remove_dir(&inner).unwrap();
    let Err(error) = source.next(SOON) else { panic!("the folder is gone") };
    assert!(error.to_string().contains("cannot be read") && error.to_string().contains("is it mounted"), "{error}");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("x.jpg"), "x").unwrap();
    assert_eq!(serial(&next(&mut *source).unwrap()), "x");
}

#[test]
fn a_loop_with_a_rate_starts_again_and_keeps_the_rate() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.jpg"), "a").unwrap();
    let config = FolderConfig { rate: Some(50.0), ..folder(dir.path(), Mode::Loop) };
    let mut source = SourceConfig::Folder(config).open().unwrap();
    let start = Instant::now();
    for _ in 0..11 {
        assert_eq!(serial(&next(&mut *source).unwrap()), "a");
    }
    assert!(start.elapsed() >= Duration::from_millis(195), "faster than its rate: {:?}", start.elapsed());
}

#[test]
fn settings_that_cannot_work_are_named() {
    let looped = FolderConfig { rate: Some(0.0), after: After::Move, ..folder(Path::new(""), Mode::Loop) };
    let problems = SourceConfig::Folder(looped).problems().join("\n");
    for words in ["`source.rate` is 0", "`source.path` is empty", "`source.after` is `move`"] {
        assert!(problems.contains(words), "{problems}");
    }
    let neither = VideoConfig { path: None, pipeline: None, rate: Some(f64::NAN), every_nth: 0 };
    let problems = SourceConfig::Video(neither).problems();
    assert_eq!(problems.len(), 3, "{problems:?}");
    let missing = SourceConfig::Folder(folder(Path::new("/does/not/exist"), Mode::Once)).open().err().unwrap();
    assert!(missing.to_string().contains("/does/not/exist"), "{missing}");
}

#[test]
fn a_video_gives_every_nth_picture_in_red_green_blue_then_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("line.avi");
    let fourcc = VideoWriter::fourcc('M', 'J', 'P', 'G').unwrap();
    let size = Size::new(64, 48);
    let mut writer = VideoWriter::new(&*path.to_string_lossy(), fourcc, 10.0, size, true).unwrap();
    if !writer.is_opened().unwrap() {
        println!("SKIPPED: this OpenCV cannot write a Motion-JPEG file");
        return;
    }
    for level in 0..6 {
        // Blue, green, red as OpenCV has it: red grows from picture to picture.
        let colour = Scalar::new(10.0, 100.0, f64::from(level) * 40.0, 0.0);
        let picture = Mat::new_size_with_default(size, opencv::core::CV_8UC3, colour).unwrap();
        writer.write(&picture).unwrap();
    }
    writer.release().unwrap();
    let config = VideoConfig { path: Some(path), pipeline: None, rate: None, every_nth: 2 };
    let mut source = SourceConfig::Video(config).open().unwrap();
    for level in [0_i32, 2, 4] {
        let frame = next(&mut *source).unwrap().frame.unwrap();
        assert_eq!(frame.content(), Content::Pixels { width: 64, height: 48, format: PixelFormat::Rgb8 });
        let near = |at: usize, expected: i32| (i32::from(frame.bytes()[at]) - expected).abs() <= 12;
        assert!(near(0, level * 40) && near(1, 100) && near(2, 10), "{:?}", &frame.bytes()[..3]);
        assert_eq!(frame.sequence(), level as u64);
    }
    assert!(next(&mut *source).is_none());
}

#[test]
fn a_video_that_is_none_is_refused_with_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("text.avi");
    fs::write(&path, "this is no video").unwrap();
    let config = VideoConfig { path: Some(path), pipeline: None, rate: None, every_nth: 1 };
    let error = SourceConfig::Video(config).open().err().unwrap();
    assert!(error.to_string().contains("text.avi"), "{error}");
    assert!(error.to_string().contains("codec"), "{error}");
}
