//! Weights as timm names them: `tests/data/timm.txt` lists every tensor as timm itself has it (`models/tools/zoo_parity.py --timm`).

use models::weights::{Checkpoint, Tensor, WeightsError};
use models::zoo::{Family, Random, Recipe, Role, Spec, Tensors};
use serde_json::json;

use crate::checkpoints::safetensors_of;

const SEED: u64 = 7;

/// A tensor of the source's and what timm calls it, from timm's `state_dict()`.
const NAMES: [(&str, &str, &str); 18] = [
    ("efficientnet_b0", "features.0.1.running_var", "bn1.running_var"),
    ("efficientnet_b0", "features.2.0.block.3.0.weight", "blocks.1.0.conv_pwl.weight"),
    ("efficientnet_b4", "features.1.1.block.1.fc2.bias", "blocks.0.1.se.conv_expand.bias"),
    ("efficientnet_b4", "classifier.1.bias", "classifier.bias"),
    ("efficientnet_b7", "features.7.3.block.3.1.running_mean", "blocks.6.3.bn3.running_mean"),
    ("efficientnet_b7", "features.8.0.weight", "conv_head.weight"),
    ("efficientnet_lite0", "_blocks.1._depthwise_conv.weight", "blocks.1.0.conv_dw.weight"),
    ("efficientnet_lite0", "_bn1.bias", "bn2.bias"),
    ("mobilenet_v2", "features.1.conv.1.weight", "blocks.0.0.conv_pw.weight"),
    ("mobilenet_v2", "features.17.conv.3.running_var", "blocks.6.0.bn3.running_var"),
    ("mobilenet_v3_large", "features.16.0.weight", "blocks.6.0.conv.weight"),
    ("mobilenet_v3_large", "classifier.0.weight", "conv_head.weight"),
    ("mobilenet_v3_small", "features.1.block.1.fc1.weight", "blocks.0.0.se.conv_reduce.weight"),
    ("mobilenet_v3_small", "classifier.3.weight", "classifier.weight"),
    ("resnet50", "layer1.0.conv1.weight", "layer1.0.conv1.weight"),
    ("vit_b_16", "class_token", "cls_token"),
    ("vit_b_16", "encoder.layers.encoder_layer_3.self_attention.in_proj_weight", "blocks.3.attn.qkv.weight"),
    ("vit_b_16", "encoder.layers.encoder_layer_11.mlp.3.bias", "blocks.11.mlp.fc2.bias"),
];

/// What timm calls the network, and the difference between what batch norms add there and here.
const NETWORKS: [(&str, &str, f64); 8] = [
    ("efficientnet_b0", "efficientnet_b0", 0.0),
    ("efficientnet_b4", "efficientnet_b4", 0.0),
    ("efficientnet_b7", "efficientnet_b7", 1e-3 - 1e-5),
    ("efficientnet_lite0", "tf_efficientnet_lite0", 0.0),
    ("mobilenet_v2", "mobilenetv2_100", 0.0),
    ("mobilenet_v3_large", "mobilenetv3_large_100", 1e-3 - 1e-5),
    ("mobilenet_v3_small", "mobilenetv3_small_100", 1e-3 - 1e-5),
    ("vit_b_16", "vit_base_patch16_224", 0.0),
];

fn family(name: &str) -> &'static Family {
    Family::find(name).unwrap()
}

fn specs(name: &str) -> Vec<Spec> {
    family(name).books(family(name).least).unwrap().tensors
}

/// timm's tensors of a family in the order in which they are used. A line is a block: `BLOCK: NAME=SHAPE ...`, a batch norm `NAME.*=SHAPE`.
fn listed(name: &str) -> Vec<(String, Vec<usize>)> {
    let all = include_str!("../data/timm.txt").split("# ").find(|part| part.split(' ').next() == Some(name)).unwrap();
    let mut tensors = Vec::new();
    for line in all.lines().skip(1) {
        let (block, rest) = line.split_once(": ").unwrap();
        let prefix = if ["first", "last"].contains(&block) { String::new() } else { format!("{block}.") };
        for tensor in rest.split(' ') {
            let (name, shape) = tensor.split_once('=').unwrap();
            let shape: Vec<usize> = shape.split('x').map(|size| size.parse().unwrap()).collect();
            let parts: Vec<String> = match name.strip_suffix(".*") {
                Some(norm) => {
                    ["weight", "bias", "running_mean", "running_var"].map(|part| format!("{norm}.{part}")).into()
                }
                None => vec![name.to_owned()],
            };
            tensors.extend(parts.into_iter().map(|name| (format!("{prefix}{name}"), shape.clone())));
        }
    }
    tensors
}

/// Random values by the source's names. A variance has been through timm's file.
struct ThroughTimm(f64);

impl Tensors for ThroughTimm {
    fn tensor(&mut self, spec: &Spec) -> Result<Tensor, WeightsError> {
        let mut tensor = in_timm(spec, self.0);
        if spec.role == Role::Variance && self.0 != 0.0 {
            tensor.data.iter_mut().for_each(|value| *value = (f64::from(*value) - self.0) as f32);
        }
        Ok(tensor)
    }
}

