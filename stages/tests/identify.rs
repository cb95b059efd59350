//! Which part is it? Codes drawn by a writer into noisy pictures, turned, blurred and faint, read by the stage; what hostile codes do; and that
//! nothing of it costs a part its verdict. `reading_rates` prints the table of docs/IDENTITY.md.
#![allow(clippy::print_stdout)] // rates and times are what this is read for

mod line_support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use line_support::*;
use models::image::PixelFormat;
use models::preprocess::Preprocess;
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rxing::common::BitMatrix;
use rxing::{BarcodeFormat, MultiFormatWriter, Writer};
use stages::capture::{Event, Pace, Trigger};
use stages::frame::{Content, Frame};
use stages::identify::code::{Code, Format, Found, Grey, find};
use stages::identify::{Identification, Identify};
use stages::inspection::{Identity, IdentityState};
use stages::line::{Limits, standard};
use stages::part::Part;
use stages::recipe::{Recipe, RecipeInForce};
use stages::recycle::Buffers;
use stages::stage::{Flow, StageFactory};
use stages::verdict::Verdict;

/// How a code is drawn.
#[derive(Clone, Copy)]
struct Drawn {
    size: (u32, u32),
    module_px: f64,
    /// Turned by up to so many degrees either way.
    angle: f64,
    /// Standard deviation of the blur, modules.
    blur: f64,
    /// Between dark and bright, grey levels.
    contrast: f64,
    /// Standard deviation, grey levels.
    noise: f64,
}

const PLAIN: Drawn = Drawn { size: (640, 480), module_px: 5.0, angle: 0.0, blur: 0.0, contrast: 150.0, noise: 3.0 };

fn matrix(text: &str, format: BarcodeFormat) -> BitMatrix {
    MultiFormatWriter.encode(text, &format, 0, 0).expect("it can be written")
}

fn draw(code: &BitMatrix, linear: bool, how: Drawn, seed: u64) -> Grey {
    let mut random = SmallRng::seed_from_u64(seed);
    let (width, height) = how.size;
    let (columns, rows) = (f64::from(code.width()), if linear { 30.0 } else { f64::from(code.height()) });
    let quiet = if linear { 10.0 } else { 4.0 };
    let angle = random.random_range(-1.0..=1.0) * how.angle.to_radians();
    let (sin, cos) = angle.sin_cos();
    let room = |pixels: u32| f64::from(pixels) * 0.5;
    let centre = (room(width) + random.random_range(-20.0..20.0), room(height) + random.random_range(-20.0..20.0));
    let (dark, bright) = (128.0 - how.contrast / 2.0, 128.0 + how.contrast / 2.0);
    let at = |x: f64, y: f64| {
        let (dx, dy) = ((x - centre.0) / how.module_px, (y - centre.1) / how.module_px);
        let (u, v) = (dx * cos + dy * sin + columns / 2.0, dy * cos - dx * sin + rows / 2.0);
        if u < -quiet || v < -quiet || u > columns + quiet || v > rows + quiet {
            // Brushed metal.
            return 110.0 + 12.0 * (y * 0.9).sin() + 6.0 * (x * 0.07 + y * 0.31).sin();
        }
        let inside = (0.0..columns).contains(&u) && (0.0..rows).contains(&v);
        let row = if linear { 0 } else { v as u32 };
        if inside && code.get(u as u32, row) { dark } else { bright }
    };
    let mut picture: Vec<f64> = Vec::with_capacity((width * height) as usize);
    for y in 0..height {
        for x in 0..width {
            let quarter = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)];
            let sum: f64 = quarter.iter().map(|(dx, dy)| at(f64::from(x) + dx, f64::from(y) + dy)).sum();
            picture.push(sum / 4.0);
        }
    }
    // Three boxes one after the other are nearly a Gaussian.
    let radius = (how.blur * how.module_px).round() as usize;
    for _ in 0..if radius > 0 { 3 } else { 0 } {
        picture = boxed(&boxed(&picture, width as usize, radius, true), width as usize, radius, false);
    }
    let noisy = |level: f64, random: &mut SmallRng| {
        let noise: f64 = (0..6).map(|_| random.random_range(-1.0..1.0)).sum::<f64>() / 2.0_f64.sqrt();
        (level + noise * how.noise).round().clamp(0.0, 255.0) as u8
    };
    let data = picture.into_iter().map(|level| noisy(level, &mut random)).collect();
    Grey { width, height, data }
}

