//! Random changes: what each does to picture and mask, and that the same numbers give the same change.

use models::image::PixelFormat;

use super::*;

/// A grey ramp with one bright square, and the square's mask.
fn sample() -> Sample {
    let (width, height) = (40, 32);
    let inside = |x: usize, y: usize| (8..16).contains(&x) && (10..18).contains(&y);
    let pixels = || (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let data = pixels().map(|(x, y)| if inside(x, y) { 250 } else { (x + y) as u8 }).collect();
    let mask = pixels().map(|(x, y)| u8::from(inside(x, y))).collect();
    let image = Image { width: width as u32, height: height as u32, format: PixelFormat::Mono8, data };
    Sample { image, labels: vec![1], weight: 1.0, mask: Some(mask) }
}

#[test]
fn the_mask_moves_with_the_pixels() {
    let gentle = Augment { contrast: 0.0, brightness: 0.0, ..Augment::default() };
    let any_angle = Augment { rotation_deg: 180.0, perspective: 0.3, translation: 0.02, ..gentle.clone() };
    for (seed, geometry) in (0..40).zip([&gentle, &any_angle].into_iter().cycle()) {
        let mut changed = sample();
        geometry.apply(&mut changed, &mut ChaCha8Rng::seed_from_u64(seed));
        let mask = changed.mask.unwrap();
        let agree = changed.image.data.iter().zip(&mask).filter(|(p, m)| (**p > 150) == (**m == 1)).count();
        // Bilinear and nearest differ by less than a pixel along the square's rim of 32 pixels.
        assert!(agree >= mask.len() - 32, "seed {seed}: {agree} of {}", mask.len());
        assert!(mask.contains(&1), "seed {seed}: the square stays in the picture");
    }
}

#[test]
fn flips_alone_move_pixels_and_invent_none() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..32 {
        let mut changed = sample();
        Augment::flips().apply(&mut changed, &mut ChaCha8Rng::seed_from_u64(seed));
        let sorted = |data: &[u8]| {
            let mut data = data.to_vec();
            data.sort_unstable();
            data
        };
        assert_eq!(sorted(&changed.image.data), sorted(&sample().image.data));
        seen.insert(changed.image.data);
    }
    assert_eq!(seen.len(), 4, "as it was, mirrored, upside down, both");
}

#[test]
fn the_seed_decides_and_nothing_means_nothing() {
    let apply = |augment: &Augment, seed| {
        let mut changed = sample();
        augment.apply(&mut changed, &mut ChaCha8Rng::seed_from_u64(seed));
        changed
    };
    assert_eq!(apply(&Augment::default(), 3), apply(&Augment::default(), 3));
    assert_ne!(apply(&Augment::default(), 3), apply(&Augment::default(), 4));
    assert_eq!(apply(&Augment::none(), 3), sample());
}

/// The picture after one kind of change alone.
fn changed(augment: &Augment, seed: u64) -> Sample {
    let mut changed = sample();
    augment.apply(&mut changed, &mut ChaCha8Rng::seed_from_u64(seed));
    changed
}

fn spread(of: &[f32]) -> f32 {
    let mean = of.iter().sum::<f32>() / of.len() as f32;
    (of.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / of.len() as f32).sqrt()
}

#[test]
fn blur_softens_edges_and_leaves_even_pictures_and_brightness_alone() {
    let augment = Augment { blur_px: 4.0, ..Augment::none() };
    let steps = |image: &Image| -> f32 {
        let pairs = image.data.windows(2).map(|pair| (f32::from(pair[0]) - f32::from(pair[1])).abs());
        pairs.fold(0.0, f32::max)
    };
    let sum = |image: &Image| image.data.iter().map(|&byte| f64::from(byte)).sum::<f64>();
    let before = sample();
    let after = (0..8).map(|seed| changed(&augment, seed)).min_by(|a, b| steps(&a.image).total_cmp(&steps(&b.image)));
    let after = after.unwrap();
    assert!(steps(&after.image) < 0.4 * steps(&before.image), "{} of {}", steps(&after.image), steps(&before.image));
    assert!((sum(&after.image) / sum(&before.image) - 1.0).abs() < 0.05);
    let mut even = sample();
    even.image.data.fill(93);
    augment.apply(&mut even, &mut ChaCha8Rng::seed_from_u64(1));
    assert!(even.image.data.iter().all(|&byte| byte == 93));
}

