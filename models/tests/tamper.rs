//! A model that is not what its maker handed out is refused, with the reason: what may happen to it on the way to a line, in
//! one place. (`bundle.rs` goes into the container's details, `predictor.rs` into each disagreement.)

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the failure")]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use minisign::KeyPair;
use models::bundle::{
    Bundle, BundleError, Certificate, Compared, Disposition, FORMAT, Label, Machine, Manifest, Pooling, Provenance,
    Reference, SignatureError, Tolerance, Trust, TrustedKey, sha256, signature_beside,
};
use models::certify::Agreement;
use models::graph::GraphBuilder;
use models::image::{Image, PixelFormat};
use models::precision::{Precision, to_half};
use models::predictor::{Predictor, expectations};
use models::preprocess::Preprocess;
use models::runtime::{Provider, RuntimeError, SessionOptions};
use models::sketch::Sketch;
use models::weights::{Layer, kaiming};
use proptest::prelude::*;
use rand::{RngCore, SeedableRng};

const SIDE: usize = 8;

/// A network of one layer, its weights from a seed.
fn graph(seed: u64) -> Vec<u8> {
    let mut graph = GraphBuilder::new("small");
    let layer = Layer::pointwise("classifier", 3, 2);
    let image = graph.input("image", &[1, 3, SIDE, SIDE]);
    let heat = layer.build(&mut graph, &kaiming(std::slice::from_ref(&layer), seed), &image).unwrap();
    let pooled = graph.global_average(&heat, "pool");
    let pooled = graph.flatten(&pooled, "logits");
    graph.softmax(&pooled, "scores");
    graph.output("scores", &[1, 2]);
    graph.output(&heat, &[1, 2, SIDE, SIDE]);
    graph.finish()
}

/// A picture in colour: red, green and blue differ, so that mixed-up channels show.
fn picture(seed: u64) -> Image {
    let mut data = vec![0; 3 * 12 * 10];
    rand_chacha::ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut data);
    data.iter_mut().enumerate().for_each(|(at, byte)| *byte = *byte / 4 + 60 * (at % 3) as u8);
    Image { width: 12, height: 10, format: PixelFormat::Rgb8, data }
}

fn sketch(seed: u8) -> Sketch {
    Sketch::of(&[f32::from(seed), 1.0, 2.0]).unwrap()
}

/// A whole bundle as a training writes it: expected scores from ONNX Runtime, a certificate, what it learned from.
fn sound() -> Bundle {
    let label = |name: &str, verdict| Label { name: name.into(), verdict, threshold: 0.5 };
    let manifest = Manifest {
        format: FORMAT,
        name: "small".into(),
        labels: vec![label("good", Disposition::Pass), label("scratch", Disposition::Fail)],
        preprocess: Preprocess::imagenet(SIDE as u32),
        pooling: Pooling::Mean,
        input: "image".into(),
        scores: "scores".into(),
        heat: "classifier".into(),
        heads: Default::default(),
        precision: Precision::Fp32,
        graph_sha256: String::new(),
        files_sha256: BTreeMap::new(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 2e-2 },
        provenance: Provenance::default(),
    };
    let certificate = Certificate {
        compared_with: Compared::TrainedNetwork,
        agreement: Agreement { images: 3, ..Agreement::default() },
        provider: Provider::Cpu,
        machine: Machine::this(),
        export: None,
    };
    let mut bundle = Bundle {
        manifest,
        graph: graph(1),
        expectations: Vec::new(),
        model_card: Some("# Small\n".into()),
        certificate: Some(certificate),
        reference: Reference::of(&[sketch(1)], &[sketch(2), sketch(3)]),
    };
    bundle.expectations = expectations(&bundle, (0..3).map(picture).collect()).unwrap();
    bundle
}

/// Through the file format, with all digests made anew, onto ONNX Runtime: as far as a careful forger gets.
fn deploy(mut bundle: Bundle) -> Result<Predictor, RuntimeError> {
    let bundle = Bundle::from_bytes(&bundle.to_bytes().unwrap()).unwrap();
    Predictor::load(bundle, &SessionOptions { require: Some(Provider::Cpu), ..SessionOptions::default() })
}

fn reason(bundle: Bundle) -> String {
    deploy(bundle).err().expect("must be refused").to_string()
}

