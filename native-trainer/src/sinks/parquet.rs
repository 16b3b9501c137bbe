//! Columns for pandas, pyarrow, DuckDB, Polars: `path` and `embedding`, a list of floats;
//! for patch tokens a row a patch, with `row` and `column` of the patch beside its path.
//!
//! Rows are gathered into groups of 64 MiB, the unit in which the format is written and read.

use std::fs::File;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use parquet::basic::{Compression, Encoding};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int32Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::{Layout, Row, Sink};
use crate::cli::What;

/// Numbers of a row group: 64 MiB.
const GROUP: usize = 16 << 20;

/// A `.parquet` file under way.
pub(super) struct Parquet {
    out: SerializedFileWriter<File>,
    layout: Layout,
    paths: Vec<ByteArray>,
    rows: Vec<i32>,
    columns: Vec<i32>,
    values: Vec<f32>,
}

impl Parquet {
    /// Begins `file`.
    pub(super) fn new(file: File, layout: &Layout) -> Result<Self> {
        let place = if layout.what == What::Patches { "required int32 row; required int32 column;" } else { "" };
        let schema = parse_message_type(&format!(
            "message schema {{
                required binary path (STRING);
                {place}
                required group embedding (LIST) {{ repeated group list {{ required float element; }} }}
            }}"
        ))?;
        let about = layout.about.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
        let element = ColumnPath::from(["embedding", "list", "element"].map(String::from).to_vec());
        let properties = WriterProperties::builder()
            .set_created_by(concat!("native-trainer ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(about.collect()))
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            // Embeddings have no repeated values and no order: a dictionary or statistics would be larger than they help.
            .set_column_dictionary_enabled(element.clone(), false)
            .set_column_encoding(element.clone(), Encoding::PLAIN)
            .set_column_compression(element.clone(), Compression::UNCOMPRESSED)
            .set_column_statistics_enabled(element, EnabledStatistics::None)
            .build();
        let out = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
        let empty = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (paths, rows, columns, values) = empty;
        Ok(Self { out, layout: layout.clone(), paths, rows, columns, values })
    }

    fn flush_group(&mut self) -> Result<()> {
        if self.paths.is_empty() {
            return Ok(());
        }
        let mut group = self.out.next_row_group()?;
        column::<ByteArrayType>(&mut group, &self.paths, None)?;
        if self.layout.what == What::Patches {
            column::<Int32Type>(&mut group, &self.rows, None)?;
            column::<Int32Type>(&mut group, &self.columns, None)?;
        }
        // Every list is there and has `dim` elements: level 0 begins a row, level 1 goes on with it.
        let defined = vec![1; self.values.len()];
        let repeated: Vec<i16> = (0..self.values.len()).map(|i| i16::from(i % self.layout.dim != 0)).collect();
        column::<FloatType>(&mut group, &self.values, Some((&defined, &repeated)))?;
        group.close()?;
        self.paths.clear();
        self.rows.clear();
        self.columns.clear();
        self.values.clear();
        Ok(())
    }
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
    levels: Option<(&[i16], &[i16])>,
) -> Result<()> {
    let mut column = group.next_column()?.ok_or_else(|| anyhow!("the schema has fewer columns than the rows"))?;
    let (defined, repeated) = levels.unzip();
    column.typed::<T>().write_batch(values, defined, repeated)?;
    Ok(column.close()?)
}

impl Sink for Parquet {
    fn write(&mut self, row: &Row<'_>) -> Result<()> {
        let path = ByteArray::from(row.path);
        let columns = row.grid[1].max(1);
        for patch in 0..row.values.len() / self.layout.dim {
            self.paths.push(path.clone());
            if self.layout.what == What::Patches {
                self.rows.push(i32::try_from(patch / columns)?);
                self.columns.push(i32::try_from(patch % columns)?);
            }
        }
        self.values.extend_from_slice(row.values);
        if self.values.len() >= GROUP { self.flush_group() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<()> {
        self.flush_group()?;
        self.out.finish()?;
        self.out.inner().sync_all().context("cannot bring it to the disk")
    }
}
