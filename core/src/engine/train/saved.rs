//! A run as one safetensors file, and back: the tensors of `train::state`, and in the header what a page needs to go on.

use std::collections::BTreeMap;

use lab_protocol::train::{Curves, Data};

use super::pictures::Pictures;
use crate::config::Config;
use crate::error::{Error, FormatError, TrainError};
use crate::formats::Checkpoint;
use crate::host::{MemoryFile, ReadAt, read_exact};
use crate::train::state::{self, Counters, check_sum};

/// The configuration with every switch on, TOML.
const BEGUN: &str = "lab.begun";
/// How many drawn pictures it learns from.
const DRAWN: &str = "lab.drawn";
/// The curves, JSON.
const CURVES: &str = "lab.curves";
/// The name of a run's own pictures beside it.
pub const PICTURES: &str = "images.safetensors";
/// Largest file that is taken: a session holds all that is in it, and may hold no more.
const MOST_BYTES: u64 = super::session::MOST_MEMORY;

/// A run that was saved.
pub(super) struct Saved {
    pub(super) checkpoint: Checkpoint,
    /// As it stands, with the switches that are off.
    pub(super) config: Config,
    /// With every switch on.
    pub(super) begun: Config,
    pub(super) counters: Counters,
    pub(super) curves: Curves,
    /// How many drawn pictures, where it learns from such.
    pub(super) drawn: Option<u64>,
    /// Its own, where they lie beside it.
    pub(super) pictures: Option<Pictures>,
}

/// What a page adds to a run's header.
pub(super) fn about(begun: &Config, data: &Data, curves: &Curves) -> BTreeMap<String, String> {
    let mut about = BTreeMap::from([(BEGUN.to_owned(), begun.to_toml())]);
    if let Data::Drawn { images } = data {
        about.insert(DRAWN.to_owned(), images.to_string());
    }
    if let Ok(curves) = serde_json::to_string(curves) {
        about.insert(CURVES.to_owned(), curves);
    }
    about
}

/// Opens a run: its state alone, or with its pictures, or with the TOML files that older native runs have beside it.
///
/// # Errors
///
/// [`FormatError`] where a file is no run, [`TrainError::Checkpoint`] where something of it is missing or changed.
pub(super) async fn open(files: Vec<Box<dyn ReadAt>>) -> Result<Saved, Error> {
    let names: Vec<String> = files.iter().map(|file| file.name().to_owned()).collect();
    let (mut run, mut pictures, mut texts) = (None, None, BTreeMap::new());
    for file in files {
        let name = file.name().rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        if name == PICTURES {
            pictures = Some(Pictures::read(&Checkpoint::open(file).await?).await?);
        } else if name.ends_with(".toml") {
            let bytes = read_exact(file.as_ref(), 0, file.len().min(1 << 20) as usize).await?;
            texts.insert(name, String::from_utf8_lossy(&bytes).into_owned());
        } else if run.is_none() {
            run = Some(file);
        }
    }
    let file = run.ok_or(FormatError::NoCheckpoint { found: names })?;
    let (name, len) = (file.name().to_owned(), file.len());
    if len > MOST_BYTES {
        return Err(TrainError::TooLarge { needs: len >> 20, most: MOST_BYTES >> 20 }.into());
    }
    let bytes = read_exact(file.as_ref(), 0, len as usize).await?;
    let checkpoint = Checkpoint::open(Box::new(MemoryFile::new(name, bytes.clone()))).await?;
    check_sum(&checkpoint, &bytes)?;
    drop(bytes);
    let (config, counters) = match state::read_about(&checkpoint)? {
        Some(found) => found,
        None => beside(&texts)?,
    };
    let metadata = checkpoint.metadata();
    let begun = match metadata.get(BEGUN) {
        Some(text) => Config::from_toml("the checkpoint", text)?,
        None => config.clone(),
    };
    // Curves are for the eye: a run without them goes on.
    let curves = metadata.get(CURVES).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let drawn = metadata.get(DRAWN).and_then(|text| text.parse().ok());
    Ok(Saved { config, begun, counters, curves, drawn, pictures, checkpoint })
}

/// Configuration and counters from the files beside an older native checkpoint.
fn beside(texts: &BTreeMap<String, String>) -> Result<(Config, Counters), Error> {
    let missing = |what: &str, found: String| TrainError::Checkpoint {
        what: what.to_owned(),
        expected: "in its header, or in config.toml and manifest.toml beside it".to_owned(),
        found,
        advice: "choose state.safetensors of a run together with its manifest.toml and config.toml".to_owned(),
    };
    let absent = |what| missing(what, "missing".to_owned());
    let config = texts.get("config.toml").ok_or_else(|| absent("its configuration"))?;
    let manifest = texts.get("manifest.toml").ok_or_else(|| absent("its counters"))?;
    let manifest: toml::Table =
        manifest.parse().map_err(|error: toml::de::Error| missing("its manifest", error.to_string()))?;
    let counters = manifest.get("counters").cloned().ok_or_else(|| absent("its counters"))?;
    let counters = counters.try_into().map_err(|error: toml::de::Error| missing("its counters", error.to_string()))?;
    Ok((Config::from_toml("config.toml", config)?, counters))
}
