//! As comma-separated values. Source: RFC 4180.

use std::io::Write;

use super::words::{HEADING, cells};
use super::{ExportError, each};
use crate::store::{Filter, Store};

pub(super) fn write(
    store: &Store,
    filter: &Filter,
    out: impl Write,
    seen: &mut dyn FnMut(u64),
) -> Result<(), ExportError> {
    let mut table = ::csv::Writer::from_writer(out);
    table.write_record(HEADING)?;
    each(store, filter, seen, |part| Ok(table.write_record(cells(&part))?))?;
    Ok(table.flush()?)
}
