//! A PyTorch file from anywhere, and its pickle alone: nothing is executed, nothing panics.
#![no_main]

#[path = "../read.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    read::everything("model.pth", bytes.to_vec());
    // Mutations rarely keep an archive sound, so the pickle also comes in one of our own making.
    read::everything("model.pth", archive(bytes));
});

/// A zip archive with `m/data.pkl` and one storage `m/data/0` of 64 bytes, all stored.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in [("m/data.pkl", pickle), ("m/data/0", &[0x3f; 64])] {
        let (len, header) = ((data.len() as u32).to_le_bytes(), (file.len() as u32).to_le_bytes());
        let name_len = (name.len() as u16).to_le_bytes();
        // Version, flags, method, time, date, checksum (which readers of ranges do not check), sizes.
        let common = [&[0; 14][..], &len, &len, &name_len, &[0; 2]].concat();
        directory.extend([b"PK\x01\x02\0\0", &common[..], &[0; 10], &header, name.as_bytes()].concat());
        file.extend([b"PK\x03\x04", &common[..], name.as_bytes(), data].concat());
    }
    let (start, size) = ((file.len() as u32).to_le_bytes(), (directory.len() as u32).to_le_bytes());
    file.extend(directory);
    file.extend([b"PK\x05\x06\0\0\0\0\x02\0\x02\0", &size[..], &start, &[0; 2]].concat());
    file
}
