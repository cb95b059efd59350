//! The forms of labelled data: what each reads, and what each refuses.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the failure")]

use std::fs;
use std::path::Path;

use models::image::{Image, PixelFormat, encode_png};
use models_train::dataset::Folder;
use models_train::formats::{self, Entry, Format, LabelBox, Listing, voc};
use models_train::samples::Samples;
use models_train::split::Side;
use proptest::prelude::*;

/// A picture of 40 x 50, put at `path` with the folders that it needs.
fn picture(root: &Path, path: &str) {
    let image = Image { width: 40, height: 50, format: PixelFormat::Mono8, data: vec![path.len() as u8; 2000] };
    write(root, path, encode_png(image.view()).expect("a sane picture"));
}

fn write(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
    fs::write(path, bytes).expect("a file");
}

fn read(root: &Path, list: Option<&str>) -> Result<Listing, String> {
    formats::read(root, list.map(Path::new), None).map_err(|error| error.to_string())
}

/// The refusal of a list of this name and text.
fn refusal(name: &str, text: impl AsRef<[u8]>) -> String {
    let root = tempfile::tempdir().unwrap();
    picture(root.path(), "a.png");
    picture(root.path(), "b.png");
    write(root.path(), name, text);
    read(root.path(), Some(name)).expect_err(name)
}

fn labels(entries: &[Entry]) -> Vec<(&str, &str)> {
    entries.iter().map(|entry| (entry.path.as_str(), entry.label())).collect()
}

#[test]
fn folders_with_sides() {
    let root = tempfile::tempdir().unwrap();
    for path in ["train/good/1.png", "train/bad/1.png", "test/good/1.png", "test/bad/2.PNG"] {
        picture(root.path(), path);
    }
    write(root.path(), "train/good/notes.txt", "no image");
    let listing = read(root.path(), None).unwrap();
    assert_eq!(listing.format, Format::Folders);
    let sides: Vec<_> = listing.entries.iter().map(|entry| (entry.path.as_str(), entry.side)).collect();
    let (test, train) = (Side::Test, Side::Train);
    assert_eq!(
        sides,
        [("test/bad/2.PNG", test), ("test/good/1.png", test), ("train/bad/1.png", train), ("train/good/1.png", train)]
    );
    // Without folders in it, `train` is a class like any other.
    let root = tempfile::tempdir().unwrap();
    picture(root.path(), "train/1.png");
    picture(root.path(), "tram/1.png");
    assert_eq!(labels(&read(root.path(), None).unwrap().entries), [("train/1.png", "train"), ("tram/1.png", "tram")]);
    // Nothing but a list: the message says how to use it.
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "list.csv", "path,label,split\n");
    assert!(read(root.path(), None).unwrap_err().contains("--split list.csv"));
}

#[test]
fn the_classes_that_pass_come_first() {
    let root = tempfile::tempdir().unwrap();
    for path in ["crack/1.png", "good/1.png", "dent/1.png"] {
        picture(root.path(), path);
    }
    let folder = Folder::open(root.path(), None).unwrap();
    let names: Vec<_> = folder.classes.iter().map(|class| class.name.as_str()).collect();
    assert_eq!(names, ["good", "crack", "dent"]);
}

#[test]
fn tables_in_any_order_of_columns_with_groups() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "s.csv", "split,path,label,group\ntrain,a/1.jpg,a,part 7\ntest, b/2.jpg ,b,\n");
    let entries = read(root.path(), Some("s.csv")).unwrap().entries;
    assert_eq!(entries[0], Entry { group: Some("part 7".into()), ..Entry::new("a/1.jpg", "a") });
    assert_eq!(entries[1], Entry { side: Side::Test, ..Entry::new("b/2.jpg", "b") });
}

