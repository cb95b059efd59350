//! Walks a picture file's blocks without decoding a pixel: is the file whole, is it one still picture, how large.
//!
//! Decoders are made to show something for any input. A line needs the opposite: a file that is cut or holds more than
//! one picture must be refused, so its outer structure is followed to the end first.
//! Sources: ITU-T T.81 annex B (JPEG), PNG third edition, GIF89a, the WebP container specification, TIFF 6.0.

use std::collections::BTreeMap;

use super::{ImageError, cmyk, deep};

/// What a JPEG's frame header says.
#[derive(Debug)]
pub(super) struct JpegHeader {
    pub(super) width: u32,
    pub(super) height: u32,
    /// 1 (grey) or 3 (colour).
    pub(super) components: u8,
    /// Where those scans end behind which a guard can stand (see [`super::GUARD`]).
    pub(super) guards: Vec<usize>,
}

/// A position in the file; every read beyond the end is a truncation.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    /// What is missing if the file ends here.
    end: &'static str,
}

impl<'a> Walk<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], ImageError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..len).ok_or_else(|| self.truncated())?;
        self.at += len;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, ImageError> {
        Ok(self.take(1)?[0])
    }

    fn be16(&mut self) -> Result<usize, ImageError> {
        let b = self.take(2)?;
        Ok(usize::from(u16::from_be_bytes([b[0], b[1]])))
    }

    fn be32(&mut self) -> Result<u32, ImageError> {
        let b = self.take(4)?;
        Ok(u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn truncated(&self) -> ImageError {
        ImageError::Truncated(format!("{} bytes, {}", self.bytes.len(), self.end))
    }
}

fn damaged(what: &str) -> ImageError {
    ImageError::Damaged(what.into())
}

fn animated() -> ImageError {
    ImageError::Unsupported("animated picture; save one frame".into())
}

/// Follows a JPEG's segments and scans to its end marker. Segments are skipped by their length, so that the end marker of
/// an embedded thumbnail does not count; bytes after the end marker (padding, maker data) are allowed. Restart markers
/// count from 0 to 7 and again: a gap means that a piece of the scan was lost on the way. So does a progressive picture
/// whose scans do not bring every coefficient to its last bit.
pub(super) fn jpeg(bytes: &[u8]) -> Result<JpegHeader, ImageError> {
    let mut walk = Walk { bytes, at: 2, end: "no JPEG end marker" };
    let mut header = None;
    let mut scans = Scans::default();
    loop {
        let marker = next_marker(&mut walk)?;
        if !matches!(marker, 0x01 | 0xD0..=0xD8) {
            scans.close(walk.at - 2);
        }
        match marker {
            0xD9 => {
                let mut header: JpegHeader = header.ok_or_else(|| damaged("a JPEG without a frame header"))?;
                header.guards = scans.finish(header.components)?;
                return Ok(header);
            }
            0x01 | 0xD8 => {}
            restart @ 0xD0..=0xD7 => scans.restart(restart & 7)?,
            marker => {
                let len = walk.be16()?;
                let body =
                    walk.take(len.checked_sub(2).ok_or_else(|| damaged("a JPEG segment of impossible length"))?)?;
                let is_frame = matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
                if marker == 0xC4 {
                    scans.tables(body)?;
                } else if is_frame {
                    scans.progressive = marker == 0xC2;
                    if header.replace(jpeg_frame(body)?).is_some() {
                        return Err(damaged("a JPEG with two frame headers"));
                    }
                } else if marker == 0xDA {
                    scans.open(body)?;
                }
            }
        }
    }
}

/// What a JPEG's scans bring, in file order.
#[derive(Default)]
struct Scans {
    progressive: bool,
    /// The number of the next restart marker.
    restart: u8,
    /// Whether entropy-coded data is being walked.
    is_open: bool,
    /// Where each scan's data ends.
    ends: Vec<usize>,
    /// Which Huffman tables the file has brought, by class (first and further coefficients) and number.
    tables: [[bool; 16]; 2],
    /// Coefficients (bit `k` for coefficient `k`) that are there to the last bit, by component identifier.
    complete: BTreeMap<u8, u64>,
}

impl Scans {
    /// Reads a scan header: components, spectral selection `Ss` to `Se`, successive approximation `Al`.
    fn open(&mut self, body: &[u8]) -> Result<(), ImageError> {
        let short = || damaged("a short JPEG scan header");
        let (&count, rest) = body.split_first().ok_or_else(short)?;
        let (selectors, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or_else(short)?;
        let [first, last, approximation, ..] = *rest else { return Err(short()) };
        if first > last || last > 63 {
            return Err(damaged("a JPEG scan of impossible coefficients"));
        }
        for selector in selectors.chunks_exact(2) {
            let [direct, alternating] = [selector[1] >> 4, selector[1] & 15].map(usize::from);
            let refined = approximation >> 4 != 0;
            if (first == 0 && !refined && !self.tables[0][direct]) || (last > 0 && !self.tables[1][alternating]) {
                return Err(damaged("a JPEG scan without its Huffman table"));
            }
        }
        if approximation & 15 == 0 {
            let brought = (u64::MAX >> (63 - last)) & (u64::MAX << first);
            for selector in selectors.chunks_exact(2) {
                *self.complete.entry(selector[0]).or_default() |= brought;
            }
        }
        (self.restart, self.is_open) = (0, true);
        Ok(())
    }

    /// Notes the Huffman tables of a segment. A decoder may take usual ones in the place of those that are missing, and the picture would
    /// be another.
    fn tables(&mut self, mut body: &[u8]) -> Result<(), ImageError> {
        let short = || damaged("a short JPEG Huffman table");
        while let Some((&about, rest)) = body.split_first() {
            let (counts, rest) = rest.split_at_checked(16).ok_or_else(short)?;
            let codes = counts.iter().map(|&count| usize::from(count)).sum::<usize>();
            body = rest.get(codes..).ok_or_else(short)?;
            let class = self
                .tables
                .get_mut(usize::from(about >> 4))
                .ok_or_else(|| damaged("a JPEG Huffman table of no class"))?;
            class[usize::from(about & 15)] = true;
        }
        Ok(())
    }

    fn restart(&mut self, number: u8) -> Result<(), ImageError> {
        if number != self.restart {
            return Err(damaged("a JPEG restart marker is missing"));
        }
        self.restart = (number + 1) & 7;
        Ok(())
    }

    fn close(&mut self, at: usize) {
        if std::mem::take(&mut self.is_open) {
            self.ends.push(at);
        }
    }

    /// The ends of the scans that can be guarded. The decoder wants to meet the next marker right behind the first scan of
    /// several; every other scan of a progressive picture can be guarded, and the only one of a sequential picture.
    fn finish(self, components: u8) -> Result<Vec<usize>, ImageError> {
        if self.progressive {
            let whole = self.complete.values().filter(|&&coefficients| coefficients == u64::MAX).count();
            if whole < usize::from(components) {
                return Err(damaged("a progressive JPEG whose last scans are missing"));
            }
            return Ok(self.ends.into_iter().skip(1).collect());
        }
        Ok(if self.ends.len() == 1 { self.ends } else { Vec::new() })
    }
}

/// The next marker that is not part of entropy-coded data (`FF 00` is a stuffed byte, `FF FF` is fill).
fn next_marker(walk: &mut Walk<'_>) -> Result<u8, ImageError> {
    loop {
        let skip = walk.bytes[walk.at..].iter().position(|&b| b == 0xFF).ok_or_else(|| walk.truncated())?;
        walk.at += skip + 1;
        let mut code = walk.byte()?;
        while code == 0xFF {
            code = walk.byte()?;
        }
        if code != 0 {
            return Ok(code);
        }
    }
}

fn jpeg_frame(body: &[u8]) -> Result<JpegHeader, ImageError> {
    let [depth, h1, h0, w1, w0, components, ..] = *body else { return Err(damaged("a short JPEG frame header")) };
    if depth != 8 {
        return Err(deep());
    }
    match components {
        1 | 3 => {}
        4 => return Err(cmyk()),
        n => return Err(ImageError::Unsupported(format!("a JPEG of {n} channels; save it as RGB or grey"))),
    }
    let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
    Ok(JpegHeader { width: side(w1, w0), height: side(h1, h0), components, guards: Vec::new() })
}

/// Follows a PNG's chunks to `IEND`. Checksums are left to the decoder.
pub(super) fn png(bytes: &[u8]) -> Result<(), ImageError> {
    let mut walk = Walk { bytes, at: 8, end: "no PNG end chunk" };
    loop {
        let len = walk.be32()?;
        let kind = walk.take(4)?;
        let len =
            usize::try_from(len).ok().filter(|&len| len < 1 << 31).ok_or_else(|| damaged("a PNG chunk too long"))?;
        let body = walk.take(len)?;
        walk.take(4)?;
        match kind {
            b"IHDR" if body.get(8) == Some(&16) => return Err(deep()),
            b"acTL" => return Err(animated()),
            b"IEND" => return Ok(()),
            _ => {}
        }
    }
}

/// Follows a GIF's blocks to its trailer and counts its pictures.
pub(super) fn gif(bytes: &[u8]) -> Result<(), ImageError> {
    let mut walk = Walk { bytes, at: 6, end: "no GIF trailer" };
    let screen = walk.take(7)?;
    color_table(&mut walk, screen[4])?;
    let mut pictures = 0;
    loop {
        match walk.byte()? {
            0x3B if pictures == 1 => return Ok(()),
            0x3B => return Err(damaged("a GIF without a picture")),
            0x21 => {
                walk.take(1)?;
                sub_blocks(&mut walk)?;
            }
            0x2C => {
                pictures += 1;
                if pictures > 1 {
                    return Err(animated());
                }
                let descriptor = walk.take(9)?;
                color_table(&mut walk, descriptor[8])?;
                walk.take(1)?;
                sub_blocks(&mut walk)?;
            }
            _ => return Err(damaged("an unknown GIF block")),
        }
    }
}

fn color_table(walk: &mut Walk<'_>, flags: u8) -> Result<(), ImageError> {
    if flags & 0x80 != 0 {
        walk.take(3 << ((flags & 7) + 1))?;
    }
    Ok(())
}

fn sub_blocks(walk: &mut Walk<'_>) -> Result<(), ImageError> {
    loop {
        match walk.byte()? {
            0 => return Ok(()),
            len => walk.take(usize::from(len))?,
        };
    }
}

/// Compares a WebP's own length with the file's and looks at the animation flag.
pub(super) fn webp(bytes: &[u8]) -> Result<(), ImageError> {
    let mut walk = Walk { bytes, at: 4, end: "less than its RIFF header says" };
    let len = walk.be32()?.swap_bytes() as usize;
    walk.take(len)?;
    // VP8X: the flags are the first byte of the chunk's body; bit 1 is animation.
    if bytes.get(12..16) == Some(b"VP8X") && bytes.get(20).is_some_and(|flags| flags & 2 != 0) {
        return Err(animated());
    }
    Ok(())
}

/// Refuses a TIFF with a second page: which one to inspect would be a guess.
pub(super) fn tiff(bytes: &[u8]) -> Result<(), ImageError> {
    let little = bytes.starts_with(b"II");
    let u16_at = |at: usize| {
        let b = bytes.get(at..at.checked_add(2)?)?;
        Some(if little { u16::from_le_bytes([b[0], b[1]]) } else { u16::from_be_bytes([b[0], b[1]]) })
    };
    let u32_at = |at: usize| {
        let (first, second) = (u32::from(u16_at(at)?), u32::from(u16_at(at.checked_add(2)?)?));
        Some(if little { second << 16 | first } else { first << 16 | second })
    };
    if u16_at(2) == Some(43) {
        return Err(ImageError::Unsupported("BigTIFF; save it as classic TIFF or PNG".into()));
    }
    let next_page = || {
        let directory = u32_at(4)? as usize;
        let entries = usize::from(u16_at(directory)?);
        u32_at(directory.checked_add(2 + 12 * entries)?)
    };
    match next_page() {
        Some(0) => Ok(()),
        Some(_) => Err(ImageError::Unsupported("a TIFF of several pages; save one page".into())),
        None => Err(ImageError::Truncated(format!("{} bytes, no TIFF directory", bytes.len()))),
    }
}
