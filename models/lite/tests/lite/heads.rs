//! What may stand on a trunk besides the classifier of the shipped model: a memory of good parts, a map whose border was not taught. Each
//! runs and says the same as under ONNX Runtime.

use std::path::Path;

use models::bundle::{
    Bundle, Disposition, FORMAT, Heads, Label, Manifest, MemorySpec, Method, Pooling, Provenance, ThresholdNote,
    Tolerance,
};
use models::heads::memory::{ANOMALY, DISTANCES, Features, Head, Normal, Scorer, good_only, onto};
use models::heads::{attention, border};
use models::preprocess::Preprocess;
use models::weights::{Tensor, Weights, kaiming};
use models::zoo::mobilenet_v3_small as trunk;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{assert_alike, drawn, files, inspect, under_onnx_runtime, write};

/// Six cells a side: from five on the border does not speak for itself.
const SIDE: usize = 192;
/// Of the memory, whose maps have strides 8, 16 and 32: pooled, taken as they are, repeated.
const CELLS: usize = 144;
const DIMENSIONS: usize = 7;

fn random(shape: &[usize], seed: u64, spread: f32) -> Tensor {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let data = (0..shape.iter().product()).map(|_| random.random_range(-spread..spread)).collect();
    Tensor { shape: shape.into(), data }
}

fn network(labels: usize) -> Weights {
    let mut weights = kaiming(&trunk::layers(), 1);
    weights.merge(attention::init(labels, 2));
    weights
}

fn bundle(graph: Vec<u8>, labels: usize, heads: Heads) -> Bundle {
    let verdict = |at| if at == 0 { Disposition::Pass } else { Disposition::Fail };
    let label = |at| Label { name: format!("label {at}"), verdict: verdict(at), threshold: 0.5 };
    let manifest = Manifest {
        format: FORMAT,
        name: "test".into(),
        labels: (0..labels).map(label).collect(),
        preprocess: Preprocess::imagenet(SIDE as u32),
        pooling: Pooling::Mean,
        input: attention::INPUT.into(),
        scores: attention::SCORES.into(),
        heat: attention::HEAT.into(),
        heads,
        precision: Default::default(),
        graph_sha256: String::new(),
        files_sha256: Default::default(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 2e-2 },
        provenance: Provenance::default(),
    };
    Bundle { manifest, graph, expectations: Vec::new(), model_card: None, certificate: None, reference: None }
}

fn head(normal: Normal, scorer: Scorer) -> Head {
    let features = Features { blocks: vec![3, 6, 9], stride: 16 };
    let projection = random(&[DIMENSIONS, features.channels(), 1, 1], 3, 0.3);
    let offset = random(&[DIMENSIONS], 4, 0.3);
    Head { features, projection, offset, normal, scorer, threshold: 1.7, cell_threshold: 2.3 }
}

fn with_memory(head: &Head) -> Heads {
    let threshold = ThresholdNote { asked_overkill: 0.01, held_out: 20, above: 0, overkill_ci: [0.0, 0.2] };
    let memory = MemorySpec {
        anomaly: ANOMALY.into(),
        distances: DISTANCES.into(),
        method: Method::Memory,
        features: head.features.clone(),
        dimensions: DIMENSIONS,
        scorer: head.scorer,
        threshold,
    };
    Heads { memory: Some(memory), ..Heads::default() }
}

fn says_the_same(name: &str, bundle: Bundle, dir: &Path) {
    let path = dir.join("heads.bundle");
    let bundle = write(bundle, (10..12).map(|seed| drawn(seed, 220)).collect(), &path);
    let pictures: Vec<_> = (20..23).map(|seed| drawn(seed, 250)).collect();
    let ran = inspect(&path, &files(&pictures, dir));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{name}");
    let worst = assert_alike(&ran.lines(), &under_onnx_runtime(&bundle, &pictures), &bundle, 1e-3);
    println!("{name}: scores differ by {worst:.2e} at most");
}

#[test]
fn a_memory_of_good_parts_alone_says_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let gaussian = || Normal::Gaussian {
        whitening: random(&[CELLS, DIMENSIONS, DIMENSIONS], 6, 0.5),
        offset: random(&[CELLS, DIMENSIONS, 1], 7, 0.5),
    };
    for scorer in Scorer::ALL {
        for normal in [Normal::Memory(random(&[40, DIMENSIONS], 5, 1.0)), gaussian()] {
            let head = head(normal, scorer);
            let graph = good_only(&network(2), [SIDE, SIDE], &head).expect("a network");
            says_the_same(&format!("{scorer:?}"), bundle(graph, 2, with_memory(&head)), dir.path());
        }
    }
}

#[test]
fn a_memory_beside_a_classifier_and_a_map_with_an_untaught_border_say_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut weights = network(3);
    border::note_untaught(&mut weights);
    let classifier = attention::build(&weights, [SIDE, SIDE], 3, Pooling::LogMeanExp(3.0)).expect("a network");
    let head = head(Normal::Memory(random(&[40, DIMENSIONS], 5, 1.0)), Scorer::Reweighted);
    let both = onto(&classifier, [SIDE, SIDE], &head).expect("a network");
    says_the_same("both", bundle(both, 3, with_memory(&head)), dir.path());
}
