//! The model of a run as a Hugging Face folder that transformers, the page and `native-trainer embed` open.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use lab_core::train::Trainer;

use super::{write_tensors, write_text};

/// Writes the folder aside and puts it in the place of the one before.
pub(crate) fn write(trainer: &Trainer, folder: &Path) -> Result<()> {
    let (aside, old) = (folder.with_extension("new"), folder.with_extension("old"));
    for left in [&aside, &old] {
        if left.exists() {
            std::fs::remove_dir_all(left).with_context(|| format!("cannot remove {}", left.display()))?;
        }
    }
    std::fs::create_dir_all(&aside).with_context(|| format!("cannot make {}", aside.display()))?;
    let (about, entries) = trainer.export();
    write_tensors(&aside.join("model.safetensors"), &entries, &BTreeMap::new())?;
    write_text(&aside.join("config.json"), &about.config)?;
    write_text(&aside.join("preprocessor_config.json"), &about.preprocessor)?;
    if folder.exists() {
        std::fs::rename(folder, &old).with_context(|| format!("cannot move {} aside", folder.display()))?;
    }
    std::fs::rename(&aside, folder).with_context(|| format!("cannot give {} its name", folder.display()))?;
    if old.exists() {
        std::fs::remove_dir_all(&old).with_context(|| format!("cannot remove {}", old.display()))?;
    }
    Ok(())
}
