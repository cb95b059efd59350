//! A JPEG decoded at a fraction of its size is the same picture, smaller, and damage is refused there as it is in the whole.
#![allow(clippy::print_stdout)] // what was tried, for who runs it with --no-capture

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use models::image::{Image, ImageError, PixelFormat, decode, decode_reduced_into, encode_jpeg, encode_png};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Waves with grain: something in every frequency.
fn picture(width: u32, height: u32, format: PixelFormat) -> Image {
    let mut random = ChaCha8Rng::seed_from_u64(u64::from(width * height));
    let mut data = Vec::new();
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        for channel in 0..format.channels() {
            let wave = (x as f32 / (40.0 + 4.0 * channel as f32)).sin() + (y as f32 / 13.0).cos();
            data.push((128.0 + 40.0 * wave + random.random_range(-9.0..9.0)) as u8);
        }
    }
    Image { width, height, format, data }
}

fn jpeg(image: &Image, sampling: SamplingFactor, progressive: bool, restarts: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 90);
    encoder.set_sampling_factor(sampling);
    encoder.set_progressive(progressive);
    encoder.set_restart_interval(restarts);
    let color = if image.format == PixelFormat::Mono8 { ColorType::Luma } else { ColorType::Rgb };
    encoder.encode(&image.data, image.width as u16, image.height as u16, color).expect("encoded");
    bytes
}

/// As small as the decoder can at `least` pixels a side.
fn reduced(bytes: &[u8], least: u32) -> Result<(Image, [u32; 2]), ImageError> {
    let mut out = Image::empty();
    let captured = decode_reduced_into(bytes, |[width, height]| width >= least && height >= least, &mut out)?;
    Ok((out, captured))
}

/// Mean difference between a small picture and the means of the whole one's blocks, where those are whole.
fn difference(small: &Image, whole: &Image) -> f64 {
    let step = whole.width.div_ceil(small.width) as usize;
    let channels = whole.format.channels();
    let (mut sum, mut count) = (0.0, 0_u32);
    for y in 0..whole.height as usize / step {
        for x in 0..whole.width as usize / step {
            for channel in 0..channels {
                let at =
                    |y: usize, x: usize| f64::from(whole.data[(y * whole.width as usize + x) * channels + channel]);
                let block: f64 = (0..step * step).map(|i| at(y * step + i / step, x * step + i % step)).sum();
                let mean = block / (step * step) as f64;
                sum += (f64::from(small.data[(y * small.width as usize + x) * channels + channel]) - mean).abs();
                count += 1;
            }
        }
    }
    sum / f64::from(count)
}

#[test]
fn it_is_the_same_picture_at_every_fraction() {
    for (width, height) in [(640, 480), (643, 485)] {
        for format in [PixelFormat::Mono8, PixelFormat::Rgb8] {
            let image = picture(width, height, format);
            for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_2_2] {
                for (progressive, restarts) in [(false, 0), (false, 7), (true, 0)] {
                    let bytes = jpeg(&image, sampling, progressive, restarts);
                    let whole = decode(&bytes).expect("a picture");
                    for (least, part) in [(200, 2), (100, 4), (50, 8)] {
                        let (small, captured) = reduced(&bytes, least).expect("a picture");
                        assert_eq!(captured, [width, height]);
                        assert_eq!([small.width, small.height], [width.div_ceil(part), height.div_ceil(part)]);
                        assert!(small.view().is_consistent() && small.format == format);
                        let off = difference(&small, &whole);
                        assert!(
                            off < 2.0,
                            "1/{part} of {width} x {height} {format:?} {sampling:?}: {off:.2} levels off"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn where_no_fraction_is_enough_it_is_whole_and_so_is_every_other_format() {
    let image = picture(300, 200, PixelFormat::Rgb8);
    let bytes = encode_jpeg(image.view(), 90).expect("encoded");
    let (whole, captured) = reduced(&bytes, 101).expect("a picture");
    assert_eq!((whole, captured), (decode(&bytes).expect("a picture"), [300, 200]));
    let png = encode_png(image.view()).expect("encoded");
    assert_eq!(reduced(&png, 1).expect("a picture"), (image, [300, 200]));
    for bytes in [&b""[..], b"\xFF\xD8\xFF", b"no picture"] {
        assert_eq!(reduced(bytes, 1).map(|_| ()), decode(bytes).map(|_| ()));
    }
}

/// Cut anywhere, or with flipped bytes: what is refused whole is refused at a fraction too, and nothing of it is left behind.
#[test]
fn damage_that_is_refused_in_the_whole_is_refused_at_a_fraction() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let (mut refused, mut borne) = (0, 0);
    for (sampling, progressive, restarts) in [
        (SamplingFactor::F_1_1, false, 0),
        (SamplingFactor::F_2_2, false, 0),
        (SamplingFactor::F_2_2, false, 5),
        (SamplingFactor::F_2_2, true, 0),
    ] {
        let sound = jpeg(&picture(96, 80, PixelFormat::Rgb8), sampling, progressive, restarts);
        for round in 0..1500 {
            let mut bytes = sound.clone();
            if round % 3 == 0 {
                bytes.truncate(random.random_range(0..sound.len()));
                // As a writer leaves it that closes what it could not finish.
                if round % 2 == 0 {
                    bytes.extend([0xFF, 0xD9]);
                }
            } else {
                for _ in 0..random.random_range(1..4) {
                    let at = random.random_range(0..bytes.len());
                    bytes[at] ^= 1 << random.random_range(0..8);
                }
            }
            let mut out = picture(8, 8, PixelFormat::Mono8);
            let small = decode_reduced_into(&bytes, |[width, _]| width >= 24, &mut out);
            match (decode(&bytes), small) {
                (Err(why), Ok(_)) => {
                    panic!("{sampling:?} {progressive} {restarts}, round {round}: refused whole ({why})")
                }
                (_, Err(_)) => {
                    refused += 1;
                    assert!(out.data.is_empty() && out.width == 0, "an old picture is left");
                }
                (Ok(_), Ok(_)) => {
                    borne += 1;
                    assert!(out.view().is_consistent());
                }
            }
        }
    }
    println!("{refused} damaged files refused, {borne} flips that leave a picture");
    assert!(refused > 2000 && borne > 100, "{refused} {borne}");
}
