//! The memory of good parts in the graph against the same computed by hand, and manifests that speak of one wrongly.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the failure")]

use models::bundle::{
    Bundle, BundleError, Disposition, Expectation, FORMAT, Heads, Label, Manifest, MemorySpec, Method, Outcome,
    Pooling, Provenance, Rule, ThresholdNote, Tolerance,
};
use models::heads::attention;
use models::heads::memory::{self, ANOMALY, DISTANCES, Features, Head, NEIGHBOURS, Normal, Scorer};
use models::image::{Image, PixelFormat};
use models::preprocess::Preprocess;
use models::runtime::{Outputs, Provider, Session, SessionOptions};
use models::weights::{Tensor, Weights, kaiming};
use models::zoo::mobilenet_v3_small as trunk;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SIDE: usize = 96;
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

fn spec(features: &Features, scorer: Scorer) -> MemorySpec {
    let threshold = ThresholdNote { asked_overkill: 0.01, held_out: 20, above: 0, overkill_ci: [0.0, 0.2] };
    let (anomaly, distances) = (ANOMALY.into(), DISTANCES.into());
    let features = features.clone();
    MemorySpec { anomaly, distances, method: Method::Memory, features, dimensions: DIMENSIONS, scorer, threshold }
}

fn bundle(graph: Vec<u8>, labels: usize, names: [&str; 2], heads: Heads) -> Bundle {
    let label = |at| Label { name: format!("label {at}"), verdict: Disposition::Fail, threshold: 0.5 };
    let manifest = Manifest {
        format: FORMAT,
        name: "test".into(),
        labels: (0..labels).map(label).collect(),
        preprocess: Preprocess::imagenet(SIDE as u32),
        pooling: Pooling::Mean,
        input: attention::INPUT.into(),
        scores: names[0].into(),
        heat: names[1].into(),
        heads,
        precision: Default::default(),
        graph_sha256: String::new(),
        files_sha256: Default::default(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 2e-2 },
        provenance: Provenance::default(),
    };
    Bundle { manifest, graph, expectations: Vec::new(), model_card: None, certificate: None, reference: None }
}

fn run(bundle: &Bundle, tensor: &[f32]) -> Outputs {
    Session::new(bundle, Provider::Cpu, &SessionOptions::default()).unwrap().run(tensor).unwrap()
}

/// Blocks of strides 8, 16 and 32 on a grid of 16: pooled, taken as they are, repeated.
fn head(normal: Normal, scorer: Scorer) -> Head {
    let features = Features { blocks: vec![3, 6, 9], stride: 16 };
    let projection = random(&[DIMENSIONS, features.channels(), 1, 1], 3, 0.3);
    let offset = random(&[DIMENSIONS], 4, 0.3);
    Head { features, projection, offset, normal, scorer, threshold: 1.7, cell_threshold: 2.3 }
}

/// The projected features of each cell, from the trunk's maps.
fn rows(weights: &Weights, head: &Head, tensor: &[f32]) -> Vec<Vec<f64>> {
    let graph = memory::build_features(weights, [SIDE, SIDE], &head.features).unwrap();
    let heads = Heads { embedding: Some("embedding".into()), ..Heads::default() };
    let maps = run(&bundle(graph, head.features.channels(), ["average", "features"], heads), tensor).heat;
    let (cells, channels) = (36, head.features.channels());
    let value = |cell: usize, row: usize| {
        let line = &head.projection.data[row * channels..][..channels];
        let sum: f64 = (0..channels).map(|c| f64::from(line[c]) * f64::from(maps[c * cells + cell])).sum();
        sum + f64::from(head.offset.data[row])
    };
    (0..cells).map(|cell| (0..DIMENSIONS).map(|row| value(cell, row)).collect()).collect()
}

