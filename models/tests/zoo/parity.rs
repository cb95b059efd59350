//! Our graphs under ONNX Runtime beside the sources' own programs, on the same random weights: golden vectors by
//! `models/tools/zoo_parity.py`.

use std::collections::BTreeMap;
use std::path::Path;

use models::graph::check;
use models::runtime::Probe;
use models::weights::Checkpoint;
use models::zoo::{Family, INPUT, LOGITS, Random, Recipe, Tensors};
use serde::Deserialize;

/// Of the largest logit. 32-bit floats alone make 1e-6; a pooling that ONNX Runtime had fused wrongly made 1.4e-4.
const ALLOWED: f32 = 1e-5;

#[derive(Deserialize)]
struct Golden {
    seed: u64,
    networks: BTreeMap<String, Network>,
}

#[derive(Deserialize)]
struct Network {
    /// Side of the input.
    size: usize,
    /// As the source's program counted them.
    parameters: usize,
    /// Magnitude of the largest of all logits.
    largest: f32,
    /// Some of the logits, by class.
    logits: BTreeMap<usize, f32>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../data/zoo.json")).unwrap()
}

/// The largest difference between our logits and the source's, as a share of the largest logit.
fn difference(name: &str, weights: &mut dyn Tensors) -> f32 {
    let Golden { seed, networks } = golden();
    let Network { size, parameters, largest, logits } = &networks[name];
    let family = Family::find(name).unwrap();
    assert_eq!(family.books(family.size).unwrap().parameters, *parameters, "{name}: counted by the source's program");
    let model = check(&family.build(*size, weights).unwrap()).unwrap();
    let [scale, shift] = if family.recipe == Recipe::IN_GRAPH { [127.5, 127.5] } else { [2.0, 0.0] };
    let image: Vec<f32> = Random(seed).uniform("input", 3 * size * size).map(|value| value * scale + shift).collect();
    assert_eq!(model.graph().input[0].name, INPUT);
    let mut worst = f32::NAN;
    let mut probe = Probe::new(&model, [1, 3, *size, *size], &[LOGITS.into()]).unwrap();
    probe
        .run(&image, |_, ours| {
            let differences = logits.iter().map(|(&class, theirs)| (ours[class] - theirs).abs() / largest);
            worst = differences.fold(0.0, f32::max);
        })
        .unwrap();
    println!("{name} at {size} px: differs by {worst:e} of the largest logit");
    worst
}

macro_rules! parity {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                let difference = difference(stringify!($name), &mut Random(golden().seed));
                assert!(difference <= ALLOWED, "{difference}");
            }
        )*

        /// A network without a test of its own would be compared with nothing.
        #[test]
        fn every_family_is_compared() {
            let names: Vec<&str> = models::zoo::ALL.iter().map(|family| family.name).collect();
            let mut tested = vec![$(stringify!($name)),*];
            tested.sort_unstable();
            let mut wanted = names.clone();
            wanted.sort_unstable();
            assert_eq!(tested, wanted);
            let compared = golden().networks.into_keys().collect::<Vec<_>>();
            assert_eq!(compared, wanted);
        }
    };
}

parity! {
    efficientnet_b0,
    efficientnet_b4,
    efficientnet_b7,
    efficientnet_lite0,
    efficientnet_v2_b3,
    mobilenet_v2,
    mobilenet_v3_large,
    mobilenet_v3_small,
    resnet50,
    resnet152v2,
    vgg19,
    vit_b_16,
    xception,
}

/// The same weights through files that PyTorch, safetensors, Keras and ONNX's exporter wrote: `zoo_parity.py --files DIR`.
#[test]
fn files_of_the_sources_give_their_logits() {
    let Some(folder) = std::env::var_os("INSPECTD_ZOO_FILES") else {
        println!("SKIPPED: INSPECTD_ZOO_FILES names no folder of files by `models/tools/zoo_parity.py --files`");
        return;
    };
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    assert_eq!(files.len(), models::zoo::ALL.len());
    for path in files {
        let file = path.file_name().unwrap().to_str().unwrap();
        let bytes = Checkpoint::read(&path).unwrap();
        println!("{file}");
        let difference = difference(file.split('.').next().unwrap(), &mut Checkpoint::open(&bytes).unwrap());
        assert!(difference <= ALLOWED, "{file}: {difference}");
    }
}

/// The same weights as timm's own networks saved them, a folder each: `zoo_parity.py --timm`.
#[test]
fn files_that_timm_saved_give_the_sources_logits() {
    let folder = std::env::var_os("INSPECTD_ZOO_FILES").map(|folder| Path::new(&folder).join("timm"));
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        println!("SKIPPED: INSPECTD_ZOO_FILES names no folder with files by `models/tools/zoo_parity.py --timm`");
        return;
    };
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let files = ["model.safetensors", "pytorch_model.bin"].map(|file| entry.path().join(file));
        let path = files.iter().find(|file| file.is_file()).unwrap();
        let bytes = Checkpoint::read(path).unwrap();
        let mut weights = Checkpoint::open(&bytes).unwrap().beside(path).unwrap();
        let difference = difference(&name, &mut weights);
        assert!(difference <= ALLOWED, "{name}: {difference}");
    }
}
