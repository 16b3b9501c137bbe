//! The store's folders, files and records, over the browser's own file system.
//!
//! `models/KEY/` holds the files of one model under their own names and `record.json`, a [`StoredModel`]. A file that
//! its record does not call whole is the beginning of one. Readers use `File`s, which any number of workers may hold;
//! a writer holds its file alone.

use js_sys::{Array, Uint8Array};
use lab_core::error::HostError;
use lab_core::host::ReadAt;
use lab_protocol::storage::{StorageEvent, StoredModel};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Blob;

use crate::host::{BlobFile, bytes_of, words};

#[wasm_bindgen(module = "/src/store/opfs.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    pub(super) async fn folder(key: &str, create: bool) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    async fn names(folder: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) async fn remove(folder: &JsValue, name: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    async fn file(folder: &JsValue, name: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) async fn writer(folder: &JsValue, name: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) fn size(handle: &JsValue) -> Result<f64, JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) fn read(handle: &JsValue, bytes: &mut [u8], at: f64) -> Result<f64, JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) fn write(handle: &JsValue, bytes: &Uint8Array, at: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) fn truncate(handle: &JsValue, length: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) fn flush(handle: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) fn close(handle: &JsValue) -> Result<(), JsValue>;
    pub(super) async fn sleep(millis: f64);
    pub(super) fn abort();
    #[wasm_bindgen(catch)]
    pub(super) async fn request(url: &str, from: f64, etag: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) async fn next(reader: &JsValue) -> Result<JsValue, JsValue>;
    pub(super) async fn cancel(reader: &JsValue);
    #[wasm_bindgen(catch)]
    async fn room() -> Result<JsValue, JsValue>;
}

/// The record's name; no model's file is called so.
pub(super) const RECORD: &str = "record.json";

/// How a sentence about a full disk ends.
pub(super) const FULL: &str = "the browser gives this site no more room";

fn failed(error: JsValue) -> String {
    match kind(&error).as_str() {
        "QuotaExceededError" => format!("the model's record does not fit: {FULL}"),
        _ => format!("the browser's file system says: {}", words(&error)),
    }
}

/// The name of a JavaScript error's kind, such as `QuotaExceededError`.
pub(super) fn kind(error: &JsValue) -> String {
    js_sys::Reflect::get(error, &"name".into()).ok().and_then(|name| name.as_string()).unwrap_or_default()
}

/// Bytes taken and bytes allowed.
pub(super) async fn estimate() -> (u64, u64) {
    let pair: Array = room().await.unwrap_or_default().dyn_into().unwrap_or_default();
    let number = |at| pair.get(at).as_f64().unwrap_or(0.0) as u64;
    (number(0), number(1))
}

/// The record of a model; `None` where there is none, or none that can be read.
pub(super) async fn record(key: &str) -> Result<Option<StoredModel>, String> {
    let folder = folder(key, false).await.map_err(failed)?;
    if folder.is_null() {
        return Ok(None);
    }
    let Ok(blob) = file(&folder, RECORD).await.map_err(failed)?.dyn_into::<Blob>() else { return Ok(None) };
    let bytes = bytes_of(&blob).await?;
    Ok(serde_json::from_slice(&bytes).ok())
}

/// Writes a model's record.
pub(super) async fn keep(model: &StoredModel) -> Result<(), String> {
    let folder = folder(&model.key, true).await.map_err(failed)?;
    let text = serde_json::to_vec(model).map_err(|error| error.to_string())?;
    let handle = writer(&folder, RECORD).await.map_err(failed)?;
    let written = write(&handle, &Uint8Array::from(text.as_slice()), 0.0)
        .and_then(|()| truncate(&handle, text.len() as f64))
        .and_then(|()| flush(&handle));
    close(&handle).map_err(failed)?;
    written.map_err(failed)
}

/// Everything that is kept, the one used last first.
pub(super) async fn list() -> Result<StorageEvent, String> {
    let mut models = Vec::new();
    let all = folder("", false).await.map_err(failed)?;
    if !all.is_null() {
        let keys: Array = names(&all).await.map_err(failed)?.dyn_into().unwrap_or_default();
        for key in keys.iter().filter_map(|key| key.as_string()) {
            let model = record(&key).await?;
            // A folder without a record still takes room and can be thrown away.
            models.push(model.unwrap_or_else(|| StoredModel { name: key.clone(), key, ..StoredModel::default() }));
        }
    }
    models.sort_by(|a, b| b.used.cmp(&a.used).then(b.stored.cmp(&a.stored)));
    let (usage, quota) = estimate().await;
    Ok(StorageEvent::Listed { models, usage, quota })
}

/// Throws a model away.
pub(super) async fn delete(key: &str) -> Result<(), String> {
    let all = folder("", false).await.map_err(failed)?;
    if all.is_null() {
        return Ok(());
    }
    remove(&all, key).await.map(|_| ()).map_err(|error| match kind(&error).as_str() {
        "NoModificationAllowedError" => {
            "the model is just being fetched, here or in another tab: stop that first".to_owned()
        }
        _ => failed(error),
    })
}

/// Milliseconds since 1970.
pub(super) fn today() -> u64 {
    js_sys::Date::now() as u64
}

/// A kept model and its files, each held to the length in its record. It counts as used from now on.
///
/// # Errors
///
/// When it is not there, not whole, or another length than it was.
pub(crate) async fn open(key: &str) -> Result<(StoredModel, Vec<Box<dyn ReadAt>>), HostError> {
    let broken = |name: &str, reason: String| HostError::Read { name: name.to_owned(), offset: 0, len: 0, reason };
    let gone = || broken(key, "no such model is kept here: fetch it again".to_owned());
    let mut model = record(key).await.map_err(|reason| broken(key, reason))?.ok_or_else(gone)?;
    if !model.complete {
        return Err(broken(&model.name, "only a part of it has come: fetch it again to go on".to_owned()));
    }
    let place = folder(key, false).await.map_err(|error| broken(key, failed(error)))?;
    let mut files: Vec<Box<dyn ReadAt>> = Vec::new();
    for kept in &model.files {
        let found = file(&place, &kept.name).await.map_err(|error| broken(&kept.name, failed(error)))?;
        let found = BlobFile::new(found.dyn_into::<Blob>().map_err(|_| gone())?);
        if found.len() != kept.bytes {
            let reason = format!(
                "{} bytes are kept, {} were checked: delete the model and fetch it again",
                found.len(),
                kept.bytes
            );
            return Err(broken(&kept.name, reason));
        }
        files.push(Box::new(found));
    }
    model.used = today();
    // Not worth failing for: only the order of the list rests on it.
    drop(keep(&model).await);
    Ok((model, files))
}
