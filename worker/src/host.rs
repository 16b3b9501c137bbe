//! What the browser lends the engine: time, bytes of blobs, texts of errors.

use js_sys::{ArrayBuffer, Reflect, Uint8Array};
use lab_core::error::HostError;
use lab_core::host::{LocalFuture, ReadAt};
use lab_protocol::Memory;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, File, WorkerGlobalScope};

/// The worker's own scope.
pub(crate) fn scope() -> WorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Milliseconds since the worker began.
pub(crate) fn now() -> f64 {
    scope().performance().map_or(0.0, |performance| performance.now())
}

/// Everything that WebAssembly of 32 bits can address; the browser takes it piece by piece, and gives none back.
const ADDRESSABLE: u64 = 1 << 32;
/// Kept free for pictures, and for what lies between pieces.
const MARGIN: u64 = 128 << 20;

/// What this worker's memory holds and may hold, and what the browser tells of the machine (in Chromium, rounded).
pub(crate) fn memory() -> Memory {
    let gib = Reflect::get(&scope().navigator(), &"deviceMemory".into()).ok().and_then(|gib| gib.as_f64());
    Memory {
        taken: crate::ALLOCATOR.allocated() as u64,
        most: ADDRESSABLE - MARGIN,
        machine: gib.map_or(0, |gib| (gib * f64::from(1 << 30)) as u64),
        ..Memory::default()
    }
}

/// What a JavaScript error says.
pub(crate) fn words(error: &JsValue) -> String {
    let message = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    message.or_else(|| error.as_string()).unwrap_or_else(|| format!("{error:?}"))
}

/// All bytes of a blob.
///
/// # Errors
///
/// The browser's: the file was moved or changed, or memory ran out.
pub(crate) async fn bytes_of(blob: &Blob) -> Result<Vec<u8>, String> {
    let buffer = JsFuture::from(blob.array_buffer()).await.map_err(|error| words(&error))?;
    Ok(Uint8Array::new(&buffer.unchecked_into::<ArrayBuffer>()).to_vec())
}

/// A file that the user picked: read stretch by stretch, never whole.
pub(crate) struct BlobFile {
    name: String,
    blob: Blob,
}

impl BlobFile {
    /// A `File`, or a `Blob` without a name.
    pub(crate) fn new(blob: Blob) -> Self {
        let name = blob.dyn_ref::<File>().map(File::name).unwrap_or_else(|| "unnamed".to_owned());
        Self { name, blob }
    }

    /// The same under another name.
    pub(crate) fn called(name: &str, blob: Blob) -> Self {
        Self { name: name.to_owned(), blob }
    }
}

impl ReadAt for BlobFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.blob.size() as u64
    }

    fn read_at<'a>(&'a self, offset: u64, len: usize) -> LocalFuture<'a, Result<Vec<u8>, HostError>> {
        Box::pin(async move {
            let failed = |reason: String| HostError::Read { name: self.name.clone(), offset, len: len as u64, reason };
            // Exact in f64 up to 2^53 bytes.
            let part = self.blob.slice_with_f64_and_f64(offset as f64, (offset + len as u64) as f64);
            bytes_of(&part.map_err(|error| failed(words(&error)))?).await.map_err(failed)
        })
    }
}
