//! Where embeddings go: npy, safetensors, Parquet, CSV.
//!
//! Every sink writes rows as they come, so that patch tokens of a million images pass through and are never held.
//! The file is called `FILE.partial` until it is complete, then renamed: a FILE that exists is a whole one. Until then this
//! process holds it: another one that is to write the same FILE is refused.
//! After a failure, or when it is stopped, the partial file is ended properly and can be read like a complete one, with
//! the paths of an npy beside it as ever (`FILE.partial.paths.txt`). Only a program that is killed leaves a broken one.

mod csv;
mod npy;
mod parquet;
mod safetensors;

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use fs4::fs_std::FileExt as _;
use serde_json::Value;

use crate::cli::What;
use crate::text;

/// The formats, told by the ending of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// NumPy's array file, with the paths in `FILE.paths.txt`.
    Npy,
    /// A tensor `embeddings`, with the paths in the metadata.
    Safetensors,
    /// Columns `path` and `embedding`, a list of floats.
    Parquet,
    /// Columns `path`, `e0`, `e1`, …
    Csv,
}

impl Format {
    /// The format that a file's ending names.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            Some("npy") => Ok(Self::Npy),
            Some("safetensors") => Ok(Self::Safetensors),
            Some("parquet") => Ok(Self::Parquet),
            Some("csv") => Ok(Self::Csv),
            other => {
                let found = other.map_or("no ending".to_owned(), |ending| format!(".{ending}"));
                bail!("--out must end in .safetensors, .npy, .parquet or .csv; found {found} ({})", path.display())
            }
        }
    }
}

/// What a sink knows before the first row.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// What each image gives.
    pub(crate) what: What,
    /// Numbers in an embedding.
    pub(crate) dim: usize,
    /// Images, an upper bound.
    pub(crate) rows: usize,
    /// Bytes of all paths as JSON strings, an upper bound.
    pub(crate) path_bytes: usize,
    /// Where the numbers come from, for formats that can tell: name and value.
    pub(crate) about: Vec<(String, String)>,
}

/// The embedding of one image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    /// What the image is called.
    pub(crate) path: &'a str,
    /// Rows and columns of patches.
    pub(crate) grid: [usize; 2],
    /// `[dim]`; for [`What::Patches`] `[grid rows * grid columns, dim]`.
    pub(crate) values: &'a [f32],
}

/// A file that takes rows.
trait Sink {
    /// Appends a row.
    fn write(&mut self, row: &Row<'_>) -> Result<()>;
    /// Completes the file and brings it to the disk. It is valid for the rows so far.
    fn finish(&mut self) -> Result<()>;
    /// Further files that belong to it, as endings behind the name.
    fn sidecars(&self) -> &'static [&'static str] {
        &[]
    }
}

