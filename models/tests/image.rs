//! Decoding: every format gives its pixels, every kind of bad input its own refusal, and nothing panics.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

use std::io::Cursor;

use image::codecs::gif::GifEncoder;
use image::{DynamicImage, Frame, GrayImage, ImageFormat, LumaA, Rgb, RgbImage, Rgba, RgbaImage};
use models::image::{
    Image, ImageError, ImageView, MAX_MEGAPIXELS, PixelFormat, decode, decode_into, encode_jpeg, encode_png,
};
use proptest::prelude::*;

/// A smooth colour picture, so that JPEG stays close to it.
fn rgb(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 5 % 200) as u8, (y * 7 % 200) as u8, ((x + y) * 3 % 200) as u8]))
}

fn grey(width: u32, height: u32) -> GrayImage {
    image::imageops::grayscale(&rgb(width, height))
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn owned(image: &RgbImage) -> Image {
    Image { width: image.width(), height: image.height(), format: PixelFormat::Rgb8, data: image.as_raw().clone() }
}

fn small_jpeg(progressive: bool) -> Vec<u8> {
    let picture = rgb(40, 24);
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 90);
    encoder.set_progressive(progressive);
    encoder.encode(picture.as_raw(), 40, 24, jpeg_encoder::ColorType::Rgb).unwrap();
    bytes
}

#[test]
fn lossless_formats_give_exactly_their_pixels() {
    use ImageFormat::{Bmp, Gif, Png, Pnm, Tiff, WebP};
    let (colour, mono) = (rgb(37, 21), grey(37, 21));
    for format in [Png, Bmp, Tiff, WebP, Pnm] {
        assert_eq!(decode(&encoded(colour.clone(), format)).unwrap(), owned(&colour), "{format:?}");
    }
    for format in [Png, Tiff, Pnm] {
        let image = decode(&encoded(mono.clone(), format)).unwrap();
        assert_eq!((image.format, &image.data), (PixelFormat::Mono8, mono.as_raw()), "{format:?}");
    }
    // A GIF has a palette, so a picture of few colours survives it.
    let flat = RgbImage::from_fn(9, 5, |x, _| if x < 4 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) });
    assert_eq!(decode(&encoded(flat.clone(), Gif)).unwrap(), owned(&flat));
}

#[test]
fn jpeg_gives_grey_or_colour_close_to_the_original() {
    for progressive in [false, true] {
        let image = decode(&small_jpeg(progressive)).unwrap();
        assert_eq!((image.width, image.height, image.format), (40, 24, PixelFormat::Rgb8));
        let error: u32 = image.data.iter().zip(rgb(40, 24).as_raw()).map(|(&a, &b)| u32::from(a.abs_diff(b))).sum();
        assert!(error as usize / image.data.len() < 12, "mean error {} too large", error as usize / image.data.len());
    }
    let mono = grey(40, 24);
    let view = ImageView { width: 40, height: 24, format: PixelFormat::Mono8, data: mono.as_raw() };
    let image = decode(&encode_jpeg(view, 95).unwrap()).unwrap();
    assert_eq!((image.width, image.height, image.format, image.data.len()), (40, 24, PixelFormat::Mono8, 960));
}

#[test]
fn alpha_is_dropped_and_not_blended() {
    let clear = RgbaImage::from_fn(6, 4, |x, y| Rgba([x as u8 * 9, y as u8 * 11, 77, 0]));
    let expected: Vec<u8> = clear.pixels().flat_map(|p| [p[0], p[1], p[2]]).collect();
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff] {
        let image = decode(&encoded(clear.clone(), format)).unwrap();
        assert_eq!((image.format, &image.data), (PixelFormat::Rgb8, &expected), "{format:?}");
    }
    let grey_alpha = image::ImageBuffer::<LumaA<u8>, _>::from_fn(6, 4, |x, y| LumaA([(x * 4 + y) as u8, 3]));
    let expected: Vec<u8> = grey_alpha.pixels().map(|p| p[0]).collect();
    let image = decode(&encoded(grey_alpha, ImageFormat::Png)).unwrap();
    assert_eq!((image.format, image.data), (PixelFormat::Mono8, expected));
}

