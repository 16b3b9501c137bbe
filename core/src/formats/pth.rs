//! PyTorch's own files (`.pth`, `.pt`, `.bin`): names and places of their tensors.
//!
//! Since PyTorch 1.6 such a file is a zip archive of plain entries: a pickle that describes the objects, and one entry
//! of raw numbers a storage. Before, it was a sequence of pickles with the storages behind them; both are read.
//! The pickle is read by [`pickle`](super::pickle), which executes nothing.
//!
//! Dictionaries in dictionaries are joined by dots, so `{"teacher": {"backbone.norm.weight": …}}` gives
//! `teacher.backbone.norm.weight`: wrappers stay visible, and `models/keys.rs` decides which to strip.

use std::collections::{BTreeMap, BTreeSet};

use super::archive::Archive;
use super::checkpoint::{Located, span, to_usize_shape};
use super::pickle::{self, Id, Node, Pickle, Stop, Storage, Tensor};
use super::tensor::{Dtype, Entry};
use crate::error::FormatError;
use crate::host::{ReadAt, read_exact};

/// Longest pickle that is read, in bytes; a 7B model with its optimiser's state needs some 2 MB.
const MAX_PICKLE: u64 = 64 << 20;
/// Deepest nesting of dictionaries and lists in which tensors are looked for.
const MAX_DEPTH: usize = 32;
/// Most values looked at; a list that holds itself many times over would otherwise never end.
const MAX_VISITS: usize = 1 << 18;
/// Longest name of a tensor, in bytes.
const MAX_NAME: usize = 512;
/// Most inert classes that are listed.
const MAX_INERT: usize = 32;
/// Elements that a tensor may have beyond its storage's (an expanded tensor repeats them).
const MAX_EXPANDED: u64 = 1 << 20;

/// The magic number that opens a legacy file, as the pickle of a long integer.
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Which of PyTorch's formats a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A zip archive, since PyTorch 1.6.
    Archive,
    /// A sequence of pickles, before.
    Legacy,
    /// A tar archive, before PyTorch 0.1.10; not read.
    Tar,
}

impl Kind {
    /// The kind by the file's first bytes; `None` if it is no file of PyTorch's.
    pub(crate) fn sniff(head: &[u8]) -> Option<Self> {
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            Some(Self::Archive)
        } else if head.len() > 8
            && head[0] == 0x80
            && (2..=5).contains(&head[1])
            && !(head[4..8] == [0; 4] && head[8] == b'{')
        {
            // The exception is a safetensors file whose header's length happens to start so.
            Some(Self::Legacy)
        } else if head.starts_with(b"sys_info") || head.starts_with(b"./sys_in") || head.starts_with(b"storages") {
            Some(Self::Tar)
        } else {
            None
        }
    }
}

/// What a file holds.
pub(crate) struct Contents {
    pub tensors: Vec<(String, Located)>,
    /// Classes and functions that the pickle names and that were neither loaded nor called.
    pub inert: Vec<String>,
}

/// Finds every tensor of the file, which is number `number` of its checkpoint.
pub(crate) async fn locate(file: &dyn ReadAt, number: usize, kind: Kind) -> Result<Contents, FormatError> {
    match kind {
        Kind::Archive => locate_in_archive(file, number).await,
        Kind::Legacy => locate_in_legacy(file, number).await,
        Kind::Tar => Err(FormatError::UnsupportedPth {
            file: file.name().to_owned(),
            kind: "a tar archive from a PyTorch before 0.1.10",
        }),
    }
}

async fn locate_in_archive(file: &dyn ReadAt, number: usize) -> Result<Contents, FormatError> {
    let archive = Archive::open(file).await?;
    let mut pickles = archive.names().filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let (first, second) = (pickles.next(), pickles.next());
    let (Some(pickle_name), None) = (first, second) else {
        let entry = "data.pkl (exactly one)".to_owned();
        return Err(FormatError::MissingEntry { file: file.name().to_owned(), entry });
    };
    let prefix = pickle_name.trim_end_matches("data.pkl");
    if archive.names().any(|name| name.strip_prefix(prefix) == Some("constants.pkl")) {
        let kind = "a TorchScript archive, a program and not a state dict";
        return Err(FormatError::UnsupportedPth { file: file.name().to_owned(), kind });
    }
    let byte_order = format!("{prefix}byteorder");
    if archive.names().any(|name| name == byte_order) {
        let entry = archive.entry(&byte_order)?;
        let start = archive.data_start(entry).await?;
        if read_exact(file, start, entry.len.min(8) as usize).await? != b"little" {
            let kind = "a file of big-endian numbers";
            return Err(FormatError::UnsupportedPth { file: file.name().to_owned(), kind });
        }
    }

    let entry = archive.entry(pickle_name)?;
    let limit = || FormatError::PickleLimit { file: file.name().to_owned(), what: "bytes", limit: MAX_PICKLE };
    if entry.len > MAX_PICKLE {
        return Err(limit());
    }
    let start = archive.data_start(entry).await?;
    let bytes = read_exact(file, start, entry.len as usize).await?;
    let pickle = match pickle::read(&bytes, file.name()) {
        Ok(pickle) => pickle,
        Err(Stop::Error(error)) => return Err(error),
        Err(Stop::NeedsMore) => return Err(cut(file, bytes.len())),
    };

    let tensors = flatten(&pickle, file.name())?;
    let mut places = BTreeMap::new();
    for (_, _, storage) in &tensors {
        if !places.contains_key(&*storage.key) {
            let entry = archive.entry(&format!("{prefix}data/{}", storage.key))?;
            let offset = archive.data_start(entry).await?;
            places.insert(&*storage.key, Place { offset, len: entry.len });
        }
    }
    let tensors = located(&tensors, &places, file.name(), number)?;
    Ok(Contents { tensors, inert: inert(&pickle) })
}

