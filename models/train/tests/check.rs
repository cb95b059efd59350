//! Data sets with known faults, looked at without a network: the vector of a picture is its pixels.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the failure")]

use std::fs;
use std::path::Path;

use models::image::{Image, PixelFormat, encode_png};
use models_train::TrainError;
use models_train::check::{DataReport, LeakKind, Look, check};
use models_train::dataset::Folder;
use models_train::near::Embed;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SIDE: usize = 32;

/// Pixels, averaged over blocks of 4 x 4.
struct Blocks;

impl Embed for Blocks {
    fn prepare(&self, image: &Image) -> Image {
        image.clone()
    }

    fn embed(&self, images: &[Image]) -> Result<Vec<Vec<f32>>, TrainError> {
        let blocks = |image: &Image| {
            let mut sums = vec![0.0; SIDE / 4 * SIDE / 4];
            for (at, &byte) in image.data.iter().enumerate() {
                sums[at / SIDE / 4 * (SIDE / 4) + at % SIDE / 4] += f32::from(byte) / 16.0;
            }
            sums
        };
        Ok(images.iter().map(blocks).collect())
    }
}

/// Soft blobs at random: every seed gives another picture.
fn drawn(seed: u64) -> Image {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let blobs: Vec<[f32; 3]> = (0..6)
        .map(|_| [random.random_range(0.0..32.0), random.random_range(0.0..32.0), random.random_range(-60.0..60.0)])
        .collect();
    let pixel = |at: usize| {
        let (x, y) = ((at % SIDE) as f32, (at / SIDE) as f32);
        let blob = |[bx, by, height]: &[f32; 3]| height * (-((x - bx).powi(2) + (y - by).powi(2)) / 40.0).exp();
        (120.0 + blobs.iter().map(blob).sum::<f32>()).clamp(0.0, 255.0) as u8
    };
    Image {
        width: SIDE as u32,
        height: SIDE as u32,
        format: PixelFormat::Mono8,
        data: (0..SIDE * SIDE).map(pixel).collect(),
    }
}

/// The same scene, shot again: a little brighter, with noise.
fn again(seed: u64) -> Image {
    let mut image = drawn(seed);
    let mut random = ChaCha8Rng::seed_from_u64(seed + 1000);
    image.data.iter_mut().for_each(|byte| *byte = byte.saturating_add(random.random_range(1..5)));
    image
}

fn save(root: &Path, path: &str, image: &Image) {
    fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
    fs::write(root.join(path), encode_png(image.view()).unwrap()).unwrap();
}

/// Twelve different pictures of two labels in `a/` and `b/`, all for learning but `b/11.png`.
fn fill(root: &Path) -> String {
    let mut list = String::from("path,label,split,group\n");
    for seed in 0..12_u64 {
        let label = if seed % 2 == 0 { "a" } else { "b" };
        save(root, &format!("{label}/{seed}.png"), &drawn(seed));
        let side = if seed == 11 { "test" } else { "train" };
        list.push_str(&format!("{label}/{seed}.png,{label},{side},\n"));
    }
    list
}

fn look(root: &Path, list: &str) -> DataReport {
    fs::write(root.join("list.csv"), list).unwrap();
    let folder = Folder::open(root, Some(Path::new("list.csv"))).unwrap();
    let look = Look { embed: Some(&Blocks), cosine: None };
    let mut done = 0;
    let report = check(&folder, &look, &mut |images| {
        done = images;
        true
    });
    let report = report.unwrap();
    assert_eq!(done, report.images, "the observer hears of the end");
    report
}

#[test]
fn a_sound_set_has_no_problem() {
    let root = tempfile::tempdir().unwrap();
    let report = look(root.path(), &fill(root.path()));
    assert_eq!(report.problems(), 0, "{report:?}");
    assert_eq!((report.classes[1].train, report.classes[1].test, report.sizes.grey), (5, 1, 12));
    assert!(report.digest.is_some_and(|digest| digest.len() == 64));
    assert!(report.near.is_some_and(|near| near.clusters.is_empty()), "different pictures are not near");
}

#[test]
fn the_same_picture_on_both_sides_leaks_whether_same_near_or_named() {
    let root = tempfile::tempdir().unwrap();
    let mut list = fill(root.path());
    save(root.path(), "same.png", &drawn(0));
    save(root.path(), "near.png", &again(2));
    save(root.path(), "other.png", &drawn(50));
    list.push_str("same.png,a,test,\nnear.png,a,test,\nother.png,a,test,part 4\n");
    let list = list.replace("a/4.png,a,train,", "a/4.png,a,train,part 4");
    let report = look(root.path(), &list);
    let leak = |kind: LeakKind| report.leaks.iter().find(|leak| leak.kind == kind).expect("a leak of each kind");
    assert_eq!(leak(LeakKind::Exact).train, ["a/0.png"]);
    assert_eq!(leak(LeakKind::Near).test, ["near.png"]);
    assert_eq!(
        (leak(LeakKind::Group).group.as_deref(), &leak(LeakKind::Group).train[0]),
        (Some("part 4"), &"a/4.png".into())
    );
    assert_eq!(
        (report.leaks.len(), report.problems()),
        (3, 3),
        "a picture that is the same is told once: {:?}",
        report.leaks
    );
    assert_eq!(report.duplicates, [["a/0.png", "same.png"]]);
    // What belongs together has one number: twelve pictures and `other`, less two.
    let groups: std::collections::BTreeSet<usize> = report.together.iter().copied().collect();
    assert_eq!((report.together.len(), groups.len()), (15, 12));
}

#[test]
fn two_labels_for_one_picture_are_a_conflict() {
    let root = tempfile::tempdir().unwrap();
    let mut list = fill(root.path());
    save(root.path(), "again.png", &drawn(0));
    list.push_str("again.png,b,train,\n");
    let report = look(root.path(), &list);
    assert_eq!((report.conflicts.len(), report.problems()), (1, 1));
    assert_eq!(report.conflicts[0].images[1].0, "again.png");
}

#[test]
fn files_that_cannot_be_used_are_named_and_the_rest_is_looked_at() {
    let root = tempfile::tempdir().unwrap();
    let mut list = fill(root.path());
    fs::write(root.path().join("cut.png"), &fs::read(root.path().join("a/0.png")).unwrap()[..200]).unwrap();
    fs::write(root.path().join("text.png"), "no picture").unwrap();
    list.push_str("cut.png,a,train,\ntext.png,a,train,\ngone.png,b,train,\n");
    let report = look(root.path(), &list);
    let reasons: Vec<_> = report.unreadable.iter().map(|fault| (fault.path.as_str(), fault.reason.as_str())).collect();
    assert_eq!(reasons.len(), 3);
    assert!(reasons[0].0 == "cut.png" && reasons[0].1.contains("ends before"), "{reasons:?}");
    assert!(reasons[1].1.contains("not a JPEG") && reasons[2].0 == "gone.png", "{reasons:?}");
    assert!(report.digest.is_none() && report.sizes.smallest == [32, 32]);
}

#[test]
fn the_observer_can_stop_it() {
    let root = tempfile::tempdir().unwrap();
    fill(root.path());
    let folder = Folder::open(root.path(), None).unwrap();
    assert!(matches!(check(&folder, &Look::default(), &mut |_| false), Err(TrainError::Stopped)));
}