#[test]
fn a_buffer_is_reused_and_emptied_on_error() {
    let mut image = decode(&encoded(rgb(64, 64), ImageFormat::Png)).unwrap();
    let (address, capacity) = (image.data.as_ptr(), image.data.capacity());
    decode_into(&small_jpeg(false), &mut image).unwrap();
    assert_eq!((image.width, image.height, image.data.len()), (40, 24, 40 * 24 * 3));
    assert_eq!((image.data.as_ptr(), image.data.capacity()), (address, capacity));

    let jpeg = encode_jpeg(owned(&rgb(400, 300)).view(), 90).unwrap();
    decode_into(&with_cut_scan(&jpeg), &mut image).unwrap_err();
    assert_eq!((image.width, image.height, image.data.len()), (0, 0, 0));
    assert!(image.data.capacity() <= capacity, "a refused picture left {} bytes behind", image.data.capacity());
}

/// Cuts the last fifth of the entropy-coded data, and puts the end marker back.
fn with_cut_scan(jpeg: &[u8]) -> Vec<u8> {
    let mut cut = jpeg[..jpeg.len() - jpeg.len() / 5].to_vec();
    // The cut must not fall between the two bytes of a marker or stuffed byte.
    while cut.last() == Some(&0xFF) {
        cut.pop();
    }
    cut.extend([0xFF, 0xD9]);
    cut
}

#[test]
fn a_scan_with_missing_data_is_damage_even_with_an_end_marker() {
    for (width, height, progressive) in [(400, 300, false), (128, 96, false), (1024, 64, false), (400, 300, true)] {
        let mut jpeg = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 90);
        encoder.set_progressive(progressive);
        encoder.encode(rgb(width, height).as_raw(), width as u16, height as u16, jpeg_encoder::ColorType::Rgb).unwrap();
        let result = decode(&with_cut_scan(&jpeg));
        assert!(matches!(result, Err(ImageError::Damaged(_))), "{width} x {height}: {:?}", result.map(|i| i.width));
    }
}

#[test]
fn a_progressive_picture_without_its_last_scan_is_damage() {
    let whole = small_jpeg(true);
    decode(&whole).unwrap();
    let last_scan = whole.windows(2).rposition(|w| w == [0xFF, 0xDA]).unwrap();
    let coarse = [&whole[..last_scan], &[0xFF, 0xD9]].concat();
    assert_eq!(decode(&coarse), Err(ImageError::Damaged("a progressive JPEG whose last scans are missing".into())));
}

#[test]
fn a_lost_restart_interval_is_damage() {
    let picture = rgb(200, 120);
    let encoded = |restarts: Option<u16>| {
        let mut bytes = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 90);
        restarts.into_iter().for_each(|every| encoder.set_restart_interval(every));
        encoder.encode(picture.as_raw(), 200, 120, jpeg_encoder::ColorType::Rgb).unwrap();
        bytes
    };
    let bytes = encoded(Some(4));
    assert!(decode(&bytes).unwrap() == decode(&encoded(None)).unwrap());

    let restart = |n: u8| bytes.windows(2).position(|w| w == [0xFF, 0xD0 + n]).unwrap();
    let without_third = [&bytes[..restart(2)], &bytes[restart(3)..]].concat();
    assert!(matches!(decode(&without_third), Err(ImageError::Damaged(_))));
}

#[test]
fn every_truncation_is_refused() {
    let mono = grey(24, 16);
    let mono_jpeg =
        encode_jpeg(ImageView { width: 24, height: 16, format: PixelFormat::Mono8, data: mono.as_raw() }, 80);
    let mut files = vec![
        ("baseline JPEG", small_jpeg(false)),
        ("progressive JPEG", small_jpeg(true)),
        ("grey JPEG", mono_jpeg.unwrap()),
    ];
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP, ImageFormat::Pnm] {
        files.push((format.extensions_str()[0], encoded(rgb(24, 16), format)));
    }
    files.push(("gif", encoded(rgb(8, 8), ImageFormat::Gif)));
    for (name, bytes) in &files {
        decode(bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        for len in 0..bytes.len() {
            let result = decode(&bytes[..len]);
            assert!(result.is_err(), "{name} cut to {len} of {} bytes was accepted", bytes.len());
            if len > 16 && name.contains("JPEG") {
                assert!(matches!(result, Err(ImageError::Truncated(_))), "{name} cut to {len}: {result:?}");
            }
        }
    }
}