/// A legacy file: five pickles (magic number, version, system, objects, storage keys), then the storages,
/// each an element count in eight bytes and its numbers.
async fn locate_in_legacy(file: &dyn ReadAt, number: usize) -> Result<Contents, FormatError> {
    let mut stream = PickleStream { file, at: 0, buffer: Vec::new() };
    let magic = stream.next().await?;
    if magic.nodes[magic.root] != Node::Long(LEGACY_MAGIC.to_vec()) {
        let kind = "a bare pickle, not written by torch.save";
        return Err(FormatError::UnsupportedPth { file: file.name().to_owned(), kind });
    }
    let _version = stream.next().await?;
    let system = stream.next().await?;
    if let Node::Dict(pairs) = &system.nodes[system.root] {
        let is_key = |id: Id| system.nodes[id] == Node::Str("little_endian".into());
        if pairs.iter().any(|&(key, value)| is_key(key) && system.nodes[value] == Node::Bool(false)) {
            let kind = "a file of big-endian numbers";
            return Err(FormatError::UnsupportedPth { file: file.name().to_owned(), kind });
        }
    }
    let objects = stream.next().await?;
    let keys = stream.next().await?;
    let mut at = stream.at;

    // Each storage's size follows from its type, which stands in the pickle of the objects.
    let element_sizes: BTreeMap<&str, u64> = objects
        .nodes
        .iter()
        .filter_map(|node| match node {
            Node::Storage(storage) => Some((&*storage.key, storage_element_size(storage)?)),
            _ => None,
        })
        .collect();
    let broken = |what| FormatError::BrokenPickle { file: file.name().to_owned(), at: 0, what };
    let Node::List(keys_in_order) = &keys.nodes[keys.root] else {
        return Err(broken("the list of storages is no list"));
    };
    let mut places = BTreeMap::new();
    for &key in keys_in_order {
        let Node::Str(key) = &keys.nodes[key] else {
            return Err(broken("a storage key that is no text"));
        };
        let size = element_sizes.get(&**key).ok_or_else(|| broken("a storage of unknown type"))?;
        let count = read_exact(file, at, 8).await?;
        let count = count.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let end = count.checked_mul(*size).and_then(|len| (at + 8).checked_add(len));
        let Some(end) = end.filter(|&end| end <= file.len()) else {
            let (expected, found) = (end.unwrap_or(u64::MAX), file.len());
            return Err(FormatError::Truncated { file: file.name().to_owned(), expected, found });
        };
        places.insert(&**key, Place { offset: at + 8, len: end - at - 8 });
        at = end;
    }
    let tensors = flatten(&objects, file.name())?;
    let tensors = located(&tensors, &places, file.name(), number)?;
    Ok(Contents { tensors, inert: inert(&objects) })
}

/// Pickles that follow each other, read in growing pieces since their lengths stand nowhere.
struct PickleStream<'a> {
    file: &'a dyn ReadAt,
    /// Where the next pickle starts.
    at: u64,
    buffer: Vec<u8>,
}

impl PickleStream<'_> {
    async fn next(&mut self) -> Result<Pickle, FormatError> {
        loop {
            match pickle::read(&self.buffer, self.file.name()) {
                Ok(pickle) => {
                    self.buffer.drain(..pickle.len);
                    self.at += pickle.len as u64;
                    return Ok(pickle);
                }
                Err(Stop::Error(error)) => return Err(error),
                Err(Stop::NeedsMore) => {}
            }
            let have = self.buffer.len() as u64;
            let left = self.file.len() - self.at - have;
            if left == 0 {
                return Err(cut(self.file, self.buffer.len()));
            }
            if have >= MAX_PICKLE {
                let (file, what) = (self.file.name().to_owned(), "bytes");
                return Err(FormatError::PickleLimit { file, what, limit: MAX_PICKLE });
            }
            let more = have.max(1 << 16).min(left);
            let bytes = read_exact(self.file, self.at + have, more as usize).await?;
            self.buffer.extend(bytes);
        }
    }
}

