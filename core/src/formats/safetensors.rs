//! The header of a safetensors file: eight bytes of length, then JSON, then the data.
//!
//! The `safetensors` crate could parse it, and our tests hold the two together; it is not used here for three reasons:
//! its offsets are `usize`, 32 bits in a browser, where a shard of 5 GB must load;
//! its map swallows a name that occurs twice; and its errors do not name the tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use super::checkpoint::{Located, to_usize_shape};
use super::tensor::{Dtype, Entry};
use crate::error::FormatError;
use crate::host::{ReadAt, read_exact};

/// Longest header accepted, in bytes; the limit of the format's own library.
pub const MAX_HEADER: u64 = 100_000_000;

/// The first bytes of a file: its length of header and its header, for tensors whose data follow in this order without
/// gaps. `metadata` is free text; `format: pt` is added, as transformers expects it.
pub fn header<'a>(
    tensors: impl IntoIterator<Item = (&'a str, Dtype, &'a [usize])>,
    metadata: &BTreeMap<String, String>,
) -> Vec<u8> {
    let mut about: Map<String, Value> = metadata.iter().map(|(key, text)| (key.clone(), json!(text))).collect();
    about.insert("format".to_owned(), json!("pt"));
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), Value::Object(about));
    let mut end = 0u64;
    for (name, dtype, shape) in tensors {
        let begin = end;
        end += dtype.size() as u64 * shape.iter().product::<usize>() as u64;
        let place = json!({ "dtype": dtype.name(), "shape": shape, "data_offsets": [begin, end] });
        header.insert(name.to_owned(), place);
    }
    let mut json = Value::Object(header).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(8), b' ');
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json);
    bytes
}

/// What the header of one file says.
#[derive(Debug, Default)]
pub(crate) struct Header {
    /// The free text under `__metadata__`, such as `format: pt`.
    pub metadata: BTreeMap<String, String>,
    /// Where each tensor lies, by name.
    pub tensors: Vec<(String, Located)>,
}

/// Reads and checks the header of `file`, which becomes number `number` of its checkpoint.
pub(crate) async fn read_header(file: &dyn ReadAt, number: usize) -> Result<Header, FormatError> {
    let name = || file.name().to_owned();
    if file.len() < 8 {
        return Err(FormatError::Truncated { file: name(), expected: 8, found: file.len() });
    }
    let start = read_exact(file, 0, 8).await?;
    let len = start.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let available = file.len() - 8;
    if len > available || len > MAX_HEADER {
        return Err(FormatError::HeaderTooLong { file: name(), len, available, limit: MAX_HEADER });
    }
    // At most MAX_HEADER: fits a usize everywhere.
    let json = read_exact(file, 8, len as usize).await?;
    let raw: RawHeader = serde_json::from_slice(&json)
        .map_err(|source| FormatError::Json { file: format!("{}'s header", file.name()), source })?;
    check(raw, file.name(), number, 8 + len, file.len())
}

