//! A model is weighed by its headers before its weights come: nobody should wait for gigabytes that find no room.

use std::cell::Cell;

use js_sys::Uint8Array;
use lab_core::engine::memory::Room;
use lab_core::host::{Beginning, MemoryFile, ReadAt};
use wasm_bindgen::{JsCast, JsValue};

use super::net;
use super::shelf;
use crate::host::{bytes_of, words};
use crate::opfs;

/// Files that are read whole beside the weights' headers.
const WHOLE: [&str; 3] = ["config.json", "preprocessor_config.json", "model.safetensors.index.json"];
/// The longest header that is read for this; the longest of a released model has 100 KB.
const MAX_HEADER: u64 = 16 << 20;

thread_local! {
    static ROOM: Cell<Option<Room>> = const { Cell::new(None) };
}

/// Tells what room there is for a model, as of now.
pub(crate) fn tell(room: Room) {
    ROOM.set(Some(room));
}

/// Whether a file's header tells its tensors.
pub(super) fn has_header(name: &str) -> bool {
    name.ends_with(".safetensors")
}

/// How many bytes a file's header takes, by its first eight; `None` where that is too much to be one.
fn header_bytes(first: [u8; 8]) -> Option<u64> {
    u64::from_le_bytes(first).checked_add(8).filter(|&bytes| bytes <= MAX_HEADER)
}

/// Why the model `key` finds no room, by the headers of its weights and what lies beside them on the disk.
pub(super) async fn refusal(key: &str, headers: Vec<Beginning>) -> Result<Option<String>, JsValue> {
    let Some(room) = ROOM.get() else { return Ok(None) };
    let mut files: Vec<Box<dyn ReadAt>> = Vec::new();
    let folder = shelf::folder(key, false).await?;
    for name in WHOLE {
        if let Some(blob) = opfs::file(&folder, name).await? {
            let bytes = bytes_of(&blob).await.map_err(|error| JsValue::from_str(&error))?;
            files.push(Box::new(MemoryFile::new(name, bytes)));
        }
    }
    files.extend(headers.into_iter().map(|header| Box::new(header) as Box<dyn ReadAt>));
    Ok(room.refuses(files).await.map(|error| error.to_string()))
}

/// The header of a file that is being written: its bytes, or `None` as long as it is not whole. One that is none is empty.
pub(super) fn header_on_disk(handle: &JsValue, have: u64) -> Result<Option<Vec<u8>>, JsValue> {
    let mut first = [0; 8];
    if have < 8 {
        return Ok(None);
    }
    opfs::read(handle, &mut first, 0.0)?;
    let Some(length) = header_bytes(first) else { return Ok(Some(Vec::new())) };
    if have < length {
        return Ok(None);
    }
    let mut bytes = vec![0; length as usize];
    opfs::read(handle, &mut bytes, 0.0)?;
    Ok(Some(bytes))
}

/// The header at the beginning of a body, which is not read any further; `None` where there is none.
pub(super) async fn header_of(reader: &JsValue) -> Result<Option<Vec<u8>>, String> {
    let mut bytes = Vec::new();
    let found = loop {
        if let Some(&first) = bytes.first_chunk::<8>() {
            let Some(length) = header_bytes(first) else { break None };
            if bytes.len() as u64 >= length {
                bytes.truncate(length as usize);
                break Some(bytes);
            }
        }
        let piece = net::next(reader).await.map_err(|error| words(&error))?;
        if piece.is_undefined() {
            break None;
        }
        bytes.extend(piece.unchecked_into::<Uint8Array>().to_vec());
    };
    net::leave(reader).await;
    Ok(found)
}
