//! Bundles: kept exactly, written reproducibly, and refused with words when anything is wrong with them.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the failure")]

mod container;

use std::fs;
use std::io::{Cursor, Write};

use container::stored_zip;
use models::bundle::{
    Bundle, BundleError, Disposition, Expectation, FORMAT, Heads, Label, Manifest, Pooling, Provenance, Tolerance,
    sha256,
};
use models::graph::proto::{StringStringEntryProto, ValueInfoProto};
use models::graph::{GraphBuilder, ModelProto};
use models::image::{Image, PixelFormat};
use models::preprocess::Preprocess;
use models::weights::{Layer, kaiming};
use proptest::prelude::*;
use prost::Message;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const LABELS: usize = 2;

/// A whole network of one layer: 8x8 pixels in, 8x8 cells out.
fn small_graph() -> Vec<u8> {
    let mut graph = GraphBuilder::new("small");
    let layer = Layer::pointwise("classifier", 3, LABELS);
    let image = graph.input("image", &[1, 3, 8, 8]);
    let logits = layer.build(&mut graph, &kaiming(std::slice::from_ref(&layer), 1), &image).unwrap();
    let heat = graph.node("Identity", &[&logits], "heat", Vec::new());
    let pooled = graph.global_average(&heat, "pool");
    let pooled = graph.flatten(&pooled, "logits");
    graph.softmax(&pooled, "scores");
    graph.output("scores", &[1, LABELS]);
    graph.output("heat", &[1, LABELS, 8, 8]);
    let average = graph.global_average(&image, "average");
    graph.flatten(&average, "embedding");
    graph.output("embedding", &[1, 3]);
    graph.finish()
}

fn small_bundle() -> Bundle {
    let label = |name: &str, verdict| Label { name: name.into(), verdict, threshold: 0.5 };
    let manifest = Manifest {
        format: FORMAT,
        name: "small".into(),
        labels: vec![label("good", Disposition::Pass), label("scratch", Disposition::Fail)],
        preprocess: Preprocess::imagenet(8),
        pooling: Pooling::Mean,
        input: "image".into(),
        scores: "scores".into(),
        heat: "heat".into(),
        heads: Heads { embedding: Some("embedding".into()), ..Heads::default() },
        precision: Default::default(),
        graph_sha256: String::new(),
        files_sha256: Default::default(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 2e-2 },
        provenance: Provenance { command: "a test".into(), ..Provenance::default() },
    };
    let expectation = |index: usize| {
        let format = if index.is_multiple_of(2) { PixelFormat::Rgb8 } else { PixelFormat::Mono8 };
        let data = (0..64 * format.channels()).map(|at| (at * 7 + index) as u8).collect();
        Expectation {
            image: Image { width: 8, height: 8, format, data },
            scores: vec![0.25, 0.75],
            heat: (0..LABELS * 64).map(|at| at as f32 / 7.0 - index as f32).collect(),
            named: [("embedding".to_owned(), vec![0.5, -(index as f32), 7.0])].into(),
        }
    };
    let expectations = (0..Bundle::EXPECTATIONS).map(expectation).collect();
    Bundle {
        manifest,
        graph: small_graph(),
        expectations,
        model_card: Some("# Small\nFor tests.\n".into()),
        certificate: None,
        reference: None,
    }
}

/// Names and contents of a bundle's files.
type Files = Vec<(String, Vec<u8>)>;

/// The files of a good bundle, for tests that spoil one of them.
fn files_of(bytes: &[u8]) -> Files {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut file = archive.by_index(index).unwrap();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut content).unwrap();
            (file.name().unwrap().into_owned(), content)
        })
        .collect()
}

