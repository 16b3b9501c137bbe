//! Models that were made in this browser, such as the encoder of a run: their bytes come from the page, not from a server.

use js_sys::{Array, ArrayBuffer, Uint8Array};
use lab_protocol::storage::{MADE, StoredFile, StoredModel};
use sha2::{Digest, Sha256};
use wasm_bindgen::JsCast;

use super::address::hex;
use super::shelf;
use crate::opfs;

/// Keeps `names`, whose bytes are `attachments`. The same bytes under the same name are the same model, kept once.
///
/// # Errors
///
/// A sentence: an attachment that is missing, or what the browser's file system says; nothing is left then.
pub(super) async fn keep(name: &str, names: &[String], attachments: &Array) -> Result<StoredModel, String> {
    let bytes: Vec<Uint8Array> = attachments
        .iter()
        .filter(|item| item.is_instance_of::<ArrayBuffer>())
        .map(|item| Uint8Array::new(&item))
        .collect();
    if names.is_empty() || bytes.len() != names.len() {
        return Err(format!("{name} has {} files, the bytes of {} came: reload the page", names.len(), bytes.len()));
    }
    let file = |(name, bytes): (&String, &Uint8Array)| {
        let (len, sha256) = (u64::from(bytes.length()), hex(&Sha256::digest(bytes.to_vec())));
        StoredFile { name: name.clone(), bytes: len, total: Some(len), sha256, ..StoredFile::default() }
    };
    let files: Vec<StoredFile> = names.iter().zip(&bytes).map(file).collect();
    let mut whole = Sha256::new_with_prefix(name);
    files.iter().for_each(|file| whole.update(format!("\n{} {}", file.name, file.sha256)));
    let key = hex(&whole.finalize())[..16].to_owned();
    let others = shelf::models().await?;
    if let Some(known) = others.iter().find(|model| model.key == key && model.complete) {
        return Ok(known.clone());
    }
    // Another run may have come to the same step.
    let mut names = std::iter::once(name.to_owned()).chain((2_u32..).map(|number| format!("{name} ({number})")));
    let free = names.find(|name| others.iter().all(|model| model.name != *name)).unwrap_or_default();
    let source = format!("{MADE}{key}");
    let model = StoredModel {
        name: free,
        folder: source.clone(),
        source,
        files,
        wanted: None,
        complete: true,
        stored: shelf::now(),
        used: shelf::now(),
        key,
    };
    if let Err(sentence) = write(&model, &bytes).await {
        shelf::delete(&model.key).await?;
        return Err(match sentence.ends_with(shelf::FULL) {
            true => format!("{sentence}; {}", shelf::what_to_delete(&model.key).await),
            false => sentence,
        });
    }
    Ok(model)
}

/// Its files, and then the record that calls them whole.
async fn write(model: &StoredModel, bytes: &[Uint8Array]) -> Result<(), String> {
    let folder = shelf::folder(&model.key, true).await.map_err(shelf::failed)?;
    for (file, bytes) in model.files.iter().zip(bytes) {
        opfs::put_array(&folder, &file.name, bytes).await.map_err(shelf::failed)?;
    }
    shelf::keep(model).await
}
