//! What is on record, taken elsewhere: as a table for people (CSV), as one for programs (Parquet), as pictures (zip). Written as it is read, page
//! by page, newest first, into whatever takes it: memory does not grow with what is asked for.

mod csv;
pub(crate) mod parquet;
mod pictures;
mod words;

use std::io::{self, Write};
use std::sync::Arc;

use stages::inspection::Inspection;
use thiserror::Error;

use crate::store::{Filter, Store};

pub(crate) use self::words::{HEADING, cells};

/// Records of a page.
const PAGE: usize = 500;

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Comma-separated values with a heading.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// The pictures that were kept, with the table.
    Zip,
}

impl Form {
    /// Ending of the file's name.
    pub fn ending(self) -> &'static str {
        match self {
            Form::Csv => "csv",
            Form::Parquet => "parquet",
            Form::Zip => "zip",
        }
    }

    /// Media type.
    pub fn media(self) -> &'static str {
        match self {
            Form::Csv => "text/csv; charset=utf-8",
            Form::Parquet => "application/vnd.apache.parquet",
            Form::Zip => "application/zip",
        }
    }
}

/// Why an export ended early.
#[derive(Debug, Error)]
pub enum ExportError {
    /// Whoever took it takes no more, or the disk failed.
    #[error("the export ended early: {0}")]
    Io(#[from] io::Error),
    /// The table could not be written.
    #[error("the export ended early: {0}")]
    Csv(#[from] ::csv::Error),
    /// The same in the other form.
    #[error("the export ended early: {0}")]
    Parquet(#[from] ::parquet::errors::ParquetError),
    /// And of pictures.
    #[error("the export ended early: {0}")]
    Zip(#[from] ::zip::result::ZipError),
}

/// Writes every inspection that matches, `filter`'s paging aside. `seen` is told how many were looked at, after each page.
///
/// # Errors
/// Nobody takes it any more, or it cannot be read or written.
pub fn write(
    store: &Store,
    filter: &Filter,
    form: Form,
    out: impl Write + Send,
    seen: &mut dyn FnMut(u64),
) -> Result<(), ExportError> {
    match form {
        Form::Csv => csv::write(store, filter, out, seen),
        Form::Parquet => parquet::write(store, filter, out, seen),
        Form::Zip => pictures::write(store, filter, out, seen),
    }
}

/// Shows every inspection that matches, newest first.
fn each(
    store: &Store,
    filter: &Filter,
    seen: &mut dyn FnMut(u64),
    mut show: impl FnMut(Arc<Inspection>) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut filter = Filter { limit: PAGE, ..filter.clone() };
    let mut count = 0;
    loop {
        let page = store.query(&filter);
        count += page.items.len() as u64;
        page.items.into_iter().try_for_each(|stored| show(stored.inspection))?;
        seen(count);
        match page.next {
            Some(next) => filter.before_id = Some(next),
            None => return Ok(()),
        }
    }
}
