//! Stored entries of a zip archive, found through [`ReadAt`].
//!
//! PyTorch writes checkpoints as zip archives whose entries are not compressed, so a tensor is a range of the file.
//! The `zip` crate reads through blocking `Read + Seek`, which a browser's file cannot offer;
//! finding plain ranges takes three small records of the format, read here, and our tests write archives with that crate.
//! Format: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central header), 4.3.14-16 (ends).

use std::collections::BTreeMap;

use crate::error::FormatError;
use crate::host::{ReadAt, read_exact};

/// Longest central directory that is read, in bytes; a 7B model in 500 tensors needs some 50 KB.
const MAX_DIRECTORY: u64 = 64 << 20;
/// The end record and the longest comment behind it.
const MAX_END: u64 = 22 + 0xffff;

/// One stored entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Length of the data in bytes.
    pub len: u64,
    /// Compression method; 0 is stored.
    method: u16,
    encrypted: bool,
    /// Offset of the local header in the file.
    header: u64,
}

/// The directory of an archive.
pub(crate) struct Archive<'a> {
    file: &'a dyn ReadAt,
    entries: BTreeMap<String, Stored>,
    /// Where the central directory begins: the data end before it.
    directory: u64,
}

impl<'a> Archive<'a> {
    /// Reads the central directory.
    pub(crate) async fn open(file: &'a dyn ReadAt) -> Result<Archive<'a>, FormatError> {
        let broken = |what, offset| FormatError::BrokenArchive { file: file.name().to_owned(), what, offset };
        let tail_len = file.len().min(MAX_END);
        let tail_start = file.len() - tail_len;
        let tail = read_exact(file, tail_start, tail_len as usize).await?;
        let end = (0..tail.len().saturating_sub(21))
            .rev()
            .find(|&at| {
                tail[at..].starts_with(b"PK\x05\x06") && at + 22 + u16_at(&tail, at + 20) as usize == tail.len()
            })
            .ok_or_else(|| broken("no end record", file.len()))?;
        let mut count = u64::from(u16_at(&tail, end + 10));
        let mut size = u64::from(u32_at(&tail, end + 12));
        let mut directory = u64::from(u32_at(&tail, end + 16));

        // Beyond 4 GiB or 65 535 entries the true numbers stand in a second record, found through a locator before this one.
        let end_at = tail_start + end as u64;
        if end_at >= 20 && (count == 0xffff || size == 0xffff_ffff || directory == 0xffff_ffff) {
            let locator = read_exact(file, end_at - 20, 20).await?;
            if locator.starts_with(b"PK\x06\x07") {
                let at = u64_at(&locator, 8);
                if at.checked_add(56).is_none_or(|stop| stop > end_at) {
                    return Err(broken("the 64-bit end record lies outside the file", at));
                }
                let record = read_exact(file, at, 56).await?;
                if !record.starts_with(b"PK\x06\x06") {
                    return Err(broken("no 64-bit end record where its locator points", at));
                }
                (count, size, directory) = (u64_at(&record, 32), u64_at(&record, 40), u64_at(&record, 48));
            }
        }
        if directory.checked_add(size).is_none_or(|stop| stop > end_at) {
            return Err(broken("the directory lies outside the file", directory));
        }
        if size > MAX_DIRECTORY {
            return Err(broken("the directory is too long", directory));
        }
        let bytes = read_exact(file, directory, size as usize).await?;
        let mut entries = BTreeMap::new();
        let mut at = 0usize;
        for _ in 0..count {
            let record = bytes.get(at..).filter(|rest| rest.len() >= 46 && rest.starts_with(b"PK\x01\x02"));
            let here = directory + at as u64;
            let record = record.ok_or_else(|| broken("no directory record where one is due", here))?;
            let name_end = 46 + u16_at(record, 28) as usize;
            let extra_end = name_end + u16_at(record, 30) as usize;
            let stop = extra_end + u16_at(record, 32) as usize;
            if stop > record.len() {
                return Err(broken("a directory record is cut short", here));
            }
            let name =
                std::str::from_utf8(&record[46..name_end]).map_err(|_| broken("an entry's name is not UTF-8", here))?;
            let stored =
                stored(record, &record[name_end..extra_end]).ok_or_else(|| broken("a 64-bit size is missing", here))?;
            if entries.insert(name.to_owned(), stored).is_some() {
                return Err(broken("two entries have one name", here));
            }
            at += stop;
        }
        Ok(Self { file, entries, directory })
    }

    /// Names of all entries.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The entry of that name.
    pub(crate) fn entry(&self, name: &str) -> Result<Stored, FormatError> {
        let (file, entry) = (self.file.name().to_owned(), name.to_owned());
        let stored = self.entries.get(name).copied().ok_or(FormatError::MissingEntry { file, entry })?;
        if stored.method != 0 || stored.encrypted {
            let (file, entry) = (self.file.name().to_owned(), name.to_owned());
            return Err(FormatError::CompressedEntry { file, entry, method: stored.method });
        }
        Ok(stored)
    }

    /// Where the entry's data begin, in bytes from the start of the file; reads its local header.
    pub(crate) async fn data_start(&self, stored: Stored) -> Result<u64, FormatError> {
        let broken =
            |what| FormatError::BrokenArchive { file: self.file.name().to_owned(), what, offset: stored.header };
        if stored.header.checked_add(30).is_none_or(|stop| stop > self.directory) {
            return Err(broken("an entry lies outside the file"));
        }
        let header = read_exact(self.file, stored.header, 30).await?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(broken("no entry where the directory places one"));
        }
        // The local name and extra field may differ in length from the directory's: PyTorch pads here to align data.
        let start = stored.header + 30 + u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
        if start.checked_add(stored.len).is_none_or(|stop| stop > self.directory) {
            return Err(broken("an entry's data reach beyond the directory"));
        }
        Ok(start)
    }
}