fn cut(file: &dyn ReadAt, at: usize) -> FormatError {
    FormatError::BrokenPickle { file: file.name().to_owned(), at, what: "it ends before its STOP" }
}

/// Where a storage's bytes lie.
struct Place {
    offset: u64,
    len: u64,
}

type Found<'a> = (String, &'a Tensor, &'a Storage);

/// Walks dictionaries and lists from the root and names every tensor by its path.
fn flatten<'a>(pickle: &'a Pickle, file: &str) -> Result<Vec<Found<'a>>, FormatError> {
    let limit = |what, limit| FormatError::PickleLimit { file: file.to_owned(), what, limit };
    let mut found = Vec::new();
    let mut visits = 0;
    // A stack of our own, so that hostile nesting costs an error and not the call stack.
    let mut pending: Vec<(String, Id, usize)> = vec![(String::new(), pickle.root, 0)];
    while let Some((path, id, depth)) = pending.pop() {
        let children = match &pickle.nodes[id] {
            Node::Dict(pairs) => pairs.len(),
            Node::List(items) | Node::Tuple(items) => items.len(),
            _ => 0,
        };
        visits += 1;
        if visits + pending.len() + children > MAX_VISITS {
            return Err(limit("values in nested dictionaries", MAX_VISITS as u64));
        }
        let join = |key: &str| match path.len() + 1 + key.len() {
            len if len > MAX_NAME => Err(limit("bytes in a tensor's name", MAX_NAME as u64)),
            _ if path.is_empty() => Ok(key.to_owned()),
            _ => Ok(format!("{path}.{key}")),
        };
        match &pickle.nodes[id] {
            Node::Tensor(tensor) => {
                if let Node::Storage(storage) = &pickle.nodes[tensor.storage] {
                    found.push((path, tensor, storage));
                }
            }
            Node::UnsupportedTensor { function } => {
                let (file, function) = (file.to_owned(), function.to_string());
                return Err(FormatError::UnsupportedTensor { file, tensor: path, function });
            }
            Node::Dict(_) | Node::List(_) | Node::Tuple(_) if depth >= MAX_DEPTH => {
                return Err(limit("levels of nested dictionaries", MAX_DEPTH as u64));
            }
            Node::Dict(pairs) => {
                for &(key, value) in pairs {
                    match &pickle.nodes[key] {
                        Node::Str(key) => pending.push((join(key)?, value, depth + 1)),
                        Node::Int(key) => pending.push((join(&key.to_string())?, value, depth + 1)),
                        // No layout keeps weights under other keys.
                        _ => {}
                    }
                }
            }
            Node::List(items) | Node::Tuple(items) => {
                for (i, &item) in items.iter().enumerate() {
                    pending.push((join(&i.to_string())?, item, depth + 1));
                }
            }
            _ => {}
        }
    }
    if found.is_empty() {
        let classes = inert(pickle);
        return Err(FormatError::NoTensors { file: file.to_owned(), classes });
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some([(tensor, ..), _]) = found.array_windows::<2>().find(|[a, b]| a.0 == b.0) {
        return Err(FormatError::DuplicateTensor { file: file.to_owned(), tensor: tensor.clone() });
    }
    Ok(found)
}

/// The objects that stayed inert, by class; a few suffice.
fn inert(pickle: &Pickle) -> Vec<String> {
    let mut classes = BTreeSet::new();
    for node in &pickle.nodes {
        if let Node::Object { class } = node
            && classes.len() < MAX_INERT
        {
            classes.insert(&**class);
        }
    }
    classes.into_iter().map(str::to_owned).collect()
}

fn storage_element_size(storage: &Storage) -> Option<u64> {
    match storage.dtype {
        Some(dtype) => Some(dtype.size() as u64),
        None if storage.class.ends_with(".UntypedStorage") => Some(1),
        None => None,
    }
}

