//! The tensors of one model by name, in one file or many, read one at a time.
//!
//! Opening reads headers only. A tensor is read when asked for, whole or by rows, so that a model of 25 GB
//! passes through a browser to the GPU in pieces of a chosen size.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::index::ShardIndex;
use super::tensor::{Entry, TensorBytes};
use super::{pth, safetensors};
use crate::error::FormatError;
use crate::host::{ReadAt, read_exact};

/// Longest JSON file (config, index) that is read, in bytes.
pub(crate) const MAX_TEXT: u64 = 64 << 20;

/// How the text begins that Git keeps in place of a large file, where Git LFS did not fetch it.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Where a tensor's elements lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    pub entry: Entry,
    /// Number of the file within the checkpoint.
    pub file: usize,
    /// Offset in the file of the first element, in bytes.
    pub offset: u64,
    /// Strides in elements, one a dimension; `None` for row-major without gaps.
    pub strides: Option<Vec<u64>>,
}

impl Located {
    pub(crate) fn contiguous(entry: Entry, file: usize, offset: u64) -> Self {
        Self { entry, file, offset, strides: None }
    }
}

/// A shape as machine words; `None` where one does not fit (a 32-bit browser).
pub(crate) fn to_usize_shape(shape: &[u64]) -> Option<Vec<usize>> {
    shape.iter().map(|&extent| usize::try_from(extent).ok()).collect()
}

/// Named tensors across one or more files.
pub struct Checkpoint {
    files: Vec<Box<dyn ReadAt>>,
    tensors: BTreeMap<String, Located>,
    metadata: BTreeMap<String, String>,
    inert: BTreeSet<String>,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint")
            .field("files", &self.file_names().collect::<Vec<_>>())
            .field("tensors", &self.tensors)
            .finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// Opens one file; safetensors or a PyTorch file, told apart by their first bytes.
    ///
    /// # Errors
    /// [`FormatError`] of whatever is wrong with the file.
    pub async fn open(file: Box<dyn ReadAt>) -> Result<Self, FormatError> {
        let Opened { tensors, metadata, inert } = open_file(file.as_ref(), 0).await?;
        let mut all = BTreeMap::new();
        for (tensor, located) in tensors {
            if all.insert(tensor.clone(), located).is_some() {
                return Err(FormatError::DuplicateTensor { file: file.name().to_owned(), tensor });
            }
        }
        Ok(Self { files: vec![file], tensors: all, metadata, inert: inert.into_iter().collect() })
    }

    /// Opens a model in several files by its index, `model.safetensors.index.json` or `pytorch_model.bin.index.json`.
    ///
    /// `files` may hold more than the index names; the rest is left alone.
    ///
    /// # Errors
    /// [`FormatError::MissingShard`], [`FormatError::NotInShard`] or [`FormatError::NotInIndex`] where index and
    /// shards disagree, or whatever is wrong with a shard.
    pub async fn open_sharded(index: &dyn ReadAt, mut files: Vec<Box<dyn ReadAt>>) -> Result<Self, FormatError> {
        let index = ShardIndex::read(index).await?;
        let index_name = || index.name().to_owned();
        let found: Vec<String> = files.iter().map(|file| file.name().to_owned()).collect();
        let mut checkpoint =
            Self { files: Vec::new(), tensors: BTreeMap::new(), metadata: BTreeMap::new(), inert: BTreeSet::new() };
        for shard in index.shards() {
            let mut places = (0..files.len()).filter(|&i| last_part(files[i].name()) == shard);
            let (place, second) = (places.next(), places.next());
            if second.is_some() {
                return Err(FormatError::DuplicateFile { name: shard.to_owned() });
            }
            let Some(place) = place else {
                let shard = shard.to_owned();
                return Err(FormatError::MissingShard { index: index_name(), shard, found });
            };
            let file = files.swap_remove(place);
            let number = checkpoint.files.len();
            let Opened { tensors, metadata, inert } = open_file(file.as_ref(), number).await?;
            for (tensor, located) in tensors {
                if index.shard_of(&tensor) != Some(shard) {
                    let shard = shard.to_owned();
                    return Err(FormatError::NotInIndex { index: index_name(), tensor, shard });
                }
                checkpoint.tensors.insert(tensor, located);
            }
            checkpoint.metadata.extend(metadata);
            checkpoint.inert.extend(inert);
            checkpoint.files.push(file);
        }
        if let Some((tensor, shard)) = index.tensors().find(|(tensor, _)| !checkpoint.tensors.contains_key(*tensor)) {
            let (tensor, shard) = (tensor.to_owned(), shard.to_owned());
            return Err(FormatError::NotInShard { index: index_name(), tensor, shard });
        }
        if checkpoint.tensors.is_empty() {
            return Err(FormatError::NoCheckpoint { found });
        }
        Ok(checkpoint)
    }