#[test]
fn an_untouched_bundle_is_accepted() {
    deploy(sound()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Headers, list, manifest, graph, model card, certificate, what it learned from, pictures, expected values: no byte is free.
    #[test]
    fn one_byte_changed_anywhere_is_refused(at in any::<prop::sample::Index>(), other in 1_u8..) {
        thread_local!(static GOOD: Vec<u8> = sound().to_bytes().unwrap());
        GOOD.with(|good| {
            let mut bad = good.clone();
            let at = at.index(bad.len());
            bad[at] ^= other;
            let refused = Bundle::from_bytes(&bad);
            prop_assert!(refused.is_err(), "byte {at} ^ {other:#x} went unnoticed");
            let words = refused.unwrap_err().to_string();
            prop_assert!(words.len() > 20, "no reason in: {words}");
            Ok(())
        })?;
    }
}

#[test]
fn a_swapped_graph_is_refused() {
    // The file exchanged inside, as with a zip program that knows our form: the digest tells.
    let good = sound().to_bytes().unwrap();
    let (old, new) = (graph(1), graph(2));
    let at = good.windows(old.len()).position(|window| window == old).unwrap();
    assert_eq!(old.len(), new.len());
    let mut swapped = good.clone();
    swapped[at..at + new.len()].copy_from_slice(&new);
    // The checksums of the container too: header before the file, entry in the list.
    let (old_crc, new_crc) = (crc32fast::hash(&old).to_le_bytes(), crc32fast::hash(&new).to_le_bytes());
    let places: Vec<usize> = (0..good.len() - 4).filter(|&at| good[at..at + 4] == old_crc).collect();
    assert_eq!(places.len(), 2);
    places.into_iter().for_each(|at| swapped[at..at + 4].copy_from_slice(&new_crc));
    let words = Bundle::from_bytes(&swapped).unwrap_err().to_string();
    assert!(words.contains("`graph.onnx` in the bundle is damaged"), "{words}");
    // With all digests made anew: it does not say what the bundle promises.
    let words = reason(Bundle { graph: graph(2), ..sound() });
    assert!(words.contains("does not reproduce the bundle") && words.contains("calibration image 0"), "{words}");
}

/// Makes a recipe wrong.
type Spoil = fn(&mut Preprocess);

#[test]
fn a_manifest_with_wrong_mean_or_std_is_refused() {
    let wrong: [(&str, Spoil); 5] = [
        ("mean of one channel", |it| it.mean[0] += 0.1),
        ("mean in bytes instead of shares", |it| it.mean = it.mean.map(|mean| mean * 255.0)),
        ("std", |it| it.std = it.std.map(|std| std * 1.2)),
        ("no normalisation", |it| (it.mean, it.std) = ([0.0; 3], [1.0; 3])),
        ("blue first", |it| {
            it.mean.reverse();
            it.std = [0.1, 0.2, 0.4];
        }),
    ];
    for (what, spoil) in wrong {
        let mut bundle = sound();
        spoil(&mut bundle.manifest.preprocess);
        let words = reason(bundle);
        assert!(words.contains("does not reproduce the bundle"), "{what}: {words}");
    }
}

#[test]
fn a_graph_in_another_number_format_than_the_manifest_says_is_refused() {
    let half = to_half(&graph(1)).unwrap();
    let mut swapped = Bundle { graph: half.clone(), ..sound() };
    let words = swapped.to_bytes().unwrap_err().to_string();
    assert!(words.contains("says fp32, but the graph is in fp16 (weight `classifier.weight`"), "{words}");
    // In memory it never reaches the runtime either.
    let options = SessionOptions { require: Some(Provider::Cpu), ..SessionOptions::default() };
    let words = Predictor::load(swapped, &options).err().unwrap().to_string();
    assert!(words.contains("says fp32, but the graph is in fp16"), "{words}");
    for claimed in [Precision::Fp16, Precision::Int8] {
        let mut bundle = sound();
        bundle.manifest.precision = claimed;
        let words = bundle.to_bytes().unwrap_err().to_string();
        assert!(words.contains(&format!("says {claimed}, but the graph is in fp32")), "{words}");
    }
    // Said as it is, it runs.
    let mut honest = Bundle { graph: half, ..sound() };
    honest.manifest.precision = Precision::Fp16;
    honest.expectations = expectations(&honest, (0..3).map(picture).collect()).unwrap();
    deploy(honest).unwrap();
}

/// A folder with a bundle, signed by a new key.
struct Signed {
    folder: tempfile::TempDir,
    keys: KeyPair,
}

impl Signed {
    fn new() -> Signed {
        let signed =
            Signed { folder: tempfile::tempdir().unwrap(), keys: KeyPair::generate_unencrypted_keypair().unwrap() };
        sound().save(&signed.path()).unwrap();
        signed.sign();
        signed
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("small.bundle")
    }

    fn sign(&self) {
        let bytes = std::fs::read(self.path()).unwrap();
        let signature = minisign::sign(None, &self.keys.sk, Cursor::new(bytes), Some("for line 3"), None).unwrap();
        std::fs::write(signature_beside(&self.path()), signature.into_string()).unwrap();
    }

    fn key(&self) -> TrustedKey {
        self.keys.pk.to_base64().parse().unwrap()
    }

    fn open(&self, keys: Vec<TrustedKey>, required: bool) -> Result<Option<String>, BundleError> {
        let trust = Trust { keys, required };
        trust.open(&self.path()).map(|(_, signer)| signer.map(|signer| signer.comment))
    }
}

fn other_key() -> TrustedKey {
    KeyPair::generate_unencrypted_keypair().unwrap().pk.to_base64().parse().unwrap()
}

#[test]
fn what_even_a_consistent_forger_cannot_make_is_the_signature() {
    let signed = Signed::new();
    assert_eq!(signed.open(vec![other_key(), signed.key()], true).unwrap().as_deref(), Some("for line 3"));
    // Another graph with its own expected values and digests: a sound bundle, but not the one that was signed.
    let mut forged = Bundle { graph: graph(7), ..sound() };
    forged.expectations = expectations(&forged, (0..3).map(picture).collect()).unwrap();
    forged.save(&signed.path()).unwrap();
    Bundle::open(&signed.path()).unwrap();
    for required in [true, false] {
        let refused = signed.open(vec![other_key(), signed.key()], required).unwrap_err();
        assert!(matches!(refused, BundleError::Signature(SignatureError::Forged { .. })), "{refused}");
        assert!(refused.to_string().contains(&signed.key().to_string()), "{refused}");
    }
}

#[test]
fn a_signature_must_be_there_if_demanded_and_good_if_there() {
    let signed = Signed::new();
    let refused = signed.open(vec![other_key()], true).unwrap_err().to_string();
    assert!(refused.contains("none of the trusted keys"), "{refused}");
    let refused = signed.open(vec![other_key()], false).unwrap_err().to_string();
    assert!(refused.contains("none of the trusted keys"), "a bad one counts even where none is demanded: {refused}");
    assert!(signed.open(Vec::new(), true).is_err(), "signatures demanded, nobody trusted: nothing is accepted");
    assert_eq!(signed.open(Vec::new(), false).unwrap(), None, "nobody is trusted, so nobody is asked for");

    let file = signature_beside(&signed.path());
    let whole = std::fs::read_to_string(&file).unwrap();
    // The comment is covered as well.
    std::fs::write(&file, whole.replace("for line 3", "for line 4")).unwrap();
    let refused = signed.open(vec![signed.key()], true).unwrap_err();
    assert!(matches!(refused, BundleError::Signature(SignatureError::Forged { .. })), "{refused}");
    for spoilt in [&whole[..whole.len() / 2], "", "not a signature\n", &"x".repeat(5000)] {
        std::fs::write(&file, spoilt).unwrap();
        let refused = signed.open(vec![signed.key()], true).unwrap_err().to_string();
        assert!(refused.contains("no minisign signature"), "{refused}");
    }
    std::fs::remove_file(&file).unwrap();
    let refused = signed.open(vec![signed.key()], true).unwrap_err().to_string();
    assert!(refused.contains("not signed") && refused.contains("small.bundle.minisig"), "{refused}");
    assert_eq!(signed.open(vec![signed.key()], false).unwrap(), None);
}

#[test]
fn files_signed_by_minisign_itself_are_accepted() {
    // By Debian's minisign 0.11: `minisign -G -W; minisign -S -W -m file -t 'a comment of minisign'`.
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
        RUSCW5MtcgDY42sv0ShE1xlWCWheFs7SfwBtNTPEXCUmh2pggBTyhJeNqfRN5AAVxAmzFPHTcea6u/I8m2bPvbGCWr5/jfpphAM=\n\
        trusted comment: a comment of minisign\n\
        0Dci1oGTq+T35yE238vfSjaHammcTng+7Yn7tKjE9DPRWVXQ/p/vZwjzwqYXKSSNduRTfUKFx5q4jIYu2ZhwDQ==\n";
    let key: TrustedKey = "RWSCW5MtcgDY4zTGOz5lItW2AxIjmm2nJbpCtcDwtUi9UFyPpkRq7SX0".parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(signature_beside(&path), SIGNATURE).unwrap();
    let trust = Trust { keys: vec![key], required: true };
    let signer = trust.check(&path, b"what minisign itself signs\n").unwrap().unwrap();
    assert_eq!(signer.comment, "a comment of minisign");
    assert!(trust.check(&path, b"what minisign itself sings\n").is_err());
}

#[test]
fn keys_that_are_none_are_named() {
    for text in ["", "RWQ", "untrusted comment: minisign public key", &sha256(b"")] {
        let refused = text.parse::<TrustedKey>().unwrap_err().to_string();
        assert!(refused.contains("no public key of minisign"), "{refused}");
    }
    assert_eq!(signature_beside(Path::new("a/b.bundle")), Path::new("a/b.bundle.minisig"));
}
