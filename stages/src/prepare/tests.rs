//! Known poses are found again, lenses are made straight, and whatever a camera may send is answered in words.

use std::f64::consts::PI;
use std::path::{Path, PathBuf};

use models::image::{Image, ImageView, PixelFormat, encode_png};
use proptest::prelude::*;

use super::affine::wrapped;
use super::*;
use crate::capture::synthetic::pin::{self, Lie, draw_lying};

mod bent;

fn recipe(extra: &str) -> Recipe {
    toml::from_str(&format!("name = \"pin\"\nversion = 1\ndeadline_ms = 100\n{extra}")).expect("a recipe")
}

fn load(recipe: &Recipe) -> Result<Preparation, String> {
    Preparation::load(recipe).map(|made| made.expect("it asks for something")).map_err(|all| all.join("; "))
}

fn outline(extra: &str) -> Preparation {
    load(&recipe(&format!("[align]\nmethod = \"outline\"\nsize = [224, 96]\n{extra}"))).expect("sound")
}

fn apply(preparation: &Preparation, image: &Image) -> Result<(Pose, Image), Refusal> {
    let mut out = Image::empty();
    let pose = preparation.apply(image.view(), &mut Scratch::default(), &mut out)?;
    assert!(out.view().is_consistent());
    assert_eq!([out.width, out.height], pose.size);
    Ok((pose, out))
}

fn refused(preparation: &Preparation, image: &Image) -> Refusal {
    apply(preparation, image).map(|(pose, _)| pose).expect_err("this picture must be refused")
}

/// A surface with structure at every scale, that no turn or shift maps onto itself.
fn texture(width: u32, height: u32) -> Image {
    let level = |x: f64, y: f64| {
        let waves = (x * 0.11 + (y * 0.023).sin() * 2.0).sin()
            + (y * 0.083 - x * 0.031).cos()
            + (x * 0.031 * (y * 0.011)).sin();
        let disc = f64::from(u8::from((x - 130.0).hypot(y - 90.0) < 38.0))
            - f64::from(u8::from((x - 230.0).hypot(y - 150.0) < 22.0));
        120.0 + 22.0 * waves + 45.0 * disc
    };
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let data = pixels.map(|(x, y)| level(f64::from(x), f64::from(y)).clamp(0.0, 255.0) as u8).collect();
    Image { width, height, format: PixelFormat::Mono8, data }
}

/// The picture that a camera takes when what it sees has been moved: `map` takes the old picture's places to the new one's.
fn moved(image: &Image, map: &Affine) -> Image {
    let mut out = Image::empty();
    let size = [image.width, image.height];
    let moved = pixels::with_mat(image.view(), |pixels| {
        pixels::fill(&mut out, size, image.format, |into| {
            let size = Size::new(size[0] as i32, size[1] as i32);
            let border = core::BORDER_REPLICATE;
            imgproc::warp_affine(pixels, into, &map.to_mat()?, size, imgproc::INTER_CUBIC, border, Scalar::default())
        })
    });
    moved.expect("OpenCV moves pictures");
    out
}

fn noisy(image: &Image, amount: f64, seed: u32) -> Image {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24) - 0.5
    };
    let mut out = image.clone();
    out.data
        .iter_mut()
        .for_each(|value| *value = (f64::from(*value) + 3.46 * amount * noise()).clamp(0.0, 255.0) as u8);
    out
}

fn save(folder: &Path, name: &str, image: &Image) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, encode_png(image.view()).expect("a picture")).expect("a file");
    path
}