/// Packs files as another program would, in the same form as a bundle as far as that program can.
fn pack(files: &[(String, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        archive.start_file(name, SimpleFileOptions::default().compression_method(method)).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Bytes of a bundle with the manifest's JSON edited, everything else in order: what only a careful forger could make.
fn with_manifest(edit: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
    let bytes = small_bundle().to_bytes().unwrap();
    let mut files = files_of(&bytes);
    let mut json: serde_json::Value = serde_json::from_slice(&files[0].1).unwrap();
    edit(&mut json);
    files[0].1 = serde_json::to_vec_pretty(&json).unwrap();
    stored_zip(&files)
}

fn refusal(bytes: &[u8]) -> String {
    Bundle::from_bytes(bytes).expect_err("must be refused").to_string()
}

#[test]
fn what_is_saved_is_what_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.bundle");
    let mut bundle = small_bundle();
    bundle.save(&file).unwrap();
    assert_eq!(Bundle::open(&file).unwrap(), bundle);
    assert_eq!(bundle.manifest.graph_sha256, sha256(&bundle.graph));
    assert_eq!(fs::read(&file).unwrap(), small_bundle().to_bytes().unwrap(), "the same bundle, the same bytes");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_bundle_from_before_further_outputs_is_still_read() {
    let mut old = small_bundle();
    old.manifest.heads = Heads::default();
    old.expectations.iter_mut().for_each(|expectation| expectation.named.clear());
    let bytes = old.to_bytes().unwrap();
    let json = String::from_utf8(files_of(&bytes)[0].1.clone()).unwrap();
    assert!(!json.contains("heads"), "an older inspectd reads a bundle without heads as well");
    assert_eq!(Bundle::from_bytes(&bytes).unwrap(), old);
}

#[test]
fn an_output_that_no_head_can_read_is_refused() {
    let mut bundle = small_bundle();
    let mut graph = ModelProto::read(&bundle.graph).unwrap();
    graph.graph.as_mut().unwrap().output[2] = ValueInfoProto::float("embedding", &[1, 3, 1]);
    bundle.graph = graph.encode_to_vec();
    let words = bundle.to_bytes().unwrap_err().to_string();
    assert!(words.contains("`embedding` is [1, 3, 1] instead of [1, any]"), "{words}");
}

#[test]
fn other_zip_programs_can_read_a_bundle() {
    let files = files_of(&small_bundle().to_bytes().unwrap());
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names[..5],
        ["manifest.json", "graph.onnx", "MODEL_CARD.md", "calibration/00.png", "calibration/00.f32"]
    );
    assert_eq!(files[1].1, small_graph());
    assert_eq!(stored_zip(&files), small_bundle().to_bytes().unwrap(), "the container is as documented");
}

#[test]
fn saving_replaces_the_old_file_or_leaves_it_unharmed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("small.bundle");
    small_bundle().save(&file).unwrap();
    let old = fs::read(&file).unwrap();
    let mut bad = small_bundle();
    bad.manifest.labels[1].name = "good".into();
    bad.save(&file).expect_err("two labels of one name");
    assert_eq!(fs::read(&file).unwrap(), old);
    let missing_folder = folder.path().join("none").join("small.bundle");
    let message = small_bundle().save(&missing_folder).unwrap_err().to_string();
    assert!(message.contains("none/small.bundle"), "{message}");
    let message = Bundle::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("not a regular file"), "{message}");
}

#[test]
fn every_flipped_byte_is_refused() {
    let good = small_bundle().to_bytes().unwrap();
    // All bytes of headers, JSON and list; of the rest every third.
    for at in (0..good.len()).filter(|at| at % 3 == 0 || *at < 400 || *at + 2500 > good.len()) {
        for mask in [0x01, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= mask;
            assert!(Bundle::from_bytes(&bad).is_err(), "byte {at} ^ {mask:#x} went unnoticed");
        }
    }
}

#[test]
fn every_truncation_and_any_addition_is_refused() {
    let good = small_bundle().to_bytes().unwrap();
    for length in (0..good.len()).step_by(97).chain(good.len() - 64..good.len()) {
        assert!(Bundle::from_bytes(&good[..length]).is_err(), "{length} of {} bytes", good.len());
    }
    let behind = [&good[..], b"x"].concat();
    assert!(matches!(Bundle::from_bytes(&behind), Err(BundleError::NotABundle(_))));
    let before = [b"x", &good[..]].concat();
    assert!(matches!(Bundle::from_bytes(&before), Err(BundleError::NotABundle(_))));
}

#[test]
fn names_that_are_no_part_of_a_bundle_are_refused() {
    let good = files_of(&small_bundle().to_bytes().unwrap());
    let names = [
        "../evil",
        "/etc/passwd",
        "calibration/../../evil",
        "calibration/0.png",
        "calibration/64.png",
        "graph.onnx.data",
        "C:\\evil",
        "calibration\\00.png",
        "MANIFEST.json",
        "manifest.json\0",
        "./graph.onnx",
        "calibration/",
        "",
    ];
    for name in names {
        let mut files = good.clone();
        files.push((name.into(), b"evil".to_vec()));
        let refused = Bundle::from_bytes(&stored_zip(&files)).expect_err(name);
        assert!(matches!(refused, BundleError::UnknownFile(_)), "{name:?}: {refused}");
    }
}

#[test]
fn duplicates_are_refused() {
    for index in 0..5 {
        let mut files = files_of(&small_bundle().to_bytes().unwrap());
        files.push(files[index].clone());
        let refused = Bundle::from_bytes(&stored_zip(&files)).unwrap_err();
        assert!(matches!(refused, BundleError::Duplicate(_)), "{refused}");
    }
}

