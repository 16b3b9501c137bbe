//! What runs once, when the module is loaded.

use wasm_bindgen::prelude::wasm_bindgen;

#[allow(unsafe_code, reason = "declares a function that the linker makes")]
mod linker {
    unsafe extern "C" {
        /// Runs every constructor of the module.
        pub(super) safe fn __wasm_call_ctors();
    }
}

/// Lets CubeCL's crates register their operations, thousands of them, and a panic say on the console what happened.
///
/// A module that nowhere calls its constructors is to the linker a command: it puts the call before every exported function,
/// and each word from JavaScript would register everything anew (docs/benchmarks.md).
#[wasm_bindgen(start)]
fn start() {
    linker::__wasm_call_ctors();
    console_error_panic_hook::set_once();
}
