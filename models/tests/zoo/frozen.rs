//! Trunks of the zoo that stand still: the same network up to its last map, and a head on it.

use models::bundle::Pooling;
use models::graph::{ModelProto, check};
use models::heads::attention;
use models::runtime::Probe;
use models::weights::{Checkpoint, Weights};
use models::zoo::{ALL, Family, Frozen, LOGITS, MAP, Order, Random, Tensors};

const SIZE: usize = 64;

fn run(model: &ModelProto, size: usize, input: &[f32], value: &str) -> Vec<f32> {
    let mut probe = Probe::new(model, [1, 3, size, size], &[value.to_owned()]).unwrap();
    let mut found = Vec::new();
    probe.run(input, |_, values| found = values.to_vec()).unwrap();
    found
}

#[test]
fn every_family_has_a_map_of_cells_of_32_pixels() {
    let channels = ALL.iter().map(|family| {
        let size = family.least.max(96);
        let frozen = family.freeze(size, &mut Random(1)).unwrap();
        let map = frozen.model.graph().output[0].static_shape().unwrap();
        assert_eq!(map, [1, frozen.channels, size / 32, size / 32], "{}", family.name);
        (family.name, frozen.channels)
    });
    let channels: Vec<_> = channels.filter(|(name, _)| ["resnet50", "vgg19", "vit_b_16"].contains(name)).collect();
    assert_eq!(channels, [("resnet50", 2048), ("vgg19", 512), ("vit_b_16", 768)]);
}

#[test]
fn trunks_that_cannot_be_are_refused_in_words() {
    let family = Family::find("efficientnet_b0").unwrap();
    let refused = |size, weights: &mut dyn Tensors| family.freeze(size, weights).unwrap_err().to_string();
    assert!(refused(100, &mut Random(1)).contains("multiples of 32"));
    assert!(refused(64, &mut Weights::default()).starts_with("the weights hold no tensor `features.0.0.weight`"));
    // Our own graph has its batch norms folded, as most exporters' have.
    let folded = family.build(64, &mut Random(1)).unwrap();
    let words = refused(64, &mut Checkpoint::open(&folded).unwrap());
    assert!(words.contains("`features.0.1.weight`") && words.contains("do_constant_folding=False"), "{words}");
}

/// The classifier on the frozen trunk's map, computed here, gives the logits of the whole network.
#[test]
fn a_frozen_trunks_map_is_the_one_that_its_classifier_sees() {
    for (name, size) in [("efficientnet_b0", SIZE), ("xception", 96)] {
        let family = Family::find(name).unwrap();
        let whole = check(&family.build(size, &mut Random(1)).unwrap()).unwrap();
        let Frozen { channels, model, .. } = family.freeze(size, &mut Random(1)).unwrap();
        let image: Vec<f32> = Random(1).uniform("input", 3 * size * size).collect();
        let (map, logits) = (run(&model, size, &image, MAP), run(&whole, size, &image, LOGITS));
        let cells = (size / 32) * (size / 32);
        assert_eq!(map.len(), channels * cells, "{name}");
        let specs = family.books(size).unwrap().tensors;
        let [weight, bias] =
            [&specs[specs.len() - 2], &specs[specs.len() - 1]].map(|spec| Random(1).tensor(spec).unwrap());
        let largest = logits.iter().fold(0.0_f32, |most, logit| most.max(logit.abs()));
        for class in [0, 500, 999] {
            let average = |channel: usize| map[channel * cells..][..cells].iter().sum::<f32>() / cells as f32;
            let sum: f32 =
                (0..channels).map(|channel| weight.data[class * channels + channel] * average(channel)).sum();
            let (found, expected) = (sum + bias.data[class], logits[class]);
            assert!((found - expected).abs() <= 1e-4 * largest, "{name}: {found} instead of {expected}");
        }
    }
}

#[test]
fn the_tokens_of_places_become_cells() {
    let (family, size) = (Family::find("vit_b_16").unwrap(), 224);
    let whole = check(&family.build(size, &mut Random(1)).unwrap()).unwrap();
    let frozen = family.freeze(size, &mut Random(1)).unwrap();
    let image: Vec<f32> = Random(1).uniform("input", 3 * size * size).collect();
    let map = run(&frozen.model, size, &image, MAP);
    let tokens = run(&whole, size, &image, "encoder.ln");
    assert_eq!((tokens.len(), map.len()), (197 * 768, 768 * 49));
    // The first row is the class token's; the places follow, 14 in a row.
    let token = |row: usize, column: usize, channel: usize| tokens[(1 + row * 14 + column) * 768 + channel];
    for (cell, channel) in [(0, 0), (8, 5), (48, 767)] {
        let (row, column) = (cell / 7 * 2, cell % 7 * 2);
        let four = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(down, right)| token(row + down, column + right, channel));
        let (found, expected) = (map[channel * 49 + cell], four.iter().sum::<f32>() / 4.0);
        assert!((found - expected).abs() <= 1e-4 * expected.abs().max(1.0), "{found} instead of {expected}");
    }
}

/// The input as the family's own graph wants it.
fn bgr(family: &Family, rgb: &[f32]) -> Vec<f32> {
    match family.recipe.order {
        Order::Rgb => rgb.to_vec(),
        Order::Bgr => rgb.chunks_exact(rgb.len() / 3).rev().flatten().copied().collect(),
    }
}

#[test]
fn a_trunk_takes_red_green_blue_whatever_its_source_takes() {
    let family = Family::find("vgg19").unwrap();
    let size = 32;
    let frozen = family.freeze(size, &mut Random(1)).unwrap();
    let rgb: Vec<f32> = Random(1).uniform("input", 3 * size * size).collect();
    let map = run(&frozen.model, size, &rgb, MAP);
    // The same layers in the whole graph: the last pooling's value.
    let whole = check(&family.build(size, &mut Random(1)).unwrap()).unwrap();
    assert_eq!(run(&whole, size, &bgr(family, &rgb), "block5_pool"), map);
    assert_ne!(run(&whole, size, &rgb, "block5_pool"), map);
    assert_eq!(frozen.preprocess().mean, family.recipe.mean);
}

#[test]
fn a_head_on_a_frozen_trunk_gives_scores_map_and_embedding() {
    let family = Family::find("efficientnet_b0").unwrap();
    let frozen = family.freeze(SIZE, &mut Random(1)).unwrap();
    let head = attention::init_on(frozen.channels, 3, 2);
    let graph = attention::build_on(&frozen, &head, 3, Pooling::LogMeanExp(2.0)).unwrap();
    let model = check(&graph).unwrap();
    let shapes: Vec<_> = model.graph().output.iter().map(|output| output.static_shape().unwrap()).collect();
    assert_eq!(shapes, [vec![1, 3], vec![1, 3, 2, 2], vec![1, 1280]]);
    let rgb: Vec<f32> = Random(1).uniform("input", 3 * SIZE * SIZE).collect();
    let scores = run(&model, SIZE, &rgb, attention::SCORES);
    assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{scores:?}");
    let wrong = attention::build_on(&frozen, &attention::init(3, 2), 3, Pooling::Mean).unwrap_err();
    assert!(wrong.to_string().contains("1280"), "{wrong}");
}
