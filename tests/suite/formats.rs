//! Checkpoint formats against what PyTorch and the `safetensors` crate write, and against what an attacker might.
//!
//! Goldens: `golden/formats/pth` (made by `golden/formats/generate.py`) and the whole models in `golden/models`.

use std::collections::BTreeMap;
use std::future::Future;

use lab_core::error::FormatError;
use lab_core::formats::{Checkpoint, Dtype, ModelFiles, TensorBytes};
use lab_core::host::{MemoryFile, ReadAt};

macro_rules! golden {
    ($path:literal) => {
        include_bytes!(concat!("../golden/", $path)).as_slice()
    };
}

/// Runs a future that needs no waiting, as all futures over memory are.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("a future over memory had to wait"),
    }
}

fn file(name: &str, bytes: impl Into<Vec<u8>>) -> Box<dyn ReadAt> {
    Box::new(MemoryFile::new(name, bytes.into()))
}

fn open(name: &str, bytes: impl Into<Vec<u8>>) -> Result<Checkpoint, FormatError> {
    ready(Checkpoint::open(file(name, bytes)))
}

/// Every tensor of a checkpoint, whole.
fn read_all(checkpoint: &Checkpoint) -> BTreeMap<String, TensorBytes> {
    let names: Vec<String> = checkpoint.names().map(str::to_owned).collect();
    let read = |name: String| {
        let tensor = ready(checkpoint.read(&name)).expect("a tensor that is listed");
        let entry = checkpoint.entry(&name).expect("listed");
        assert_eq!((tensor.dtype, &tensor.shape), (entry.dtype, &entry.shape), "{name}");
        assert_eq!(tensor.bytes.len() as u64, entry.byte_len, "{name}");
        (name, tensor)
    };
    names.into_iter().map(read).collect()
}

/// The same tensors as the crate of the format's authors reads them.
fn assert_equals_safetensors(found: &BTreeMap<String, TensorBytes>, prefix: &str, bytes: &[u8]) {
    let expected = safetensors::SafeTensors::deserialize(bytes).expect("a good file");
    for (name, view) in expected.tensors() {
        let tensor = &found[&format!("{prefix}{name}")];
        assert_eq!(tensor.shape, view.shape(), "{name}");
        assert_eq!(tensor.dtype.name(), format!("{:?}", view.dtype()), "{name}");
        assert_eq!(tensor.bytes, view.data(), "{name}");
    }
}

// --- safetensors --------------------------------------------------------------------------------

#[test]
fn safetensors_equal_the_crate_of_its_authors() {
    for bytes in [
        golden!("models/dinov2-mlp/model.safetensors"),
        golden!("models/dinov2-mlp-bf16/model.safetensors"),
        golden!("models/clip-whole/model.safetensors"),
        golden!("formats/pth/views.safetensors"),
        golden!("formats/pth/flat.safetensors"),
    ] {
        let checkpoint = open("model.safetensors", bytes).expect("a good file");
        let tensors = read_all(&checkpoint);
        assert_eq!(tensors.len(), safetensors::SafeTensors::deserialize(bytes).expect("good").len());
        assert_equals_safetensors(&tensors, "", bytes);
    }
}

#[test]
fn rows_join_to_the_whole() {
    for (name, bytes) in
        [("m.safetensors", golden!("formats/pth/views.safetensors")), ("m.pth", golden!("formats/pth/views.pth"))]
    {
        let checkpoint = open(name, bytes).expect("a good file");
        for (tensor, whole) in read_all(&checkpoint) {
            let rows = checkpoint.entry(&tensor).expect("listed").rows();
            for piece in 1..=rows {
                let mut joined = Vec::new();
                for start in (0..rows).step_by(piece) {
                    let part = ready(checkpoint.read_rows(&tensor, start..(start + piece).min(rows)));
                    let part = part.expect("rows that exist");
                    assert_eq!(part.shape[1..], whole.shape[1..], "{tensor}");
                    joined.extend(part.bytes);
                }
                assert_eq!(joined, whole.bytes, "{tensor} by {piece}");
            }
            assert!(ready(checkpoint.read_rows(&tensor, rows..rows)).expect("no rows").bytes.is_empty());
            for bad in [0..rows + 1, rows + 1..rows + 1, usize::MAX..usize::MAX] {
                let error = ready(checkpoint.read_rows(&tensor, bad)).expect_err("rows that do not exist");
                assert!(matches!(error, FormatError::NoSuchRows { .. }), "{error}");
            }
        }
        let error = ready(checkpoint.read("nothing")).expect_err("no such tensor");
        assert!(matches!(error, FormatError::NoSuchTensor { .. }));
    }
}