fn by_reference(method: Method, extra: &str) -> (tempfile::TempDir, Preparation, Image) {
    let folder = tempfile::tempdir().expect("a folder");
    let image = texture(320, 240);
    save(folder.path(), "reference.png", &image);
    let method = if method == Method::Ecc { "ecc" } else { "template" };
    let mut recipe = recipe(&format!("[align]\nmethod = \"{method}\"\nreference = \"reference.png\"\n{extra}"));
    recipe.relative_to(folder.path());
    let preparation = load(&recipe).expect("sound");
    (folder, preparation, image)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    /// Wherever a pin lies, it comes to lie the same way: between pin and prepared picture there is always the same map. Both sides are
    /// measured on noisy pictures, whose rim is known to a pixel or so: of 190 lies one was 1.6 pixels off, the others less than 1.5.
    #[test]
    fn an_outline_is_found_at_every_angle(angle in -PI..PI, x in -45.0..45.0_f64, y in -45.0..45.0_f64, seed in 0..1000_u64) {
        let preparation = outline("");
        let middle = f64::from(pin::SIDE) / 2.0;
        let lie = |angle: f64, at: [f64; 2]| draw_lying(seed, Lie { at, angle });
        let straight = apply(&preparation, &lie(0.0, [middle; 2])).expect("aligned").0;
        let found = apply(&preparation, &lie(angle, [middle + x, middle + y])).expect("aligned").0;
        // Where the lie takes what is seen of the straight pin.
        let true_map = Affine::rigid(angle, [middle; 2], [middle + x, middle + y]).after(&Affine(straight.to_captured));
        let centre = [112.0, 48.0];
        let (is, should) = (Affine(found.to_captured).apply(centre), true_map.apply(centre));
        prop_assert!((is[0] - should[0]).hypot(is[1] - should[1]) < 2.5, "{:?} for {:?}", is, should);
        prop_assert!(wrapped(Affine(found.to_captured).angle() - true_map.angle()).to_degrees().abs() < 1.0);
    }

    #[test]
    fn a_reference_is_found_again(degrees in -14.0..14.0_f64, x in -20.0..20.0_f64, y in -20.0..20.0_f64, seed in 0..1000_u32, ecc in any::<bool>()) {
        let (_folder, preparation, image) = by_reference(if ecc { Method::Ecc } else { Method::Template }, "max_shift_px = 40");
        let centre = [159.5, 119.5];
        let map = Affine::rigid(degrees.to_radians(), centre, [centre[0] + x, centre[1] + y]);
        let (pose, _) = apply(&preparation, &noisy(&moved(&image, &map), 6.0, seed)).expect("aligned");
        let found = Affine(pose.to_captured).moved_origin(-0.5);
        for point in [[60.0, 60.0], [260.0, 60.0], [160.0, 190.0]] {
            let (is, should) = (found.apply(point), map.apply(point));
            prop_assert!((is[0] - should[0]).hypot(is[1] - should[1]) < 0.5, "ecc {}: {:?} for {:?}", ecc, is, should);
        }
        prop_assert!((found.angle().to_degrees() - degrees).abs() < 0.2, "ecc {}", ecc);
    }
}

#[test]
fn the_prepared_picture_shows_what_the_pose_says() {
    let preparation = outline("axis_deg = 30");
    let image = draw_lying(3, Lie { at: [150.0, 170.0], angle: 2.1 });
    let (pose, prepared) = apply(&preparation, &image).expect("aligned");
    let map = Affine(pose.to_captured).moved_origin(-0.5);
    let mut off = 0.0_f64;
    for (x, y) in [(100, 40), (112, 48), (120, 60)] {
        let [u, v] = map.apply([x as f64, y as f64]);
        let at = |u: f64, v: f64| f64::from(image.data[v as usize * 320 + u as usize]);
        let (fu, fv) = (u.fract(), v.fract());
        let expected = (1.0 - fv) * ((1.0 - fu) * at(u, v) + fu * at(u + 1.0, v))
            + fv * ((1.0 - fu) * at(u, v + 1.0) + fu * at(u + 1.0, v + 1.0));
        off = off.max((expected - f64::from(prepared.data[y * 224 + x])).abs());
    }
    assert!(off < 4.0, "{off}");
}

#[test]
fn a_part_of_three_deviations_is_found() {
    let mut image = Image { width: 400, height: 300, format: PixelFormat::Mono8, data: vec![100; 120_000] };
    for y in 130..170 {
        for x in 120..(if y < 150 { 280 } else { 220 }) {
            image.data[y * 400 + x] = 130;
        }
    }
    let preparation = outline("");
    let clean = apply(&preparation, &image).expect("aligned").0;
    for seed in 0..5 {
        let found = apply(&preparation, &noisy(&image, 10.0, seed)).expect("three deviations are enough").0;
        let (is, should) = (Affine(found.to_captured), Affine(clean.to_captured));
        let ([a, b], [c, d]) = (is.apply([112.0, 48.0]), should.apply([112.0, 48.0]));
        assert!((a - c).hypot(b - d) < 1.5, "{a} {b} for {c} {d}");
        assert!(wrapped(is.angle() - should.angle()).to_degrees().abs() < 1.5);
    }
}