fn boxed(picture: &[f64], width: usize, radius: usize, across: bool) -> Vec<f64> {
    let height = picture.len() / width;
    let place = |line: usize, at: usize| if across { line * width + at } else { at * width + line };
    let (lines, length) = if across { (height, width) } else { (width, height) };
    let mut out = vec![0.0; picture.len()];
    for line in 0..lines {
        for at in 0..length {
            let (from, to) = (at.saturating_sub(radius), (at + radius).min(length - 1));
            let sum: f64 = (from..=to).map(|other| picture[place(line, other)]).sum();
            out[place(line, at)] = sum / (to - from + 1) as f64;
        }
    }
    out
}

const KINDS: [(Format, BarcodeFormat, bool); 3] = [
    (Format::DataMatrix, BarcodeFormat::DATA_MATRIX, false),
    (Format::Qr, BarcodeFormat::QR_CODE, false),
    (Format::Code128, BarcodeFormat::CODE_128, true),
];

/// `INSPECTD_CODES=200` draws so many pictures for each figure.
#[test]
fn reading_rates() {
    let parts: u64 = std::env::var("INSPECTD_CODES").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let module = |kind: Format, how: Drawn| match kind {
        // A bar code of ten characters has to fit across.
        Format::Code128 => Drawn { module_px: how.module_px * 0.6, ..how },
        _ => how,
    };
    let conditions = [
        ("upright", PLAIN),
        ("small: 2.5 px a module (1.5 bar codes)", Drawn { module_px: 2.5, ..PLAIN }),
        ("turned by up to 10 degrees", Drawn { angle: 10.0, ..PLAIN }),
        ("turned by any angle", Drawn { angle: 180.0, ..PLAIN }),
        ("blurred by 0.4 modules", Drawn { blur: 0.4, ..PLAIN }),
        ("blurred by 0.8 modules", Drawn { blur: 0.8, ..PLAIN }),
        ("contrast 30 grey levels, noise 3", Drawn { contrast: 30.0, ..PLAIN }),
        ("contrast 15 grey levels, noise 3", Drawn { contrast: 15.0, ..PLAIN }),
        ("contrast 60, noise 15", Drawn { contrast: 60.0, noise: 15.0, ..PLAIN }),
        ("2448 x 2048, turned by up to 10 degrees", Drawn { size: (2448, 2048), module_px: 8.0, angle: 10.0, ..PLAIN }),
        ("no code, 640 x 480", Drawn { contrast: 0.0, ..PLAIN }),
        ("no code, 2448 x 2048", Drawn { size: (2448, 2048), contrast: 0.0, ..PLAIN }),
    ];
    println!("| {:<40} | data_matrix | qr | code128 |", "read %, median and longest ms");
    for (name, how) in conditions {
        let mut line = format!("| {name:<40} |");
        for (kind, theirs, linear) in KINDS {
            let (mut read, mut times) = (0, Vec::new());
            // Big pictures are dear to draw.
            let parts = if how.size.0 > 1000 { parts.div_ceil(4) } else { parts };
            for part in 0..parts {
                let text = format!("SN{:08}", part * 7919 + 13);
                let picture = draw(&matrix(&text, theirs), linear, module(kind, how), part);
                let began = Instant::now();
                let found = find(&picture, &[kind], began + Duration::from_secs(30));
                times.push(began.elapsed().as_secs_f64() * 1e3);
                if let Found::Code(Code { text: said, format }) = found {
                    assert_eq!((said, format), (text, kind), "a wrong serial number is worse than none: {name}");
                    read += 1;
                }
            }
            times.sort_by(f64::total_cmp);
            let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
            line += &format!(" {:.0} %, {median:.0}, {longest:.0} |", 100.0 * f64::from(read) / parts as f64);
            if name == "upright" {
                assert_eq!(u64::from(read as u32), parts, "{kind:?} upright");
            }
        }
        println!("{line}");
    }
}

