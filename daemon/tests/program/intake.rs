//! Pictures as a broken camera, a full disk or an enemy leaves them: cut off anywhere, far larger than their files, in colour models that
//! nobody asked for. None may pass, none may cost more than its verdict.

use std::fs;
use std::path::Path;

use models::image::{Image, ImageView, PixelFormat, encode_jpeg, encode_png};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::Value;

use crate::support::{output, text, tiny_bundle, words};

/// Of each format.
const CUTS: usize = 400;

fn inspect(bundle: &Path, folder: &Path) -> Vec<Value> {
    inspect_by(&["--bundle", text(bundle), text(folder)])
}

fn inspect_by(arguments: &[&str]) -> Vec<Value> {
    let (code, stdout, stderr) = words(&output(&[&["inspect", "--json"], arguments].concat()));
    assert!(code == 0 || code == 3, "{code}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

fn verdict(lines: &[Value], name: &str) -> String {
    let of = |line: &&Value| line["path"].as_str().is_some_and(|path| path.ends_with(name));
    lines
        .iter()
        .find(of)
        .and_then(|line| line["verdict"].as_str())
        .unwrap_or_else(|| panic!("no line of {name}"))
        .to_owned()
}

/// A picture around a grey level that no format makes small.
fn noisy(level: u8, side: u32) -> Image {
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        level - 8 + (state >> 28) as u8
    };
    Image {
        width: side,
        height: side,
        format: PixelFormat::Rgb8,
        data: (0..3 * side * side).map(|_| noise()).collect(),
    }
}

/// Black, and as good as nothing in its file.
fn black(side: u32) -> Vec<u8> {
    let data = vec![0; side as usize * side as usize * 3];
    encode_png(ImageView { width: side, height: side, format: PixelFormat::Rgb8, data: &data }).expect("encoded")
}

/// 24 bits a pixel, from the bottom up.
fn bmp(side: u32, rgb: &[u8]) -> Vec<u8> {
    let size = 54 + rgb.len() as u32;
    let mut bytes = b"BM".to_vec();
    for word in [size, 0, 54, 40, side, side] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    for word in [0, rgb.len() as u32, 2835, 2835, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    for row in rgb.chunks_exact(side as usize * 3).rev() {
        row.chunks_exact(3).for_each(|pixel| bytes.extend([pixel[2], pixel[1], pixel[0]]));
    }
    bytes
}

/// One strip of bytes, behind the directory.
fn tiff(side: u32, samples: u16, bits: u16, photometric: u32, strip: &[u8]) -> Vec<u8> {
    let (long, short) = (4_u16, 3_u16);
    // More than two short numbers do not fit into an entry: they stand behind the directory.
    let depths = 8 + 2 + 10 * 12 + 4;
    let at = depths + 2 * u32::from(samples);
    let place = if samples > 2 { depths } else { u32::from(bits) * (1 + 65536 * u32::from(samples - 1)) };
    let entries: [(u16, u16, u32, u32); 10] = [
        (256, long, 1, side),
        (257, long, 1, side),
        (258, short, u32::from(samples), place),
        (259, short, 1, 1),
        (262, short, 1, photometric),
        (273, long, 1, at),
        (277, short, 1, u32::from(samples)),
        (278, long, 1, side),
        (279, long, 1, strip.len() as u32),
        (284, short, 1, 1),
    ];
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    (0..samples).for_each(|_| bytes.extend(bits.to_le_bytes()));
    bytes.extend(strip);
    bytes
}

#[test]
fn no_file_that_was_cut_off_passes() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let image = noisy(40, 64);
    let whole = [
        ("jpg", encode_jpeg(image.view(), 90).expect("encoded")),
        ("png", encode_png(image.view()).expect("encoded")),
        ("bmp", bmp(64, &image.data)),
        ("tif", tiff(64, 3, 8, 2, &image.data)),
    ];
    let (sound, cut) = (dir.path().join("sound"), dir.path().join("cut"));
    fs::create_dir(&sound).expect("made");
    fs::create_dir(&cut).expect("made");
    for (ending, bytes) in &whole {
        assert!(bytes.len() > CUTS, "{ending}: {} bytes", bytes.len());
        fs::write(sound.join(format!("whole.{ending}")), bytes).expect("written");
        for nth in 0..CUTS {
            // The last bytes too: there it is hardest to see.
            let length =
                if nth < CUTS / 2 { nth * bytes.len() / (CUTS / 2) } else { bytes.len() - 1 - (nth - CUTS / 2) };
            fs::write(cut.join(format!("{nth}.{ending}")), &bytes[..length]).expect("written");
        }
    }
    let lines = inspect(&bundle, &sound);
    for (ending, _) in &whole {
        assert_eq!(verdict(&lines, &format!("whole.{ending}")), "pass", "{ending}");
    }
    let lines = inspect(&bundle, &cut);
    assert_eq!(lines.len(), CUTS * whole.len());
    let decided: Vec<&Value> = lines.iter().filter(|line| line["verdict"] != "no_decision").collect();
    assert!(
        decided.is_empty(),
        "{} of {} were decided: {:?}",
        decided.len(),
        lines.len(),
        &decided[..decided.len().min(3)]
    );
    println!("{} cut files of {} formats: 0 passed, 0 panics", lines.len(), whole.len());

    // Nor where the recipe allows to decode a fraction.
    let recipe = dir.path().join("reduced.toml");
    fs::write(
        &recipe,
        "name = \"r\"\nversion = 1\ndeadline_ms = 5000\n[quality]\nmin_deviation = 0.0\ndecode = \"reduced\"\n",
    )
    .expect("written");
    let by = ["--recipe", text(&recipe), "--bundle", text(&bundle)];
    let lines = inspect_by(&[&by[..], &[text(&sound)]].concat());
    assert_eq!(verdict(&lines, "whole.jpg"), "pass");
    let lines = inspect_by(&[&by[..], &[text(&cut)]].concat());
    assert_eq!(lines.iter().filter(|line| line["verdict"] == "no_decision").count(), CUTS * whole.len());
}

#[test]
fn bombs_and_odd_colour_models_cost_their_verdict_and_bounded_memory() {
    let dir = tempfile::tempdir().expect("a folder");
    let bundle = tiny_bundle(dir.path());
    let folder = dir.path().join("odd");
    fs::create_dir(&folder).expect("made");
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("written");
    let (side, rgb) = (64, noisy(40, 64).data);

    // As large as may be, and once more across what may be: a few hundred kilobytes on disk.
    write("largest.png", &black(8000));
    let mut larger = black(4096);
    larger[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    write("no-crc.png", &larger);
    let mut wide = bmp(side, &rgb);
    wide[18..26].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0x7F]);
    write("wide.bmp", &wide);
    write("wide.tif", &tiff(0x00FF_FFFF, 3, 8, 2, &rgb));
    write("long.tif", &tiff(8000, 3, 8, 2, &rgb));

    let four = vec![9; side as usize * side as usize * 4];
    let strange = [
        ("cmyk.tif", tiff(side, 4, 8, 5, &four)),
        ("ycbcr.tif", tiff(side, 3, 8, 6, &rgb)),
        ("lab.tif", tiff(side, 3, 8, 8, &rgb)),
        ("palette.tif", tiff(side, 1, 8, 3, &four)),
        ("deep.tif", tiff(side, 1, 16, 1, &four)),
        ("deeper.tif", tiff(side, 1, 32, 1, &four)),
    ];
    for (name, bytes) in &strange {
        write(name, bytes);
    }
    let lines = inspect(&bundle, &folder);
    for name in
        ["no-crc.png", "wide.bmp", "wide.tif", "long.tif"].into_iter().chain(strange.iter().map(|(name, _)| *name))
    {
        assert_eq!(verdict(&lines, name), "no_decision", "{name}");
    }
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).expect("asked").max_rss() >> 10;
    println!("{} odd files: 0 wrong, 0 panics, {used} MB at most", lines.len());
    // 64 megapixels in colour are 192 MB; ONNX Runtime and the program are the rest.
    assert!(used < 800, "{used} MB");
}
