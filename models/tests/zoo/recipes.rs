//! Recipes beside values computed by hand from what the sources' `preprocess_input` and `Normalize` say.

use models::image::{ImageView, PixelFormat};
use models::zoo::{ALL, Family, Recipe};

/// Two pixels side by side, red, green, blue: 10, 128, 255 and 0, 64, 200.
const PIXELS: [u8; 12] = [10, 128, 255, 0, 64, 200, 10, 128, 255, 0, 64, 200];

fn planes(recipe: &Recipe) -> [[f32; 2]; 3] {
    let image = ImageView { width: 2, height: 2, format: PixelFormat::Rgb8, data: &PIXELS };
    let mut tensor = [f32::NAN; 12];
    recipe.fill(image, 2, &mut tensor);
    assert_eq!(tensor[..2], tensor[2..4], "both rows are alike");
    [[tensor[0], tensor[1]], [tensor[4], tensor[5]], [tensor[8], tensor[9]]]
}

#[test]
fn every_recipe_gives_what_was_computed_by_hand() {
    let expected: [(&str, [[f32; 2]; 3]); 6] = [
        // (10 / 255 - 0.485) / 0.229, ...
        ("torchvision mean/std", [[-1.946_656, -2.117_904], [0.205_182, -0.915_266], [2.64, 1.681_394]]),
        // Blue first: 255 - 103.939, 128 - 116.779, 10 - 123.68, ...
        ("caffe BGR", [[151.061, 96.061], [11.221, -52.779], [-113.68, -123.68]]),
        // 10 / 127.5 - 1, ...
        ("-1..1", [[-0.921_569, -1.0], [0.003_922, -0.498_039], [1.0, 0.568_627]]),
        ("in the graph", [[10.0, 0.0], [128.0, 64.0], [255.0, 200.0]]),
        ("mobilenet_v3", [[10.0, 0.0], [128.0, 64.0], [255.0, 200.0]]),
        // (10 - 127) / 128, ...
        ("127/128", [[-0.914_063, -0.992_188], [0.007_813, -0.492_188], [1.0, 0.570_313]]),
    ];
    assert_eq!(Recipe::ALL.map(|recipe| recipe.name), expected.map(|(name, _)| name));
    for (recipe, (name, expected)) in Recipe::ALL.iter().zip(expected) {
        let largest = expected.as_flattened().iter().fold(1.0_f32, |most, value| most.max(value.abs()));
        for (found, expected) in planes(recipe).as_flattened().iter().zip(expected.as_flattened()) {
            assert!((found - expected).abs() <= 2e-6 * largest, "{name}: {found} instead of {expected}");
        }
    }
}

#[test]
fn every_family_has_its_sources_recipe() {
    let recipe = |name: &str| Family::find(name).unwrap().recipe.name;
    assert_eq!(recipe("vgg19"), "caffe BGR");
    assert_eq!(recipe("resnet152v2"), "-1..1");
    assert_eq!(recipe("xception"), "-1..1");
    assert_eq!(recipe("efficientnet_v2_b3"), "in the graph");
    assert_eq!(recipe("efficientnet_lite0"), "127/128");
    let torchvision = ALL.iter().filter(|family| family.recipe == Recipe::TORCHVISION);
    assert!(torchvision.clone().all(|family| family.source().to_string() == "torchvision"));
    assert_eq!(torchvision.count(), 8);
}