#[test]
fn links_and_files_packed_by_others_are_refused() {
    let good = small_bundle().to_bytes().unwrap();
    let files = files_of(&good);
    let repacked = Bundle::from_bytes(&pack(&files, CompressionMethod::Stored)).unwrap_err();
    assert!(matches!(repacked, BundleError::Repacked(_)), "{repacked}");
    let mut link = good.clone();
    let list = link.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    // The mode's upper half lies in the last byte of the external attributes: 0xa1ff is a symbolic link.
    link[list + 40..list + 42].copy_from_slice(&[0xff, 0xa1]);
    assert!(matches!(Bundle::from_bytes(&link), Err(BundleError::Repacked(_))));
}

#[test]
fn bombs_are_refused_before_they_expand() {
    let mut files = files_of(&small_bundle().to_bytes().unwrap());
    files[1].1 = vec![0; 64 << 20];
    let bomb = pack(&files, CompressionMethod::Deflated);
    assert!(bomb.len() < 1 << 20, "it is small as long as it is packed");
    assert!(refusal(&bomb).contains("compressed"), "{}", refusal(&bomb));
    // Many names for the same bytes.
    let content = vec![7; 1 << 16];
    let overlapping: Files = (0..64).map(|i| (format!("calibration/{i:02}.png"), content.clone())).collect();
    let mut bytes = stored_zip(&overlapping);
    let list = u32::from_le_bytes(bytes[bytes.len() - 6..bytes.len() - 2].try_into().unwrap()) as usize;
    let entries: Vec<usize> = (list..bytes.len() - 22).step_by(46 + "calibration/00.png".len()).collect();
    for entry in entries {
        bytes[entry + 42..entry + 46].copy_from_slice(&0u32.to_le_bytes());
    }
    let shared = [&bytes[..content.len() + 48], &bytes[list..]].concat();
    let end = shared.len();
    let mut shared = shared;
    shared[end - 6..end - 2].copy_from_slice(&((content.len() + 48) as u32).to_le_bytes());
    assert!(refusal(&shared).contains("overlap"), "{}", refusal(&shared));
}

