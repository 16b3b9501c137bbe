//! The shelf of kept models: their folders, files and records, over the browser's own file system.
//!
//! `models/KEY/` holds the files of one model under their own names and `record.json`, a [`StoredModel`]. A file that
//! its record does not call whole is the beginning of one. Readers use `File`s, which any number of workers may hold;
//! a writer holds its file alone.

use lab_core::host::ReadAt;
use lab_protocol::storage::{StorageEvent, StoredModel};
use wasm_bindgen::JsValue;

use crate::host::{BlobFile, bytes_of, words};
use crate::opfs::{self, estimate, kind};

/// Where all of them lie.
const MODELS: &str = "models";

/// The record's name; no model's file is called so.
pub(super) const RECORD: &str = "record.json";

/// How a sentence about a full disk ends.
pub(super) const FULL: &str = "the browser gives this site no more room";

pub(super) fn failed(error: JsValue) -> String {
    match kind(&error).as_str() {
        "QuotaExceededError" => format!("the model does not fit: {FULL}"),
        _ => format!("the browser's file system says: {}", words(&error)),
    }
}

/// A model's folder; null where it is not there and not to be made.
pub(super) async fn folder(key: &str, create: bool) -> Result<JsValue, JsValue> {
    opfs::folder(&format!("{MODELS}/{key}"), create).await
}

/// The record of a model; `None` where there is none, or none that can be read.
pub(super) async fn record(key: &str) -> Result<Option<StoredModel>, String> {
    let folder = folder(key, false).await.map_err(failed)?;
    if folder.is_null() {
        return Ok(None);
    }
    let Some(blob) = opfs::file(&folder, RECORD).await.map_err(failed)? else { return Ok(None) };
    let bytes = bytes_of(&blob).await?;
    Ok(serde_json::from_slice(&bytes).ok())
}

/// Writes a model's record.
pub(super) async fn keep(model: &StoredModel) -> Result<(), String> {
    let folder = folder(&model.key, true).await.map_err(failed)?;
    let text = serde_json::to_vec(model).map_err(|error| error.to_string())?;
    opfs::put(&folder, RECORD, &text).await.map_err(failed)
}

/// Everything that is kept, the one used last first, and the room.
pub(super) async fn list() -> Result<StorageEvent, String> {
    let models = models().await?;
    let (usage, quota) = estimate().await;
    Ok(StorageEvent::Listed { models, usage, quota })
}

/// Everything that is kept, the one used last first.
pub(super) async fn models() -> Result<Vec<StoredModel>, String> {
    let mut models = Vec::new();
    let all = opfs::folder(MODELS, false).await.map_err(failed)?;
    if !all.is_null() {
        for key in opfs::names(&all).await.map_err(failed)? {
            let model = record(&key).await?;
            // A folder without a record still takes room and can be thrown away.
            models.push(model.unwrap_or_else(|| StoredModel { name: key.clone(), key, ..StoredModel::default() }));
        }
    }
    models.sort_by(|a, b| b.used.cmp(&a.used).then(b.stored.cmp(&a.stored)));
    Ok(models)
}

/// Throws a model away.
pub(super) async fn delete(key: &str) -> Result<(), String> {
    let all = opfs::folder(MODELS, false).await.map_err(failed)?;
    if all.is_null() {
        return Ok(());
    }
    opfs::remove(&all, key).await.map(|_| ()).map_err(|error| match kind(&error).as_str() {
        "NoModificationAllowedError" => {
            "the model is just being fetched, here or in another tab: stop that first".to_owned()
        }
        _ => failed(error),
    })
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    js_sys::Date::now() as u64
}

/// The largest models but this one, by name: what to delete where the disk is full.
pub(super) async fn what_to_delete(key: &str) -> String {
    let mut others = models().await.unwrap_or_default();
    others.retain(|model| model.key != key && model.bytes() > 0);
    others.sort_by_key(|model| std::cmp::Reverse(model.bytes()));
    let named: Vec<String> =
        others.iter().take(3).map(|model| format!("{} ({})", model.name, megabytes(model.bytes()))).collect();
    match named.is_empty() {
        true => "free some of the disk, or take a smaller model".to_owned(),
        false => format!("delete from the stored models {}", named.join(" or ")),
    }
}

/// Bytes as people read them.
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// A kept model and its files, each held to the length in its record. It counts as used from now on.
///
/// # Errors
///
/// A sentence, when it is not there, not whole, or another length than it was.
pub(crate) async fn open(key: &str) -> Result<(StoredModel, Vec<Box<dyn ReadAt>>), String> {
    let gone = || {
        format!(
            "this browser keeps no model {key}: it was kept in another one, or deleted; keep it again in the room Train, or \
             fetch it anew"
        )
    };
    let mut model = record(key).await?.ok_or_else(gone)?;
    if !model.complete {
        return Err(format!("only a part of {} has come: fetch it again to go on", model.name));
    }
    let place = folder(key, false).await.map_err(failed)?;
    let mut files: Vec<Box<dyn ReadAt>> = Vec::new();
    for kept in &model.files {
        let found = BlobFile::new(opfs::file(&place, &kept.name).await.map_err(failed)?.ok_or_else(gone)?);
        if found.len() != kept.bytes {
            return Err(format!(
                "{} of {} has {} bytes, {} were checked: delete the model and fetch it again",
                kept.name,
                model.name,
                found.len(),
                kept.bytes
            ));
        }
        files.push(Box::new(found));
    }
    model.used = now();
    // Not worth failing for: only the order of the list rests on it.
    drop(keep(&model).await);
    Ok((model, files))
}