#[test]
fn bad_tables_are_refused_with_the_line() {
    let long = format!("path,label,split\nx.jpg,{},train\n", "y".repeat(300));
    for (text, words) in [
        ("path,label\nx.jpg,a\n", "no column `split`"),
        ("path,label,split\nx.jpg,a,train\ny.jpg,a,validation\n", "line 3: unknown split `validation`"),
        ("path,label,split\nx.jpg,,train\n", "no label"),
        ("path,label,split\n../x.jpg,a,train\n", "does not stay below"),
        ("path,label,split\na/../../x.jpg,a,train\n", "does not stay below"),
        ("path,label,split\n/etc/x.jpg,a,train\n", "does not stay below"),
        ("path,label,split\n,a,train\n", "does not stay below"),
        ("path,label,split\nx.jpg,a,train\nx.jpg,b,test\n", "line 3: `x.jpg` stands twice"),
        ("path,label,split\nx.jpg,a\n", "line 2"),
        ("path,label,split\n", "lists no image"),
        ("path,label,split\nx.jpg,a\u{7}b,train\n", "control characters"),
        (long.as_str(), "300 bytes"),
        ("", "no column `path`"),
    ] {
        let message = refusal("s.csv", text);
        assert!(message.contains(words), "{text:?}: {message}");
    }
    let message = refusal("s.csv", b"path,label,split\nx.jpg,\xff\xfe,train\n");
    assert!(message.contains("line 2") && message.contains("UTF-8"), "{message}");
    assert!(read(Path::new("."), Some("gone.csv")).unwrap_err().contains("gone.csv"));
}

const COCO: &str = r#"{
    "info": {"year": 2026}, "licenses": [],
    "images": [{"id": 7, "file_name": "a.png", "width": 40, "height": 50}, {"id": 9, "file_name": "b.png"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4], "segmentation": [[1, 2, 3, 4]]},
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [10.5, 2, 20, 4]}],
    "categories": [{"id": 1, "name": "crack"}, {"id": 2, "name": "dent"}]
}"#;

#[test]
fn coco_lists_give_boxes_and_the_label_with_the_most_area() {
    let root = tempfile::tempdir().unwrap();
    picture(root.path(), "images/a.png");
    picture(root.path(), "b.png");
    write(root.path(), "annotations/instances_train.json", COCO);
    let listing = read(root.path(), None).unwrap();
    assert_eq!(listing.format, Format::Coco);
    let [a, b] = listing.entries.as_slice() else { panic!("two images") };
    assert_eq!((a.path.as_str(), a.labels.join(" ").as_str()), ("images/a.png", "crack dent"));
    assert_eq!(a.boxes[1], LabelBox { label: "crack".into(), bounds: [10.5, 2.0, 30.5, 6.0] });
    assert_eq!((b.path.as_str(), b.label(), b.boxes.len()), ("b.png", "good", 0));
}

#[test]
fn coco_lists_beside_the_images_of_each_side() {
    let root = tempfile::tempdir().unwrap();
    for side in ["train", "test"] {
        picture(root.path(), &format!("{side}/a.png"));
        picture(root.path(), &format!("{side}/b.png"));
        write(root.path(), &format!("{side}/_annotations.coco.json"), COCO);
    }
    let listing = read(root.path(), None).unwrap();
    let tests: Vec<_> = listing.entries.iter().filter(|entry| entry.side == Side::Test).collect();
    assert_eq!((listing.entries.len(), tests.len(), tests[0].path.as_str()), (4, 2, "test/a.png"));
}