fn in_force(identity: &str, deadline_ms: u32) -> Arc<RecipeInForce> {
    let identity: Identification = toml::from_str(identity).expect("readable");
    let recipe = Recipe { identity, ..recipe(deadline_ms).recipe.clone() };
    let model = Arc::new(FakeModel::new(Preprocess::imagenet(32)));
    Arc::new(RecipeInForce::new(recipe, model).expect("a sound recipe"))
}

fn frame(picture: &Grey, name: &str) -> Frame {
    let (width, height) = (picture.width, picture.height);
    let content = Content::Pixels { width, height, format: PixelFormat::Mono8 };
    Frame::from_vec(content, picture.data.clone(), 0, Some(name.into()))
}

/// What the stage makes of one picture.
fn identified(picture: &Grey, identity: &str) -> (Option<Arc<str>>, Identity) {
    let mut stage = Identify { workers: 1 }.build();
    let part = Part::new(1, frame(picture, "x.png"), in_force(identity, 60_000), Buffers::new(1));
    let Flow::Next(part) = stage.process(part) else { panic!("it never decides") };
    (part.serial, part.identity.expect("always told"))
}

const PATIENT: &str = "from = 'code'\nbudget_ms = 5000\n";

#[test]
fn a_pattern_takes_the_serial_out_of_a_code_and_the_rectangle_counts() {
    let picture = draw(&matrix("P/N 4711;S/N AX0042;2026", BarcodeFormat::QR_CODE), false, PLAIN, 1);
    let (serial, identity) = identified(&picture, PATIENT);
    assert_eq!((serial, identity.state), (None, IdentityState::Unread), "a semicolon is no part of a serial number");
    let (serial, identity) = identified(&picture, &format!("{PATIENT}pattern = 'S/N (?<serial>[A-Z0-9]+)'"));
    assert_eq!((serial.as_deref(), identity.format), (Some("AX0042"), Some(Format::Qr)));
    let (serial, identity) = identified(&picture, &format!("{PATIENT}region = [0, 0, 100, 100]"));
    assert_eq!((serial, identity.detail.as_deref()), (None, Some("no code was found")));
    let (_, identity) = identified(&picture, &format!("{PATIENT}region = [600, 0, 100, 100]"));
    assert!(identity.detail.expect("why").contains("the picture has 640 x 480 pixels"));
    let (serial, _) = identified(&picture, &format!("{PATIENT}formats = ['data_matrix', 'code128']"));
    assert_eq!(serial, None, "another kind is not read");
}

