//! A camera's pixel formats into ours: eight bits, grey or red-green-blue.
//!
//! Of 10, 12, 14 and 16 bits the upper eight are kept: no scaling by content, so that the same scene gives the same grey levels
//! in every picture. Bayer mosaics are interpolated by OpenCV (bilinear).
//!
//! This is the one copy of a picture: the driver's buffers go back to it at once, because it has few of them and a full ring loses
//! pictures, while frames may be held as evidence for as long as it takes. Reduction and demosaicing happen in the same pass.

use models::image::PixelFormat;
use opencv::core::Mat;
use opencv::imgproc;
use opencv::prelude::*;

use crate::capture::live::driver::{Convert, Shape};

/// A picture in the driver's memory.
#[derive(Debug, Clone, Copy)]
pub struct RawImage<'a> {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// The format's number in GenICam's naming convention (PFNC).
    pub format: u32,
    /// Bytes between the end of a row and the beginning of the next.
    pub padding: usize,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// How a format is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// As ours.
    Mono8,
    /// Little-endian words of which so many bits are used.
    Words(u32),
    /// Two pixels in three bytes; the first and the last byte are the upper eight bits (GigE Vision's `Packed`).
    ThreeForTwo,
    /// A stream of so many bits a pixel, lowest first (`p`).
    Bits(usize),
    Rgb8,
    Bgr8,
    /// With OpenCV's code to RGB.
    Bayer(i32),
}

/// Number, name, layout. Numbers and names are those of PFNC 2.4.
const FORMATS: [(u32, &str, Layout); 16] = [
    (0x0108_0001, "Mono8", Layout::Mono8),
    (0x0110_0003, "Mono10", Layout::Words(10)),
    (0x0110_0005, "Mono12", Layout::Words(12)),
    (0x0110_0025, "Mono14", Layout::Words(14)),
    (0x0110_0007, "Mono16", Layout::Words(16)),
    (0x010C_0004, "Mono10Packed", Layout::ThreeForTwo),
    (0x010C_0006, "Mono12Packed", Layout::ThreeForTwo),
    (0x010A_0046, "Mono10p", Layout::Bits(10)),
    (0x010C_0047, "Mono12p", Layout::Bits(12)),
    (0x0218_0014, "RGB8", Layout::Rgb8),
    (0x0218_0015, "BGR8", Layout::Bgr8),
    (0x0108_0008, "BayerGR8", Layout::Bayer(imgproc::COLOR_BayerGRBG2RGB)),
    (0x0108_0009, "BayerRG8", Layout::Bayer(imgproc::COLOR_BayerRGGB2RGB)),
    (0x0108_000A, "BayerGB8", Layout::Bayer(imgproc::COLOR_BayerGBRG2RGB)),
    (0x0108_000B, "BayerBG8", Layout::Bayer(imgproc::COLOR_BayerBGGR2RGB)),
    // Older cameras' name for RGB8.
    (0x0218_0014, "RGB8Packed", Layout::Rgb8),
];

/// The names of all formats that can be read.
pub(super) fn readable() -> impl Iterator<Item = &'static str> {
    FORMATS.into_iter().map(|(_, name, _)| name)
}

/// Whether the format of this name can be read.
pub(super) fn is_readable(name: &str) -> bool {
    readable().any(|known| known == name)
}