/// What timm's file has of a tensor of the source's.
fn in_timm(spec: &Spec, epsilon: f64) -> Tensor {
    let mut tensor = Random(SEED).tensor(spec).unwrap();
    if spec.role == Role::Variance {
        tensor.data.iter_mut().for_each(|value| *value = (f64::from(*value) + epsilon) as f32);
    }
    tensor
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A whole file of timm's.
fn file(name: &str, epsilon: f64) -> Vec<u8> {
    let (specs, listed) = (specs(name), listed(name));
    assert_eq!(specs.len(), listed.len(), "{name}");
    safetensors_of(specs.iter().zip(listed).map(|(spec, (name, shape))| {
        assert_eq!(shape.iter().product::<usize>(), spec.len(), "{name} for {}", spec.name);
        (name, shape, bytes(&in_timm(spec, epsilon)))
    }))
}

/// A file that holds ones under these names.
fn ones(names: &[(&str, &[usize])]) -> Vec<u8> {
    safetensors_of(names.iter().map(|(name, shape)| {
        let count = shape.iter().product();
        ((*name).to_owned(), shape.to_vec(), bytes(&Tensor { shape: shape.to_vec(), data: vec![1.0; count] }))
    }))
}

/// timm's `config.json` of a network that takes the family's pixels.
fn config(name: &str, architecture: &str) -> serde_json::Value {
    let Recipe { mean, std, .. } = family(name).recipe;
    json!({
        "architecture": architecture,
        "model_args": { "in_chans": 3, "num_classes": 1000, "global_pool": "avg" },
        "pretrained_cfg": { "tag": "a_in1k", "mean": mean, "std": std },
    })
}

/// Opens a file beside which this stands.
fn open<'a>(file: &'a [u8], beside: &serde_json::Value) -> Checkpoint<'a> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), beside.to_string()).unwrap();
    Checkpoint::open(file).unwrap().beside(&folder.path().join("model.safetensors")).unwrap()
}

#[test]
fn names_that_timm_gives_stand_where_the_sources_do() {
    for (name, ours, theirs) in NAMES {
        let at = specs(name).iter().position(|spec| spec.name == ours).unwrap_or_else(|| panic!("{name}: {ours}"));
        assert_eq!(listed(name)[at].0, theirs, "{name}: {ours}");
    }
}

#[test]
fn every_tensor_of_timms_is_the_sources_of_its_place() {
    for (name, architecture, epsilon) in NETWORKS {
        let file = file(name, epsilon);
        let mut checkpoint = open(&file, &config(name, architecture));
        checkpoint.begin(family(name)).unwrap();
        for spec in specs(name) {
            let (found, expected) = (checkpoint.tensor(&spec).unwrap(), ThroughTimm(epsilon).tensor(&spec).unwrap());
            assert!(found == expected, "{name}: {}", spec.name);
        }
    }
}

#[test]
fn a_file_of_timms_gives_the_same_graph() {
    for (name, architecture, epsilon) in NETWORKS.into_iter().filter(|(name, ..)| name.starts_with("mobilenet")) {
        let file = file(name, epsilon);
        let graph = family(name).build(64, &mut open(&file, &config(name, architecture))).unwrap();
        assert!(graph == family(name).build(64, &mut ThroughTimm(epsilon)).unwrap(), "{name}");
    }
}

