//! A lens that bends, and drawn boards to measure it by.

use super::super::board::{Board, BoardError, calibrate};
use super::*;

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