#[test]
fn colour_is_aligned_as_grey_is() {
    let grey = draw_lying(5, Lie { at: [170.0, 150.0], angle: -1.0 });
    let data = grey.data.iter().flat_map(|&value| [value; 3]).collect();
    let colour = Image { format: PixelFormat::Rgb8, data, ..grey.clone() };
    let preparation = outline("");
    let ((one, small), (other, coloured)) =
        (apply(&preparation, &grey).expect("grey"), apply(&preparation, &colour).expect("colour"));
    assert!(one.to_captured.iter().zip(other.to_captured).all(|(a, b)| (a - b).abs() < 0.05));
    assert_eq!(small.data.len() * 3, coloured.data.len());
}

#[test]
fn masks_are_painted_after_the_part_is_laid() {
    let text = "[align]\nmethod = \"outline\"\nsize = [224, 96]\n[[mask]]\nrectangle = [10, 20, 30, 40]\n";
    let preparation = load(&recipe(text)).expect("sound");
    let image = draw_lying(5, Lie { at: [170.0, 150.0], angle: 0.4 });
    let ((_, masked), (_, plain)) =
        (apply(&preparation, &image).expect("aligned"), apply(&outline(""), &image).expect("aligned"));
    for (at, (&with, &without)) in masked.data.iter().zip(&plain.data).enumerate() {
        let inside = (10..40).contains(&(at % 224)) && (20..60).contains(&(at / 224));
        assert_eq!(with, if inside { NEUTRAL } else { without }, "{at}");
    }
    let only = load(&recipe("[[mask]]\npolygon = [[0, 0], [9, 0], [0, 9]]\n")).expect("masks alone are enough");
    let (pose, painted) = apply(&only, &image).expect("nothing can go wrong");
    assert_eq!(pose.to_captured, Affine::IDENTITY.0);
    assert_eq!((painted.data[0], painted.data[20]), (NEUTRAL, image.data[20]));
}

fn blank(width: u32, height: u32, value: u8) -> Image {
    Image { width, height, format: PixelFormat::Mono8, data: vec![value; (width * height) as usize] }
}

fn boxes(boxes: &[[usize; 4]]) -> Image {
    let mut image = blank(300, 200, 60);
    for &[left, top, right, bottom] in boxes {
        (top..bottom).for_each(|y| image.data[y * 300 + left..y * 300 + right].fill(180));
    }
    noisy(&image, 3.0, 1)
}

#[test]
fn what_has_no_outline_is_refused_in_words() {
    let preparation = outline("");
    for (image, words) in [
        (blank(1, 1, 9), "too small"),
        (blank(1, 400, 9), "too small"),
        (blank(640, 480, 0), "nothing in the picture stands out"),
        (noisy(&blank(640, 480, 128), 20.0, 4), "nothing in the picture stands out"),
        (boxes(&[[0, 80, 120, 110]]), "reaches the picture's edge"),
        (boxes(&[[40, 40, 120, 60], [150, 140, 240, 160]]), "two parts"),
        (boxes(&[[100, 80, 200, 110]]), "equally thick"),
        (boxes(&[[100, 60, 160, 120]]), "round"),
        (boxes(&[[100, 80, 104, 90]]), "nothing in the picture stands out"),
    ] {
        let refusal = refused(&preparation, &image);
        assert_eq!(refusal.cause, Cause::NotAligned);
        assert!(refusal.detail.contains(words), "{words}: {}", refusal.detail);
    }
    let wide = boxes(&[[40, 80, 140, 110], [40, 80, 70, 140]]);
    for (extra, words) in [
        ("max_shift_px = 10", "from the picture's middle, the recipe allows 10"),
        ("max_angle_deg = 20", "the recipe allows 20"),
        ("least_score = 500", "the recipe asks for 500"),
    ] {
        let refusal = refused(&outline(extra), &wide);
        assert!(refusal.detail.contains(words), "{words}: {}", refusal.detail);
    }
    assert!(apply(&outline("direction = \"none\""), &boxes(&[[100, 60, 160, 120]])).is_ok());
    assert!(apply(&outline("direction = \"either\""), &boxes(&[[100, 80, 200, 110]])).is_ok());
    assert!(apply(&outline("take = \"all\""), &boxes(&[[40, 40, 120, 60], [150, 140, 240, 190]])).is_ok());
}

