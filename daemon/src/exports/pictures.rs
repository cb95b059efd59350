//! As a zip file: the table, then each picture that was kept. A picture that is gone meanwhile is left out.

use std::io::{self, BufReader, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{ExportError, csv, each};
use crate::store::{Filter, Store};

pub(super) fn write(
    store: &Store,
    filter: &Filter,
    out: impl Write,
    seen: &mut dyn FnMut(u64),
) -> Result<(), ExportError> {
    let mut zip = ZipWriter::new_stream(out);
    zip.start_file("records.csv", SimpleFileOptions::default().large_file(true))?;
    csv::write(store, filter, &mut zip, &mut |_| {})?;
    // Pictures are compressed already.
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    each(store, filter, seen, |part| {
        let Some(path) = &part.evidence else { return Ok(()) };
        let Ok(file) = std::fs::File::open(store.evidence_dir().join(path)) else { return Ok(()) };
        let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
        zip.start_file(name(part.id, part.serial.as_deref(), ending), stored)?;
        io::copy(&mut BufReader::new(file), &mut zip)?;
        Ok(())
    })?;
    zip.finish()?;
    Ok(())
}

/// A serial number may hold what file names must not.
fn name(id: u64, serial: Option<&str>, ending: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    let serial: String = serial.map(|it| format!("-{}", it.chars().map(plain).collect::<String>())).unwrap_or_default();
    format!("pictures/{id}{serial}.{ending}")
}