#[test]
fn noise_has_the_spread_that_it_is_given_and_no_bias() {
    let mut grey = sample();
    (grey.image.width, grey.image.height) = (200, 200);
    grey.image.data = vec![128; 40_000];
    pixels::noise(&mut grey.image.data, 10.0, &mut ChaCha8Rng::seed_from_u64(5));
    let off: Vec<f32> = grey.image.data.iter().map(|&byte| f32::from(byte) - 128.0).collect();
    assert!((off.iter().sum::<f32>() / 40_000.0).abs() < 0.3);
    assert!((spread(&off) - 10.0).abs() < 0.3, "{}", spread(&off));
}

#[test]
fn a_hole_never_covers_a_known_defect() {
    let augment = Augment { cutout: 0.5, ..Augment::none() };
    let mut holes = 0;
    for seed in 0..40 {
        let after = changed(&augment, seed);
        let before = sample();
        let touched = |at: usize| after.image.data[at] != before.image.data[at];
        holes += usize::from((0..before.image.data.len()).any(touched));
        let mask = before.mask.unwrap();
        assert!((0..mask.len()).all(|at| mask[at] == 0 || !touched(at)), "seed {seed}");
    }
    assert!(holes >= 20, "{holes} of 40 pictures have a hole");
}

#[test]
fn a_tilt_makes_one_edge_larger_than_the_other() {
    let wide = |tilt: f32| {
        let map = Map { centre: [50.0, 50.0], rows: [[1.0, 0.0], [0.0, 1.0]], tilt: [0.0, tilt], shift: [0.0; 2] };
        let mask: Vec<u8> = (0..101 * 101).map(|at| u8::from((30..=70).contains(&(at % 101)))).collect();
        let out = map.nearest(&mask, 101, 101);
        [10, 50, 90].map(|y| out[y * 101..][..101].iter().filter(|&&label| label == 1).count())
    };
    assert_eq!(wide(0.0), [41; 3]);
    let [top, middle, bottom] = wide(0.004);
    assert_eq!(middle, 41);
    assert!(top < 36 && bottom > 46, "{top} {bottom}");
}

#[test]
fn a_file_says_what_the_product_is_invariant_to() {
    let read = |text: &str| Augment::from_toml(text);
    let fixed = Augment::preset("fixed-pose").unwrap();
    assert_eq!(read("preset = \"fixed-pose\"\nnoise = 0.02").unwrap(), Augment { noise: 0.02, ..fixed });
    assert_eq!(read("rotation_deg = 5").unwrap(), Augment { rotation_deg: 5.0, ..Augment::none() });
    assert_eq!(read("").unwrap(), Augment::none());
    for (text, words) in [
        ("rotation = 5", "rotation"),
        ("preset = \"upside-down\"", "any-orientation"),
        ("preset = 3", "not a name"),
        ("zoom = 40", "from 0 (off) to 1"),
        ("noise = -0.1", "`noise` is -0.1"),
        ("noise = nan", "`noise` is NaN"),
        ("blur_px = \"much\"", "blur_px"),
        ("flip_vertical = 1", "flip_vertical"),
        ("[zoom", "augmentation"),
    ] {
        let message = read(text).expect_err(text).to_string();
        assert!(message.contains(words), "{text}: {message}");
    }
    assert!(PRESETS.iter().all(|(name, _)| Augment::preset(name).is_some_and(|preset| preset.check().is_ok())));
}