/// Checks what the JSON says against itself and against the file's length.
fn check(raw: RawHeader, file: &str, number: usize, data_start: u64, file_len: u64) -> Result<Header, FormatError> {
    let name = || file.to_owned();
    let mut header = Header { metadata: raw.metadata, tensors: Vec::with_capacity(raw.tensors.len()) };
    let mut seen = BTreeSet::new();
    let mut extents = Vec::with_capacity(raw.tensors.len());
    for (tensor, entry) in raw.tensors {
        if !seen.insert(tensor.clone()) {
            return Err(FormatError::DuplicateTensor { file: name(), tensor });
        }
        let Some(dtype) = Dtype::from_name(&entry.dtype) else {
            let supported = Dtype::NAMES;
            return Err(FormatError::UnknownDtype { file: name(), tensor, dtype: entry.dtype, supported });
        };
        let [begin, end] = entry.data_offsets;
        let Some(found) = end.checked_sub(begin) else {
            return Err(FormatError::BadOffsets { file: name(), tensor, begin, end, expected: begin });
        };
        let expected = entry.shape.iter().try_fold(dtype.size() as u64, |product, &extent| product.checked_mul(extent));
        let shape = match to_usize_shape(&entry.shape) {
            Some(shape) if expected == Some(found) => shape,
            _ => {
                let (shape, dtype) = (entry.shape, dtype.name());
                return Err(FormatError::SizeMismatch { file: name(), tensor, shape, dtype, expected, found });
            }
        };
        extents.push((begin, end, tensor.clone()));
        // Saturates only where the check of the file's length below fails.
        let offset = data_start.saturating_add(begin);
        let entry = Entry { dtype, shape, byte_len: found };
        header.tensors.push((tensor, Located::contiguous(entry, number, offset)));
    }

    // The data must be covered without overlap and without gaps, from the header's end to the file's.
    extents.sort_by_key(|extent| (extent.0, extent.1));
    let (mut expected, mut last) = (0, None);
    for (begin, end, tensor) in extents {
        if begin < expected {
            let first = last.unwrap_or_default();
            return Err(FormatError::Overlap { file: name(), first, second: tensor });
        }
        if begin > expected {
            return Err(FormatError::BadOffsets { file: name(), tensor, begin, end, expected });
        }
        expected = end;
        last = Some(tensor);
    }
    let expected = data_start.saturating_add(expected);
    match file_len.cmp(&expected) {
        std::cmp::Ordering::Less => Err(FormatError::Truncated { file: name(), expected, found: file_len }),
        std::cmp::Ordering::Greater => Err(FormatError::TrailingBytes { file: name(), expected, found: file_len }),
        std::cmp::Ordering::Equal => Ok(header),
    }
}

#[derive(Default)]
struct RawHeader {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, RawEntry)>,
}