#[test]
fn bad_coco_lists_are_refused_with_the_place() {
    let with = |from: &str, to: &str| {
        assert!(COCO.contains(from), "{from}");
        COCO.replace(from, to)
    };
    for (text, words) in [
        ("[1, 2".to_owned(), "no COCO list"),
        ("{\"images\": []}".to_owned(), "missing field `annotations`"),
        (with("\"id\": 9", "\"id\": 7"), "two images have the id 7"),
        (with("\"id\": 2, \"name\"", "\"id\": 1, \"name\""), "two categories have the same id"),
        (
            with("\"image_id\": 7, \"category_id\": 1", "\"image_id\": 8, \"category_id\": 1"),
            "annotation 1: no image has the id 8",
        ),
        (with("\"category_id\": 2", "\"category_id\": 5"), "annotation 0: no category has the id 5"),
        (with("[1, 2, 3, 4],", "[1, 2, 0, 4],"), "no area"),
        (with("[1, 2, 3, 4],", "[1, 2, -3, 4],"), "no area"),
        (with("[1, 2, 3, 4],", "[1e30, 2, 3, 4],"), "not pixels"),
        (with("[1, 2, 3, 4],", "[1, 2, 3],"), "no COCO list"),
        (with("a.png", "../../etc/passwd"), "does not stay below"),
        (with("a.png", "b.png"), "stands twice"),
        (with("dent", ""), "empty label"),
        (with("\"id\": 9", "\"id\": 99999999999999999999"), "no COCO list"),
    ] {
        let message = refusal("list.json", &text);
        assert!(message.contains(words), "{words}: {message}");
    }
    assert!(refusal("list.json", b"{\"images\": \"\xff\"}").contains("no COCO list"));
}

fn xml(objects: &str) -> String {
    format!("<annotation><folder>x</folder><filename>a.jpg</filename>{objects}</annotation>")
}

fn object(name: &str, bounds: [&str; 4]) -> String {
    let [left, top, right, bottom] = bounds;
    format!(
        "<object><name>{name}</name><bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>\
         </bndbox></object>"
    )
}

#[test]
fn voc_folders_find_their_images_by_name() {
    let root = tempfile::tempdir().unwrap();
    for path in ["JPEGImages/a.png", "JPEGImages/b.png", "JPEGImages/c.png"] {
        picture(root.path(), path);
    }
    let two = object("dent", ["1", "1", "2", "2"]) + &object("crack", ["5", "6", "20", "30"]);
    write(root.path(), "Annotations/a.xml", xml(&two));
    write(root.path(), "Annotations/b.xml", xml(""));
    write(root.path(), "ImageSets/Main/test.txt", "b\n");
    let listing = read(root.path(), None).unwrap();
    assert_eq!((listing.format, listing.notes.len()), (Format::Voc, 1), "c has no XML: {:?}", listing.notes);
    let [a, b] = listing.entries.as_slice() else { panic!("two images") };
    assert_eq!((a.path.as_str(), a.labels.join(" ").as_str(), a.side), ("JPEGImages/a.png", "crack dent", Side::Train));
    assert_eq!(a.boxes[0].bounds, [0.0, 0.0, 2.0, 2.0], "VOC counts from 1 and includes the last pixel");
    assert_eq!((b.label(), b.side), ("good", Side::Test));
}

#[test]
fn bad_voc_files_are_refused_with_the_place() {
    let bomb = "<!DOCTYPE annotation [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><annotation><object><name>&b;</name>\
                </object></annotation>";
    for (text, words) in [
        ("no xml at all".to_owned(), "not XML"),
        ("<annotation><object></annotation>".to_owned(), "not XML"),
        ("<svg/>".to_owned(), "the root is `svg`"),
        (bomb.to_owned(), "not XML"),
        (xml("<object><name> </name></object>"), "without a name"),
        (xml("<object><name>dent</name></object>"), "has no `bndbox`"),
        (xml(&object("dent", ["1", "2", "", "4"])), "`dent`"),
        (xml(&object("dent", ["1", "2", "left", "4"])), "`xmax` is `left`"),
        (xml(&object("dent", ["9", "2", "3", "4"])), "no area"),
        (xml(&object("dent", ["1", "2", "inf", "4"])), "not pixels"),
        (xml(&object("dent", ["1", "2", "NaN", "4"])), "not pixels"),
    ] {
        let message = refusal("a.xml", &text);
        assert!(message.contains(words) && message.contains("a.xml"), "{words}: {message}");
    }
    assert!(refusal("a.xml", b"<annotation>\xff</annotation>").contains("not UTF-8"));
    assert!(refusal("z.xml", xml("")).contains("no image called `z`"));
    // Deep nesting is a refusal or an empty list, and no crash.
    let depth = 100_000;
    let deep = format!("<annotation>{}{}</annotation>", "<a>".repeat(depth), "</a>".repeat(depth));
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a.xml", deep);
    let boxes = voc::boxes_of(&root.path().join("a.xml"));
    assert!(boxes.is_err() || boxes.is_ok_and(|boxes| boxes.is_empty()));
}

