//! Reading everything that a checkpoint offers.
#![allow(dead_code, reason = "each target uses a part")]

use std::future::Future;

use burn::tensor::Device;
use lab_core::formats::{Checkpoint, ModelFiles};
use lab_core::host::{MemoryFile, ReadAt};
use lab_core::models::{LoadOptions, inspect, load};

/// Runs a future that needs no waiting, as all futures over memory are.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("a future over memory had to wait"),
    }
}

/// Opens a file and reads every tensor, whole, by rows and as numbers.
pub fn everything(name: &str, bytes: Vec<u8>) {
    let Ok(checkpoint) = ready(Checkpoint::open(Box::new(MemoryFile::new(name, bytes)))) else { return };
    let mut budget = 1 << 26;
    let names: Vec<String> = checkpoint.names().map(str::to_owned).collect();
    for name in names {
        let entry = checkpoint.entry(&name).expect("a name that is listed");
        if entry.byte_len > budget {
            return;
        }
        budget -= entry.byte_len;
        let rows = entry.rows();
        if let Ok(whole) = ready(checkpoint.read(&name)) {
            assert_eq!(whole.bytes.len() as u64, entry.byte_len);
            let (first, rest) = (0..rows / 2, rows / 2..rows);
            let first = ready(checkpoint.read_rows(&name, first)).expect("rows of a tensor that was read");
            let rest = ready(checkpoint.read_rows(&name, rest)).expect("rows of a tensor that was read");
            assert_eq!([first.bytes, rest.bytes].concat(), whole.bytes);
            drop((whole.to_f32(), whole.to_f16(), whole.to_i64()));
        }
    }
}

/// Inspects a model, and loads what is called whole and is small.
pub fn model(files: Vec<Box<dyn ReadAt>>) {
    let Ok(files) = ready(ModelFiles::from_files(files)) else { return };
    let Ok(report) = ready(inspect(&files)) else { return };
    let whole = report.missing.is_empty() && report.unknown.is_empty() && report.misshapen.is_empty();
    if whole && report.info.parameters < 1 << 16 && report.info.img_size <= 64 {
        drop(ready(load(files, &Device::flex(), LoadOptions::default(), &mut |_, _, _| {})));
    }
}

/// Sorts files by role.
pub fn folder(files: Vec<Box<dyn ReadAt>>) {
    drop(ready(ModelFiles::from_files(files)));
}