#[test]
fn hostile_codes_leave_a_part_without_a_serial_and_their_text_goes_nowhere() {
    let long = "A1".repeat(1500);
    for text in [
        "<script>alert(1)</script>",
        "=cmd|' /C calc'!A0",
        "A\nB",
        "A\u{202e}17",
        "../../etc/passwd",
        "\u{0}\u{1}\u{2}\u{1b}[2J\u{7f}",
        &long,
    ] {
        let size = if text.len() > 1000 { (900, 900) } else { PLAIN.size };
        let picture = draw(&matrix(text, BarcodeFormat::QR_CODE), false, Drawn { size, ..PLAIN }, 1);
        let (serial, identity) = identified(&picture, PATIENT);
        assert_eq!((serial, identity.state), (None, IdentityState::Unread), "{text:?}");
        let words = identity.detail.expect("why");
        assert!(words.starts_with("a code (qr) was read, but it is no serial number"), "{text:?}: {words}");
        assert!(
            words.len() < 200 && words.chars().all(|c| (' '..='~').contains(&c)) && !words.contains("alert"),
            "{words}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn whatever_a_code_says_it_is_a_clean_serial_or_none(text in "(.|\n){1,60}", seed in any::<u64>()) {
        let how = Drawn { module_px: 3.0, size: (320, 320), ..PLAIN };
        let (serial, identity) = identified(&draw(&matrix(&text, BarcodeFormat::QR_CODE), false, how, seed), PATIENT);
        prop_assert_eq!(serial.is_some(), identity.state == IdentityState::Read);
        if let Some(serial) = serial {
            prop_assert_eq!(stages::identify::serial::clean(&serial), Ok(serial.clone()));
        }
    }

    #[test]
    fn noise_is_no_code_and_no_panic(width in 1_u32..200, height in 1_u32..200, seed in any::<u64>()) {
        let mut random = SmallRng::seed_from_u64(seed);
        let data = (0..width * height).map(|_| if random.random_bool(0.5) { 255 } else { 0 }).collect();
        let (serial, identity) = identified(&Grey { width, height, data }, PATIENT);
        prop_assert_eq!(serial.is_some(), identity.state == IdentityState::Read);
    }
}

/// A line of every stage whose parts have these pictures.
fn line_of(identity: &str, deadline_ms: u32, pictures: Vec<(Grey, &'static str)>) -> Rig {
    let mut pictures = pictures.into_iter();
    let source = source(Pace::OnDemand, move |_| {
        let Some((picture, name)) = pictures.next() else { return Ok(Event::End) };
        let frame = Ok(frame(&picture, name));
        Ok(Event::Trigger(Trigger { at: Instant::now(), serial: None, frame, truth: None, call: None }))
    });
    let limits = Limits { workers: 1, hang_ms: 20_000, ..Limits::default() };
    let chain = standard(&limits);
    Setup { recipe: in_force(identity, deadline_ms), limits, ..Setup::default() }.start(source, chain)
}

#[test]
fn an_unread_code_never_changes_the_verdict_unless_the_recipe_requires_one() {
    let code = draw(&matrix("A17", BarcodeFormat::DATA_MATRIX), false, PLAIN, 1);
    let none = draw(&matrix("A17", BarcodeFormat::DATA_MATRIX), false, Drawn { contrast: 0.0, ..PLAIN }, 1);
    for (more, verdict) in [("", Verdict::Pass), ("required = true", Verdict::Review)] {
        let rig = line_of(&format!("{PATIENT}{more}"), 60_000, vec![(code.clone(), "1"), (none.clone(), "2")]);
        assert!(rig.line.wait(Duration::from_secs(60)));
        let parts = rig.memory.recorded();
        assert_eq!((parts[0].serial.as_deref(), parts[0].verdict), (Some("A17"), Verdict::Pass));
        assert_eq!(parts[0].identity.as_ref().map(|identity| identity.format), Some(Some(Format::DataMatrix)));
        assert_eq!((parts[1].serial.as_deref(), parts[1].verdict), (None, verdict), "{more}");
        assert_eq!(parts[1].identity.as_ref().map(|identity| identity.state), Some(IdentityState::Unread));
        assert!(rig.line.drain().obey_the_law());
    }
}

#[test]
fn a_hard_picture_does_not_cost_a_part_its_deadline() {
    // 5 Mpx of noise keep the reader busy for far longer than the part has.
    let mut random = SmallRng::seed_from_u64(3);
    let data = (0..2448 * 2048).map(|_| if random.random_bool(0.5) { 200 } else { 40 }).collect();
    let picture = Grey { width: 2448, height: 2048, data };
    let rig = line_of("from = 'code'\nbudget_ms = 5000", 1500, vec![(picture.clone(), "1"), (picture, "2")]);
    assert!(rig.line.wait(Duration::from_secs(60)));
    for part in rig.memory.recorded() {
        println!("{:?} after {} us: {:?}", part.verdict, part.ledger.total_us, part.identity);
        assert_eq!(part.verdict, Verdict::Pass, "{part:?}");
    }
    assert!(rig.line.drain().obey_the_law());
}

#[test]
fn a_file_name_gives_the_serial_and_a_late_part_keeps_it() {
    let picture = draw(&matrix("A17", BarcodeFormat::DATA_MATRIX), false, PLAIN, 1);
    let identity = "from = 'name'\npattern = '^(?<serial>[A-Z0-9]+)_'";
    let names = ["/in/B7_top.png", "/in/\n_top.png"];
    let rig = line_of(identity, 1, names.map(|name| (picture.clone(), name)).into());
    assert!(rig.line.wait(Duration::from_secs(60)));
    let parts = rig.memory.recorded();
    assert_eq!(parts[0].serial.as_deref(), Some("B7"), "whatever its verdict: {:?}", parts[0].verdict);
    let identity = parts[1].identity.as_ref().expect("told");
    assert_eq!((parts[1].serial.as_deref(), identity.state), (None, IdentityState::Unread));
    rig.line.drain();
}