/// The sizes of a directory record, with its 64-bit extra field where the 32-bit ones are full.
fn stored(record: &[u8], extra: &[u8]) -> Option<Stored> {
    let (packed, plain) = (u32_at(record, 20), u32_at(record, 24));
    let header = u32_at(record, 42);
    let mut wide = None;
    let mut rest = extra;
    while rest.len() >= 4 {
        let len = u16_at(rest, 2) as usize;
        let field = rest.get(4..4 + len)?;
        if u16_at(rest, 0) == 1 {
            wide = Some(field);
        }
        rest = &rest[4 + len..];
    }
    // Only those that are full appear, in this order.
    let mut wide = wide.unwrap_or_default();
    let mut take = |narrow: u32| {
        if narrow != u32::MAX {
            return Some(u64::from(narrow));
        }
        let (value, rest) = wide.split_first_chunk::<8>()?;
        wide = rest;
        Some(u64::from_le_bytes(*value))
    };
    let plain = take(plain)?;
    let packed = take(packed)?;
    let header = take(header)?;
    let method = u16_at(record, 10);
    if method == 0 && plain != packed {
        return None;
    }
    Some(Stored { len: plain, method, encrypted: u16_at(record, 8) & 1 != 0, header })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;
    use crate::host::MemoryFile;
    use crate::host::tests::ready;

    fn archive(method: CompressionMethod, large: bool) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.set_comment("a comment, as some tools leave").expect("a short comment");
        for (name, data) in [("a/data.pkl", &b"pickle"[..]), ("a/data/0", &[7; 300]), ("a/data/1", &[])] {
            let options = SimpleFileOptions::default().compression_method(method).large_file(large);
            writer.start_file(name, options).expect("a new entry");
            writer.write_all(data).expect("memory");
        }
        writer.finish().expect("memory").into_inner()
    }

    #[test]
    fn finds_what_the_zip_crate_wrote() {
        for large in [false, true] {
            let file = MemoryFile::new("m.pth", archive(CompressionMethod::Stored, large));
            let archive = ready(Archive::open(&file)).expect("a good archive");
            assert_eq!(archive.names().collect::<Vec<_>>(), ["a/data.pkl", "a/data/0", "a/data/1"]);
            for (name, data) in [("a/data.pkl", &b"pickle"[..]), ("a/data/0", &[7; 300]), ("a/data/1", &[])] {
                let entry = archive.entry(name).expect(name);
                assert_eq!(entry.len, data.len() as u64, "{name}");
                let start = ready(archive.data_start(entry)).expect(name);
                assert_eq!(ready(read_exact(&file, start, data.len())).expect(name), data, "{name}");
            }
            assert!(matches!(archive.entry("a/version"), Err(FormatError::MissingEntry { .. })));
        }
    }

    #[test]
    fn compressed_entries_are_refused() {
        let file = MemoryFile::new("m.pth", archive(CompressionMethod::Deflated, false));
        let archive = ready(Archive::open(&file)).expect("a good archive");
        let error = archive.entry("a/data/0").expect_err("deflated");
        assert!(matches!(error, FormatError::CompressedEntry { method: 8, .. }));
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_survived() {
        let good = archive(CompressionMethod::Stored, true);
        let visit = |bytes: Vec<u8>| {
            let file = MemoryFile::new("m.pth", bytes);
            let archive = ready(Archive::open(&file))?;
            for name in archive.names() {
                let entry = archive.entry(name)?;
                let start = ready(archive.data_start(entry))?;
                assert!(start + entry.len <= file.len());
            }
            Ok::<_, FormatError>(())
        };
        visit(good.clone()).expect("the untouched archive");
        for len in 0..good.len() {
            assert!(visit(good[..len].to_vec()).is_err(), "cut to {len}");
        }
        for at in 0..good.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= flip;
                // Either outcome is fine; a panic or a range outside the file is not.
                drop(visit(bytes));
            }
        }
    }
}