    /// The tensors' names in alphabetical order; nested dictionaries of a `.pth` are joined by dots.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Type, shape and size of a tensor, if there is one of that name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.tensors.get(name).map(|located| &located.entry)
    }

    /// Names of the files that hold the tensors.
    pub fn file_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.files.iter().map(|file| file.name())
    }

    /// Free text from safetensors headers, such as `format: pt`; empty for a `.pth`.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Classes and functions that a `.pth` names beside its tensors, such as `argparse.Namespace`.
    /// None was loaded or called; a name like `os.system` tells of an attack on other readers.
    pub fn inert_objects(&self) -> impl ExactSizeIterator<Item = &str> {
        self.inert.iter().map(String::as_str)
    }

    /// Reads one whole tensor.
    ///
    /// # Errors
    /// [`FormatError::NoSuchTensor`], [`FormatError::TooLarge`], or the host's.
    pub async fn read(&self, name: &str) -> Result<TensorBytes, FormatError> {
        let rows = self.located(name)?.entry.rows();
        let mut tensor = self.read_rows(name, 0..rows).await?;
        // A scalar has one row but no dimension.
        tensor.shape.clone_from(&self.located(name)?.entry.shape);
        Ok(tensor)
    }

    /// Reads the rows `rows` of a tensor, a row being one index of the first dimension.
    ///
    /// The shape returned has the number of rows first; a scalar counts as one row of shape `[1]`.
    ///
    /// # Errors
    /// [`FormatError::NoSuchTensor`], [`FormatError::NoSuchRows`], [`FormatError::TooLarge`], or the host's.
    pub async fn read_rows(&self, name: &str, rows: Range<usize>) -> Result<TensorBytes, FormatError> {
        let located = self.located(name)?;
        let entry = &located.entry;
        if rows.start > rows.end || rows.end > entry.rows() {
            return Err(FormatError::NoSuchRows {
                tensor: name.to_owned(),
                start: rows.start,
                end: rows.end,
                rows: entry.rows(),
            });
        }
        let mut shape = entry.shape.clone();
        match shape.first_mut() {
            Some(first) => *first = rows.len(),
            None => shape.push(rows.len()),
        }
        let bytes = entry.row_bytes().saturating_mul(rows.len() as u64);
        let too_large = |bytes| FormatError::TooLarge { tensor: name.to_owned(), bytes };
        let len = usize::try_from(bytes).ok().filter(|&len| isize::try_from(len).is_ok());
        let len = len.ok_or_else(|| too_large(bytes))?;
        let file = self.files[located.file].as_ref();
        let bytes = match &located.strides {
            _ if len == 0 => Vec::new(),
            None => {
                let offset = located.offset + entry.row_bytes() * rows.start as u64;
                read_exact(file, offset, len).await?
            }
            Some(strides) => {
                let first = strides.first().copied().unwrap_or(0);
                let offset = located.offset + first * rows.start as u64 * entry.dtype.size() as u64;
                let span = span(&shape, strides);
                let span_bytes = span.saturating_mul(entry.dtype.size() as u64);
                let span_len = usize::try_from(span_bytes).map_err(|_| too_large(span_bytes))?;
                let source = read_exact(file, offset, span_len).await?;
                gather(&source, &shape, strides, entry.dtype.size(), len)
            }
        };
        Ok(TensorBytes { name: name.to_owned(), dtype: entry.dtype, shape, bytes })
    }

    fn located(&self, name: &str) -> Result<&Located, FormatError> {
        self.tensors.get(name).ok_or_else(|| FormatError::NoSuchTensor { tensor: name.to_owned() })
    }
}

/// What one file says before any tensor is read.
#[derive(Default)]
struct Opened {
    tensors: Vec<(String, Located)>,
    metadata: BTreeMap<String, String>,
    inert: Vec<String>,
}

