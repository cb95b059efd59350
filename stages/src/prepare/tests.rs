//! Known poses are found again, lenses are made straight, and whatever a camera may send is answered in words.

use std::f64::consts::PI;
use std::path::{Path, PathBuf};

use models::image::{Image, ImageView, PixelFormat, encode_png};
use proptest::prelude::*;

use super::affine::wrapped;
use super::board::{Board, BoardError, calibrate};
use super::*;
use crate::capture::synthetic::pin::{self, Lie, draw_lying};

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

/// A bent lens over a board: 9 x 6 corners, 5 mm squares.
struct Scene {
    camera: [f64; 4],
    k: [f64; 2],
    size: [u32; 2],
}

const BOARD: Board = Board { columns: 9, rows: 6, square_mm: 5.0 };

impl Scene {
    fn new() -> Scene {
        Scene { camera: [620.0, 620.0, 322.0, 236.0], k: [-0.22, 0.06], size: [640, 480] }
    }

    /// Where a place would be seen without the lens's bend.
    fn straight(&self, [u, v]: [f64; 2]) -> [f64; 2] {
        let [fx, fy, cx, cy] = self.camera;
        let (xd, yd) = ((u - cx) / fx, (v - cy) / fy);
        let (mut x, mut y) = (xd, yd);
        for _ in 0..20 {
            let r2 = x * x + y * y;
            let bend = 1.0 + r2 * (self.k[0] + r2 * self.k[1]);
            (x, y) = (xd / bend, yd / bend);
        }
        [x * fx + cx, y * fy + cy]
    }

    /// The picture of a board that is turned (radians about x, y, z) and shifted (millimetres).
    fn picture(&self, turn: [f64; 3], shift: [f64; 3]) -> Image {
        let [fx, fy, cx, cy] = self.camera;
        let axes = axes(turn);
        let sample = |u: f64, v: f64| {
            let [u, v] = self.straight([u, v]);
            let (x, y) = ((u - cx) / fx, (v - cy) / fy);
            // The ray meets the plane through `shift` along the board's own axes.
            let ray = [x, y, 1.0];
            let dot = |a: &[f64; 3], b: &[f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let far = dot(&axes[2], &shift) / dot(&axes[2], &ray);
            let on = [0, 1, 2].map(|at| far * ray[at] - shift[at]);
            let (a, b) = (dot(&axes[0], &on) / BOARD.square_mm, dot(&axes[1], &on) / BOARD.square_mm);
            let board = (-1.0..9.0).contains(&a) && (-1.0..6.0).contains(&b);
            if board && (a.floor() + b.floor()).rem_euclid(2.0) < 0.5 { 30.0 } else { 220.0 }
        };
        let [width, height] = self.size;
        let steps = [-0.33, 0.0, 0.33];
        let pixel = |x: u32, y: u32| {
            let sum: f64 = steps
                .iter()
                .flat_map(|dx| steps.iter().map(move |dy| (dx, dy)))
                .map(|(dx, dy)| sample(f64::from(x) + dx, f64::from(y) + dy))
                .sum();
            (sum / 9.0) as u8
        };
        let data = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| pixel(x, y)).collect();
        Image { width, height, format: PixelFormat::Mono8, data }
    }

    fn pictures(&self) -> Vec<(String, Image)> {
        // The first lies where parts lie: straight below the camera, 120 mm away.
        let lies: [([f64; 3], [f64; 3]); 9] = [
            ([0.0, 0.0, 0.0], [-20.0, -12.5, 120.0]),
            ([0.5, 0.0, 0.0], [-40.0, -30.0, 130.0]),
            ([-0.5, 0.1, 0.1], [-5.0, -30.0, 130.0]),
            ([0.0, 0.5, 0.0], [-40.0, 5.0, 140.0]),
            ([0.1, -0.5, -0.1], [-10.0, 8.0, 120.0]),
            ([0.3, 0.3, 0.6], [-10.0, -25.0, 110.0]),
            ([-0.3, 0.3, -0.5], [-25.0, 0.0, 115.0]),
            ([0.4, -0.3, 0.0], [-20.0, -10.0, 90.0]),
            ([-0.4, -0.2, 0.2], [-18.0, -14.0, 95.0]),
        ];
        (0..).zip(lies).map(|(at, (turn, shift))| (format!("{at}.png"), self.picture(turn, shift))).collect()
    }
}

fn axes([a, b, c]: [f64; 3]) -> [[f64; 3]; 3] {
    let turned = |v: [f64; 3]| {
        let v = [v[0], a.cos() * v[1] - a.sin() * v[2], a.sin() * v[1] + a.cos() * v[2]];
        let v = [b.cos() * v[0] + b.sin() * v[2], v[1], b.cos() * v[2] - b.sin() * v[0]];
        [c.cos() * v[0] - c.sin() * v[1], c.sin() * v[0] + c.cos() * v[1], v[2]]
    };
    [turned([1.0, 0.0, 0.0]), turned([0.0, 1.0, 0.0]), turned([0.0, 0.0, 1.0])]
}

