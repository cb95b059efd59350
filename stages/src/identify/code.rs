//! Finds and reads one code in a grey picture. The only file that names `rxing`.
//!
//! The cheap looks come first: a big picture is searched shrunk, where a code of usual size has enough pixels left and most of the
//! cost is gone, and at full size only if that finds nothing; the thorough looks (every row, turned by a quarter, inverted) come last. Between
//! two looks the clock is asked. A look itself cannot be broken off: [`Desk`](super::desk::Desk) sees to it that nobody waits for it.

use std::collections::HashSet;
use std::time::Instant;

use opencv::core::{Mat, Point, Size};
use opencv::imgproc;
use rxing::common::{GlobalHistogramBinarizer, HybridBinarizer};
use rxing::{BarcodeFormat, BinaryBitmap, DecodeHints, Luma8Source, MultiFormatReader, RXingResult, Reader};
use serde::{Deserialize, Serialize};

/// A picture whose longer side has more pixels is searched shrunk first ...
const BIG: u32 = 1000;
/// ... to this many.
const SHRUNK: u32 = 720;

/// A kind of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Data Matrix ECC 200 (ISO/IEC 16022).
    DataMatrix,
    /// QR code, Micro QR and rMQR.
    Qr,
    /// Code 128, GS1-128.
    Code128,
    /// Code 39.
    Code39,
    /// Code 93.
    Code93,
    /// Interleaved 2 of 5.
    Itf,
    /// Codabar.
    Codabar,
    /// EAN-13 and EAN-8, UPC-A and UPC-E.
    Ean,
}

impl Format {
    /// Every kind.
    pub const ALL: [Format; 8] = [
        Format::DataMatrix,
        Format::Qr,
        Format::Code128,
        Format::Code39,
        Format::Code93,
        Format::Itf,
        Format::Codabar,
        Format::Ean,
    ];

    /// As in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Format::DataMatrix => "data_matrix",
            Format::Qr => "qr",
            Format::Code128 => "code128",
            Format::Code39 => "code39",
            Format::Code93 => "code93",
            Format::Itf => "itf",
            Format::Codabar => "codabar",
            Format::Ean => "ean",
        }
    }

    fn theirs(self) -> &'static [BarcodeFormat] {
        match self {
            Format::DataMatrix => &[BarcodeFormat::DATA_MATRIX],
            Format::Qr => {
                &[BarcodeFormat::QR_CODE, BarcodeFormat::MICRO_QR_CODE, BarcodeFormat::RECTANGULAR_MICRO_QR_CODE]
            }
            Format::Code128 => &[BarcodeFormat::CODE_128],
            Format::Code39 => &[BarcodeFormat::CODE_39],
            Format::Code93 => &[BarcodeFormat::CODE_93],
            Format::Itf => &[BarcodeFormat::ITF],
            Format::Codabar => &[BarcodeFormat::CODABAR],
            Format::Ean => &[BarcodeFormat::EAN_13, BarcodeFormat::EAN_8, BarcodeFormat::UPC_A, BarcodeFormat::UPC_E],
        }
    }

    fn of(theirs: BarcodeFormat) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.theirs().contains(&theirs))
    }
}

/// A grey picture: rows one after the other, no padding.
#[derive(Debug, Clone, Default)]
pub struct Grey {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// One byte a pixel.
    pub data: Vec<u8>,
}

/// What a code says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Its text, as it stands there.
    pub text: String,
    /// Its kind.
    pub format: Format,
}

/// What came of the search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A code.
    Code(Code),
    /// None, after every look.
    Nothing,
    /// None before the time was up.
    TimeUp,
}

/// How closely a picture is looked at.
#[derive(Clone, Copy)]
enum Look {
    /// Some rows, upright.
    Quick,
    /// Every row, also turned by a quarter and inverted.
    Thorough,
    /// As thorough, with one threshold for the whole picture: it is better than local ones where contrast is low and even.
    Even,
}