#[test]
fn boxes_from_another_folder_teach_the_places_of_a_table() {
    let root = tempfile::tempdir().unwrap();
    for path in ["images/dent/1.png", "images/ok/1.png", "images/dent/2.png"] {
        picture(root.path(), path);
    }
    let table =
        "path,label,split\nimages/dent/1.png,dent,train\nimages/ok/1.png,ok,train\nimages/dent/2.png,dent,train\n";
    write(root.path(), "s.csv", table);
    write(root.path(), "boxes/dent/1.xml", xml(&object("dent", ["1", "1", "20", "25"])));
    let mut folder = Folder::open(root.path(), Some(Path::new("s.csv"))).unwrap();
    let without = folder.digest().unwrap();
    assert!(folder.files(None, &folder.classes).unwrap().teaching_boxes().is_err(), "there are none yet");
    assert_eq!(folder.take_boxes(&root.path().join("boxes")).unwrap(), 1);
    assert_ne!(folder.digest().unwrap(), without, "boxes are data");
    let files = folder.files(None, &folder.classes).unwrap().teaching_boxes().unwrap();
    let mask = files.load(0).unwrap().mask.expect("its box is known");
    assert_eq!([mask[0], mask[19], mask[20], mask[25 * 40]], [1, 1, 0, 0], "`ok` is label 0, `dent` 1");
    assert!(files.load(1).unwrap().mask.is_some_and(|mask| mask.iter().all(|&label| label == 0)));
    assert!(files.load(2).unwrap().mask.is_none(), "a dent, but nobody drew where");

    write(root.path(), "boxes/ok/1.xml", xml(&object("crack", ["1", "1", "20", "25"])));
    assert_eq!(folder.take_boxes(&root.path().join("boxes")).unwrap(), 1, "the odd one is left out");
    let note = folder.notes.concat();
    assert!(note.contains("a box of `crack`") && note.contains("labelled `ok`"), "{note}");
    assert!(folder.take_boxes(&root.path().join("elsewhere")).is_err());
}

#[test]
fn records_teach_what_people_said_and_not_what_the_model_said() {
    let root = tempfile::tempdir().unwrap();
    for id in 1..=4 {
        picture(root.path(), &format!("evidence/2026/11/24/{id}.png"));
    }
    let record = |id: u32, more: &str, beside: &str| {
        format!(
            "{{\"inspection\": {{\"id\": {id}, \"line\": \"l\", \"serial\": \"S{}\", \"label\": \"scratch\", \"evidence\": \
             \"2026/11/24/{id}.png\"{more}}}{beside}}}\n",
            id / 2
        )
    };
    let lines = [
        record(1, "", ""),
        record(2, "", ", \"label\": \"dent\""),
        record(3, ", \"truth\": {\"label\": \"good\", \"defects\": [], \"bad_frame\": false}", ""),
        record(4, "", ", \"labels\": [\"dent\", \"crack\"], \"split\": \"test\""),
        record(9, "", ", \"label\": \"dent\""),
        "{\"late_result\": {\"id\": 3}}\n\n".to_owned(),
        "{\"inspection\": {\"id\": 11, \"evidence\": null}, \"label\": \"dent\"}\n".to_owned(),
    ];
    write(root.path(), "records.jsonl", lines.concat());
    let listing = read(root.path(), None).unwrap();
    assert_eq!(listing.format, Format::Records);
    let day = "evidence/2026/11/24";
    let found: Vec<_> = listing.entries.iter().map(|entry| (entry.path.clone(), entry.labels.join(" "))).collect();
    let wanted = [(2, "dent"), (3, "good"), (4, "dent crack")];
    assert_eq!(found, wanted.map(|(id, labels)| (format!("{day}/{id}.png"), labels.to_owned())));
    assert_eq!(listing.entries[0].group, listing.entries[1].group, "one part, two pictures");
    assert_ne!(listing.entries[1].group, listing.entries[2].group);
    assert_eq!(listing.entries[2].side, Side::Test);
    assert_eq!(listing.notes.len(), 3, "unlabelled, without a picture, picture gone: {:?}", listing.notes);
}