impl Convert for RawImage<'_> {
    /// What the picture takes after conversion, bytes.
    fn bytes_after(&self) -> usize {
        let known = FORMATS.into_iter().find(|(number, ..)| *number == self.format);
        let channels = known.map_or(1, |(_, _, layout)| layout.result().channels());
        self.width as usize * self.height as usize * channels
    }

    /// Fills `out` with our pixels.
    ///
    /// # Errors
    /// Another format, or fewer bytes than it says, in words.
    fn convert(&self, out: &mut Vec<u8>) -> Result<Shape, String> {
        let Some((_, name, layout)) = FORMATS.into_iter().find(|(number, ..)| *number == self.format) else {
            let names: Vec<&str> = readable().collect();
            return Err(format!(
                "pixel format {:#010x} cannot be read: set `pixel_format` to one of {}",
                self.format,
                names.join(", ")
            ));
        };
        let (width, height) = (self.width as usize, self.height as usize);
        if width == 0 || height == 0 || width > 1 << 16 || height > 1 << 16 {
            return Err(format!("a picture of {width} x {height} pixels"));
        }
        let bits = width * layout.bits();
        if !bits.is_multiple_of(8) {
            return Err(format!(
                "rows of {width} pixels of {name} do not end with a byte: choose an even width, or Mono16"
            ));
        }
        let row = bits / 8;
        let stride = row + self.padding;
        let needed = stride * (height - 1) + row;
        if self.bytes.len() < needed {
            return Err(format!("{} bytes came, {width} x {height} pixels of {name} take {needed}", self.bytes.len()));
        }
        let rows = || self.bytes.chunks(stride).take(height).map(|chunk| &chunk[..row]);
        let format = layout.result();
        out.clear();
        match layout {
            // The usual case, in one copy.
            Layout::Mono8 | Layout::Rgb8 if self.padding == 0 => out.extend_from_slice(&self.bytes[..needed]),
            Layout::Mono8 | Layout::Rgb8 => rows().for_each(|row| out.extend_from_slice(row)),
            Layout::Bgr8 => rows().for_each(|row| out.extend(row.chunks_exact(3).flat_map(|p| [p[2], p[1], p[0]]))),
            Layout::Words(bits) => {
                let shift = bits - 8;
                let upper = |word: &[u8]| (u16::from_le_bytes([word[0], word[1]]) >> shift).min(255) as u8;
                rows().for_each(|row| out.extend(row.chunks_exact(2).map(upper)));
            }
            Layout::ThreeForTwo => {
                rows().for_each(|row| out.extend(row.chunks_exact(3).flat_map(|three| [three[0], three[2]])));
            }
            Layout::Bits(bits) => {
                rows().for_each(|row| out.extend((0..width).map(|pixel| upper_eight(row, pixel, bits))));
            }
            Layout::Bayer(code) => {
                let mosaic: std::borrow::Cow<'_, [u8]> =
                    if self.padding == 0 { self.bytes[..needed].into() } else { rows().flatten().copied().collect() };
                out.resize(3 * width * height, 0);
                demosaic(&mosaic, width, height, code, out)
                    .map_err(|error| format!("demosaicing: {}", error.message))?;
            }
        }
        Ok((self.width, self.height, format))
    }
}

impl Layout {
    /// What becomes of it.
    fn result(self) -> PixelFormat {
        match self {
            Layout::Rgb8 | Layout::Bgr8 | Layout::Bayer(_) => PixelFormat::Rgb8,
            _ => PixelFormat::Mono8,
        }
    }

    /// Bits of a pixel in memory.
    fn bits(self) -> usize {
        match self {
            Layout::Mono8 | Layout::Bayer(_) => 8,
            Layout::Words(_) => 16,
            Layout::ThreeForTwo => 12,
            Layout::Bits(bits) => bits,
            Layout::Rgb8 | Layout::Bgr8 => 24,
        }
    }
}

/// The upper eight of a pixel's bits in a stream, lowest first.
fn upper_eight(row: &[u8], pixel: usize, bits: usize) -> u8 {
    let at = pixel * bits + bits - 8;
    let low = row[at / 8];
    let high = row.get(at / 8 + 1).copied().unwrap_or(0);
    (u16::from_le_bytes([low, high]) >> (at % 8)) as u8
}

