//! A model's header and config: what they say is told or refused, and what is accepted for whole loads and computes.
#![no_main]

use lab_core::host::MemoryFile;

#[path = "../read.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|parts: (&str, Vec<u8>)| {
    let (config, weights) = parts;
    read::model(vec![
        Box::new(MemoryFile::new("config.json", config.as_bytes().to_vec())),
        Box::new(MemoryFile::new("model.safetensors", weights)),
    ]);
});