#[test]
fn what_is_not_like_the_reference_is_refused_in_words() {
    for method in [Method::Template, Method::Ecc] {
        let (_folder, preparation, image) =
            by_reference(method, "max_shift_px = 20\nmax_angle_deg = 5\nleast_score = 0.7");
        let centre = [159.5, 119.5];
        let far = moved(&image, &Affine::rigid(0.0, centre, [centre[0] + 21.5, centre[1]]));
        for (image, cause, words) in [
            (blank(1, 1, 9), Cause::WrongSize, "the recipe's reference is 320 x 240"),
            (blank(320, 240, 77), Cause::NotAligned, "of one grey"),
            (noisy(&blank(320, 240, 128), 30.0, 3), Cause::NotAligned, "like the reference"),
            (far, Cause::NotAligned, "moved by"),
        ] {
            let refusal = refused(&preparation, &image);
            assert_eq!(refusal.cause, cause, "{method:?} {words}: {}", refusal.detail);
            assert!(refusal.detail.contains(words), "{method:?} {words}: {}", refusal.detail);
        }
        let half = ImageView { data: &image.data[1..], ..image.view() };
        let refusal =
            preparation.apply(half, &mut Scratch::default(), &mut Image::empty()).expect_err("half a picture");
        assert_eq!(refusal.cause, Cause::StageFailed);
    }
}

