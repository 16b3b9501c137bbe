//! Text for spreadsheets: `path,e0,e1,…`; for patch tokens a line a patch, `path,row,column,e0,…`.
//!
//! Numbers have as many digits as are needed to read back the same f32.

use std::fs::File;

use anyhow::{Context as _, Result};

use super::{Layout, Row, Sink};
use crate::cli::What;

/// A `.csv` file under way.
pub(super) struct Csv {
    out: csv::Writer<File>,
    layout: Layout,
}

impl Csv {
    /// Begins `file` with its line of names.
    pub(super) fn new(file: File, layout: &Layout) -> Result<Self> {
        let mut out = csv::WriterBuilder::new().buffer_capacity(1 << 16).from_writer(file);
        out.write_field("path")?;
        if layout.what == What::Patches {
            out.write_field("row")?;
            out.write_field("column")?;
        }
        for number in 0..layout.dim {
            out.write_field(format!("e{number}"))?;
        }
        out.write_record(None::<&[u8]>)?;
        Ok(Self { out, layout: layout.clone() })
    }
}

impl Sink for Csv {
    fn write(&mut self, row: &Row<'_>) -> Result<()> {
        let columns = row.grid[1].max(1);
        for (patch, values) in row.values.chunks_exact(self.layout.dim).enumerate() {
            self.out.write_field(row.path)?;
            if self.layout.what == What::Patches {
                self.out.write_field((patch / columns).to_string())?;
                self.out.write_field((patch % columns).to_string())?;
            }
            for value in values {
                self.out.write_field(value.to_string())?;
            }
            self.out.write_record(None::<&[u8]>)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.out.flush()?;
        self.out.get_ref().sync_all().context("cannot bring it to the disk")
    }
}