#[test]
fn a_cut_safetensors_file_is_refused_at_any_length() {
    let good = golden!("formats/pth/views.safetensors");
    for len in 0..good.len() {
        assert!(open("m.safetensors", &good[..len]).is_err(), "cut to {len}");
    }
    let longer = [good, &[0]].concat();
    assert!(matches!(open("m.safetensors", longer), Err(FormatError::TrailingBytes { .. })));
    let page = b"<!DOCTYPE html><title>404</title>";
    assert!(matches!(open("model.safetensors", page), Err(FormatError::UnknownFormat { .. })));
}

#[test]
fn a_pointer_of_git_lfs_is_called_one() {
    let pointer: &[u8] =
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize 88221224\n";
    for name in ["model.safetensors", "pytorch_model.bin"] {
        let error = folder(&[("config.json", CONFIG), (name, pointer)]).expect_err(name);
        assert!(matches!(&error, FormatError::LfsPointer { file } if file == name), "{error}");
        assert!(error.to_string().contains("git lfs pull"), "{error}");
    }
    let error = folder(&[("config.json", pointer), ("model.safetensors", WHOLE)]).expect_err("a config");
    assert!(matches!(&error, FormatError::LfsPointer { file } if file == "config.json"), "{error}");
    // Cut within those words it is like any other text.
    assert!(matches!(open("m.safetensors", &pointer[..30]), Err(FormatError::UnknownFormat { .. })));
}

#[test]
fn sizes_that_do_not_fit_are_told_in_words() {
    let one = |shape: &str, end: u64| {
        let header = format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#);
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
        open("m.safetensors", bytes).expect_err(shape).to_string()
    };
    let error = one("[2]", 4);
    assert!(error.contains("needs 8 bytes, the header gives it 4"), "{error}");
    let error = one("[18446744073709551615,18446744073709551615]", 4);
    assert!(error.contains("needs more bytes than 64 bits can count"), "{error}");
    let error = open("m.safetensors", b"").expect_err("nothing").to_string();
    assert!(error.starts_with("m.safetensors has 0 bytes, expected 8"), "{error}");
}

#[test]
fn nan_in_a_weight_is_found_with_its_place() {
    let mut bytes = golden!("formats/pth/views.safetensors").to_vec();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let checkpoint = open("m.safetensors", bytes).expect("the header is good");
    let hit = read_all(&checkpoint).into_values().filter(|tensor| tensor.to_f32().is_err());
    let hit: Vec<TensorBytes> = hit.collect();
    assert_eq!(hit.len(), 1);
    match hit[0].to_f32() {
        Err(FormatError::NonFinite { tensor, index, value }) => {
            assert_eq!((tensor.as_str(), index), (hit[0].name.as_str(), hit[0].bytes.len() / 4 - 1));
            assert!(value.is_nan());
        }
        other => panic!("{other:?}"),
    }
}

// --- PyTorch files ------------------------------------------------------------------------------

#[test]
fn pth_holds_what_torch_put_in() {
    let flat = golden!("formats/pth/flat.safetensors");
    for (bytes, prefix) in [
        (golden!("formats/pth/flat.pth"), ""),
        (golden!("formats/pth/flat_protocol4.pth"), ""),
        (golden!("formats/pth/legacy.pth"), ""),
        (golden!("formats/pth/mae_style.pth"), "model."),
        (golden!("formats/pth/teacher_style.pth"), "teacher.module.backbone."),
    ] {
        let tensors = read_all(&open("m.pth", bytes).expect("a good file"));
        assert_equals_safetensors(&tensors, prefix, flat);
        let others: Vec<&String> = tensors.keys().filter(|name| !name.starts_with(prefix)).collect();
        if prefix.starts_with("teacher") {
            assert_eq!(others, ["list.0", "list.1.0"]);
        } else {
            assert!(others.is_empty(), "{others:?}");
        }
    }
    let linear = read_all(&open("m.pth", golden!("formats/pth/ordered_dict.pth")).expect("a good file"));
    assert_eq!(linear.keys().collect::<Vec<_>>(), ["bias", "weight"]);
    assert_eq!(linear["weight"].shape, [4, 3]);
}

