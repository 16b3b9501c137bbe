//! Checkpoints that survive anything: written aside, synced, hashed, renamed; an older good one stays until then.
//!
//! A checkpoint is a folder `step-N`. It gets that name when all in it is on the disk, so a folder of that name is
//! whole, unless the disk itself lies; the hash finds that out, and the one before is taken.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use lab_core::config::Config;
use lab_core::formats::Checkpoint;
use lab_core::train::Trainer;
use lab_core::train::state::{Counters, about, read_about};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{hex, sync_folder, write_tensors, write_text};
use crate::{host, text};

const STATE: &str = "state.safetensors";
const MANIFEST: &str = "manifest.toml";
/// Checkpoints kept: the last, and the one before it.
const KEPT: usize = 2;

/// What stands beside the tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    written_by: String,
    bytes: u64,
    sha256: String,
    counters: Counters,
}

/// The folder of a run's checkpoints.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    /// Opens the folder, or makes it; what an interrupted save left behind is removed.
    pub(crate) fn open(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for path in std::fs::read_dir(&folder)?.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|ending| ending == "partial") {
                drop(std::fs::remove_dir_all(path));
            }
        }
        Ok(Self { folder })
    }

    /// Saves a run between two steps and removes what is older than the one before; returns where it is.
    ///
    /// # Errors
    /// When the disk is full or fails; the checkpoints before are untouched.
    pub(crate) fn save(&self, trainer: &Trainer, counters: Counters) -> Result<PathBuf> {
        let name = format!("step-{:09}", counters.step);
        let (aside, path) = (self.folder.join(format!("{name}.partial")), self.folder.join(&name));
        if path.exists() {
            return Ok(path); // nothing happened since
        }
        if aside.exists() {
            std::fs::remove_dir_all(&aside).with_context(|| format!("cannot remove {}", aside.display()))?;
        }
        std::fs::create_dir(&aside).with_context(|| format!("cannot make {}", aside.display()))?;
        let result = self.write(trainer, counters, &aside, &path);
        if result.is_err() {
            drop(std::fs::remove_dir_all(&aside));
        }
        result?;
        let kept = steps_in(&self.folder)?;
        for (_, old) in kept.iter().skip(KEPT) {
            drop(std::fs::remove_dir_all(old));
        }
        Ok(path)
    }

    fn write(&self, trainer: &Trainer, counters: Counters, aside: &Path, path: &Path) -> Result<()> {
        // The file alone is a whole run: the page opens it, and so does --from.
        let about = about(trainer.config(), &counters);
        let written = write_tensors(&aside.join(STATE), &trainer.state(), &about)?;
        let manifest = Manifest {
            written_by: concat!("native-trainer ", env!("CARGO_PKG_VERSION")).to_owned(),
            bytes: written.bytes,
            sha256: written.sha256,
            counters,
        };
        write_text(&aside.join(MANIFEST), &toml::to_string(&manifest)?)?;
        sync_folder(aside)?;
        std::fs::rename(aside, path)
            .with_context(|| format!("cannot rename {} to {}", aside.display(), path.display()))?;
        sync_folder(&self.folder)
    }

    /// The last checkpoint that is whole and that `restore` takes. What is not is named, passed over and, where an earlier
    /// one is good, put out of its row: the run comes by its step once more, and saves it then. `None` when there is none
    /// at all.
    ///
    /// # Errors
    /// When there are checkpoints and none of them is good.
    pub(crate) fn last_good(
        &self,
        mut restore: impl FnMut(&Checkpoint, &Counters) -> Result<()>,
    ) -> Result<Option<(Counters, PathBuf)>> {
        let steps = steps_in(&self.folder)?;
        let mut damaged = Vec::new();
        for (step, path) in &steps {
            let found = open(path);
            match found.and_then(|(checkpoint, counters)| restore(&checkpoint, &counters).map(|()| counters)) {
                Ok(counters) => {
                    for step in damaged {
                        if let Some(aside) = self.set_aside(step, "damaged")? {
                            text::note(&format!("the damaged one lies in {} from here on", aside.display()));
                        }
                    }
                    return Ok(Some((counters, path.clone())));
                }
                Err(error) => text::note(&format!("warning: {} is passed over: {error:#}", path.display())),
            }
            damaged.push(*step);
        }
        if !steps.is_empty() {
            bail!("no checkpoint in {} is good; choose another --out to begin anew", self.folder.display());
        }
        Ok(None)
    }

    /// Takes a checkpoint out of the row, where there is one of this step: the run goes on from the one before. Where it
    /// lies now; `why` is the word before its name.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn set_aside(&self, step: u64, why: &str) -> Result<Option<PathBuf>> {
        let name = format!("step-{step:09}");
        let (path, aside) = (self.folder.join(&name), self.folder.join(format!("{why}-{name}")));
        if !path.exists() {
            return Ok(None);
        }
        if aside.exists() {
            std::fs::remove_dir_all(&aside).with_context(|| format!("cannot remove {}", aside.display()))?;
        }
        std::fs::rename(&path, &aside).with_context(|| format!("cannot rename {}", path.display()))?;
        sync_folder(&self.folder)?;
        Ok(Some(aside))
    }

    /// Whether there is any checkpoint.
    pub(crate) fn is_empty(&self) -> Result<bool> {
        Ok(steps_in(&self.folder)?.is_empty())
    }
}

/// Checkpoints in a folder by their steps, the last first.
fn steps_in(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut steps: Vec<(u64, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(step) = name.strip_prefix("step-").and_then(|step| step.parse().ok()) {
            steps.push((step, path));
        }
    }
    steps.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
    Ok(steps)
}

/// The configuration in the last checkpoint of a folder that tells it: those of older versions, and damaged ones, do not.
pub(super) fn saved_config(folder: &Path) -> Option<Config> {
    let config = |path: &Path| {
        let checkpoint = host::open_checkpoint(&path.join(STATE)).ok()?;
        read_about(&checkpoint).ok()?.map(|(config, _)| config)
    };
    steps_in(folder).ok()?.iter().find_map(|(_, path)| config(path))
}

/// Opens a checkpoint whose bytes are those that were written.
fn open(path: &Path) -> Result<(Checkpoint, Counters)> {
    let manifest = std::fs::read_to_string(path.join(MANIFEST)).context("it has no manifest")?;
    let manifest: Manifest = toml::from_str(&manifest).context("its manifest cannot be read")?;
    let state = path.join(STATE);
    let mut file = File::open(&state).context("it has no tensors")?;
    let found = file.metadata()?.len();
    if found != manifest.bytes {
        bail!("its tensors have {found} bytes, expected {}", manifest.bytes);
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    if hex(&hash.finalize()) != manifest.sha256 {
        bail!("its tensors are not those that were written: the hash differs");
    }
    Ok((host::open_checkpoint(&state)?, manifest.counters))
}