#[test]
fn a_picture_that_claims_to_be_huge_is_refused_unread() {
    let mut bundle = small_bundle();
    let bytes = bundle.to_bytes().unwrap();
    let mut files = files_of(&bytes);
    files[3].1[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    bundle.manifest.files_sha256.insert(files[3].0.clone(), sha256(&files[3].1));
    files[0].1 = serde_json::to_vec(&bundle.manifest).unwrap();
    let refused = Bundle::from_bytes(&stored_zip(&files)).unwrap_err();
    assert!(matches!(refused, BundleError::TooLarge { .. }), "{refused}");
}

#[test]
fn weights_in_another_file_are_refused() {
    let mut model = ModelProto::read(&small_graph()).unwrap();
    let tensor = &mut model.graph.as_mut().unwrap().initializer[0];
    tensor.raw_data.clear();
    tensor.data_location = 1;
    tensor.external_data.push(StringStringEntryProto { key: "location".into(), value: "../../etc/shadow".into() });
    let mut bundle = small_bundle();
    bundle.graph = model.encode_to_vec();
    assert!(bundle.to_bytes().unwrap_err().to_string().contains("external data"));
    // The same from a forger, whose digests fit.
    let mut files = files_of(&small_bundle().to_bytes().unwrap());
    files[1].1 = bundle.graph.clone();
    let mut json: serde_json::Value = serde_json::from_slice(&files[0].1).unwrap();
    json["graph_sha256"] = sha256(&bundle.graph).into();
    files[0].1 = serde_json::to_vec(&json).unwrap();
    assert!(refusal(&stored_zip(&files)).contains("external data"));
}

#[test]
fn files_that_the_manifest_does_not_vouch_for_are_refused() {
    let edited = |edit: &dyn Fn(&mut Files)| {
        let mut files = files_of(&small_bundle().to_bytes().unwrap());
        edit(&mut files);
        refusal(&stored_zip(&files))
    };
    assert!(edited(&|files| files[1].1[30] ^= 1).contains("`graph.onnx` in the bundle is damaged"));
    assert!(edited(&|files| files[4].1[0] ^= 1).contains("`calibration/00.f32` in the bundle is damaged"));
    assert!(edited(&|files| drop(files.remove(1))).contains("lacks `graph.onnx`"));
    assert!(edited(&|files| drop(files.remove(0))).contains("lacks `manifest.json`"));
    assert!(edited(&|files| drop(files.pop())).contains("lacks `calibration/07.f32`"));
    assert!(
        edited(&|files| files.push(("calibration/08.png".into(), vec![1])))
            .contains("no digest of `calibration/08.png`")
    );
    assert!(edited(&|files| files[2].1 = b"changed".to_vec()).contains("`MODEL_CARD.md`"));
}

/// Spoils a manifest.
type Edit<'a> = &'a dyn Fn(&mut serde_json::Value);

#[test]
fn manifests_that_make_no_sense_are_refused_by_name() {
    let cases: [(&str, Edit<'_>); 21] = [
        ("unknown field `colour`", &|json| json["colour"] = "red".into()),
        ("labels[1]", &|json| json["labels"][1]["weight"] = 1.into()),
        ("format 2, this inspectd knows 1", &|json| {
            json["format"] = 2.into();
            json["from_the_future"] = true.into();
        }),
        ("format 0", &|json| json["format"] = 0.into()),
        ("`good` stands twice", &|json| json["labels"][1]["name"] = "good".into()),
        ("a label is \"\"", &|json| json["labels"][1]["name"] = "".into()),
        ("printable", &|json| json["labels"][1]["name"] = "a\nb".into()),
        ("threshold 1.5", &|json| json["labels"][0]["threshold"] = 1.5.into()),
        ("0 labels", &|json| json["labels"] = serde_json::json!([])),
        ("sharpness", &|json| json["pooling"] = serde_json::json!({"log_mean_exp": -1.0})),
        ("tolerance.fp32", &|json| json["tolerance"]["fp32"] = 5.0.into()),
        ("std", &|json| json["preprocess"]["std"][0] = 0.0.into()),
        ("input of 0 x 8", &|json| json["preprocess"]["width"] = 0.into()),
        ("wanted is only `image`", &|json| json["preprocess"]["width"] = 16.into()),
        ("wanted is only `picture`", &|json| json["input"] = "picture".into()),
        ("no output `probabilities`", &|json| json["scores"] = "probabilities".into()),
        ("no output `features`", &|json| json["heads"]["embedding"] = "features".into()),
        ("`heat` is named for two purposes", &|json| json["heads"]["embedding"] = "heat".into()),
        ("unknown field `horns`", &|json| json["heads"]["horns"] = "embedding".into()),
        ("the graph gives 130", &|json| drop(json.as_object_mut().unwrap().remove("heads"))),
        ("need [1, 1]", &|json| drop(json["labels"].as_array_mut().unwrap().pop())),
    ];
    for (wanted, edit) in cases {
        let message = refusal(&with_manifest(edit));
        assert!(message.contains(wanted), "wanted `{wanted}`, got: {message}");
    }
}

#[test]
fn expectations_that_do_not_fit_the_graph_are_not_written() {
    let refused = |spoil: &dyn Fn(&mut Bundle)| {
        let mut bundle = small_bundle();
        spoil(&mut bundle);
        bundle.to_bytes().expect_err("must be refused").to_string()
    };
    assert!(refused(&|bundle| bundle.expectations.clear()).contains("0 calibration images"));
    assert!(refused(&|bundle| bundle.expectations[2].heat.truncate(5)).contains("calibration/02.f32"));
    assert!(refused(&|bundle| bundle.expectations[3].scores.push(0.1)).contains("calibration/03.f32"));
    assert!(refused(&|bundle| bundle.expectations[1].named.clear()).contains("last 3 of `embedding`"));
    assert!(
        refused(&|bundle| drop(bundle.expectations[1].named.insert("more".into(), vec![1.0])))
            .contains("calibration/01.f32")
    );
    assert!(refused(&|bundle| bundle.expectations[0].scores[0] = f32::NAN).contains("not a finite number"));
    assert!(refused(&|bundle| bundle.expectations[0].scores[0] = 1.5).contains("between 0 and 1"));
    assert!(
        refused(&|bundle| bundle.expectations = vec![bundle.expectations[0].clone(); 65]).contains("65 calibration")
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_damage_never_panics_and_never_passes(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        keep in any::<prop::sample::Index>(),
        truncate in any::<bool>(),
    ) {
        let good = small_bundle().to_bytes().unwrap();
        let mut bad = good.clone();
        for (at, value) in cuts {
            let at = at.index(bad.len());
            bad[at] = value;
        }
        if truncate {
            bad.truncate(keep.index(bad.len()));
        }
        prop_assume!(bad != good);
        prop_assert!(Bundle::from_bytes(&bad).is_err());
    }

    #[test]
    fn random_bytes_behind_a_zip_header_never_panic(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.extend(&noise);
        prop_assert!(Bundle::from_bytes(&bytes).is_err());
        bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        bytes.extend(noise.iter().take(10).chain(&[0; 10]).take(10));
        prop_assert!(Bundle::from_bytes(&bytes).is_err());
    }

    #[test]
    fn random_graph_bytes_never_panic(noise in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
        let mut graph = small_graph();
        let at = at.index(graph.len());
        graph.splice(at..(at + noise.len()).min(graph.len()), noise);
        let _ = models::graph::check(&graph);
    }
}