#[test]
fn strides_offsets_and_shared_storages_are_followed() {
    let views = read_all(&open("m.pth", golden!("formats/pth/views.pth")).expect("a good file"));
    assert_equals_safetensors(&views, "", golden!("formats/pth/views.safetensors"));
    assert_eq!(views.len(), 7);
    let values = read_all(&open("m.pth", golden!("pth/values.pth")).expect("a good file"));
    assert_equals_safetensors(&values, "", golden!("pth/values.safetensors"));
}

#[test]
fn every_element_type_is_read() {
    let types = read_all(&open("m.pth", golden!("formats/pth/types.pth")).expect("a good file"));
    assert_eq!(types.len(), Dtype::ALL.len());
    for (name, tensor) in &types {
        if tensor.dtype.is_float() {
            assert_eq!(tensor.to_f32().expect("finite"), [1.0, 0.0, 3.0], "{name}");
        } else {
            let three = if tensor.dtype == Dtype::Bool { 1 } else { 3 };
            assert_eq!(tensor.to_i64().expect("integers"), [1, 0, three], "{name}");
        }
    }
    assert_eq!(types["bfloat16"].dtype, Dtype::BF16);
    assert_eq!(types["uint16"].dtype, Dtype::U16);
}

#[test]
fn original_layouts_of_whole_models_open() {
    for (bytes, name) in [
        (golden!("models/dinov2-mlp-original/chunked.pth"), "blocks.0.0.norm1.weight"),
        (golden!("models/dinov2-mlp-original/teacher.pth"), "teacher.backbone.cls_token"),
        (golden!("models/dinov2-registers-original/flat.pth"), "register_tokens"),
        (golden!("models/mae-normpix-original/mae.pth"), "model.decoder_pos_embed"),
        (golden!("pth/training.pth"), "model.weight"),
    ] {
        let checkpoint = open("m.pth", bytes).expect(name);
        let tensor = ready(checkpoint.read(name)).expect(name);
        assert!(!tensor.to_f32().expect("finite").is_empty(), "{name}");
        for tensor in read_all(&checkpoint).into_values().filter(|tensor| tensor.dtype.is_float()) {
            tensor.to_f32().expect("finite");
        }
    }
}

#[test]
fn an_attack_is_read_as_data() {
    // In Python, torch.load(…, weights_only=False) of this file runs a command that writes a file.
    let checkpoint = open("m.pth", golden!("formats/pth/evil.pth")).expect("its weight is good");
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["weight"]);
    assert_eq!(checkpoint.inert_objects().collect::<Vec<_>>(), ["posix.system"]);
    #[cfg(not(target_family = "wasm"))]
    assert!(!std::path::Path::new("/tmp/lab_pickle_was_executed").exists());

    let mae = open("m.pth", golden!("formats/pth/mae_style.pth")).expect("a good file");
    assert!(mae.inert_objects().any(|class| class == "argparse.Namespace"));
    assert!(open("m.pth", golden!("pth/call.pth")).expect("inert").inert_objects().len() > 0);
}

#[test]
fn what_is_no_state_dict_is_refused_by_name() {
    let refuse = |name: &str, bytes: &[u8]| open(name, bytes).expect_err(name);
    let error = refuse("sparse.pth", golden!("formats/pth/sparse.pth"));
    assert!(matches!(error, FormatError::UnsupportedTensor { ref tensor, .. } if tensor == "sparse"), "{error}");
    let error = refuse("whole_module.pth", golden!("formats/pth/whole_module.pth"));
    assert!(matches!(error, FormatError::NoTensors { .. }), "{error}");
    assert!(error.to_string().contains("torch.nn.modules.linear.Linear"), "{error}");
    let error = refuse("torchscript.pt", golden!("formats/pth/torchscript.pt"));
    assert!(matches!(error, FormatError::UnsupportedPth { .. }), "{error}");
    let error = refuse("deflated.pth", golden!("formats/pth/deflated.pth"));
    assert!(matches!(error, FormatError::CompressedEntry { method: 8, .. }), "{error}");
    let error = refuse("bare_pickle.pkl", golden!("formats/pth/bare_pickle.pkl"));
    assert!(matches!(error, FormatError::UnsupportedPth { .. }), "{error}");
    let error = refuse("legacy.pth", golden!("pth/legacy.pth"));
    assert!(matches!(error, FormatError::NoTensors { .. }), "{error}");
    let error = refuse("old.pth", b"sys_info\0\0\0\0");
    assert!(matches!(error, FormatError::UnsupportedPth { .. }), "{error}");
    let error = refuse("four.pth", b"\x80\x02}q");
    assert!(matches!(error, FormatError::UnknownFormat { .. }), "{error}");
    assert!(error.to_string().contains("neither safetensors nor a PyTorch file"), "{error}");
    let error = refuse("empty.pth", b"");
    assert!(matches!(error, FormatError::Truncated { found: 0, .. }), "{error}");
}

