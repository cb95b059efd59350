//! Evidence and previews.

use std::fs;

use inspectd::store::{EvidenceOptions, Options, PictureError, RawFormat, Store};
use models::image::{Image, PixelFormat, decode, encode_jpeg, encode_png};
use stages::frame::{Content, Frame};
use stages::record::{Picture, Recorder};

use crate::support::{acknowledged, inspection, open, options, time, until};

fn image(width: u32, height: u32) -> Image {
    let data = (0..width * height).map(|i| (i % width * 255 / width) as u8).collect();
    Image { width, height, format: PixelFormat::Mono8, data }
}

fn raw(image: &Image) -> Frame {
    let content = Content::Pixels { width: image.width, height: image.height, format: image.format };
    Frame::from_vec(content, image.data.clone(), 0, None)
}

fn record(store: &Store, id: u64, frame: Frame, keep: bool, show: bool) {
    store.opened(id, time(id)).expect("kept");
    store.record(inspection(id), Some(Picture { frame, keep, show })).expect("kept");
}

fn with(evidence: EvidenceOptions) -> Options {
    Options { evidence, ..options() }
}

#[test]
fn an_encoded_picture_is_kept_byte_for_byte_and_a_raw_one_as_configured() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = open(dir.path(), with(EvidenceOptions { raw: RawFormat::Png, ..EvidenceOptions::default() }));
    let picture = image(64, 48);
    let jpeg = encode_jpeg(picture.view(), 90).expect("encodes");
    let cut = jpeg[..jpeg.len() / 2].to_vec();
    record(&store, 1, Frame::from_vec(Content::Encoded, jpeg.clone(), 0, None), true, false);
    record(&store, 2, raw(&picture), true, false);
    record(&store, 3, Frame::from_vec(Content::Encoded, cut.clone(), 0, None), true, false);
    record(&store, 4, Frame::from_vec(Content::Encoded, b"no picture".to_vec(), 0, None), true, false);
    acknowledged(&store, 4);
    until("written", || store.stats().evidence.written == 4);
    let paths: Vec<String> = (1..=4)
        .map(|id| store.get(id).expect("ok").expect("there").inspection.evidence.clone().expect("a path"))
        .collect();
    assert_eq!(paths, ["2027/01/15/1.jpg", "2027/01/15/2.png", "2027/01/15/3.jpg", "2027/01/15/4.bin"]);
    let one = store.picture(1).expect("a picture");
    assert_eq!((&*one.bytes, one.mime, one.evidence), (&jpeg[..], "image/jpeg", true));
    assert_eq!(decode(&store.picture(2).expect("a picture").bytes).expect("decodes"), picture, "lossless");
    assert_eq!(*store.picture(3).expect("a picture").bytes, cut[..], "what is broken is evidence too");
    assert!(store.has_picture(&store.get(1).expect("ok").expect("there").inspection));

    fs::remove_file(store.evidence_dir().join(&paths[0])).expect("removed");
    let error = store.picture(1).expect_err("gone");
    assert!(
        matches!(error, PictureError::Missing(_)) && error.to_string().contains("2027/01/15/1.jpg is missing"),
        "{error}"
    );
    assert!(!store.has_picture(&store.get(1).expect("ok").expect("there").inspection));
    assert!(matches!(store.picture(99), Err(PictureError::NoRecord(99))));
}

#[test]
fn a_preview_is_small_and_the_oldest_makes_room() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = with(EvidenceOptions { previews: 2, preview_px: 100, ..EvidenceOptions::default() });
    let (store, _) = open(dir.path(), options);
    let large = image(350, 120);
    let small_jpeg = encode_jpeg(image(80, 20).view(), 90).expect("encodes");
    let large_png = encode_png(large.view()).expect("encodes");
    let frames = [
        raw(&large),
        Frame::from_vec(Content::Encoded, large_png, 0, None),
        Frame::from_vec(Content::Encoded, small_jpeg.clone(), 0, None),
    ];
    for (id, frame) in (1..).zip(frames) {
        record(&store, id, frame, false, true);
        acknowledged(&store, id);
        until("shown", || store.picture(id).is_ok());
        let picture = store.picture(id).expect("a preview");
        let shown = decode(&picture.bytes).expect("decodes");
        assert!(shown.width.max(shown.height) <= 100 && !picture.evidence && picture.mime == "image/jpeg");
        if id == 3 {
            assert_eq!(*picture.bytes, small_jpeg[..], "small enough as it came");
        } else {
            assert_eq!((shown.width, shown.height), (87, 30));
        }
    }
    assert!(matches!(store.picture(1), Err(PictureError::NotKept(1))), "two are remembered");
    assert!(store.picture(2).is_ok());
}

#[test]
fn a_full_queue_drops_the_picture_and_counts_it_and_never_the_part() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = with(EvidenceOptions { raw: RawFormat::Png, queue: 2, ..EvidenceOptions::default() });
    let (store, _) = open(dir.path(), options);
    let slow = image(1500, 1500);
    for id in 1..=30 {
        record(&store, id, raw(&slow), true, false);
    }
    acknowledged(&store, 30);
    let counts = || store.stats().evidence;
    until("written", || counts().written + counts().dropped == 30);
    assert!(counts().dropped > 0 && counts().written >= 2, "{:?}", counts());
    let mut with_path = 0;
    for id in 1..=30 {
        let part = store.get(id).expect("readable").expect("on record").inspection;
        match &part.evidence {
            Some(_) => {
                with_path += 1;
                assert!(store.picture(id).is_ok());
            }
            None => assert!(matches!(store.picture(id), Err(PictureError::NotKept(_)))),
        }
    }
    assert_eq!(with_path, counts().written);
}

#[test]
fn a_disk_that_takes_no_pictures_stops_no_part() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = open(dir.path(), options());
    // A file stands where the year's folder should be.
    fs::write(store.evidence_dir().join("2027"), "x").expect("written");
    record(&store, 1, raw(&image(8, 8)), true, false);
    acknowledged(&store, 1);
    until("failed", || store.stats().evidence.failed == 1);
    assert!(store.picture(1).is_err());
    assert!(store.stats().failed.is_none());
}
