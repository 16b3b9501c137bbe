//! The site's own file system (OPFS), as the store and the kept runs use it.
//!
//! The calls are declared here and not taken from web-sys: a feature more there would build wgpu anew for everybody.

use js_sys::{Array, Reflect, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Blob;

#[wasm_bindgen(module = "/src/opfs.js")]
extern "C" {
    #[wasm_bindgen(catch)]
    pub(crate) async fn folder(path: &str, create: bool) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = names)]
    async fn js_names(folder: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) async fn remove(folder: &JsValue, name: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch, js_name = file)]
    async fn js_file(folder: &JsValue, name: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) async fn writer(folder: &JsValue, name: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn size(handle: &JsValue) -> Result<f64, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn read(handle: &JsValue, bytes: &mut [u8], at: f64) -> Result<f64, JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn write(handle: &JsValue, bytes: &Uint8Array, at: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(catch, js_name = write)]
    fn write_ours(handle: &JsValue, bytes: &[u8], at: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn truncate(handle: &JsValue, length: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn flush(handle: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    pub(crate) fn close(handle: &JsValue) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    async fn room() -> Result<JsValue, JsValue>;
}

/// Names of all that lies in a folder, sorted.
pub(crate) async fn names(folder: &JsValue) -> Result<Vec<String>, JsValue> {
    let found: Array = js_names(folder).await?.dyn_into().unwrap_or_default();
    Ok(found.iter().filter_map(|name| name.as_string()).collect())
}

/// A file to read; `None` where it is not there.
pub(crate) async fn file(folder: &JsValue, name: &str) -> Result<Option<Blob>, JsValue> {
    Ok(js_file(folder, name).await?.dyn_into().ok())
}

/// Writes a whole file. An interrupted write leaves it short or mixed, which its reader must see.
pub(crate) async fn put(folder: &JsValue, name: &str, bytes: &[u8]) -> Result<(), JsValue> {
    whole(folder, name, bytes.len() as f64, |handle| write_ours(handle, bytes, 0.0)).await
}

/// The same with bytes that never came to us.
pub(crate) async fn put_array(folder: &JsValue, name: &str, bytes: &Uint8Array) -> Result<(), JsValue> {
    whole(folder, name, f64::from(bytes.length()), |handle| write(handle, bytes, 0.0)).await
}

async fn whole(
    folder: &JsValue,
    name: &str,
    length: f64,
    write: impl FnOnce(&JsValue) -> Result<(), JsValue>,
) -> Result<(), JsValue> {
    let handle = writer(folder, name).await?;
    let written = write(&handle).and_then(|()| truncate(&handle, length)).and_then(|()| flush(&handle));
    close(&handle)?;
    written
}

/// The name of a JavaScript error's kind, such as `QuotaExceededError`.
pub(crate) fn kind(error: &JsValue) -> String {
    Reflect::get(error, &"name".into()).ok().and_then(|name| name.as_string()).unwrap_or_default()
}

/// Bytes taken and bytes allowed; zeros where the browser does not tell.
pub(crate) async fn estimate() -> (u64, u64) {
    let pair: Array = room().await.unwrap_or_default().dyn_into().unwrap_or_default();
    let number = |at| pair.get(at).as_f64().unwrap_or(0.0) as u64;
    (number(0), number(1))
}