#[test]
fn an_embedded_thumbnail_does_not_hide_a_truncation() {
    let (picture, thumbnail) = (small_jpeg(false), small_jpeg(true));
    let mut bytes = picture[..2].to_vec();
    bytes.extend([0xFF, 0xE1]);
    bytes.extend((thumbnail.len() as u16 + 2).to_be_bytes());
    bytes.extend(&thumbnail);
    bytes.extend(&picture[2..]);
    assert_eq!(decode(&bytes).unwrap(), decode(&picture).unwrap());
    assert!(matches!(decode(&bytes[..bytes.len() - 30]), Err(ImageError::Truncated(_))));
}

#[test]
fn padding_after_the_end_marker_is_allowed() {
    let mut bytes = small_jpeg(false);
    bytes.extend([0; 512]);
    assert_eq!(decode(&bytes).unwrap(), decode(&small_jpeg(false)).unwrap());
}

#[test]
fn refusals_name_the_reason() {
    let unsupported = |bytes: &[u8]| match decode(bytes) {
        Err(ImageError::Unsupported(reason)) => reason,
        other => panic!("{:?}", other.map(|i| (i.width, i.height))),
    };
    assert_eq!(decode(b""), Err(ImageError::Empty));
    for junk in [&b"hello, world"[..], b"%PDF-1.7", &[0; 4096], b"<svg></svg>"] {
        assert_eq!(decode(junk), Err(ImageError::NotAnImage));
    }
    let mut cmyk = Vec::new();
    let pixels = vec![90; 16 * 16 * 4];
    jpeg_encoder::Encoder::new(&mut cmyk, 90).encode(&pixels, 16, 16, jpeg_encoder::ColorType::Cmyk).unwrap();
    assert!(unsupported(&cmyk).contains("CMYK"));
    let mut ycck = Vec::new();
    jpeg_encoder::Encoder::new(&mut ycck, 90).encode(&pixels, 16, 16, jpeg_encoder::ColorType::CmykAsYcck).unwrap();
    assert!(unsupported(&ycck).contains("CMYK"));

    let deep = DynamicImage::ImageRgb16(DynamicImage::from(rgb(8, 8)).to_rgb16());
    for format in [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::Pnm] {
        assert!(unsupported(&encoded(deep.clone(), format)).contains("8 bits"), "{format:?}");
    }
    let mut jpeg12 = small_jpeg(false);
    let frame = jpeg12.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    jpeg12[frame + 4] = 12;
    assert!(unsupported(&jpeg12).contains("8 bits"));

    let mut gif = Vec::new();
    let frame = || Frame::new(DynamicImage::from(rgb(8, 8)).to_rgba8());
    GifEncoder::new(&mut gif).encode_frames([frame(), frame()]).unwrap();
    assert!(unsupported(&gif).contains("animated"));
    assert!(unsupported(&animated_png()).contains("animated"));
    assert!(unsupported(&animated_webp()).contains("animated"));
    assert!(unsupported(&two_page_tiff()).contains("several pages"));
}

/// A PNG with the chunk that announces an animation, right after its header.
fn animated_png() -> Vec<u8> {
    let still = encoded(rgb(8, 8), ImageFormat::Png);
    let mut body = b"acTL".to_vec();
    body.extend([0, 0, 0, 2, 0, 0, 0, 0]);
    let mut bytes = still[..33].to_vec();
    bytes.extend(8u32.to_be_bytes());
    bytes.extend(&body);
    bytes.extend(crc32(&body).to_be_bytes());
    bytes.extend(&still[33..]);
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 })
    })
}

/// An extended WebP header whose animation flag is set.
fn animated_webp() -> Vec<u8> {
    let mut bytes = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0".to_vec();
    bytes.extend([7, 0, 0, 7, 0, 0]);
    bytes
}

