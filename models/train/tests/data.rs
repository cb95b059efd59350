//! Data folders: digests, hostile content.

use std::fs;
use std::path::Path;

use models::image::{Image, PixelFormat, encode_png};
use models_train::dataset::{Folder, input_size};
use models_train::samples::{Class, Samples};
use models_train::split::Side;

fn picture(shade: u8) -> Vec<u8> {
    let image = Image { width: 40, height: 50, format: PixelFormat::Mono8, data: vec![shade; 2000] };
    encode_png(image.view()).expect("a sane picture")
}

/// Two classes of three images in `root`, one folder each.
fn fill(root: &Path) {
    for (class, shade) in [("dark", 10), ("light", 200)] {
        fs::create_dir_all(root.join(class)).expect("a folder");
        for index in 0..3 {
            fs::write(root.join(class).join(format!("{index}.png")), picture(shade + index)).expect("a file");
        }
    }
}

fn open(root: &Path, split: Option<&str>) -> Folder {
    if let Some(split) = split {
        fs::write(root.join("split.csv"), format!("path,label,split\n{split}")).expect("a file");
    }
    Folder::open(root, split.map(|_| Path::new("split.csv"))).expect("a readable folder")
}

#[test]
fn the_digest_depends_on_the_data_and_not_on_its_place_or_order() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(a.path());
    fill(b.path());
    let forth = "dark/0.png,dark,train\nlight/0.png,light,test\n";
    let back = "light/0.png,light,test\ndark/0.png,dark,train\n";
    let digest = |root: &Path, split| open(root, Some(split)).digest().unwrap();
    let first = digest(a.path(), forth);
    assert_eq!(first, digest(b.path(), back));
    assert_ne!(first, digest(a.path(), "dark/0.png,light,train\nlight/0.png,light,test\n"), "a label changed");
    assert_ne!(first, digest(a.path(), "dark/0.png,dark,test\nlight/0.png,light,test\n"), "a side changed");
    fs::write(a.path().join("dark/0.png"), picture(11)).unwrap();
    assert_ne!(first, digest(a.path(), forth), "a pixel changed");
}

#[test]
fn the_digest_is_what_its_description_says() {
    let root = tempfile::tempdir().unwrap();
    for (path, bytes) in [("dark/0.png", "abc"), ("light/0.png", "abcd")] {
        fs::create_dir_all(root.path().join(path).parent().unwrap()).unwrap();
        fs::write(root.path().join(path), bytes).unwrap();
    }
    let folder = open(root.path(), Some("light/0.png,light,test\ndark/0.png,dark,train\n"));
    // Computed from the description with Python's hashlib. Data sets keep their digests from release to release.
    let wanted = "2d9ce9665da6bb39023fde362f87b87f7af48f91967e92da3a1ba9b5145a6451";
    assert_eq!(folder.digest().unwrap(), wanted);
}

#[test]
fn folders_are_classes_and_all_of_them_train() {
    let root = tempfile::tempdir().unwrap();
    fill(root.path());
    fs::write(root.path().join("dark/notes.txt"), "no image").unwrap();
    let folder = open(root.path(), None);
    assert_eq!(folder.classes.iter().map(|class| class.name.as_str()).collect::<Vec<_>>(), ["dark", "light"]);
    folder.check_trainable().unwrap();
    let files = folder.files(Some(Side::Train), &folder.classes).unwrap();
    assert_eq!(files.len(), 6);
    assert!(!folder.has_test_side());
    assert_eq!(files.shortest_side().unwrap(), Some(40));
    assert_eq!((files.label(0), files.name(5).as_str()), (0, "light/2.png"));
}

#[test]
fn data_that_cannot_be_learned_from_is_named() {
    let root = tempfile::tempdir().unwrap();
    fill(root.path());
    let refusal = |split| open(root.path(), Some(split)).check_trainable().unwrap_err().to_string();
    assert!(refusal("dark/0.png,dark,train\ndark/1.png,dark,test\n").contains("all images are `dark`"));
    assert!(refusal("dark/0.png,dark,train\nlight/1.png,light,test\n").contains("`light` has no training image"));

    let folder = open(root.path(), Some("dark/0.png,dark,train\nlight/1.png,light,test\n"));
    let unknown = folder.files(None, &[Class::named("dark")]).err().unwrap().to_string();
    assert!(unknown.contains("`light/1.png` is labelled `light`"), "{unknown}");

    let empty = tempfile::tempdir().unwrap();
    let message = |path: &Path, split: Option<&Path>| Folder::open(path, split).unwrap_err().to_string();
    assert!(message(empty.path(), None).contains("one folder per class"));
    assert!(message(&empty.path().join("gone"), None).contains("is not a folder"));
    assert!(message(root.path(), Some(Path::new("gone.csv"))).contains("gone.csv"));
}

#[test]
fn files_that_are_missing_or_damaged_are_named() {
    let root = tempfile::tempdir().unwrap();
    fill(root.path());
    fs::write(root.path().join("dark/1.png"), &picture(10)[..60]).unwrap();
    let folder = open(root.path(), Some("dark/1.png,dark,train\ndark/9.png,dark,train\nlight/0.png,light,train\n"));
    let files = folder.files(None, &folder.classes).unwrap();
    let message = |index| files.load(index).unwrap_err().to_string();
    assert!(message(0).contains("dark/1.png") && message(0).contains("take it out"), "{}", message(0));
    assert!(message(1).contains("dark/9.png"), "{}", message(1));
    assert_eq!(files.load(2).unwrap().image.width, 40);
    assert!(folder.digest().unwrap_err().to_string().contains("dark/9.png"));
}

#[test]
fn input_sizes_fit_the_network() {
    for (side, size) in [(200, 224), (224, 224), (225, 256), (10, 32), (512, 512), (513, 512), (4000, 512)] {
        assert_eq!(input_size(side), size, "images of {side} px");
    }
}
