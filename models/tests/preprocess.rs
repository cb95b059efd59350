//! Preprocessing: hand-computed values, and the same tensor whatever the path, the thread or the colour layout.

use models::image::{Image, ImageView, PixelFormat};
use models::preprocess::{MAX_SIDE, Preprocess, PreprocessError};
use proptest::prelude::*;
use rand::{RngCore, SeedableRng};

fn recipe(width: u32, height: u32) -> Preprocess {
    Preprocess { width, height, ..Preprocess::imagenet(1) }
}

fn noise(width: u32, height: u32, format: PixelFormat, seed: u64) -> Image {
    let mut data = vec![0; width as usize * height as usize * format.channels()];
    rand_chacha::ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut data);
    Image { width, height, format, data }
}

fn tensor(recipe: &Preprocess, image: &Image) -> Vec<f32> {
    let mut tensor = vec![f32::NAN; recipe.tensor_len()];
    recipe.fill(image.view(), &mut tensor);
    tensor
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn values_are_normalised_into_planes() {
    let image = Image { width: 2, height: 1, format: PixelFormat::Rgb8, data: vec![0, 51, 102, 153, 204, 255] };
    let recipe = Preprocess { width: 2, height: 1, mean: [0.5, 0.25, 0.0], std: [0.5, 0.25, 2.0] };
    let expected = [-1.0, 0.2, -0.2, 2.2, 0.2, 0.5];
    for (value, expected) in tensor(&recipe, &image).iter().zip(expected) {
        assert!((value - expected).abs() < 1e-6, "{value} instead of {expected}");
    }
}

#[test]
fn shrinking_weighs_every_source_pixel() {
    // Half the width: a triangle of radius 2 around x = 1 covers pixel centres 0.5, 1.5 and 2.5 with weights .75, .75 and .25.
    let row = [10.0, 20.0, 30.0, 40.0];
    let left = (3.0 * row[0] + 3.0 * row[1] + row[2]) / 7.0;
    let right = (row[1] + 3.0 * row[2] + 3.0 * row[3]) / 7.0;
    let image = Image {
        width: 4,
        height: 2,
        format: PixelFormat::Mono8,
        data: row.iter().chain(&row).map(|&v: &f64| v as u8).collect(),
    };
    let mut out = Image::empty();
    recipe(2, 2).fill_image(image.view(), &mut out);
    let expected = [left.round() as u8, right.round() as u8];
    assert_eq!(out.data, [expected, expected].concat());
    assert_eq!(expected, [17, 33]);
}

#[test]
fn a_thin_line_survives_shrinking() {
    let mut image = Image { width: 160, height: 8, format: PixelFormat::Mono8, data: vec![0; 160 * 8] };
    for row in image.data.chunks_exact_mut(160) {
        row[83] = 255;
    }
    let mut out = Image::empty();
    recipe(16, 8).fill_image(image.view(), &mut out);
    let energy: f64 = out.data[..16].iter().map(|&v| f64::from(v) * 10.0).sum();
    assert!((energy - 255.0).abs() < 20.0, "a plain bilinear loses the line or doubles it: {energy}");
}

#[test]
fn tensors_of_training_and_line_are_byte_identical() {
    // Training resizes, augments, then fills; the line fills at once.
    for format in [PixelFormat::Mono8, PixelFormat::Rgb8] {
        let image = noise(301, 217, format, 4);
        let recipe = recipe(96, 64);
        let mut resized = Image::empty();
        recipe.fill_image(image.view(), &mut resized);
        assert_eq!((resized.width, resized.height, resized.format), (96, 64, format));
        assert_eq!(bits(&tensor(&recipe, &resized)), bits(&tensor(&recipe, &image)));
    }
}

#[test]
fn every_thread_gives_the_same_tensor() {
    let recipe = recipe(224, 224);
    let image = noise(640, 480, PixelFormat::Rgb8, 5);
    let alone = bits(&tensor(&recipe, &image));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (recipe, image) = (&recipe, &image);
                scope.spawn(move || {
                    // Each thread's scratch has another history.
                    tensor(recipe, &noise(50 + n, 900 - n, PixelFormat::Mono8, u64::from(n)));
                    bits(&tensor(recipe, image))
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), alone);
        }
    });
}

#[test]
fn absurd_recipes_are_refused_with_their_numbers() {
    assert_eq!(Preprocess::imagenet(512).check(), Ok(()));
    for (width, height) in [(0, 5), (5, 0), (MAX_SIDE + 1, 5), (5, u32::MAX)] {
        assert_eq!(recipe(width, height).check(), Err(PreprocessError::Size { width, height }));
    }
    for std in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-40] {
        let recipe = Preprocess { std: [1.0, std, 1.0], ..recipe(8, 8) };
        assert!(recipe.check().unwrap_err().to_string().contains("std"), "{std}");
    }
    let recipe = Preprocess { mean: [0.0, f32::NAN, 0.0], ..recipe(8, 8) };
    assert!(matches!(recipe.check(), Err(PreprocessError::Scale { .. })));
}

#[test]
#[should_panic(expected = "are not 9 x 9 pixels")]
fn a_view_that_contradicts_itself_is_a_defect() {
    let view = ImageView { width: 9, height: 9, format: PixelFormat::Rgb8, data: &[0; 9] };
    recipe(4, 4).fill(view, &mut [0.0; 48]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn grey_equals_colour_of_equal_channels(width in 1u32..130, height in 1u32..130, to_width in 1u32..130, to_height in 1u32..130) {
        let grey = noise(width, height, PixelFormat::Mono8, u64::from(width * height));
        let data = grey.data.iter().flat_map(|&v| [v; 3]).collect();
        let colour = Image { format: PixelFormat::Rgb8, data, ..grey.clone() };
        let recipe = recipe(to_width, to_height);
        prop_assert_eq!(bits(&tensor(&recipe, &grey)), bits(&tensor(&recipe, &colour)));
    }

    #[test]
    fn a_constant_image_stays_constant(width in 1u32..90, height in 1u32..90, to in 1u32..90, level in any::<u8>()) {
        let image = Image { width, height, format: PixelFormat::Mono8, data: vec![level; (width * height) as usize] };
        let mut out = Image::empty();
        recipe(to, to).fill_image(image.view(), &mut out);
        prop_assert!(out.data.iter().all(|&v| v == level));
    }
}
