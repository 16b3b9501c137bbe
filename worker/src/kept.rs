//! What the browser keeps for us: files in its own file system (OPFS), written in place by this worker.
//!
//! The calls are declared here and not taken from web-sys: a feature more there would build wgpu anew for everybody.

use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

use crate::host::{scope, words};

#[wasm_bindgen]
extern "C" {
    type Directory;
    #[wasm_bindgen(method, catch, js_name = getDirectoryHandle)]
    async fn directory(this: &Directory, name: &str, options: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = getFileHandle)]
    async fn file(this: &Directory, name: &str, options: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = removeEntry)]
    async fn remove(this: &Directory, name: &str) -> Result<JsValue, JsValue>;

    type Handle;
    #[wasm_bindgen(method, catch, js_name = getFile)]
    async fn blob(this: &Handle) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = createSyncAccessHandle)]
    async fn access(this: &Handle) -> Result<JsValue, JsValue>;

    type Access;
    #[wasm_bindgen(method, catch)]
    fn truncate(this: &Access, size: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    fn write(this: &Access, bytes: &[u8]) -> Result<f64, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn flush(this: &Access) -> Result<(), JsValue>;
    #[wasm_bindgen(method)]
    fn close(this: &Access);
}

/// A folder of ours in the browser's own file system.
pub(crate) struct Folder {
    directory: Directory,
}

/// A file of it, and when it was last written, in milliseconds.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) blob: Blob,
    pub(crate) modified: f64,
}

impl Folder {
    /// Opens a folder; it is made where it is not there.
    ///
    /// # Errors
    ///
    /// A sentence: the browser has no such file system, or denies it to this page (private windows).
    pub(crate) async fn open(name: &str) -> Result<Self, String> {
        let root = root().await.map_err(|error| {
            format!(
                "this browser keeps no files for this page ({error}): the run cannot save itself; download it before you \
                 leave"
            )
        })?;
        let found = root.directory(name, &create()).await.map_err(|error| refused(&error, 0))?;
        Ok(Self { directory: found.unchecked_into() })
    }

    /// Files of these names that are there, the one written last first.
    pub(crate) async fn newest_first(&self, names: &[&str]) -> Vec<Found> {
        let mut found = Vec::new();
        for name in names {
            let Ok(handle) = self.directory.file(name, &JsValue::UNDEFINED).await else { continue };
            let Ok(blob) = handle.unchecked_into::<Handle>().blob().await else { continue };
            let modified = Reflect::get(&blob, &"lastModified".into()).ok().and_then(|time| time.as_f64());
            let (name, blob) = ((*name).to_owned(), blob.unchecked_into());
            found.push(Found { name, blob, modified: modified.unwrap_or(0.0) });
        }
        found.sort_by(|a, b| b.modified.total_cmp(&a.modified));
        found
    }

    /// Writes a whole file. An interrupted write leaves it short, which its reader sees.
    ///
    /// # Errors
    ///
    /// A sentence: no room, or another tab writes the same file.
    pub(crate) async fn write(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let refused = |error: JsValue| refused(&error, bytes.len());
        let handle: Handle = self.directory.file(name, &create()).await.map_err(refused)?.unchecked_into();
        let access: Access = handle.access().await.map_err(refused)?.unchecked_into();
        let result = (|| {
            access.truncate(0.0)?;
            let written = access.write(bytes)?;
            access.flush()?;
            Ok::<_, JsValue>(written)
        })();
        access.close();
        let written = result.map_err(refused)?;
        if written != bytes.len() as f64 {
            return Err(format!("the browser wrote {written} of {} bytes: its storage is full", bytes.len()));
        }
        Ok(())
    }

    /// Removes a file; one that is not there is as good as removed.
    pub(crate) async fn remove(&self, name: &str) {
        drop(self.directory.remove(name).await);
    }
}

async fn root() -> Result<Directory, String> {
    let field = |of: &JsValue, name: &str| Reflect::get(of, &name.into()).unwrap_or_default();
    let storage = field(&field(&scope(), "navigator"), "storage");
    let get = field(&storage, "getDirectory").dyn_into::<Function>().map_err(|_| "it has no OPFS".to_owned())?;
    let promise = get.call0(&storage).and_then(JsCast::dyn_into::<Promise>).map_err(|error| words(&error))?;
    Ok(JsFuture::from(promise).await.map_err(|error| words(&error))?.unchecked_into())
}

fn create() -> JsValue {
    let options = Object::new();
    drop(Reflect::set(&options, &"create".into(), &true.into()));
    options.into()
}

fn refused(error: &JsValue, bytes: usize) -> String {
    let name = Reflect::get(error, &"name".into()).ok().and_then(|name| name.as_string()).unwrap_or_default();
    match name.as_str() {
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
