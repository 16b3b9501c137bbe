//! What is dropped: files, and folders with all that lies below them.

use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{DataTransfer, File, FileSystemDirectoryEntry, FileSystemEntry, FileSystemFileEntry};

/// Entries of a drop; a browser forgets them when its event is over.
pub(super) struct Dropped(Vec<FileSystemEntry>);

impl Dropped {
    /// What lies in a drop. Reads nothing yet.
    pub(super) fn of(data: &DataTransfer) -> Self {
        let items = data.items();
        let entries = (0..items.length()).filter_map(|at| items.get(at)?.webkit_get_as_entry().ok().flatten());
        Self(entries.collect())
    }

    /// Whether a folder is among them.
    pub(super) fn has_folder(&self) -> bool {
        self.0.iter().any(FileSystemEntry::is_directory)
    }

    /// All files, those of folders too, by the order of their paths.
    ///
    /// # Errors
    ///
    /// The browser's, when a folder cannot be read.
    pub(super) async fn files(self) -> Result<Vec<File>, JsValue> {
        let (mut entries, mut files) = (self.0, Vec::new());
        while let Some(entry) = entries.pop() {
            if entry.is_directory() {
                entries.extend(children(entry.unchecked_ref()).await?);
            } else {
                let file = promise(|yes, no| {
                    entry.unchecked_ref::<FileSystemFileEntry>().file_with_callback_and_callback(yes, no);
                });
                files.push((entry.full_path(), JsFuture::from(file).await?.unchecked_into()));
            }
        }
        files.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(files.into_iter().map(|(_, file)| file).collect())
    }
}

/// What lies in a folder. A browser tells it in portions, an empty one last.
async fn children(folder: &FileSystemDirectoryEntry) -> Result<Vec<FileSystemEntry>, JsValue> {
    let (reader, mut all) = (folder.create_reader(), Vec::new());
    loop {
        let mut refused = Ok(());
        let portion = promise(|yes, no| refused = reader.read_entries_with_callback_and_callback(yes, no));
        refused?;
        let portion: Array = JsFuture::from(portion).await?.unchecked_into();
        if portion.length() == 0 {
            return Ok(all);
        }
        all.extend(portion.iter().map(JsCast::unchecked_into::<FileSystemEntry>));
    }
}

/// A promise of what comes by callbacks.
fn promise(mut ask: impl FnMut(&js_sys::Function, &js_sys::Function)) -> Promise {
    Promise::new(&mut |yes, no| ask(&yes, &no))
}