/// Looks for a code of one of these kinds (empty: all) until `until`; the look that is under way then is finished.
pub fn find(picture: &Grey, formats: &[Format], until: Instant) -> Found {
    let small = shrunk(picture);
    let clear = cleared(small.as_ref().unwrap_or(picture));
    let looks = [
        (small.as_ref(), Look::Quick),
        (Some(picture), Look::Quick),
        (clear.as_ref(), Look::Quick),
        (small.as_ref(), Look::Thorough),
        (Some(picture), Look::Thorough),
        (clear.as_ref(), Look::Thorough),
        (clear.as_ref(), Look::Even),
    ];
    for (at, (picture, look)) in looks.into_iter().enumerate() {
        let Some(picture) = picture else { continue };
        if at > 0 && Instant::now() >= until {
            return Found::TimeUp;
        }
        if let Some(code) = decode(picture, formats, look) {
            return Found::Code(code);
        }
    }
    Found::Nothing
}

fn decode(picture: &Grey, formats: &[Format], look: Look) -> Option<Code> {
    let formats = if formats.is_empty() { &Format::ALL[..] } else { formats };
    let thorough = !matches!(look, Look::Quick);
    let possible: HashSet<BarcodeFormat> = formats.iter().flat_map(|format| format.theirs()).copied().collect();
    let hints = DecodeHints {
        PossibleFormats: Some(possible),
        TryHarder: Some(thorough),
        AlsoInverted: Some(thorough),
        ..DecodeHints::default()
    };
    let source = Luma8Source::new_with_slice(&picture.data, picture.width, picture.height).ok()?;
    let mut reader = MultiFormatReader::default();
    let result = match look {
        Look::Quick | Look::Thorough => {
            reader.decode_with_hints(&mut BinaryBitmap::new(HybridBinarizer::new(source)), &hints)
        }
        Look::Even => reader.decode_with_hints(&mut BinaryBitmap::new(GlobalHistogramBinarizer::new(source)), &hints),
    };
    result.ok().and_then(|result| code(&result))
}

fn code(result: &RXingResult) -> Option<Code> {
    let format = Format::of(*result.getBarcodeFormat())?;
    let text = result.getText();
    (!text.is_empty()).then(|| Code { text: text.to_owned(), format })
}

/// A picture with less noise and full contrast: the binarisation takes what varies by fewer than 24 grey levels for plain. None if OpenCV
/// refuses.
fn cleared(picture: &Grey) -> Option<Grey> {
    let (width, height) = (picture.width as i32, picture.height as i32);
    let mut data = vec![0_u8; picture.data.len()];
    let from = Mat::new_rows_cols_with_data(height, width, &picture.data).ok()?;
    {
        let mut to = Mat::new_rows_cols_with_data_mut(height, width, &mut data).ok()?;
        imgproc::blur(&from, &mut to, Size::new(3, 3), Point::new(-1, -1), opencv::core::BORDER_REPLICATE).ok()?;
    }
    let mut levels = [0_usize; 256];
    data.iter().for_each(|&level| levels[usize::from(level)] += 1);
    // Of each end one pixel in two hundred may be a glint or a hole.
    let few = data.len() / 200;
    let beyond = |mut order: Box<dyn Iterator<Item = usize>>| {
        let mut seen = 0;
        order.find(|&level| {
            seen += levels[level];
            seen > few
        })
    };
    let dark = beyond(Box::new(0..256))? as u8;
    let bright = beyond(Box::new((0..256).rev()))? as u8;
    let span = u32::from(bright.saturating_sub(dark));
    if span == 0 {
        return None;
    }
    for level in &mut data {
        *level = (u32::from(level.saturating_sub(dark)) * 255 / span).min(255) as u8;
    }
    Some(Grey { width: picture.width, height: picture.height, data })
}

/// A big picture, smaller. None if it is small, or if OpenCV refuses.
fn shrunk(picture: &Grey) -> Option<Grey> {
    let longer = picture.width.max(picture.height);
    if longer <= BIG {
        return None;
    }
    let side = |pixels: u32| (u64::from(pixels) * u64::from(SHRUNK) / u64::from(longer)).max(1) as u32;
    let (width, height) = (side(picture.width), side(picture.height));
    let mut data = vec![0; width as usize * height as usize];
    let from = Mat::new_rows_cols_with_data(picture.height as i32, picture.width as i32, &picture.data).ok()?;
    {
        let mut to = Mat::new_rows_cols_with_data_mut(height as i32, width as i32, &mut data).ok()?;
        let size = Size::new(width as i32, height as i32);
        imgproc::resize(&from, &mut to, size, 0.0, 0.0, imgproc::INTER_AREA).ok()?;
    }
    Some(Grey { width, height, data })
}
