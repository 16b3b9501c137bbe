//! A tensor `embeddings` and, in the metadata, `paths` as a JSON list and where the numbers come from.
//!
//! The header stands before the numbers and holds every path, while nobody knows yet which images are bad:
//! so room for all of them is kept, and what is left over is filled with spaces, as the format allows.
//! Where the paths would make the header longer than readers accept, they go to `FILE.paths.txt`.

use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Map, Value, json};

use super::{Layout, OneShape, Row, Sink, beside, write_floats};

/// Longest header that readers accept, less some.
const LONGEST: usize = 99_000_000;
const PATHS: &str = ".paths.txt";

/// A `.safetensors` file under way.
pub(super) struct Safetensors {
    out: BufWriter<File>,
    layout: Layout,
    shape: OneShape,
    header_len: usize,
    paths: Paths,
}

enum Paths {
    Header(Vec<String>),
    Beside(BufWriter<File>),
}

impl Safetensors {
    /// Begins `file`, which lies at `path`.
    pub(super) fn new(file: File, path: &Path, layout: &Layout) -> Result<Self> {
        // The list of paths becomes a string in JSON: its quotes and backslashes are escaped once more.
        let widest = OneShape { grid: Some([1 << 31, 1 << 31]), rows: u64::MAX };
        let empty = header(layout, &widest, Some(&[]))?;
        let with_paths = (empty.len() + layout.path_bytes + 256).next_multiple_of(8);
        let (header_len, paths) = if with_paths <= LONGEST {
            (with_paths, Paths::Header(Vec::new()))
        } else {
            let paths = beside(path, PATHS);
            let paths = File::create(&paths).with_context(|| format!("cannot write {}", paths.display()))?;
            ((empty.len() + 256).next_multiple_of(8), Paths::Beside(BufWriter::new(paths)))
        };
        let mut out = BufWriter::new(file);
        out.seek(SeekFrom::Start(8 + header_len as u64))?;
        Ok(Self { out, layout: layout.clone(), shape: OneShape::default(), header_len, paths })
    }
}

impl Sink for Safetensors {
    fn write(&mut self, row: &Row<'_>) -> Result<()> {
        self.shape.add(row, self.layout.what)?;
        write_floats(&mut self.out, row.values)?;
        match &mut self.paths {
            Paths::Header(paths) => paths.push(row.path.to_owned()),
            Paths::Beside(out) => writeln!(out, "{}", row.path.replace('\n', "\\n").replace('\r', "\\r"))?,
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let paths = match &mut self.paths {
            Paths::Header(paths) => Some(paths.as_slice()),
            Paths::Beside(out) => {
                out.flush()?;
                out.get_ref().sync_all()?;
                None
            }
        };
        let mut header = header(&self.layout, &self.shape, paths)?;
        if header.len() > self.header_len {
            return Err(anyhow!("the header needs {} bytes, {} were kept", header.len(), self.header_len));
        }
        header.resize(self.header_len, b' ');
        self.out.rewind()?; // flushes first
        self.out.write_all(&(self.header_len as u64).to_le_bytes())?;
        self.out.write_all(&header)?;
        self.out.flush()?;
        Ok(self.out.get_ref().sync_all()?)
    }

    fn sidecars(&self) -> &'static [&'static str] {
        match self.paths {
            Paths::Header(_) => &[],
            Paths::Beside(_) => &[PATHS],
        }
    }
}

fn header(layout: &Layout, shape: &OneShape, paths: Option<&[String]>) -> Result<Vec<u8>> {
    let mut metadata: Map<String, Value> =
        layout.about.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    match paths {
        Some(paths) => metadata.insert("paths".to_owned(), Value::from(serde_json::to_string(paths)?)),
        None => metadata.insert("paths_file".to_owned(), Value::from(PATHS)),
    };
    if let Some([rows, columns]) = shape.grid {
        metadata.insert("grid".to_owned(), Value::from(format!("{rows}x{columns}")));
    }
    let extents = shape.shape(layout);
    let bytes = extents.iter().fold(4u64, |product, &extent| product.saturating_mul(extent));
    let header = json!({
        "__metadata__": metadata,
        "embeddings": { "dtype": "F32", "shape": extents, "data_offsets": [0, bytes] },
    });
    Ok(serde_json::to_vec(&header)?)
}