/// Whatever becomes of a file, opening and reading it ends in tensors or in a typed error.
#[test]
fn cut_and_damaged_files_never_panic() {
    let visit = |bytes: Vec<u8>| {
        let Ok(checkpoint) = open("m", bytes) else { return };
        let names: Vec<String> = checkpoint.names().map(str::to_owned).collect();
        for name in names {
            let entry = checkpoint.entry(&name).expect("listed");
            // A file of some KB cannot make us hold more than an expanded tensor's limit.
            assert!(entry.byte_len <= 8 << 20, "{name}: {} bytes", entry.byte_len);
            if let Ok(tensor) = ready(checkpoint.read(&name)) {
                assert_eq!(tensor.bytes.len() as u64, entry.byte_len);
                drop((tensor.to_f32(), tensor.to_f16(), tensor.to_i64()));
            }
        }
    };
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    for good in [
        golden!("formats/pth/views.pth"),
        golden!("formats/pth/legacy.pth"),
        golden!("formats/pth/mae_style.pth"),
        golden!("formats/pth/flat_protocol4.pth"),
        golden!("formats/pth/views.safetensors"),
    ] {
        for len in 0..good.len() {
            visit(good[..len].to_vec());
        }
        for _ in 0..4000 {
            let mut bytes = good.to_vec();
            for _ in 0..1 + next() % 3 {
                let at = next() % bytes.len();
                bytes[at] = match next() % 4 {
                    0 => 0xff,
                    1 => 0,
                    2 => bytes[next() % bytes.len()],
                    _ => next() as u8,
                };
            }
            visit(bytes);
        }
    }
}

/// A `.pth` around a hand-written pickle.
fn archive(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let plain = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let entries = storages.iter().map(|(key, bytes)| (format!("m/data/{key}"), *bytes));
    for (name, bytes) in std::iter::once(("m/data.pkl".to_owned(), pickle)).chain(entries) {
        writer.start_file(name, plain).expect("a new entry");
        writer.write_all(bytes).expect("memory");
    }
    writer.finish().expect("memory").into_inner()
}

