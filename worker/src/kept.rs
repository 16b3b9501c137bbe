//! The run that this browser keeps, in a folder of the site's own file system.
//!
//! The save before stays whole until the next is written: one that is cut short costs no more than itself.

use std::cell::Cell;

use lab_core::engine::train::PICTURES;
use lab_core::host::ReadAt;
use wasm_bindgen::JsValue;

use crate::host::{BlobFile, words};
use crate::opfs;
use crate::saves::{self, Save};

/// Where it lies.
const FOLDER: &str = "train";

thread_local! {
    /// The last save that is known to be whole: written by this worker, or read.
    static WHOLE: Cell<Option<Save>> = const { Cell::new(None) };
    /// The save that the pictures of the run at work came with; 0 where it has none, nothing before its first save.
    static IN_USE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Another run is at work: its pictures are not here.
pub(crate) fn begun() {
    IN_USE.set(None);
}

/// Keeps a run, and its pictures where they are not here yet.
///
/// # Errors
///
/// A sentence: no such file system, no room, or another tab writes.
pub(crate) async fn save(state: &[u8], pictures: impl FnOnce() -> Option<Vec<u8>>) -> Result<(), String> {
    let folder = open(true).await?;
    let names = opfs::names(&folder).await.map_err(|error| refused(&error, 0))?;
    let there = |name: String| names.contains(&name);
    let number = saves::next(&names);
    let in_use = IN_USE.get().filter(|&kept| kept == 0 || there(saves::images(kept)));
    let whole = WHOLE.get().filter(|save| there(save.state())).or(saves::newest_first(&names).first().copied());
    for name in saves::spare(&names, whole, in_use) {
        opfs::remove(&folder, name).await.map_err(|error| refused(&error, 0))?;
    }
    let put = async |name: &str, bytes: &[u8]| {
        opfs::put(&folder, name, bytes).await.map_err(|error| refused(&error, bytes.len()))
    };
    let pictures = match in_use {
        Some(kept) => kept,
        None => match pictures() {
            None => 0,
            Some(bytes) => {
                put(&saves::images(number), &bytes).await?;
                number
            }
        },
    };
    IN_USE.set(Some(pictures));
    let save = Save { number, pictures };
    put(&save.state(), state).await?;
    WHOLE.set(Some(save));
    Ok(())
}

/// The saves that are here, the newest first; none where the browser keeps nothing.
pub(crate) async fn found() -> Vec<Save> {
    let Ok(folder) = open(false).await else { return Vec::new() };
    opfs::names(&folder).await.map(|names| saves::newest_first(&names)).unwrap_or_default()
}

/// The files of a save: its state, and its pictures where it has some.
///
/// # Errors
///
/// A sentence: one of them is not there.
pub(crate) async fn files(save: Save) -> Result<Vec<Box<dyn ReadAt>>, String> {
    let folder = open(false).await?;
    let file = async |name: String| {
        let blob = opfs::file(&folder, &name).await.map_err(|error| words(&error))?;
        blob.ok_or_else(|| format!("its {name} is gone"))
    };
    let mut files: Vec<Box<dyn ReadAt>> = vec![Box::new(BlobFile::new(file(save.state()).await?))];
    if let Some(images) = save.images() {
        files.push(Box::new(BlobFile::called(PICTURES, file(images).await?)));
    }
    Ok(files)
}

/// A save was read and goes on.
pub(crate) fn taken(save: Save) {
    WHOLE.set(Some(save));
    IN_USE.set(Some(save.pictures));
}

/// Forgets everything.
pub(crate) async fn clear() {
    let Ok(folder) = open(false).await else { return };
    for name in opfs::names(&folder).await.unwrap_or_default() {
        drop(opfs::remove(&folder, &name).await);
    }
    WHOLE.set(None);
    IN_USE.set(None);
}

async fn open(create: bool) -> Result<JsValue, String> {
    let folder = opfs::folder(FOLDER, create).await.map_err(|error| {
        format!(
            "this browser keeps no files for this page ({}): the run cannot save itself; download it before you leave",
            words(&error)
        )
    })?;
    if folder.is_null() { Err("no run is kept here".to_owned()) } else { Ok(folder) }
}

fn refused(error: &JsValue, bytes: usize) -> String {
    match opfs::kind(error).as_str() {
        "QuotaExceededError" => format!(
            "the browser's storage is full: {:.1} MB more are needed; delete stored models or other sites' data, or \
             download the run",
            bytes as f64 / 1e6
        ),
        "NoModificationAllowedError" => {
            "another tab of this page saves its run at the same place: close it, or download this run".to_owned()
        }
        _ => format!("the browser did not keep the run ({}): download it before you leave", words(error)),
    }
}
