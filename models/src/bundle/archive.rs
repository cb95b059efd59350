//! The container: a strict subset of zip (PKWARE APPNOTE 6.3, sections 4.3 and 4.4) that any unzip program reads.
//!
//! Every file is *stored*, not compressed: weights and PNGs do not shrink, and a file that cannot expand is no zip bomb. Every
//! header field is fixed but names, sizes and checksums, so that the same files always give the same bytes. Reading lists
//! the files, writes the archive anew and compares: no byte is left that could differ unnoticed, be it a timestamp, a link,
//! a comment or something between two files.

use std::collections::BTreeMap;

use super::BundleError;

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END_BYTES: usize = 22;

/// 1980-01-01, the zero of zip's clock.
const DATE: u16 = (1 << 5) | 1;
/// Made by a Unix program of zip version 2.0, so that the mode below counts.
const MADE_BY: u16 = (3 << 8) | 20;
const NEEDS: u16 = 20;
/// A regular file, `rw-r--r--`.
const MODE: u32 = 0o100_644 << 16;

/// A named file to be written.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) content: Vec<u8>,
}

impl Entry {
    pub(super) fn new(name: impl Into<String>, content: impl Into<Vec<u8>>) -> Entry {
        Entry { name: name.into(), content: content.into() }
    }
}

/// The name of the first file, where the bytes begin with one.
pub(super) fn first_name(bytes: &[u8]) -> Option<&[u8]> {
    let header = bytes.get(..LOCAL_BYTES).filter(|header| header.starts_with(&LOCAL))?;
    bytes.get(LOCAL_BYTES..LOCAL_BYTES + u16_at(header, 26) as usize)
}

/// The archive of these files, in this order. The caller bounds their number and size to what zip's 32-bit fields hold.
pub(super) fn write(entries: &[Entry]) -> Vec<u8> {
    let files: Vec<(&str, &[u8])> = entries.iter().map(|e| (e.name.as_str(), e.content.as_slice())).collect();
    write_files(&files)
}

fn write_files(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut central = Vec::new();
    for (name, content) in files {
        let common = common_fields(name, content);
        let offset = out.len() as u32;
        out.extend(LOCAL);
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(*content);
        central.extend(CENTRAL);
        central.extend(MADE_BY.to_le_bytes());
        central.extend(&common);
        // Comment length, disk number, internal attributes.
        central.extend([0; 6]);
        central.extend(MODE.to_le_bytes());
        central.extend(offset.to_le_bytes());
        central.extend(name.as_bytes());
    }
    let (start, count) = (out.len() as u32, files.len() as u16);
    out.extend(&central);
    out.extend(END);
    // Numbers of this disk and of the one where the list begins.
    out.extend([0; 4]);
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend((central.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    // Comment length.
    out.extend([0; 2]);
    out
}

/// What the header before a file and the entry in the list at the end have in common.
fn common_fields(name: &str, content: &[u8]) -> Vec<u8> {
    let mut fields = Vec::with_capacity(26);
    fields.extend(NEEDS.to_le_bytes());
    // Flags, method (0: stored), time.
    fields.extend([0; 6]);
    fields.extend(DATE.to_le_bytes());
    fields.extend(crc32fast::hash(content).to_le_bytes());
    fields.extend((content.len() as u32).to_le_bytes());
    fields.extend((content.len() as u32).to_le_bytes());
    fields.extend((name.len() as u16).to_le_bytes());
    // Length of extra fields.
    fields.extend([0; 2]);
    fields
}

/// Lists the files of an archive. Names that `is_known` does not know are refused.
pub(super) fn read(bytes: &[u8], is_known: impl Fn(&str) -> bool) -> Result<BTreeMap<&str, &[u8]>, BundleError> {
    if !bytes.starts_with(&LOCAL) {
        return Err(BundleError::NotABundle("it does not begin like a zip file"));
    }
    let end_at = bytes.len().checked_sub(END_BYTES).ok_or(BundleError::NotABundle("it is too short"))?;
    let end = &bytes[end_at..];
    if !end.starts_with(&END) {
        return Err(BundleError::NotABundle("it does not end like a zip file"));
    }
    let list_at = u32_at(end, 16) as usize;
    let mut list = bytes.get(list_at..end_at).ok_or(BundleError::NotABundle("its list of files lies outside"))?;
    let mut ordered = Vec::new();
    let mut files = BTreeMap::new();
    let mut total = 0;
    while !list.is_empty() {
        let Listed { name, content, crc, rest } = next(bytes, list)?;
        if !is_known(name) {
            return Err(BundleError::UnknownFile(name.escape_debug().take(200).collect()));
        }
        // Many files that share bytes would cost more time and memory than the archive is long.
        total += content.len();
        if total > bytes.len() {
            return Err(BundleError::Repacked("files overlap"));
        }
        if crc32fast::hash(content) != crc {
            return Err(BundleError::Damaged(name.into()));
        }
        if files.insert(name, content).is_some() {
            return Err(BundleError::Duplicate(name.into()));
        }
        ordered.push((name, content));
        list = rest;
    }
    match write_files(&ordered) == bytes {
        true => Ok(files),
        false => Err(BundleError::Repacked("header fields differ")),
    }
}

/// The first file of a list, and the rest of the list.
struct Listed<'a> {
    name: &'a str,
    content: &'a [u8],
    crc: u32,
    rest: &'a [u8],
}

fn next<'a>(bytes: &'a [u8], list: &'a [u8]) -> Result<Listed<'a>, BundleError> {
    let outside = || BundleError::NotABundle("its list of files is cut");
    let entry = list.get(..CENTRAL_BYTES).filter(|entry| entry.starts_with(&CENTRAL)).ok_or_else(outside)?;
    let name_bytes = u16_at(entry, 28) as usize;
    let name = list.get(CENTRAL_BYTES..CENTRAL_BYTES + name_bytes).ok_or_else(outside)?;
    let name = std::str::from_utf8(name).map_err(|_| BundleError::Repacked("a file's name is not text"))?;
    let rest = &list[CENTRAL_BYTES + name_bytes..];
    if u16_at(entry, 10) != 0 {
        return Err(BundleError::Repacked("a file is compressed"));
    }
    // All in 32 bits, and the sum of four such fits in usize on every machine that this runs on (64 bits).
    let start = u32_at(entry, 42) as usize + LOCAL_BYTES + name_bytes;
    let content = bytes.get(start..start + u32_at(entry, 24) as usize).ok_or_else(outside)?;
    Ok(Listed { name, content, crc: u32_at(entry, 16), rest })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