async fn open_file(file: &dyn ReadAt, number: usize) -> Result<Opened, FormatError> {
    let head = read_exact(file, 0, file.len().min(9) as usize).await?;
    if let Some(kind) = pth::Kind::sniff(&head) {
        let pth::Contents { tensors, inert } = pth::locate(file, number, kind).await?;
        return Ok(Opened { tensors, inert, ..Opened::default() });
    }
    // A safetensors header is a JSON object: its first character stands behind the length. Of a shorter file only the name
    // says what it was meant to be.
    let named = || file.is_empty() || file.name().ends_with(".safetensors");
    let looks_right = head.get(8).map_or_else(named, |&byte| byte == b'{');
    if !looks_right {
        let start = read_exact(file, 0, file.len().min(LFS_POINTER.len() as u64) as usize).await?;
        if start == LFS_POINTER {
            return Err(FormatError::LfsPointer { file: file.name().to_owned() });
        }
        let head = head[..head.len().min(8)].to_vec();
        return Err(FormatError::UnknownFormat { file: file.name().to_owned(), head });
    }
    let header = safetensors::read_header(file, number).await?;
    Ok(Opened { tensors: header.tensors, metadata: header.metadata, inert: Vec::new() })
}

/// A whole text file, of limited length.
pub(crate) async fn read_text(file: &dyn ReadAt) -> Result<String, FormatError> {
    if file.len() > MAX_TEXT {
        let (file, len) = (file.name().to_owned(), file.len());
        return Err(FormatError::TextTooLong { file, len, limit: MAX_TEXT });
    }
    let bytes = read_exact(file, 0, file.len() as usize).await?;
    if bytes.starts_with(LFS_POINTER) {
        return Err(FormatError::LfsPointer { file: file.name().to_owned() });
    }
    String::from_utf8(bytes)
        .map_err(|error| FormatError::NotText { file: file.name().to_owned(), at: error.utf8_error().valid_up_to() })
}

/// The part of a path behind the last separator.
pub(crate) fn last_part(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Elements from the first to one past the last that a strided tensor touches; saturates on overflow.
pub(crate) fn span(shape: &[usize], strides: &[u64]) -> u64 {
    if shape.contains(&0) {
        return 0;
    }
    let reach = shape.iter().zip(strides).map(|(&extent, &stride)| (extent as u64 - 1).saturating_mul(stride));
    reach.fold(1u64, u64::saturating_add)
}

/// Copies a strided tensor into row-major order. `source` covers its [`span`].
fn gather(source: &[u8], shape: &[usize], strides: &[u64], size: usize, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    let mut index = vec![0usize; shape.len()];
    while out.len() < len {
        let at: u64 = index.iter().zip(strides).map(|(&i, &stride)| i as u64 * stride).sum();
        let at = at as usize * size;
        out.extend_from_slice(&source[at..at + size]);
        for (i, &extent) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < extent {
                break;
            }
            *i = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathers_what_strides_describe() {
        let source: Vec<u8> = (0..12).collect();
        // The transpose of a 3 x 4 matrix.
        assert_eq!(gather(&source, &[4, 3], &[1, 4], 1, 12), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
        assert_eq!(span(&[4, 3], &[1, 4]), 12);
        // Every second column, two bytes an element.
        assert_eq!(gather(&source, &[2, 2], &[3, 2], 2, 8), [0, 1, 4, 5, 6, 7, 10, 11]);
        assert_eq!(span(&[2, 2], &[3, 2]), 6);
        // Expanded: stride zero.
        assert_eq!(gather(&source, &[3, 2], &[0, 1], 1, 6), [0, 1, 0, 1, 0, 1]);
        assert_eq!(span(&[0, 7], &[7, 1]), 0);
        assert_eq!(span(&[2, usize::MAX], &[u64::MAX, u64::MAX]), u64::MAX);
        assert!(gather(&source, &[0, 7], &[7, 1], 1, 0).is_empty());
    }

    #[test]
    fn last_part_knows_both_separators() {
        for path in ["m.bin", "a/m.bin", "a\\b\\m.bin", "/x/y/m.bin"] {
            assert_eq!(last_part(path), "m.bin");
        }
    }
}
