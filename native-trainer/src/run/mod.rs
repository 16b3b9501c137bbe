//! A pretraining run on disk: its folder, its checkpoints, its images.
//!
//! ```text
//! OUT/
//!   config.toml            every key with its value
//!   images.toml            how many images it was begun on, and a hash of their names
//!   lock                   held while a process works here
//!   checkpoints/step-N/    state.safetensors, manifest.toml with its hash; the last two are kept
//!   model/                 the model so far as a Hugging Face folder
//!   events.jsonl report.html looks/ tensorboard/    what watchers write
//!   bad.jsonl              images that could not be used, and why
//!   replay/                batches whose step was refused
//! ```

pub(crate) mod checkpoint;
pub(crate) mod examine;
pub(crate) mod export;
pub(crate) mod feed;
pub(crate) mod folder;
pub(crate) mod replay;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use lab_core::formats::{Dtype, safetensors};
use lab_core::train::state::Entry;
use sha2::{Digest as _, Sha256};

/// What a file of tensors came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Length of the file.
    pub(crate) bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub(crate) sha256: String,
}

/// Writes tensors as safetensors, one at a time, with free text in the header, and brings the file to the disk.
pub(crate) fn write_tensors(path: &Path, entries: &[Entry], about: &BTreeMap<String, String>) -> Result<Written> {
    let cannot = || format!("cannot write {}", path.display());
    let tensors = entries.iter().map(|entry| (entry.name.as_str(), Dtype::F32, entry.shape.as_slice()));
    let header = safetensors::header(tensors, about);
    let file = File::create(path).with_context(cannot)?;
    let mut out = Hashing { file: std::io::BufWriter::new(file), hash: Sha256::new(), bytes: 0 };
    out.write(&header).with_context(cannot)?;
    for entry in entries {
        let values = pollster::block_on(entry.read()).with_context(|| format!("cannot read {} back", entry.name))?;
        let mut bytes = Vec::with_capacity(4 * values.len());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        out.write(&bytes).with_context(cannot)?;
    }
    let Hashing { mut file, hash, bytes } = out;
    file.flush().and_then(|()| file.get_ref().sync_all()).with_context(cannot)?;
    Ok(Written { bytes, sha256: hex(&hash.finalize()) })
}

/// A file whose bytes are hashed as they pass.
struct Hashing {
    file: std::io::BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

/// Writes a text and brings it to the disk.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let mut file = File::create(path).with_context(cannot)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(cannot)
}

/// Brings a folder's list of names to the disk, where the system has such a thing.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    #[cfg(unix)]
    File::open(path).and_then(|folder| folder.sync_all()).with_context(|| format!("cannot sync {}", path.display()))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