fn demosaic(mosaic: &[u8], width: usize, height: usize, code: i32, out: &mut [u8]) -> opencv::Result<()> {
    let flat = Mat::new_rows_cols_with_data(height as i32, width as i32, mosaic)?;
    let mut flat_out = Mat::new_rows_cols_with_data_mut(height as i32, 3 * width as i32, out)?;
    let mut colour = flat_out.reshape_mut(3, height as i32)?;
    imgproc::cvt_color_def(&flat, &mut colour, code)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(name: &str) -> u32 {
        FORMATS.into_iter().find(|(_, known, _)| *known == name).expect("known").0
    }

    fn convert(name: &str, width: u32, height: u32, padding: usize, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = vec![1, 2, 3];
        let raw = RawImage { width, height, format: number(name), padding, bytes };
        raw.convert(&mut out).map(|_| out)
    }

    #[test]
    fn of_more_bits_the_upper_eight_are_kept() {
        // One grey level in every way of writing it: 0xAB and something below it.
        assert_eq!(convert("Mono8", 2, 1, 0, &[0xAB, 0xAB]).unwrap(), [0xAB; 2]);
        assert_eq!(convert("Mono10", 2, 1, 0, &[0xAF, 0x02, 0xAC, 0x02]).unwrap(), [0xAB; 2]);
        assert_eq!(convert("Mono12", 2, 1, 0, &[0xBF, 0x0A, 0xB0, 0x0A]).unwrap(), [0xAB; 2]);
        assert_eq!(convert("Mono16", 2, 1, 0, &[0xFF, 0xAB, 0x00, 0xAB]).unwrap(), [0xAB; 2]);
        assert_eq!(convert("Mono12Packed", 2, 1, 0, &[0xAB, 0x0F, 0xAB]).unwrap(), [0xAB; 2]);
        assert_eq!(convert("Mono12p", 2, 1, 0, &[0xBF, 0xFA, 0xAB]).unwrap(), [0xAB; 2]);
        // 0x2AF four times, ten bits each, lowest first.
        assert_eq!(convert("Mono10p", 4, 1, 0, &[0xAF, 0xBE, 0xFA, 0xEA, 0xAB]).unwrap(), [0xAB; 4]);
        assert_eq!(convert("BGR8", 1, 1, 0, &[1, 2, 3]).unwrap(), [3, 2, 1]);
        assert_eq!(convert("Mono8", 2, 2, 1, &[1, 2, 99, 3, 4]).unwrap(), [1, 2, 3, 4], "padding is left out");
    }

    #[test]
    fn a_mosaic_has_its_colours_back() {
        for (name, red) in [("BayerRG8", (0, 0)), ("BayerBG8", (1, 1)), ("BayerGR8", (1, 0)), ("BayerGB8", (0, 1))] {
            // Red light alone: only red cells see anything.
            let mosaic: Vec<u8> = (0..64).map(|at| if (at % 8 % 2, at / 8 % 2) == red { 200 } else { 0 }).collect();
            let out = convert(name, 8, 8, 0, &mosaic).unwrap();
            let inner = &out[3 * (3 * 8 + 3)..][..3];
            assert!(inner[0] >= 50 && inner[1] == 0 && inner[2] == 0, "{name}: {inner:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_what_can() {
        let raw = RawImage { width: 4, height: 4, format: 0x0210_001F, padding: 0, bytes: &[0; 64] };
        let said = raw.convert(&mut Vec::new()).unwrap_err();
        assert!(said.contains("Mono8, Mono10") && said.contains("BayerRG8"), "{said}");
        assert!(convert("Mono12p", 3, 1, 0, &[0; 9]).unwrap_err().contains("even width"));
        assert!(convert("Mono8", 4, 4, 0, &[0; 15]).unwrap_err().contains("15 bytes"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(width in 0_u32..40, height in 0_u32..40, padding in 0_usize..9, which in 0_usize..16, bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut out = Vec::new();
            let raw = RawImage { width, height, format: FORMATS[which].0, padding, bytes: &bytes };
            if let Ok((width, height, format)) = raw.convert(&mut out) {
                prop_assert_eq!(out.len(), width as usize * height as usize * format.channels());
            }
        }
    }
}