/// timm's ViT was published for pixels from -1 to 1 and for torchvision's.
#[test]
fn a_convolution_without_padding_takes_other_pixels_in() {
    let specs = &specs("vit_b_16")[..2];
    let [kernel, bias] = [&specs[0], &specs[1]].map(|spec| Random(SEED).tensor(spec).unwrap());
    let file = file("vit_b_16", 0.0);
    let mut beside = config("vit_b_16", "deit_base_patch16_224");
    beside["pretrained_cfg"] = json!({ "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5] });
    let mut checkpoint = open(&file, &beside);
    checkpoint.begin(family("vit_b_16")).unwrap();
    let [new_kernel, new_bias] = [&specs[0], &specs[1]].map(|spec| checkpoint.tensor(spec).unwrap());
    let Recipe { mean, std, .. } = Recipe::TORCHVISION;
    let cells = 16 * 16;
    let pixels: Vec<f32> = Random(SEED).uniform("pixels", 3 * cells).map(|value| value / 2.0 + 0.5).collect();
    let response = |kernel: &Tensor, bias: &Tensor, output: usize, mean: [f32; 3], std: [f32; 3]| {
        let weights = &kernel.data[output * 3 * cells..][..3 * cells];
        let terms = weights.iter().zip(&pixels).enumerate().map(|(at, (weight, pixel))| {
            f64::from(*weight) * f64::from(pixel - mean[at / cells]) / f64::from(std[at / cells])
        });
        terms.sum::<f64>() + f64::from(bias.data[output])
    };
    for output in [0, 100, 767] {
        let learned = response(&kernel, &bias, output, [0.5; 3], [0.5; 3]);
        let found = response(&new_kernel, &new_bias, output, mean, std);
        assert!((found - learned).abs() <= 1e-5, "{output}: {found} instead of {learned}");
    }
}

fn refused(name: &str, mut checkpoint: Checkpoint<'_>) -> String {
    checkpoint.begin(family(name)).unwrap_err().to_string()
}

const STEM: (&str, &[usize]) = ("conv_stem.weight", &[32, 3, 3, 3]);

#[test]
fn names_alone_do_not_say_which_network_it_is() {
    let file = ones(&[STEM]);
    let words = refused("efficientnet_b0", Checkpoint::open(&file).unwrap());
    assert!(
        words.contains("`conv_stem.weight`") && words.contains("`config.json` of timm's `efficientnet_b0`"),
        "{words}"
    );
    let words = refused("efficientnet_b0", open(&file, &json!({ "architectures": ["ViTModel"] })));
    assert!(words.contains("is not timm's (missing field `architecture`"), "{words}");
}

#[test]
fn networks_of_timms_that_compute_otherwise_are_refused() {
    let file = ones(&[STEM]);
    for (name, architecture, wanted) in [
        ("efficientnet_b0", "tf_efficientnet_b0", "`efficientnet_b0`"),
        ("efficientnet_b0", "efficientnet_blur_b0", "`efficientnet_b0`"),
        ("efficientnet_b0", "efficientnet_b1", "`efficientnet_b0`"),
        ("efficientnet_lite0", "efficientnet_lite0", "`tf_efficientnet_lite0`"),
        ("mobilenet_v3_small", "tf_mobilenetv3_small_100", "`mobilenetv3_small_100`"),
    ] {
        let words = refused(name, open(&file, &config(name, architecture)));
        assert!(words.contains(&format!("timm's `{architecture}`, which does not compute")), "{words}");
        assert!(words.contains(&format!("weights of timm's {wanted}")), "{words}");
    }
    let mut changed = config("efficientnet_b0", "efficientnet_b0");
    changed["model_args"] = json!({ "bn_eps": 1e-3 });
    let words = refused("efficientnet_b0", open(&file, &changed));
    assert!(words.contains("made with `bn_eps` changed"), "{words}");
    let mut pixels = config("efficientnet_b0", "efficientnet_b0");
    pixels["pretrained_cfg"] = json!({ "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5] });
    let words = refused("efficientnet_b0", open(&file, &pixels));
    assert!(words.contains("were learned with pixels of mean [0.5, 0.5, 0.5]"), "{words}");
}

#[test]
fn families_that_timm_has_otherwise_are_refused() {
    for (name, tensor, why) in [
        ("resnet152v2", "stages.0.blocks.0.conv1.weight", "strides"),
        ("vgg19", "pre_logits.fc1.weight", "red first"),
        ("xception", "block1.skip.weight", "pads"),
    ] {
        let words = refused(name, Checkpoint::open(&ones(&[(tensor, &[1])])).unwrap());
        assert!(words.contains(tensor) && words.contains(why) && words.contains("keras's own file"), "{words}");
    }
}

#[test]
fn names_of_timm_and_of_the_source_in_one_file_are_refused() {
    let specs = specs("mobilenet_v3_small");
    let half = specs.len() / 2;
    let theirs = listed("mobilenet_v3_small");
    let mixed = safetensors_of(specs.iter().zip(theirs).enumerate().map(|(at, (spec, (name, shape)))| {
        let values = bytes(&Random(SEED).tensor(spec).unwrap());
        if at < half { (spec.name.clone(), spec.shape.clone(), values) } else { (name, shape, values) }
    }));
    let words = refused("mobilenet_v3_small", open(&mixed, &config("mobilenet_v3_small", "mobilenetv3_small_100")));
    assert!(words.contains("both timm's") && words.contains("torchvision's `features.0.0.weight`"), "{words}");
}

#[test]
fn a_part_of_timms_network_is_refused_by_timms_name() {
    let file = ones(&[STEM]);
    let mut checkpoint = open(&file, &config("efficientnet_b0", "efficientnet_b0"));
    let refused = family("efficientnet_b0").build(64, &mut checkpoint).unwrap_err();
    assert!(matches!(&refused, WeightsError::Missing(name) if name == "bn1.weight"), "{refused}");
}

/// Its names are torchvision's; only the description can say that it is another.
#[test]
fn a_resnet50_is_taken_by_its_names_unless_timm_says_that_it_is_none() {
    let file = ones(&[("conv1.weight", &[64, 3, 7, 7])]);
    Checkpoint::open(&file).unwrap().begin(family("resnet50")).unwrap();
    open(&file, &config("resnet50", "resnet50")).begin(family("resnet50")).unwrap();
    let words = refused("resnet50", open(&file, &config("resnet50", "resnetblur50")));
    assert!(words.contains("`resnetblur50`"), "{words}");
}