#[test]
fn bad_records_are_refused_with_the_line() {
    let record = |evidence: &str, label: &str| {
        format!("{{\"inspection\": {{\"evidence\": \"{evidence}\"}}, \"label\": \"{label}\"}}\n")
    };
    let good = record("a.png", "dent");
    for (text, words) in [
        (good.clone() + "{\"inspection\": [", "line 2: no record"),
        (good.clone() + &record("../../b.png", "dent"), "line 2: path `../../b.png` does not stay below"),
        (good.clone() + &good, "line 2: `a.png` stands twice"),
        (record("b.png", "") + &good, "line 1: no label"),
        ("\n\n".to_owned(), "lists no image with a label"),
        (record("b.png", "x").replace(", \"label\": \"x\"", ""), "1 records carry no label"),
    ] {
        let message = refusal("r.jsonl", &text);
        assert!(message.contains(words), "{text}: {message}");
    }
    assert!(refusal("r.jsonl", b"{\"label\": \"\xff\"}").contains("line 1"));
}

#[test]
fn the_form_can_be_named_and_is_told_by_the_list_otherwise() {
    let root = tempfile::tempdir().unwrap();
    picture(root.path(), "a.png");
    picture(root.path(), "b.png");
    write(root.path(), "list.txt", COCO);
    let as_coco = formats::read(root.path(), Some(Path::new("list.txt")), Some(Format::Coco)).unwrap();
    assert_eq!(as_coco.entries.len(), 2);
    assert!(read(root.path(), Some("list.txt")).is_err(), "read as a table");
    assert!("yolo".parse::<Format>().unwrap_err().contains("coco"));
    assert!(Format::ALL.iter().all(|format| format.name().parse() == Ok(*format)));
}

#[cfg(unix)]
#[test]
fn names_that_no_list_can_hold_are_refused() {
    use std::os::unix::ffi::OsStrExt;
    let root = tempfile::tempdir().unwrap();
    picture(root.path(), "a/1.png");
    let odd = root.path().join("a").join(std::ffi::OsStr::from_bytes(b"\xff.png"));
    fs::copy(root.path().join("a/1.png"), odd).unwrap();
    assert!(read(root.path(), None).unwrap_err().contains("not valid UTF-8"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the bytes: an answer, and every path of it below the folder.
    #[test]
    fn noise_in_a_list_never_escapes_or_panics(
        noise in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..1000, which in 0_usize..4,
    ) {
        let root = tempfile::tempdir().unwrap();
        picture(root.path(), "a.png");
        picture(root.path(), "b.png");
        let (name, text) = [
            ("s.csv", "path,label,split\na.png,a,train\nb.png,b,test\n".to_owned()),
            ("s.json", COCO.to_owned()),
            ("a.xml", xml(&object("dent", ["1", "1", "20", "25"]))),
            ("r.jsonl", "{\"inspection\": {\"evidence\": \"a.png\"}, \"label\": \"dent\"}\n".to_owned()),
        ][which].clone();
        let mut bytes = text.into_bytes();
        let at = at % bytes.len();
        let end = (at + noise.len() / 2).min(bytes.len());
        bytes.splice(at..end, noise);
        write(root.path(), name, bytes);
        if let Ok(listing) = read(root.path(), Some(name)) {
            for entry in listing.entries {
                prop_assert!(entry.path.split('/').all(|part| !["", "..", "."].contains(&part)), "{}", entry.path);
            }
        }
    }
}