#[test]
fn broken_settings_and_files_are_told_before_any_part() {
    let folder = tempfile::tempdir().expect("a folder");
    save(folder.path(), "grey.png", &blank(320, 240, 90));
    save(folder.path(), "tiny.png", &blank(4, 4, 90));
    std::fs::write(folder.path().join("broken.json"), "{\"format\": 1}").expect("a file");
    std::fs::write(folder.path().join("text.png"), "no picture").expect("a file");
    for (text, words) in [
        ("[align]\nmethod = \"outline\"\n", "`align.size` is missing"),
        ("[align]\nmethod = \"ecc\"\n", "`align.reference` is missing"),
        ("[align]\nmethod = \"ecc\"\nreference = \"grey.png\"\nsize = [9, 9]\n", "`align.size` means nothing to `ecc`"),
        ("[align]\nmethod = \"outline\"\nsize = [0, 9]\n", "between 8 and"),
        ("[align]\nmethod = \"outline\"\nsize = [90, 90]\nmax_angle_deg = 190\n", "between 0 and 180"),
        ("[align]\nmethod = \"outline\"\nsize = [90, 90]\nmin_area = 0\n", "is a share"),
        ("[align]\nmethod = \"template\"\nreference = \"gone.png\"\n", "cannot be read"),
        ("[align]\nmethod = \"template\"\nreference = \"text.png\"\n", "no picture to align by"),
        ("[align]\nmethod = \"template\"\nreference = \"grey.png\"\n", "of one grey"),
        ("[align]\nmethod = \"template\"\nreference = \"tiny.png\"\n", "too few to compare"),
        (
            "[align]\nmethod = \"ecc\"\nreference = \"grey.png\"\nregion = [300, 0, 50, 50]\n",
            "reaches beyond the reference",
        ),
        (
            "[align]\nmethod = \"ecc\"\nreference = \"grey.png\"\nregion = [4294967295, 0, 50, 50]\n",
            "reaches beyond the reference",
        ),
        (
            "[align]\nmethod = \"outline\"\nsize = [90, 90]\n[[mask]]\nrectangle = [91, 0, 5, 5]\n",
            "lies outside of the prepared picture",
        ),
        ("[[mask]]\n", "`mask` number 1 has no shape"),
        ("calibration = \"gone.json\"\n", "cannot be read"),
        ("calibration = \"broken.json\"\n", "is no calibration of this program"),
    ] {
        let mut recipe = recipe(text);
        recipe.relative_to(folder.path());
        let said = load(&recipe).expect_err("refused");
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn the_digest_follows_what_moves_pixels_and_nothing_else() {
    let digest = |text: &str| load(&recipe(text)).expect("sound").digest().to_owned();
    let base = digest("[align]\nmethod = \"outline\"\nsize = [90, 90]\n");
    assert_eq!(base, digest("[align]\nmethod = \"outline\"\nsize = [90, 90]\nmax_shift_px = 4\nleast_score = 9\n"));
    assert_ne!(base, digest("[align]\nmethod = \"outline\"\nsize = [90, 91]\n"));
    assert_ne!(base, digest("[align]\nmethod = \"outline\"\nsize = [90, 90]\n[[mask]]\nrectangle = [1, 0, 5, 5]\n"));
    assert!(Preparation::load(&recipe("")).expect("nothing is wrong").is_none());
}

/// `cargo nextest run --workspace --run-ignored only --no-capture -E 'test(what_each_method_costs)'`
#[test]
#[ignore = "prints timings, which a loaded machine falsifies"]
#[allow(clippy::print_stdout)] // a report for the person who runs it
fn what_each_method_costs() {
    crate::quality::one_thread_per_worker();
    let folder = tempfile::tempdir().expect("a folder");
    let image = texture(1920, 1200);
    save(folder.path(), "reference.png", &image);
    let calibration = lens::Calibration {
        format: lens::FORMAT,
        size: [1920, 1200],
        camera: [1800.0, 1800.0, 960.0, 600.0],
        distortion: [-0.2, 0.05, 0.0, 0.0, 0.0],
        plane: lens::Plane {
            picture: String::new(),
            mm_per_pixel: 0.1,
            mm_per_pixel_range: [0.1; 2],
            homography: [0.1, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 1.0],
        },
        quality: lens::Quality { pictures: 9, reprojection_px: 0.1, coverage: 1.0 },
    };
    std::fs::write(folder.path().join("cam.json"), serde_json::to_string(&calibration).expect("JSON")).expect("a file");
    let mut part = blank(1920, 1200, 60);
    (500..640).for_each(|y| part.data[y * 1920 + 600..y * 1920 + 1300].fill(180));
    (460..680).for_each(|y| part.data[y * 1920 + 600..y * 1920 + 700].fill(180));
    let part = noisy(&part, 3.0, 1);
    for (name, text, picture) in [
        ("masks alone", "[[mask]]\nrectangle = [10, 10, 300, 300]\n", &image),
        ("lens alone", "calibration = \"cam.json\"\n", &image),
        ("outline", "[align]\nmethod = \"outline\"\nsize = [960, 480]\n", &part),
        ("template", "[align]\nmethod = \"template\"\nreference = \"reference.png\"\n", &image),
        (
            "template, 180 degrees",
            "[align]\nmethod = \"template\"\nreference = \"reference.png\"\nmax_angle_deg = 180\n",
            &image,
        ),
        ("ecc", "[align]\nmethod = \"ecc\"\nreference = \"reference.png\"\n", &image),
    ] {
        let mut recipe = recipe(text);
        recipe.relative_to(folder.path());
        let preparation = load(&recipe).expect("sound");
        let picture = if name.starts_with("template") || name == "ecc" {
            moved(picture, &Affine::rigid(0.05, [960.0, 600.0], [975.0, 590.0]))
        } else {
            picture.clone()
        };
        let (mut scratch, mut out) = (Scratch::default(), Image::empty());
        let mut times: Vec<f64> = (0..9)
            .map(|_| {
                let start = std::time::Instant::now();
                preparation.apply(picture.view(), &mut scratch, &mut out).expect("prepared");
                start.elapsed().as_secs_f64() * 1000.0
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("{name}: {:.1} ms (median of 9, one thread, 1920 x 1200, grey)", times[4]);
    }
}
