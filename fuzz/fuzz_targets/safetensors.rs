//! A safetensors file from anywhere: opening and reading it ends in tensors or typed errors.
#![no_main]

#[path = "../read.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| read::everything("model.safetensors", bytes.to_vec()));