/// An output under way.
pub(crate) struct Output {
    target: PathBuf,
    partial: PathBuf,
    /// Whether a target that is there is replaced.
    force: bool,
    /// Holds the partial file for as long as it is open.
    sink: Box<dyn Sink>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Output {
    /// Refuses a target that [`check`] refuses, or of no format, before any work is done.
    pub(crate) fn check(target: &Path, force: bool) -> Result<Format> {
        let format = Format::of(target)?;
        check(target, force)?;
        Ok(format)
    }

    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written, when another process writes it, when the target exists (unless `force`), or when the
    /// disk has no room for `layout.rows` rows of `patches` patches.
    pub(crate) fn create(target: &Path, format: Format, layout: &Layout, patches: usize, force: bool) -> Result<Self> {
        let partial = beside(target, PARTIAL);
        room_for(target, format, layout, patches)?;
        must_be_free(target, force)?;
        let file = hold(&partial)?;
        file.set_len(0).with_context(|| format!("cannot write {}", partial.display()))?;
        let sink: Box<dyn Sink> = match format {
            Format::Npy => Box::new(npy::Npy::new(file, &partial, layout)?),
            Format::Safetensors => Box::new(safetensors::Safetensors::new(file, &partial, layout)?),
            Format::Parquet => Box::new(parquet::Parquet::new(file, layout)?),
            Format::Csv => Box::new(csv::Csv::new(file, layout)?),
        };
        Ok(Self { target: target.to_owned(), partial, force, sink })
    }

    /// Appends a row.
    pub(crate) fn write(&mut self, row: &Row<'_>) -> Result<()> {
        self.sink.write(row).with_context(|| format!("cannot write {}", self.partial.display()))
    }

    /// Completes the file and gives it its name.
    pub(crate) fn complete(mut self) -> Result<()> {
        self.close()?;
        give_name(&self.partial, &self.target, self.sink.sidecars(), self.force)
    }

    /// Completes the file for the rows so far and leaves it under its partial name, which is returned.
    pub(crate) fn keep_partial(mut self) -> Result<PathBuf> {
        self.close()?;
        Ok(self.partial)
    }

    /// Leaves no file.
    pub(crate) fn discard(self) -> Result<()> {
        // While it is held: what is there a moment later may be another's.
        for ending in self.sink.sidecars().iter().chain(&[""]) {
            let path = beside(&self.partial, ending);
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.sink.finish().with_context(|| format!("cannot write {}", self.partial.display()))
    }
}

const PARTIAL: &str = ".partial";
/// How often a partial file is opened that another process takes away meanwhile.
const TRIES: usize = 8;

/// Refuses a target that exists (unless `force`), cannot be written, or is being written by another process.
pub(crate) fn check(target: &Path, force: bool) -> Result<()> {
    if target.is_dir() {
        bail!("--out {} is a folder; name a file", target.display());
    }
    must_be_free(target, force)?;
    // What shows that a file can be written is writing one. That of an earlier run stays until there is another.
    let partial = beside(target, PARTIAL);
    let was_there = partial.exists();
    let held = hold(&partial)?;
    if !was_there {
        drop(std::fs::remove_file(&partial));
    }
    drop(held); // only now: what is there a moment later may be another's
    Ok(())
}

/// Writes a whole file at once: beside the target, then renamed.
///
/// # Errors
/// As those of [`check`], with which a command begins.
pub(crate) fn save(target: &Path, bytes: &[u8], force: bool) -> Result<()> {
    let partial = beside(target, PARTIAL);
    let mut file = hold(&partial)?;
    file.set_len(0)
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", partial.display()))?;
    give_name(&partial, target, &[], force)
}

fn must_be_free(target: &Path, force: bool) -> Result<()> {
    if target.exists() && !force {
        bail!("{} exists; --force replaces it", target.display());
    }
    Ok(())
}

/// Opens a partial file and holds it against other processes until it is closed. What is in it stays.
fn hold(partial: &Path) -> Result<File> {
    let another = || anyhow!("another process writes {}; wait for it, or name another --out", partial.display());
    for _ in 0..TRIES {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(partial)
            .with_context(|| format!("cannot write {}; does its folder exist?", partial.display()))?;
        match file.try_lock_exclusive() {
            Ok(true) => {}
            Ok(false) => return Err(another()),
            // Some network file systems have no locks.
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(error) => return Err(error).with_context(|| format!("cannot lock {}", partial.display())),
        }
        // Who held it before may have given it its name, or removed it, since it was opened here.
        if is_at(&file, partial) {
            return Ok(file);
        }
    }
    Err(another())
}

/// Whether an open file is what bears this name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    let named = std::fs::metadata(path).map(identity);
    named.is_ok_and(|named| file.metadata().is_ok_and(|meta| identity(meta) == named))
}

/// Whether an open file is what bears this name; here only whether anything does.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Gives a complete file, which is held, its name; and first those beside it theirs, so that what exists is whole.
fn give_name(partial: &Path, target: &Path, sidecars: &[&str], force: bool) -> Result<()> {
    if target.exists() && !force {
        bail!(
            "{} came into being meanwhile and is not replaced without --force; what was computed is complete as {}: rename it",
            target.display(),
            partial.display()
        );
    }
    for ending in sidecars.iter().chain(&[""]) {
        let (from, to) = (beside(partial, ending), beside(target, ending));
        std::fs::rename(&from, &to).with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}

/// A path with more behind its name: `out.npy` and `.partial` give `out.npy.partial`.
pub(crate) fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    name.into()
}

/// Compares the space on the disk with what the rows need, where the system tells.
fn room_for(target: &Path, format: Format, layout: &Layout, patches: usize) -> Result<()> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let values = if layout.what == What::Patches { patches * layout.dim } else { layout.dim };
    // In text a number takes about eleven bytes, a path is repeated with every patch.
    let number = if format == Format::Csv { 10 } else { 4 };
    let needed = (layout.rows as u64).saturating_mul(values as u64).saturating_mul(number);
    match fs4::available_space(folder) {
        Ok(free) if free < needed => Err(anyhow!(
            "no room for {}: it needs about {}, the disk has {}; free some, choose another disk, or keep less with --what",
            target.display(),
            text::bytes(needed),
            text::bytes(free)
        )),
        _ => Ok(()),
    }
}

/// Holds all rows to the shape of the first; formats of one tensor need that.
#[derive(Debug, Default)]
struct OneShape {
    grid: Option<[usize; 2]>,
    rows: u64,
}

impl OneShape {
    fn add(&mut self, row: &Row<'_>, what: What) -> Result<()> {
        let first = *self.grid.get_or_insert(row.grid);
        if what == What::Patches && first != row.grid {
            bail!(
                "{} has {:?} patches, the images before have {first:?}: one tensor cannot hold both; choose .parquet or .csv, or --preprocess direct",
                text::shown(row.path),
                row.grid
            );
        }
        self.rows += 1;
        Ok(())
    }

    /// Shape of all rows together.
    fn shape(&self, layout: &Layout) -> Vec<u64> {
        let patches = self.grid.map_or(0, |[rows, columns]| (rows * columns) as u64);
        match layout.what {
            What::Patches => vec![self.rows, patches, layout.dim as u64],
            What::Cls | What::Mean => vec![self.rows, layout.dim as u64],
        }
    }
}

/// Bytes that a path takes in a JSON list which is itself a JSON string, with its comma; an upper bound.
pub(crate) fn json_len(path: &str) -> usize {
    let once = Value::from(path).to_string();
    Value::from(once).to_string().len() + 1
}

/// Numbers as little-endian bytes.
fn write_floats(out: &mut impl std::io::Write, values: &[f32]) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(values.len() * 4);
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    out.write_all(&bytes)
}

#[cfg(test)]
mod tests;
