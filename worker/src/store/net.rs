//! What the browser lends a download: requests, bodies piece by piece, waiting.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(module = "/src/store/net.js")]
extern "C" {
    pub(super) async fn sleep(millis: f64);
    pub(super) fn abort();
    #[wasm_bindgen(catch)]
    pub(super) async fn request(url: &str, from: f64, etag: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) async fn next(reader: &JsValue) -> Result<JsValue, JsValue>;
    pub(super) async fn cancel(reader: &JsValue);
    pub(super) async fn leave(reader: &JsValue);
}
