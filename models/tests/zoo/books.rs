//! Parameters and multiplications beside what the sources publish.

use models::graph::check;
use models::runtime::Probe;
use models::weights::WeightsError;
use models::zoo::{ALL, Books, Family, LOGITS, Random};

fn family(name: &str) -> &'static Family {
    Family::find(name).unwrap_or_else(|| panic!("no family `{name}`"))
}

fn books(name: &str) -> Books {
    let family = family(name);
    family.books(family.size).unwrap()
}

/// torchvision: `num_params` of the weights' meta data. Keras: `count_params()` of the model with its classifier. Lite: the sum over the
/// package's `parameters()`.
const PARAMETERS: [(&str, usize); 13] = [
    ("efficientnet_b0", 5_288_548),
    ("efficientnet_b4", 19_341_616),
    ("efficientnet_b7", 66_347_960),
    ("efficientnet_lite0", 4_652_008),
    ("efficientnet_v2_b3", 14_467_622),
    ("mobilenet_v2", 3_504_872),
    ("mobilenet_v3_large", 5_483_032),
    ("mobilenet_v3_small", 2_542_856),
    ("resnet50", 25_557_032),
    ("resnet152v2", 60_380_648),
    ("vgg19", 143_667_240),
    ("vit_b_16", 86_567_656),
    ("xception", 22_910_480),
];

#[test]
fn every_family_has_exactly_its_sources_parameters() {
    assert_eq!(ALL.len(), PARAMETERS.len());
    let found = PARAMETERS.map(|(name, _)| (name, books(name).parameters));
    assert_eq!(found, PARAMETERS);
}

/// Billions of multiplications of one pass: `_ops` in the meta data of torchvision's weights, which Keras' VGG19 shares.
const GIGA_OPS: [(&str, f64); 9] = [
    ("efficientnet_b0", 0.386),
    ("efficientnet_b4", 4.394),
    ("efficientnet_b7", 37.746),
    ("mobilenet_v2", 0.301),
    ("mobilenet_v3_large", 0.217),
    ("mobilenet_v3_small", 0.057),
    ("resnet50", 4.089),
    ("vgg19", 19.632),
    ("vit_b_16", 17.564),
];

#[test]
fn multiplications_are_those_that_torchvision_publishes() {
    for (name, published) in GIGA_OPS {
        let ours = books(name).multiply_adds as f64 / 1e9;
        // Published to three places.
        assert!((ours - published).abs() <= 0.0006, "{name}: {ours} beside {published}");
    }
}

#[test]
fn a_family_takes_each_tensor_once() {
    for family in ALL {
        let books = family.books(family.size).unwrap();
        let mut names: Vec<&str> = books.tensors.iter().map(|spec| spec.name.as_str()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "{}", family.name);
    }
}

#[test]
fn sizes_that_a_family_does_not_take_are_refused() {
    for (name, size, wanted) in [
        ("resnet50", 16, "resnet50 takes inputs of 32 to 2048 pixels each way, not 16"),
        ("resnet50", 4096, "not 4096"),
        ("vit_b_16", 256, "vit_b_16 takes inputs of 224 to 224 pixels each way, not 256"),
    ] {
        let refused = family(name).build(size, &mut Random(1)).unwrap_err();
        assert!(matches!(refused, WeightsError::Invalid(_)), "{refused}");
        assert!(refused.to_string().contains(wanted), "{refused}");
    }
}

/// The light ones, built of random weights: a graph that every provider takes, and logits that say something.
#[test]
fn graphs_pass_the_check_and_run() {
    for name in [
        "efficientnet_b0",
        "efficientnet_lite0",
        "efficientnet_v2_b3",
        "mobilenet_v2",
        "mobilenet_v3_large",
        "resnet50",
    ] {
        const SIZE: usize = 64;
        let model = check(&family(name).build(SIZE, &mut Random(1)).unwrap()).unwrap();
        let image: Vec<f32> = Random(1).uniform("input", 3 * SIZE * SIZE).collect();
        let mut probe = Probe::new(&model, [1, 3, SIZE, SIZE], &[LOGITS.to_owned()]).unwrap();
        let mut logits = Vec::new();
        probe.run(&image, |_, values| logits = values.to_vec()).unwrap();
        let [low, high] = [f32::min, f32::max].map(|pick| logits.iter().copied().reduce(pick).unwrap());
        assert!(
            logits.len() == 1000 && logits.iter().all(|logit| logit.is_finite()) && high - low > 0.1,
            "{name}: {low} to {high}"
        );
    }
}