/// Checks each tensor against its storage and the storage against the file.
fn located(
    tensors: &[Found<'_>],
    places: &BTreeMap<&str, Place>,
    file: &str,
    number: usize,
) -> Result<Vec<(String, Located)>, FormatError> {
    let mut all = Vec::with_capacity(tensors.len());
    for (name, tensor, storage) in tensors {
        let unknown = || FormatError::UnknownDtype {
            file: file.to_owned(),
            tensor: name.clone(),
            dtype: storage.class.to_string(),
            supported: Dtype::NAMES,
        };
        let dtype = tensor.dtype.or(storage.dtype).ok_or_else(unknown)?;
        let size = dtype.size() as u64;
        let place = places.get(&*storage.key).ok_or_else(|| FormatError::MissingEntry {
            file: file.to_owned(),
            entry: format!("storage {}", storage.key),
        })?;
        let stated = storage_element_size(storage).and_then(|each| storage.elements.checked_mul(each));
        if stated.is_none_or(|stated| stated > place.len) {
            let (expected, found) = (stated.unwrap_or(u64::MAX), place.len);
            return Err(FormatError::Truncated { file: format!("{file}, storage {}", storage.key), expected, found });
        }

        let beyond = || FormatError::BeyondStorage {
            file: file.to_owned(),
            tensor: name.clone(),
            shape: tensor.shape.clone(),
            storage: place.len / size,
        };
        let elements = tensor.shape.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent));
        let elements = elements.ok_or_else(beyond)?;
        let shape = to_usize_shape(&tensor.shape).ok_or_else(beyond)?;
        let reach = span(&shape, &tensor.strides).checked_add(tensor.offset).ok_or_else(beyond)?;
        let held = place.len / size;
        if (elements > 0 && reach > held) || elements > held.max(MAX_EXPANDED) {
            return Err(beyond());
        }
        let byte_len = elements.checked_mul(size).ok_or_else(beyond)?;
        // An empty tensor's offset may point anywhere; nothing is read there.
        let offset = if elements == 0 { place.offset } else { place.offset + tensor.offset * size };
        let strides = (!is_row_major(&tensor.shape, &tensor.strides)).then(|| tensor.strides.clone());
        let entry = Entry { dtype, shape, byte_len };
        all.push((name.clone(), Located { entry, file: number, offset, strides }));
    }
    Ok(all)
}

/// Whether the strides are those of a row-major tensor; a dimension of extent 1 may have any.
fn is_row_major(shape: &[u64], strides: &[u64]) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let mut expected = 1u64;
    for (&extent, &stride) in shape.iter().zip(strides).rev() {
        if extent != 1 && stride != expected {
            return false;
        }
        expected = expected.saturating_mul(extent);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_their_first_bytes() {
        let check = |head: &[u8], kind| assert_eq!(Kind::sniff(head), kind, "{head:?}");
        check(b"PK\x03\x04....", Some(Kind::Archive));
        check(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9", Some(Kind::Legacy));
        check(b"\x80\x04\x95\x0d\0\0\0\0\0\0\0", Some(Kind::Legacy));
        // A safetensors header of 0x010280 bytes.
        check(b"\x80\x02\x01\0\0\0\0\0{", None);
        check(b"sys_info\0", Some(Kind::Tar));
        // A safetensors header of 0x0280 bytes.
        check(b"\x80\x02\0\0\0\0\0\0{", None);
        check(b"<!DOCTYPE", None);
        check(b"", None);
    }

    #[test]
    fn lists_within_lists_hit_a_limit() {
        // [l, l] in [l, l] in …: two to the power of 31 paths in a few hundred bytes.
        let mut nodes = vec![Node::List(vec![])];
        for i in 0..MAX_DEPTH - 1 {
            nodes.push(Node::List(vec![i, i]));
        }
        let root = nodes.len() - 1;
        let error = flatten(&Pickle { nodes, root, len: 0 }, "m").expect_err("a bomb");
        assert!(matches!(error, FormatError::PickleLimit { .. }));
        // A list inside itself.
        let error = flatten(&Pickle { nodes: vec![Node::List(vec![0])], root: 0, len: 0 }, "m").expect_err("a loop");
        assert!(matches!(error, FormatError::PickleLimit { what: "levels of nested dictionaries", .. }));
    }

    #[test]
    fn paths_that_meet_are_refused() {
        let tensor = |storage| Node::Tensor(Tensor { storage, dtype: None, offset: 0, shape: vec![], strides: vec![] });
        let storage = Node::Storage(Storage {
            key: "0".into(),
            class: "torch.FloatStorage".into(),
            dtype: Some(Dtype::F32),
            elements: 1,
        });
        let text = |text: &str| Node::Str(text.into());
        // {"a.b": t, "a": {"b": t}}
        let nodes = vec![
            storage,
            tensor(0),
            text("a.b"),
            text("a"),
            text("b"),
            Node::Dict(vec![(4, 1)]),
            Node::Dict(vec![(2, 1), (3, 5)]),
        ];
        let error = flatten(&Pickle { nodes, root: 6, len: 0 }, "m").expect_err("two tensors a.b");
        assert!(matches!(error, FormatError::DuplicateTensor { tensor, .. } if tensor == "a.b"));
    }
}
