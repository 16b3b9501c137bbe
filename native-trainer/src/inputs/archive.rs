//! Zip archives, read in place by any thread.
//!
//! The `zip` crate reads from one place in one file; here every reader has its own place in a file that all share, and
//! the archive's directory is shared too, so that a copy of the archive costs nothing and needs no lock.

use std::io::{Read, Result, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use lab_core::host::ReadAt as _;
use lab_core::image::Limits;

use crate::host::DiskFile;
use crate::text;

/// Bytes read at once: most photographs in two reads.
const CHUNK: u64 = 64 << 10;

/// An archive; a copy shares everything but the place.
#[derive(Debug, Clone)]
pub(super) struct Archive(zip::ZipArchive<Shared>);

impl Archive {
    /// Reads the directory of an archive.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = Shared { file: Arc::new(DiskFile::open(path)?), at: 0, buffer: Vec::new(), start: 0 };
        Ok(Self(zip::ZipArchive::new(file)?))
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// An entry's name; none for folders.
    pub(super) fn name(&self, entry: usize) -> anyhow::Result<Option<String>> {
        let data = self.0.by_index_data(entry)?;
        Ok(if data.is_dir() { None } else { Some(data.name()?.into_owned()) })
    }

    /// Number of entries that cannot be read, since a later one has the same name: the `zip` crate knows entries by their
    /// names alone.
    pub(super) fn hidden(&self) -> anyhow::Result<u64> {
        if !self.0.has_duplicate_names() {
            return Ok(0);
        }
        let mut directory = self.0.clone().into_inner();
        directory.seek(SeekFrom::Start(self.0.central_directory_start()))?;
        let (mut entries, mut header) = (0, [0; 46]);
        // The directory was read before: it is whole, and something else stands behind it.
        while directory.read_exact(&mut header).is_ok() && header.starts_with(b"PK\x01\x02") {
            let lengths = header[28..34].chunks_exact(2).map(|len| i64::from(u16::from_le_bytes([len[0], len[1]])));
            directory.seek(SeekFrom::Current(lengths.sum()))?; // name, extra field, comment
            entries += 1;
        }
        Ok(u64::saturating_sub(entries, self.len() as u64))
    }

    /// An entry's bytes, unpacked; or why there are none.
    pub(super) fn read(&self, entry: usize, limits: &Limits) -> std::result::Result<Vec<u8>, String> {
        let too_long = |len| {
            let (len, most) = (text::bytes(len), text::bytes(limits.max_bytes));
            Err(format!("the file has {len}; the limit is {most}"))
        };
        let mut archive = self.clone().0;
        let entry = archive.by_index(entry).map_err(|error| format!("cannot read: {error}"))?;
        let size = entry.size();
        if size > limits.max_bytes {
            return too_long(size);
        }
        // The stated size is a claim: neither memory nor reading may rest on it alone.
        let mut bytes = Vec::with_capacity(size.min(1 << 24) as usize);
        entry.take(limits.max_bytes + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot read: {error}"))?;
        match bytes.len() as u64 {
            0 => Err("the file is empty".to_owned()),
            len if len > limits.max_bytes => too_long(len),
            _ => Ok(bytes),
        }
    }
}

/// A file that many read, each at its own place.
#[derive(Debug)]
struct Shared {
    file: Arc<DiskFile>,
    at: u64,
    /// Bytes from `start` on.
    buffer: Vec<u8>,
    start: u64,
}

impl Clone for Shared {
    fn clone(&self) -> Self {
        Self { file: Arc::clone(&self.file), at: self.at, buffer: Vec::new(), start: 0 }
    }
}

impl Read for Shared {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        let len = self.file.len();
        if self.at >= len || out.is_empty() {
            return Ok(0);
        }
        let held = self.start..self.start + self.buffer.len() as u64;
        if !held.contains(&self.at) {
            self.buffer = self.file.read(self.at, CHUNK.min(len - self.at) as usize)?;
            self.start = self.at;
        }
        let from = &self.buffer[(self.at - self.start) as usize..];
        let count = from.len().min(out.len());
        out[..count].copy_from_slice(&from[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Shared {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.file.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| std::io::Error::other("a place before the beginning of the file"))?;
        Ok(self.at)
    }
}