fn far(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// Each cell's distance by the definition.
fn distances(rows: &[Vec<f64>], normal: &Normal) -> Vec<f64> {
    let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    let distance = |(cell, row): (usize, &Vec<f64>)| match normal {
        Normal::Memory(vectors) => {
            vectors.data.chunks_exact(DIMENSIONS).map(|vector| far(row, &wide(vector))).fold(f64::INFINITY, f64::min)
        }
        Normal::Gaussian { whitening, offset } => {
            let matrix = &whitening.data[cell * DIMENSIONS * DIMENSIONS..][..DIMENSIONS * DIMENSIONS];
            let offset = &offset.data[cell * DIMENSIONS..][..DIMENSIONS];
            let line = |(line, offset): (&[f32], &f32)| {
                wide(line).iter().zip(row).map(|(w, x)| w * x).sum::<f64>() + f64::from(*offset)
            };
            matrix.chunks_exact(DIMENSIONS).zip(offset).map(line).map(|value| value * value).sum::<f64>().sqrt()
        }
    };
    rows.iter().enumerate().map(distance).collect()
}

/// The score by the definition.
fn score(scorer: Scorer, rows: &[Vec<f64>], normal: &Normal, distances: &[f64]) -> f64 {
    let (worst, &top) = distances.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
    match (scorer, normal) {
        (Scorer::TopMean, _) | (Scorer::Reweighted, Normal::Gaussian { .. }) => top, // a hundredth of 36 cells is one
        (Scorer::SmoothedMax, _) => {
            let near = |a: usize, b: usize| (a / 6).abs_diff(b / 6) <= 1 && (a % 6).abs_diff(b % 6) <= 1;
            let mean = |cell: usize| {
                let window: Vec<f64> = (0..36).filter(|&other| near(cell, other)).map(|at| distances[at]).collect();
                window.iter().sum::<f64>() / window.len() as f64
            };
            (0..36).map(mean).fold(0.0, f64::max)
        }
        (Scorer::Reweighted, Normal::Memory(vectors)) => {
            let vectors: Vec<Vec<f64>> = vectors
                .data
                .chunks_exact(DIMENSIONS)
                .map(|vector| vector.iter().map(|&value| f64::from(value)).collect())
                .collect();
            let by = |from: &[f64]| {
                let mut order: Vec<usize> = (0..vectors.len()).collect();
                order.sort_by(|&a, &b| far(&vectors[a], from).total_cmp(&far(&vectors[b], from)));
                order
            };
            let nearest = by(&rows[worst])[0];
            let around = &by(&vectors[nearest])[..NEIGHBOURS];
            let sum: f64 = around.iter().map(|&at| far(&vectors[at], &rows[worst]).exp()).sum();
            (1.0 - top.exp() / sum) * top
        }
    }
}

#[test]
fn the_graph_computes_what_the_definitions_say() {
    let weights = network(2);
    let memory = Normal::Memory(random(&[40, DIMENSIONS], 5, 1.0));
    let whitening = random(&[36, DIMENSIONS, DIMENSIONS], 6, 0.5);
    let gaussian = Normal::Gaussian { whitening, offset: random(&[36, DIMENSIONS, 1], 7, 0.5) };
    let tensor = random(&[3 * SIDE * SIDE], 8, 2.0).data;
    for normal in [memory, gaussian] {
        for scorer in Scorer::ALL {
            let head = head(normal.clone(), scorer);
            let rows = rows(&weights, &head, &tensor);
            let distances = distances(&rows, &normal);
            let share = score(scorer, &rows, &normal, &distances) / 1.7;
            let graph = memory::good_only(&weights, [SIDE, SIDE], &head).unwrap();
            let heads = Heads { memory: Some(spec(&head.features, scorer)), ..Heads::default() };
            let outputs = run(&bundle(graph, 2, [attention::SCORES, attention::HEAT], heads), &tensor);
            let got = f64::from(outputs.named[ANOMALY].data[0]);
            assert!((got - share).abs() < 1e-3 * share, "{scorer:?}: {got} instead of {share}");
            assert_eq!(outputs.named[DISTANCES].shape, [1, 1, 6, 6]);
            for (cell, distance) in distances.iter().enumerate() {
                let (got, wanted) = (f64::from(outputs.named[DISTANCES].data[cell]), distance / 2.3);
                assert!((got - wanted).abs() < 1e-3 * wanted.max(0.1), "cell {cell}: {got} instead of {wanted}");
                let logit = f64::from(outputs.heat[36 + cell] - outputs.heat[cell]);
                assert!((logit - 8.0 * (wanted - 1.0)).abs() < 2e-2, "the heat map is 0.5 at the threshold");
            }
            let anomaly = 1.0 / (1.0 + (-8.0 * (share - 1.0)).exp());
            assert!((f64::from(outputs.scores[1]) - anomaly).abs() < 1e-2, "{:?} {anomaly}", outputs.scores);
        }
    }
}

#[test]
fn a_memory_leaves_the_classifier_as_it_was_and_is_added_once() {
    let weights = network(3);
    let classifier = attention::build(&weights, [SIDE, SIDE], 3, Pooling::LogMeanExp(3.0)).unwrap();
    let head = head(Normal::Memory(random(&[40, DIMENSIONS], 5, 1.0)), Scorer::Reweighted);
    let both = memory::onto(&classifier, [SIDE, SIDE], &head).unwrap();
    let tensor = random(&[3 * SIDE * SIDE], 9, 2.0).data;
    let names = [attention::SCORES, attention::HEAT];
    let before = run(&bundle(classifier, 3, names, Heads::default()), &tensor);
    let heads = Heads { memory: Some(spec(&head.features, head.scorer)), ..Heads::default() };
    let after = run(&bundle(both.clone(), 3, names, heads), &tensor);
    assert_eq!((before.scores, before.heat), (after.scores, after.heat));
    let good_alone = memory::good_only(&weights, [SIDE, SIDE], &head).unwrap();
    let first = |graph: &[u8]| {
        let heads = Heads { memory: Some(spec(&head.features, head.scorer)), ..Heads::default() };
        let labels = if graph == both { 3 } else { 2 };
        run(&bundle(graph.to_vec(), labels, names, heads), &tensor).named[ANOMALY].data[0]
    };
    let (joined, alone) = (first(&both), first(&good_alone));
    assert!((joined - alone).abs() < 1e-4 * alone, "the same memory on the same trunk: {joined} and {alone}");
    let again = memory::onto(&both, [SIDE, SIDE], &head).unwrap_err().to_string();
    assert!(again.contains("has a memory of good parts already"), "{again}");
    // What a trainer reads back is the trunk, not the shapes and places between.
    assert_eq!(
        Weights::from_graph(&both).unwrap().only(&trunk::layers()).unwrap(),
        weights.only(&trunk::layers()).unwrap()
    );
}

#[test]
fn heads_that_fit_nothing_are_refused_in_words() {
    let weights = network(2);
    let refused = |change: &dyn Fn(&mut Head)| {
        let mut head = head(Normal::Memory(random(&[40, DIMENSIONS], 5, 1.0)), Scorer::TopMean);
        change(&mut head);
        memory::good_only(&weights, [SIDE, SIDE], &head).unwrap_err().to_string()
    };
    assert!(refused(&|head| head.features.blocks = vec![3, 12]).contains("blocks are 1 to 11"));
    assert!(refused(&|head| head.features.blocks = vec![6, 3]).contains("rising order"));
    assert!(refused(&|head| head.features.stride = 64).contains("divide the input"));
    assert!(refused(&|head| head.projection = Tensor::zeros(&[DIMENSIONS, 5, 1, 1])).contains("[7, 5, 1, 1]"));
    assert!(refused(&|head| head.normal = Normal::Memory(Tensor::zeros(&[4001, DIMENSIONS]))).contains("4001"));
    assert!(refused(&|head| head.threshold = 0.0).contains("must be positive"));
    assert!(refused(&|head| head.offset.data[0] = f32::NAN).contains("not finite"));
}

/// A sound bundle with a memory, and what the manifest says changed before it is written.
fn written(change: impl Fn(&mut Heads)) -> Result<Vec<u8>, BundleError> {
    let weights = network(2);
    let head = head(Normal::Memory(random(&[40, DIMENSIONS], 5, 1.0)), Scorer::TopMean);
    let graph = memory::good_only(&weights, [SIDE, SIDE], &head).unwrap();
    let heads = Heads { memory: Some(spec(&head.features, head.scorer)), ..Heads::default() };
    let mut bundle = bundle(graph, 2, [attention::SCORES, attention::HEAT], heads);
    let data = (0..SIDE * SIDE).map(|at| (at * 37 % 251) as u8).collect();
    let image = Image { width: SIDE as u32, height: SIDE as u32, format: PixelFormat::Mono8, data };
    let mut tensor = vec![0.0; 3 * SIDE * SIDE];
    bundle.manifest.preprocess.fill(image.view(), &mut tensor);
    let outputs = run(&bundle, &tensor);
    let named = outputs.named.into_iter().map(|(name, output)| (name, output.data)).collect();
    bundle.expectations = vec![Expectation { image, scores: outputs.scores, heat: outputs.heat, named }];
    change(&mut bundle.manifest.heads);
    bundle.to_bytes()
}

#[test]
fn manifests_that_speak_wrongly_of_a_memory_are_refused() {
    let whole = Bundle::from_bytes(&written(|_| {}).unwrap()).unwrap();
    assert!(whole.manifest.heads.memory.is_some(), "it travels with the bundle");
    let memory = |heads: &mut Heads, change: &dyn Fn(&mut MemorySpec)| change(heads.memory.as_mut().unwrap());
    let refused = |change: &dyn Fn(&mut Heads)| written(change).unwrap_err().to_string();
    let words = refused(&|heads| memory(heads, &|it| it.anomaly = "nothing".into()));
    assert!(words.contains("no output `nothing`"), "{words}");
    let words = refused(&|heads| memory(heads, &|it| it.anomaly = DISTANCES.into()));
    assert!(words.contains("two purposes"), "{words}");
    let swapped = |it: &mut MemorySpec| std::mem::swap(&mut it.anomaly, &mut it.distances);
    let words = refused(&|heads| memory(heads, &swapped));
    assert!(words.contains("does not fit the manifest's heads"), "{words}");
    let words = refused(&|heads| {
        heads.memory = None;
        heads.rules = vec![Rule { classifier: None, anomalous: None, then: Outcome::Review }];
    });
    assert!(words.contains("`heads.memory` is absent"), "{words}");
}
