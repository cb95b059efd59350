//! As Apache Parquet, in groups of rows, of which one is in memory. For the page's exports, and for the archive of closed days.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::reader::ColumnReader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use stages::inspection::Inspection;

use super::words::score;
use super::{ExportError, each};
use crate::store::{Filter, PurposeKind, Store, verdict_words};

/// Rows of a group: some ten megabytes of memory.
const GROUP: usize = 10_000;

/// In the order of [`super::words::HEADING`]; an archive has no `line`, which its folders name.
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
    let mut table = Table::begin(out, Layout::Whole)?;
    each(store, filter, seen, |part| {
        let evidence = part.evidence.clone();
        Ok(table.add(part, evidence)?)
    })?;
    Ok(table.end()?)
}

/// Which columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// All.
    Whole,
    /// All but the line.
    WithoutLine,
}

/// A part, and where its picture lies.
type Row = (Arc<Inspection>, Option<String>);

/// A file as it grows.
pub(crate) struct Table<W: Write + Send> {
    file: SerializedFileWriter<W>,
    layout: Layout,
    rows: Vec<Row>,
}

impl<W: Write + Send> Table<W> {
    pub(crate) fn begin(out: W, layout: Layout) -> Result<Table<W>> {
        let schema = match layout {
            Layout::Whole => SCHEMA.to_owned(),
            Layout::WithoutLine => SCHEMA.replace("    required binary line (STRING);\n", ""),
        };
        let schema = Arc::new(parse_message_type(&schema)?);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = SerializedFileWriter::new(out, schema, Arc::new(properties))?;
        Ok(Table { file, layout, rows: Vec::new() })
    }

    pub(crate) fn add(&mut self, part: Arc<Inspection>, evidence: Option<String>) -> Result<()> {
        self.rows.push((part, evidence));
        if self.rows.len() == GROUP {
            group(&mut self.file, self.layout, &std::mem::take(&mut self.rows))?;
        }
        Ok(())
    }

    pub(crate) fn end(mut self) -> Result<()> {
        if !self.rows.is_empty() {
            group(&mut self.file, self.layout, &self.rows)?;
        }
        self.file.close()?;
        Ok(())
    }
}

fn group<W: Write + Send>(file: &mut SerializedFileWriter<W>, layout: Layout, rows: &[Row]) -> Result<()> {
    let mut group = file.next_row_group()?;
    let mut columns = Columns { group: &mut group, rows };
    columns.numbers(|it| it.id as i64)?;
    if layout == Layout::Whole {
        columns.texts(|it| &it.line)?;
    }
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
    let places: Vec<Option<ByteArray>> = rows.iter().map(|(_, place)| place.as_deref().map(ByteArray::from)).collect();
    columns.values::<ByteArrayType>(places)?;
    columns.maybe(|it| it.detail.as_deref())?;
    columns.texts(|it| PurposeKind::of(it).name())?;
    group.close()?;
    Ok(())
}

/// Number and time (microseconds since 1970) of each part of a table that was written here.
pub(crate) fn parts_of(table: Vec<u8>) -> Result<Vec<(i64, i64)>> {
    let file = SerializedFileReader::new(Bytes::from(table))?;
    let columns = file.metadata().file_metadata().schema_descr().columns();
    let find = |name: &str| columns.iter().position(|it| it.name() == name);
    let (Some(id), Some(at)) = (find("id"), find("triggered_at")) else {
        return Err(ParquetError::General("it has no columns `id` and `triggered_at`".to_owned()));
    };
    let mut parts = Vec::new();
    for number in 0..file.num_row_groups() {
        let group = file.get_row_group(number)?;
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        parts.extend(numbers(&*group, id, rows)?.into_iter().zip(numbers(&*group, at, rows)?));
    }
    Ok(parts)
}

/// A column of whole numbers.
fn numbers(group: &dyn RowGroupReader, column: usize, rows: usize) -> Result<Vec<i64>> {
    let ColumnReader::Int64ColumnReader(mut reader) = group.get_column_reader(column)? else {
        return Err(ParquetError::General("a column has another type than it was written with".to_owned()));
    };
    let mut values = Vec::new();
    while values.len() < rows && reader.read_records(rows - values.len(), None, None, &mut values)?.0 > 0 {}
    Ok(values)
}

/// The columns of a group, written in their order.
struct Columns<'a, 'f, W: Write> {
    group: &'a mut SerializedRowGroupWriter<'f, W>,
    rows: &'a [Row],
}

impl<W: Write + Send> Columns<'_, '_, W> {
    fn numbers(&mut self, of: impl Fn(&Inspection) -> i64) -> Result<()> {
        let values: Vec<i64> = self.rows.iter().map(|(it, _)| of(it)).collect();
        self.column::<Int64Type>(&values, None)
    }

    fn texts(&mut self, of: impl Fn(&Inspection) -> &str) -> Result<()> {
        let values: Vec<ByteArray> = self.rows.iter().map(|(it, _)| ByteArray::from(of(it))).collect();
        self.column::<ByteArrayType>(&values, None)
    }

    fn maybe(&mut self, of: impl Fn(&Inspection) -> Option<&str>) -> Result<()> {
        self.optional::<ByteArrayType>(|it| of(it).map(ByteArray::from))
    }

    fn optional<T: DataType>(&mut self, of: impl Fn(&Inspection) -> Option<T::T>) -> Result<()> {
        self.values::<T>(self.rows.iter().map(|(it, _)| of(it)).collect())
    }

    fn values<T: DataType>(&mut self, values: Vec<Option<T::T>>) -> Result<()> {
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
