//! As Apache Parquet, in groups of rows, of which one is in memory.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use stages::inspection::Inspection;

use super::words::score;
use super::{ExportError, each};
use crate::store::{Filter, PurposeKind, Store, verdict_words};

/// Rows of a group: some ten megabytes of memory.
const GROUP: usize = 10_000;

/// In the order of [`super::words::HEADING`].
const SCHEMA: &str = "message inspection {
    required int64 id;
    required binary line (STRING);
    required binary camera (STRING);
    optional binary serial (STRING);
    optional binary lot (STRING);
    required int64 triggered_at (TIMESTAMP(MICROS, true));
    required binary verdict (STRING);
    optional binary cause (STRING);
    optional binary label (STRING);
    optional float score;
    required binary recipe (STRING);
    required binary model (STRING);
    optional binary provider (STRING);
    required int64 latency_us;
    optional binary evidence (STRING);
    optional binary detail (STRING);
    required binary purpose (STRING);
}";

pub(super) fn write(
    store: &Store,
    filter: &Filter,
    out: impl Write + Send,
    seen: &mut dyn FnMut(u64),
) -> std::result::Result<(), ExportError> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut file = SerializedFileWriter::new(out, schema, Arc::new(properties))?;
    let mut rows = Vec::new();
    each(store, filter, seen, |part| {
        rows.push(part);
        if rows.len() == GROUP {
            group(&mut file, &std::mem::take(&mut rows))?;
        }
        Ok(())
    })?;
    if !rows.is_empty() {
        group(&mut file, &rows)?;
    }
    file.close()?;
    Ok(())
}

fn group<W: Write + Send>(file: &mut SerializedFileWriter<W>, rows: &[Arc<Inspection>]) -> Result<()> {
    let mut group = file.next_row_group()?;
    let mut columns = Columns { group: &mut group, rows };
    columns.numbers(|it| it.id as i64)?;
    columns.texts(|it| &it.line)?;
    columns.texts(|it| &it.camera)?;
    columns.maybe(|it| it.serial.as_deref())?;
    columns.maybe(|it| it.lot.as_deref())?;
    columns.numbers(|it| it.triggered_at.as_microsecond())?;
    columns.texts(|it| verdict_words(it.verdict).0)?;
    columns.maybe(|it| Some(verdict_words(it.verdict).1).filter(|cause| !cause.is_empty()))?;
    columns.maybe(|it| it.label.as_deref())?;
    columns.optional::<FloatType>(score)?;
    columns.texts(|it| &it.recipe)?;
    columns.texts(|it| &it.model)?;
    columns.optional::<ByteArrayType>(|it| it.provider.map(|it| ByteArray::from(it.to_string().as_str())))?;
    columns.numbers(|it| i64::from(it.ledger.total_us))?;
    columns.maybe(|it| it.evidence.as_deref())?;
    columns.maybe(|it| it.detail.as_deref())?;
    columns.texts(|it| PurposeKind::of(it).name())?;
    group.close()?;
    Ok(())
}

/// The columns of a group, written in their order.
struct Columns<'a, 'f, W: Write> {
    group: &'a mut SerializedRowGroupWriter<'f, W>,
    rows: &'a [Arc<Inspection>],
}

impl<W: Write + Send> Columns<'_, '_, W> {
    fn numbers(&mut self, of: impl Fn(&Inspection) -> i64) -> Result<()> {
        let values: Vec<i64> = self.rows.iter().map(|it| of(it)).collect();
        self.column::<Int64Type>(&values, None)
    }

    fn texts(&mut self, of: impl Fn(&Inspection) -> &str) -> Result<()> {
        let values: Vec<ByteArray> = self.rows.iter().map(|it| ByteArray::from(of(it))).collect();
        self.column::<ByteArrayType>(&values, None)
    }

    fn maybe(&mut self, of: impl Fn(&Inspection) -> Option<&str>) -> Result<()> {
        self.optional::<ByteArrayType>(|it| of(it).map(ByteArray::from))
    }

    fn optional<T: DataType>(&mut self, of: impl Fn(&Inspection) -> Option<T::T>) -> Result<()> {
        let values: Vec<Option<T::T>> = self.rows.iter().map(|it| of(it)).collect();
        let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
        let values: Vec<T::T> = values.into_iter().flatten().collect();
        self.column::<T>(&values, Some(&levels))
    }

    fn column<T: DataType>(&mut self, values: &[T::T], levels: Option<&[i16]>) -> Result<()> {
        let more = || ParquetError::General("the schema has fewer columns than are written".into());
        let mut column: SerializedColumnWriter<'_> = self.group.next_column()?.ok_or_else(more)?;
        column.typed::<T>().write_batch(values, levels, None)?;
        column.close()
    }
}
