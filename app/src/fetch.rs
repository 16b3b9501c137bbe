//! What lies beside the page, fetched with patience.

use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, RequestInit, Response};

/// The server's answer, given up after so many milliseconds.
///
/// # Errors
///
/// The browser's, and a sentence where the server has no such file.
pub(crate) async fn fetch(address: &str, patience: u32) -> Result<Response, JsValue> {
    let options = RequestInit::new();
    options.set_signal(Some(&AbortSignal::timeout_with_u32(patience)));
    let window = web_sys::window().ok_or("there is no window")?;
    let response: Response = JsFuture::from(window.fetch_with_str_and_init(address, &options)).await?.dyn_into()?;
    match response.ok() {
        true => Ok(response),
        false => Err(format!("the server answered {}", response.status()).into()),
    }
}
