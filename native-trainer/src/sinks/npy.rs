//! NumPy's array file: a header of fixed length, patched at the end with the number of rows, and the numbers.
//!
//! The format has no place for paths: they go to `FILE.paths.txt`, a line a row.

use std::fs::File;
use std::io::{BufWriter, Seek as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Layout, OneShape, Row, Sink, beside, write_floats};

/// Bytes before the numbers; a multiple of 64, as the format asks, with room for three dimensions of twenty digits.
const HEADER: usize = 192;
const PATHS: &str = ".paths.txt";

/// A `.npy` file under way.
pub(super) struct Npy {
    out: BufWriter<File>,
    paths: BufWriter<File>,
    layout: Layout,
    shape: OneShape,
}

impl Npy {
    /// Begins `file`, which lies at `path`; the paths go beside it.
    pub(super) fn new(file: File, path: &Path, layout: &Layout) -> Result<Self> {
        let paths = beside(path, PATHS);
        let paths = File::create(&paths).with_context(|| format!("cannot write {}", paths.display()))?;
        let mut out = BufWriter::new(file);
        out.write_all(&header(&[0, layout.dim as u64]))?;
        Ok(Self { out, paths: BufWriter::new(paths), layout: layout.clone(), shape: OneShape::default() })
    }
}

impl Sink for Npy {
    fn write(&mut self, row: &Row<'_>) -> Result<()> {
        self.shape.add(row, self.layout.what)?;
        write_floats(&mut self.out, row.values)?;
        // A line is a row: line ends within a path are written as two characters.
        Ok(writeln!(self.paths, "{}", row.path.replace('\n', "\\n").replace('\r', "\\r"))?)
    }

    fn finish(&mut self) -> Result<()> {
        self.out.rewind()?; // flushes first
        self.out.write_all(&header(&self.shape.shape(&self.layout)))?;
        self.out.flush()?;
        self.paths.flush()?;
        self.out.get_ref().sync_all()?;
        Ok(self.paths.get_ref().sync_all()?)
    }

    fn sidecars(&self) -> &'static [&'static str] {
        &[PATHS]
    }
}

/// Version 1.0: magic, version, length, then a Python dictionary padded with spaces up to a line end.
fn header(shape: &[u64]) -> [u8; HEADER] {
    let extents: Vec<String> = shape.iter().map(u64::to_string).collect();
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", extents.join(", "));
    let mut bytes = [b' '; HEADER];
    bytes[..8].copy_from_slice(b"\x93NUMPY\x01\x00");
    bytes[8..10].copy_from_slice(&((HEADER - 10) as u16).to_le_bytes());
    bytes[10..10 + text.len()].copy_from_slice(text.as_bytes());
    bytes[HEADER - 1] = b'\n';
    bytes
}