/// A TIFF whose directory names a second one.
fn two_page_tiff() -> Vec<u8> {
    let mut bytes = encoded(rgb(8, 8), ImageFormat::Tiff);
    let directory = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let entries = usize::from(u16::from_le_bytes([bytes[directory], bytes[directory + 1]]));
    bytes[directory + 2 + 12 * entries] = 8;
    bytes
}

/// A mutated file that made zune-jpeg 0.5.15 index out of bounds.
#[test]
fn a_panic_in_the_decoder_is_damage() {
    let mut image = decode(&small_jpeg(false)).unwrap();
    let result = decode_into(include_bytes!("data/decoder-panics.jpg"), &mut image);
    assert!(matches!(result, Err(ImageError::Damaged(_))), "{result:?}");
    assert_eq!((image.width, image.height, image.data.len()), (0, 0, 0));
    decode_into(&small_jpeg(true), &mut image).unwrap();
}

#[test]
fn sizes_are_checked_before_memory_is_taken() {
    let mut jpeg = small_jpeg(false);
    let frame = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
    assert_eq!(decode(&jpeg), Err(ImageError::TooLarge { width: 65535, height: 65535, limit: MAX_MEGAPIXELS }));
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0, 0, 0, 40]);
    assert!(matches!(decode(&jpeg), Err(ImageError::Damaged(_))), "a JPEG of height 0");

    let pnm = b"P6 400000 400000 255\n\0\0\0";
    assert_eq!(decode(pnm), Err(ImageError::TooLarge { width: 400_000, height: 400_000, limit: MAX_MEGAPIXELS }));
    let mut png = encoded(rgb(8, 8), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0x7F, 0, 0, 0, 0x7F, 0, 0, 0]);
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    assert!(decode(&png).is_err());
}

#[test]
fn encoders_keep_the_pixels_and_refuse_contradictions() {
    let image = owned(&rgb(31, 17));
    assert_eq!(decode(&encode_png(image.view()).unwrap()).unwrap(), image);
    let short = ImageView { width: 32, ..image.view() };
    assert!(matches!(encode_png(short), Err(ImageError::Encode { .. })));
    assert!(matches!(encode_jpeg(short, 80), Err(ImageError::Encode { .. })));
    let long = vec![0; 70_000];
    let wide = ImageView { width: 70_000, height: 1, format: PixelFormat::Mono8, data: &long };
    assert!(encode_jpeg(wide, 80).unwrap_err().to_string().contains("use PNG"));
    assert_eq!(decode(&encode_png(wide).unwrap()).unwrap().width, 70_000);
}

/// Whatever comes out must be a consistent picture.
fn decodes_or_refuses(bytes: &[u8]) {
    if let Ok(image) = decode(bytes) {
        assert!(image.view().is_consistent());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(magic in 0usize..9, tail in prop::collection::vec(any::<u8>(), 0..400)) {
        let magics: [&[u8]; 9] = [b"", b"\xFF\xD8\xFF\xE0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x80\0\0\0WEBPVP8 ",
            b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"BM", b"P5 9 9 255\n"];
        decodes_or_refuses(&[magics[magic], &tail].concat());
    }

    #[test]
    fn flipped_bits_never_panic(kind in 0usize..8, flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..12)) {
        let mut bytes = match kind {
            0 => small_jpeg(false),
            1 => small_jpeg(true),
            2 => encoded(rgb(24, 16), ImageFormat::Png),
            3 => encoded(rgb(24, 16), ImageFormat::Bmp),
            4 => encoded(rgb(24, 16), ImageFormat::Tiff),
            5 => encoded(rgb(24, 16), ImageFormat::WebP),
            6 => encoded(rgb(24, 16), ImageFormat::Pnm),
            _ => encoded(rgb(8, 8), ImageFormat::Gif),
        };
        let len = bytes.len();
        for (at, bit) in flips {
            bytes[at.index(len)] ^= 1 << bit;
        }
        decodes_or_refuses(&bytes);
    }
}