#[derive(serde::Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// By hand, because a derived map would silently keep one of two equal names.
impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = RawHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from tensor names to {dtype, shape, data_offsets}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let mut header = RawHeader::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key == "__metadata__" {
                        header.metadata = map.next_value::<Option<_>>()?.unwrap_or_default();
                    } else {
                        header.tensors.push((key, map.next_value()?));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// A tensor to be written.
#[derive(Debug, Clone)]
pub struct Piece {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Piece {
    /// Numbers of 32 bits.
    pub fn f32(name: &str, shape: &[usize], values: &[f32]) -> Self {
        Self::new(name, Dtype::F32, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Numbers of 64 bits.
    pub fn f64(name: &str, shape: &[usize], values: &[f64]) -> Self {
        Self::new(name, Dtype::F64, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Whole numbers of 64 bits.
    pub fn i64(name: &str, shape: &[usize], values: &[i64]) -> Self {
        Self::new(name, Dtype::I64, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn new(name: &str, dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> Self {
        let count: usize = shape.iter().product();
        assert!(count * dtype.size() == bytes.len(), "write: {name} of shape {shape:?} has {} bytes", bytes.len());
        Self { name: name.to_owned(), dtype, shape: shape.to_vec(), bytes }
    }
}

/// The bytes of a safetensors file, in memory: for small things such as a probe.
pub fn write(metadata: &BTreeMap<String, String>, pieces: &[Piece]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".to_owned(), serde_json::json!(metadata));
    }
    let mut end = 0;
    for piece in pieces {
        let start = end;
        end += piece.bytes.len();
        let entry = serde_json::json!({
            "dtype": piece.dtype.name(), "shape": piece.shape, "data_offsets": [start, end],
        });
        header.insert(piece.name.clone(), entry);
    }
    let mut text = serde_json::Value::Object(header).to_string().into_bytes();
    // Numbers begin at a multiple of eight, as the format's own writer does.
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text);
    pieces.iter().for_each(|piece| bytes.extend(&piece.bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryFile;
    use crate::host::tests::ready;

    fn file(header: &str, data: usize) -> MemoryFile {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        MemoryFile::new("m.safetensors", bytes)
    }

    fn refuse(header: &str, data: usize) -> FormatError {
        ready(read_header(&file(header, data), 0)).expect_err(header)
    }

    #[test]
    fn reads_a_header_in_any_order() {
        let text = r#"{"b":{"dtype":"F16","shape":[3],"data_offsets":[8,14]},
            "__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},
            "none":{"dtype":"I64","shape":[0,5],"data_offsets":[14,14]}}"#;
        let header = ready(read_header(&file(text, 14), 3)).expect("a good header");
        assert_eq!(header.metadata["format"], "pt");
        let (name, b) = &header.tensors[0];
        assert_eq!((name.as_str(), b.file, b.offset), ("b", 3, 8 + text.len() as u64 + 8));
        assert_eq!(b.entry, Entry { dtype: Dtype::F16, shape: vec![3], byte_len: 6 });
        assert_eq!(header.tensors[2].1.entry.elements(), 0);
    }

    #[test]
    fn hostile_headers_are_typed_errors() {
        for len in [u64::MAX, u64::MAX - 7, 1 << 40, 9] {
            let bytes = [&len.to_le_bytes()[..], b"{}      "].concat();
            let error = ready(read_header(&MemoryFile::new("m", bytes), 0)).expect_err("too long");
            assert!(matches!(error, FormatError::HeaderTooLong { len: l, available: 8, .. } if l == len));
        }
        let error = ready(read_header(&MemoryFile::new("m", vec![1, 2, 3]), 0)).expect_err("3 bytes");
        assert!(matches!(error, FormatError::Truncated { expected: 8, found: 3, .. }));
        assert!(matches!(refuse("[]", 0), FormatError::Json { .. }));
        assert!(matches!(refuse("{\"a\":{\"dtype\":\"F32\"}}", 0), FormatError::Json { .. }));

        let one = |dtype: &str, shape: &str, begin: u64, end: u64| {
            format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}}}"#)
        };
        assert!(matches!(refuse(&one("F8_E5M2", "[4]", 0, 4), 4), FormatError::UnknownDtype { .. }));
        assert!(matches!(
            refuse(&one("F32", "[2]", 0, 4), 4),
            FormatError::SizeMismatch { expected: Some(8), found: 4, .. }
        ));
        let overflow = "[18446744073709551615,18446744073709551615]";
        assert!(matches!(refuse(&one("F32", overflow, 0, 4), 4), FormatError::SizeMismatch { expected: None, .. }));
        assert!(matches!(refuse(&one("U8", "[4]", 8, 4), 8), FormatError::BadOffsets { .. }));
        assert!(matches!(refuse(&one("U8", "[4]", 1, 5), 5), FormatError::BadOffsets { expected: 0, .. }));
        assert!(matches!(refuse(&one("U8", "[4]", 0, 4), 3), FormatError::Truncated { .. }));
        assert!(matches!(refuse(&one("U8", "[4]", 0, 4), 5), FormatError::TrailingBytes { .. }));
        let far = u64::MAX - 3;
        assert!(matches!(refuse(&one("U8", "[2]", far, far + 2), 2), FormatError::BadOffsets { .. }));
    }

    #[test]
    fn two_tensors_may_share_neither_name_nor_bytes() {
        let entry = |begin: u64, end: u64| {
            format!(r#"{{"dtype":"U8","shape":[{}],"data_offsets":[{begin},{end}]}}"#, end - begin)
        };
        let twice = format!(r#"{{"a":{},"a":{}}}"#, entry(0, 2), entry(2, 4));
        assert!(matches!(refuse(&twice, 4), FormatError::DuplicateTensor { tensor, .. } if tensor == "a"));
        let overlap = format!(r#"{{"a":{},"b":{}}}"#, entry(0, 3), entry(2, 4));
        assert!(matches!(
            refuse(&overlap, 4),
            FormatError::Overlap { first, second, .. } if first == "a" && second == "b"
        ));
        let gap = format!(r#"{{"a":{},"b":{}}}"#, entry(0, 2), entry(3, 4));
        assert!(matches!(refuse(&gap, 4), FormatError::BadOffsets { expected: 2, .. }));
    }
}