#[test]
fn a_bent_lens_is_measured_and_made_straight() {
    let scene = Scene::new();
    let pictures = scene.pictures();
    let made = calibrate(&pictures, BOARD, 0).expect("a calibration");
    let calibration = &made.calibration;
    assert!(calibration.quality.reprojection_px < 0.2, "{calibration:?}");
    assert!((calibration.camera[0] / scene.camera[0] - 1.0).abs() < 0.02, "{calibration:?}");
    assert!((calibration.distortion[0] - scene.k[0]).abs() < 0.03, "{calibration:?}");
    // 120 mm away, 620 pixels of focal length.
    assert!((calibration.plane.mm_per_pixel / (120.0 / 620.0) - 1.0).abs() < 0.01, "{calibration:?}");

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cam.json");
    std::fs::write(&path, serde_json::to_string(calibration).expect("JSON")).expect("a file");
    let mut recipe = recipe("calibration = \"cam.json\"\n");
    recipe.relative_to(folder.path());
    let preparation = load(&recipe).expect("sound");
    // Lines that are straight after the lens are straight in the world: judged by the true lens, without a corner finder's noise.
    let [width, height] = scene.size.map(f64::from);
    let across = |y: f64| (0..=20).map(|at| [width * (0.1 + 0.04 * f64::from(at)), y]).collect::<Vec<_>>();
    let down = |x: f64| (0..=20).map(|at| [x, height * (0.1 + 0.04 * f64::from(at))]).collect::<Vec<_>>();
    let lines = [0.1, 0.3, 0.5, 0.7, 0.9].map(|share| [across(height * share), down(width * share)]).concat();
    for (from, lens, most) in [("calibrated", true, 0.3), ("as captured", false, f64::INFINITY)] {
        let captured = |&at: &[f64; 2]| if lens { calibration.captured(at) } else { at };
        let bend =
            |line: &Vec<[f64; 2]>| off_line(&line.iter().map(|at| scene.straight(captured(at))).collect::<Vec<_>>());
        let worst = lines.iter().map(bend).fold(0.0, f64::max);
        assert!(worst < most && (lens || worst > 3.0), "{from}: lines bend by {worst} pixels");
    }

    // The pixels: what the true lens took, made straight, is what a lens without a bend takes.
    let truth = Calibration {
        camera: scene.camera,
        distortion: [scene.k[0], scene.k[1], 0.0, 0.0, 0.0],
        ..calibration.clone()
    };
    std::fs::write(&path, serde_json::to_string(&truth).expect("JSON")).expect("a file");
    let exact = load(&recipe).expect("sound");
    let ideal = Scene { k: [0.0; 2], ..Scene::new() };
    let mut scratch = Scratch::default();
    let mut out = Image::empty();
    let apart = |a: &Image, b: &Image| {
        let differences = a.data.iter().zip(&b.data).map(|(a, b)| u64::from(a.abs_diff(*b)));
        differences.sum::<u64>() as f64 / a.data.len() as f64
    };
    let (turn, shift) = ([0.5, 0.0, 0.0], [-40.0, -30.0, 130.0]);
    let (bent, wanted) = (scene.picture(turn, shift), ideal.picture(turn, shift));
    exact.apply(bent.view(), &mut scratch, &mut out).expect("the calibrated size");
    let (before, after) = (apart(&bent, &wanted), apart(&out, &wanted));
    assert!(after < 0.2 * before, "grey levels off by {before}, made straight by {after}");
    let pose = preparation.apply(bent.view(), &mut scratch, &mut out).expect("the calibrated size");
    assert_eq!(pose.mm_per_pixel, Some(calibration.plane.mm_per_pixel));
    let refusal = preparation.apply(blank(64, 48, 3).view(), &mut scratch, &mut out).expect_err("another size");
    assert_eq!(refusal.cause, Cause::WrongSize);
}

/// The largest distance of points from the line through the first and the last.
fn off_line(points: &[[f64; 2]]) -> f64 {
    let ([ax, ay], [bx, by]) = (points[0], points[points.len() - 1]);
    let length = (bx - ax).hypot(by - ay);
    points.iter().map(|[x, y]| (((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / length).abs()).fold(0.0, f64::max)
}

#[test]
fn boards_that_say_little_are_warned_of_and_bad_ones_refused() {
    let scene = Scene::new();
    let flat = scene.picture([0.0; 3], [-20.0, -12.5, 120.0]);
    let pictures: Vec<(String, Image)> = ["a", "b", "c"].map(|name| (name.to_owned(), flat.clone())).into();
    let words = calibrate(&pictures, BOARD, 0).expect("three boards").warnings.join("\n");
    for part in ["3 pictures only", "tilted against each other", "adds nothing"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let none = |pictures: &[(String, Image)], board, plane| calibrate(pictures, board, plane).expect_err("refused");
    assert!(matches!(none(&pictures[..2], BOARD, 0), BoardError::Few { found: 2, .. }));
    assert!(matches!(none(&[], BOARD, 0), BoardError::Few { found: 0, .. }));
    assert!(matches!(none(&pictures, Board { columns: 0, ..BOARD }, 0), BoardError::NoBoard { .. }));
    assert!(matches!(none(&pictures, Board { square_mm: f64::NAN, ..BOARD }, 0), BoardError::NoSquare(_)));
    let mut mixed = pictures.clone();
    mixed.push(("small".into(), blank(8, 8, 0)));
    assert!(matches!(none(&mixed, BOARD, 0), BoardError::Sizes { .. }));
    let mut hidden = pictures;
    hidden.insert(0, ("nothing".into(), blank(640, 480, 90)));
    assert!(matches!(none(&hidden, BOARD, 0), BoardError::NoPlane(name) if name == "nothing"));
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