/// The pickle of `{"w": tensor}`; sizes in one byte or eight.
fn one_tensor(elements: u64, offset: u64, shape: &[u64], strides: &[u64]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
    let number = |pickle: &mut Vec<u8>, value: u64| {
        pickle.extend([0x8a, 9]);
        pickle.extend(value.to_le_bytes());
        pickle.push(0);
    };
    // A long of nine bytes is beyond 64 bits for our reader, so use eight when the value allows it.
    let number = |pickle: &mut Vec<u8>, value: u64| {
        if value <= i64::MAX as u64 {
            pickle.extend([0x8a, 8]);
            pickle.extend(value.to_le_bytes());
        } else {
            number(pickle, value);
        }
    };
    pickle.extend(b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu");
    number(&mut pickle, elements);
    pickle.extend(b"tQ");
    number(&mut pickle, offset);
    for list in [shape, strides] {
        pickle.push(b'(');
        list.iter().for_each(|&value| number(&mut pickle, value));
        pickle.push(b't');
    }
    pickle.extend(b"\x89N\x74Rs.");
    pickle
}

#[test]
fn tensors_beyond_their_storage_are_refused() {
    let data = [1.0f32, 2.0, 3.0, 4.0].map(f32::to_le_bytes).concat();
    let open_one = |elements, offset, shape: &[u64], strides: &[u64]| {
        open("m.pth", archive(&one_tensor(elements, offset, shape, strides), &[("0", &data)]))
    };
    let good = open_one(4, 1, &[3], &[1]).expect("within its storage");
    assert_eq!(ready(good.read("w")).expect("good").to_f32().expect("finite"), [2.0, 3.0, 4.0]);

    let far = i64::MAX as u64;
    for (offset, shape, strides) in [
        (1, &[4][..], &[1][..]),
        (0, &[2, 2], &[3, 1]),
        (far, &[1], &[1]),
        (0, &[far], &[1]),
        (0, &[far, far], &[1, 1]),
        (0, &[2], &[far]),
        // Stride zero: terabytes from four numbers.
        (0, &[1 << 20, 1 << 20], &[0, 0]),
    ] {
        let error = open_one(4, offset, shape, strides).expect_err("beyond");
        assert!(matches!(error, FormatError::BeyondStorage { .. }), "{shape:?}: {error}");
    }
    let error = open_one(5, 0, &[4], &[1]).expect_err("the entry is shorter than the storage says");
    assert!(matches!(error, FormatError::Truncated { .. }), "{error}");
    let error = open_one(u64::MAX, 0, &[4], &[1]).expect_err("a size of nine bytes");
    assert!(matches!(error, FormatError::BrokenPickle { .. }), "{error}");
    let error = open("m.pth", archive(&one_tensor(4, 0, &[4], &[1]), &[])).expect_err("no storage");
    assert!(matches!(error, FormatError::MissingEntry { .. }), "{error}");
}

// --- folders ------------------------------------------------------------------------------------

const CONFIG: &[u8] = golden!("models/dinov2-mlp/config.json");
const WHOLE: &[u8] = golden!("models/dinov2-mlp/model.safetensors");
const FIRST: &[u8] = golden!("models/dinov2-mlp-sharded/model-00001-of-00002.safetensors");
const SECOND: &[u8] = golden!("models/dinov2-mlp-sharded/model-00002-of-00002.safetensors");
const INDEX: &[u8] = golden!("models/dinov2-mlp-sharded/model.safetensors.index.json");

fn folder(files: &[(&str, &[u8])]) -> Result<ModelFiles, FormatError> {
    ready(ModelFiles::from_files(files.iter().map(|(name, bytes)| file(name, *bytes)).collect()))
}

#[test]
fn a_folder_is_sorted_by_role() {
    let model = folder(&[
        ("dino/io.safetensors", WHOLE),
        ("dino/README.md", b"hello"),
        ("dino/model.safetensors", WHOLE),
        ("dino/preprocessor_config.json", b"{}"),
        ("dino/config.json", CONFIG),
        ("dino/pytorch_model.bin", golden!("formats/pth/flat.pth")),
    ])
    .expect("a good folder");
    assert_eq!(model.config.as_deref().map(str::as_bytes), Some(CONFIG));
    assert_eq!(model.preprocessor_config.as_deref(), Some("{}"));
    assert_eq!(model.checkpoint.file_names().collect::<Vec<_>>(), ["dino/model.safetensors"]);
    assert_eq!(model.unused, ["dino/README.md", "dino/io.safetensors", "dino/pytorch_model.bin"]);

    let lone = folder(&[("dinov2_vits14.pth", golden!("formats/pth/flat.pth"))]).expect("a lone .pth");
    assert!(lone.config.is_none() && lone.unused.is_empty());
}

#[test]
fn shards_make_one_checkpoint() {
    let files = [
        ("m/model-00002-of-00002.safetensors", SECOND),
        ("m/model.safetensors.index.json", INDEX),
        ("m/config.json", CONFIG),
        ("m/model-00001-of-00002.safetensors", FIRST),
    ];
    let model = folder(&files).expect("a good folder");
    assert!(model.unused.is_empty(), "{:?}", model.unused);
    let tensors = read_all(&model.checkpoint);
    let count = |bytes| safetensors::SafeTensors::deserialize(bytes).expect("good").len();
    assert_eq!(tensors.len(), count(FIRST) + count(SECOND));
    assert_equals_safetensors(&tensors, "", FIRST);
    assert_equals_safetensors(&tensors, "", SECOND);
}

#[test]
fn index_and_shards_must_agree() {
    const INDEX_NAME: &str = "model.safetensors.index.json";
    let (one, two) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    let error = folder(&[(INDEX_NAME, INDEX), (one, FIRST)]).expect_err("a shard is missing");
    assert!(matches!(&error, FormatError::MissingShard { shard, .. } if shard == two), "{error}");
    let error = folder(&[(INDEX_NAME, INDEX), (one, SECOND), (two, FIRST)]).expect_err("swapped");
    assert!(matches!(error, FormatError::NotInIndex { .. }), "{error}");
    let error = folder(&[(INDEX_NAME, INDEX), (one, FIRST), (two, SECOND), (&format!("copy/{two}"), SECOND)]);
    assert!(matches!(error, Err(FormatError::DuplicateFile { .. })));
    let error = folder(&[(INDEX_NAME, b"{\"weight_map\": 3}"), (one, FIRST)]).expect_err("no map");
    assert!(matches!(error, FormatError::Json { .. }), "{error}");
    let error = folder(&[(INDEX_NAME, b"\xff"), (one, FIRST)]).expect_err("no text");
    assert!(matches!(error, FormatError::NotText { at: 0, .. }), "{error}");

    let mut index: serde_json::Value = serde_json::from_slice(INDEX).expect("JSON");
    index["weight_map"]["ghost"] = one.into();
    let with_ghost = index.to_string();
    let error = folder(&[(INDEX_NAME, with_ghost.as_bytes()), (one, FIRST), (two, SECOND)]).expect_err("a ghost");
    assert!(matches!(&error, FormatError::NotInShard { tensor, .. } if tensor == "ghost"), "{error}");
    let map = index["weight_map"].as_object_mut().expect("a map");
    map.remove("ghost");
    let dropped = map.keys().next().cloned().expect("a tensor");
    map.remove(&dropped);
    let without = index.to_string();
    let error = folder(&[(INDEX_NAME, without.as_bytes()), (one, FIRST), (two, SECOND)]).expect_err("too few");
    assert!(matches!(&error, FormatError::NotInIndex { tensor, .. } if *tensor == dropped), "{error}");
}

#[test]
fn a_folder_without_one_model_says_what_it_holds() {
    let error = folder(&[]).expect_err("empty");
    assert!(matches!(&error, FormatError::NoCheckpoint { found } if found.is_empty()), "{error}");
    let error = folder(&[("config.json", CONFIG), ("cat.jpg", b"")]).expect_err("no weights");
    assert!(matches!(&error, FormatError::NoCheckpoint { found } if found.len() == 2), "{error}");
    let pth = golden!("formats/pth/flat.pth");
    let error = folder(&[("a.pth", pth), ("b.pth", pth), ("config.json", CONFIG)]).expect_err("two");
    assert!(matches!(&error, FormatError::SeveralCheckpoints { found } if found == &["a.pth", "b.pth"]), "{error}");
    // Shards without their index, one or all.
    let (one, two) = ("m/model-00001-of-00002.safetensors", "m/model-00002-of-00002.safetensors");
    for files in [&[(two, SECOND), ("m/config.json", CONFIG)][..], &[(one, FIRST), (two, SECOND)]] {
        let error = folder(files).expect_err("no index");
        assert!(matches!(error, FormatError::LoneShard { count: 2, .. }), "{error}");
        assert!(error.to_string().contains(" of 2 of a model, and model.safetensors.index.json did not"), "{error}");
    }
    let error = folder(&[("pytorch_model-00003-of-00004.bin", pth)]).expect_err("no index").to_string();
    assert!(error.contains("shard 3 of 4") && error.contains("pytorch_model.bin.index.json"), "{error}");
    // The only one of one is whole, and other names with numbers are no shards.
    for name in ["model-00001-of-00001.safetensors", "best-of-2.safetensors"] {
        assert!(folder(&[(name, WHOLE)]).is_ok(), "{name}");
    }
    // What stands beside a model for the comparison is no second one; alone it may be anything.
    let files = folder(&[("a.pth", pth), ("io.safetensors", FIRST), ("config.json", CONFIG)]).expect("one model");
    assert_eq!(files.checkpoint.file_names().collect::<Vec<_>>(), ["a.pth"]);
    assert_eq!(files.unused, ["io.safetensors"]);
    assert!(folder(&[("io.safetensors", FIRST)]).is_ok());
    let error = folder(&[("x/config.json", CONFIG), ("y/config.json", CONFIG), ("a.pth", pth)]);
    assert!(matches!(error, Err(FormatError::DuplicateFile { .. })));
}
