//! What core asks of its host, answered with files.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use lab_core::error::HostError;
use lab_core::formats::model_files::COMPANIONS;
use lab_core::formats::{Checkpoint, ModelFiles};
use lab_core::host::{LocalFuture, ReadAt};

/// A file that is read in place; nothing of it is kept in memory.
#[derive(Debug)]
pub(crate) struct DiskFile {
    name: String,
    file: File,
    len: u64,
}

impl DiskFile {
    /// Opens a file. `name` is what messages call it.
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let file = open_regular(path)?;
        let len = file.metadata()?.len();
        Ok(Self { name: path.to_string_lossy().into_owned(), file, len })
    }

    /// Reads exactly `len` bytes from `offset` on.
    pub(crate) fn read(&self, offset: u64, len: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        read_exact_at(&self.file, &mut bytes, offset)?;
        Ok(bytes)
    }
}

impl ReadAt for DiskFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at<'a>(&'a self, offset: u64, len: usize) -> LocalFuture<'a, Result<Vec<u8>, HostError>> {
        let answer = self.read(offset, len).map_err(|error| HostError::Read {
            name: self.name.clone(),
            offset,
            len: len as u64,
            reason: error.to_string(),
        });
        Box::pin(std::future::ready(answer))
    }
}

/// What is said of a pipe, a socket or a device where a file should be.
pub(crate) const NO_FILE: &str = "it is a pipe or a device, expected a file";

/// Opens what is a file, or a link to one. Whoever opens a pipe waits for its other end, maybe for ever; a device has no
/// length. So neither is opened.
///
/// # Errors
/// When it is something else, not there, or may not be read.
pub(crate) fn open_regular(path: &Path) -> std::io::Result<File> {
    let meta = std::fs::metadata(path)?;
    match (meta.is_file(), meta.is_dir()) {
        (true, _) => File::open(path),
        (_, true) => Err(std::io::Error::other("it is a folder, expected a file")),
        _ => Err(std::io::Error::other(NO_FILE)),
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => {
                offset += read as u64;
                bytes = &mut bytes[read..];
            }
        }
    }
    Ok(())
}

/// Endings of the files that a model may consist of.
const ENDINGS: [&str; 6] = ["json", "safetensors", "pth", "pt", "bin", "ckpt"];

/// Opens a model: a folder with all its files, or one file with its `config.json` and `preprocessor_config.json`. A file
/// that holds no weights, such as an index of shards, stands for the folder that it lies in.
///
/// # Errors
/// Says which file could not be opened or understood.
pub(crate) fn open_model(path: &Path) -> Result<ModelFiles> {
    let cannot = || format!("cannot read model {}", path.display());
    let meta = std::fs::metadata(path).with_context(cannot)?;
    let paths = match folder_of(path) {
        _ if meta.is_dir() => model_folder(path).with_context(cannot)?,
        Some(folder) => model_folder(folder).with_context(cannot)?,
        None => with_companions(path),
    };
    let mut files: Vec<Box<dyn ReadAt>> = Vec::with_capacity(paths.len());
    for path in &paths {
        files.push(Box::new(DiskFile::open(path).with_context(|| path.display().to_string()).with_context(cannot)?));
    }
    pollster::block_on(ModelFiles::from_files(files)).with_context(cannot)
}

/// Opens a single file.
///
/// # Errors
/// When it is not there or may not be read.
pub(crate) fn open_file(path: &Path) -> Result<Box<dyn ReadAt>> {
    let file = DiskFile::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Box::new(file))
}

/// Opens a single file of tensors.
pub(crate) fn open_checkpoint(path: &Path) -> Result<Checkpoint> {
    let cannot = || format!("cannot read {}", path.display());
    let file = DiskFile::open(path).with_context(cannot)?;
    pollster::block_on(Checkpoint::open(Box::new(file))).with_context(cannot)
}

/// The folder that a file stands for which lies among a model's weights and holds none; `None` for any other file.
fn folder_of(path: &Path) -> Option<&Path> {
    let name = path.file_name()?.to_string_lossy();
    let stands_for = name.ends_with(".index.json") || COMPANIONS.contains(&&*name);
    // A bare name has an empty parent.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    stands_for.then_some(folder)
}

fn model_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        // Links are followed: that is how the Hugging Face cache keeps its files.
        if ending.is_some_and(|ending| ENDINGS.contains(&ending)) && path.is_file() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        bail!("the folder holds no model; expected config.json and model.safetensors, or one file of weights");
    }
    Ok(paths)
}

fn with_companions(weights: &Path) -> Vec<PathBuf> {
    let beside = COMPANIONS.iter().map(|name| weights.with_file_name(name)).filter(|path| path.is_file());
    std::iter::once(weights.to_owned()).chain(beside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_place_and_refuses_beyond() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.bin");
        std::fs::write(&path, [1, 2, 3, 4]).expect("a file");
        let file = DiskFile::open(&path).expect("it is there");
        assert_eq!(file.len(), 4);
        assert_eq!(pollster::block_on(file.read_at(1, 2)), Ok(vec![2, 3]));
        assert!(matches!(pollster::block_on(file.read_at(3, 2)), Err(HostError::Read { offset: 3, len: 2, .. })));
        assert!(DiskFile::open(folder.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_no_file() {
        let error = DiskFile::open(Path::new("/dev/zero")).expect_err("a device").to_string();
        assert_eq!(error, NO_FILE);
    }

    #[test]
    fn a_file_brings_its_companions_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a.pth", "b.pth", "config.json", "notes.json"] {
            std::fs::write(folder.path().join(name), "{}").expect("a file");
        }
        let found = with_companions(&folder.path().join("a.pth"));
        assert_eq!(found, ["a.pth", "config.json"].map(|name| folder.path().join(name)));
        let mut all = model_folder(folder.path()).expect("files");
        all.sort();
        assert_eq!(all.len(), 4);
        let empty = tempfile::tempdir().expect("a folder");
        assert!(model_folder(empty.path()).is_err());
    }

    #[test]
    fn a_file_without_weights_stands_for_its_folder() {
        for name in ["config.json", "preprocessor_config.json", "model.safetensors.index.json"] {
            assert_eq!(folder_of(&Path::new("a").join(name)), Some(Path::new("a")), "{name}");
            assert_eq!(folder_of(Path::new(name)), Some(Path::new(".")), "{name}");
        }
        for name in ["model.safetensors", "a/notes.json", "config.json/m.pth", "/"] {
            assert_eq!(folder_of(Path::new(name)), None, "{name}");
        }
    }
}
