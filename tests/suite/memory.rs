//! What an engine may take: a model too large is refused by its headers, with what would fit, and nothing is lost; and
//! what is computed ahead changes nothing that is seen. And a GPU that runs out of memory says so.

use std::cell::Cell;

use lab_core::device::{self, OpenDevice, readback};
use lab_core::engine::Engine;
use lab_core::error::{EngineError, Error};
use lab_core::formats::{Dtype, safetensors};
use lab_core::host::{Beginning, MemoryFile, ReadAt};
use lab_core::models::fit::Weighed;
use lab_protocol::{EngineKind, Foreground, Memory, ModelSource, Slot, View};
use lab_tests::{gpu, random};
use pollster::block_on;

use crate::engine::{CAT, model_files, on_cpu, png};

thread_local! {
    static MEMORY: Cell<Memory> = const { Cell::new(Memory { taken: 0, most: 0, gpu: 0, piece: 0, machine: 0 }) };
}

fn gauge() -> Memory {
    MEMORY.get()
}

/// From now on the host tells of so many bytes taken, of so many in all, in a machine with so many.
fn tell(taken: u64, most: u64, machine: u64) {
    MEMORY.set(Memory { taken, most, machine, ..Memory::default() });
}

/// A DINOv2 with SwiGLU as Hugging Face keeps it, as far as its header: width, blocks, hidden width, patches at 518 or 224.
fn headers(dim: usize, depth: usize, hidden: usize, image_size: usize) -> Vec<Box<dyn ReadAt>> {
    let grid = image_size / 14;
    let mut tensors: Vec<(String, Vec<usize>)> = vec![
        ("embeddings.cls_token".to_owned(), vec![1, 1, dim]),
        ("embeddings.mask_token".to_owned(), vec![1, dim]),
        ("embeddings.position_embeddings".to_owned(), vec![1, grid * grid + 1, dim]),
        ("embeddings.patch_embeddings.projection.weight".to_owned(), vec![dim, 3, 14, 14]),
        ("embeddings.patch_embeddings.projection.bias".to_owned(), vec![dim]),
        ("layernorm.weight".to_owned(), vec![dim]),
        ("layernorm.bias".to_owned(), vec![dim]),
    ];
    for block in 0..depth {
        let mut put = |name: &str, shape: &[usize]| {
            tensors.push((format!("encoder.layer.{block}.{name}"), shape.to_vec()));
        };
        for norm in ["norm1", "norm2"] {
            put(&format!("{norm}.weight"), &[dim]);
            put(&format!("{norm}.bias"), &[dim]);
        }
        for part in ["attention.query", "attention.key", "attention.value", "output.dense"] {
            put(&format!("attention.{part}.weight"), &[dim, dim]);
            put(&format!("attention.{part}.bias"), &[dim]);
        }
        put("layer_scale1.lambda1", &[dim]);
        put("layer_scale2.lambda1", &[dim]);
        put("mlp.weights_in.weight", &[2 * hidden, dim]);
        put("mlp.weights_in.bias", &[2 * hidden]);
        put("mlp.weights_out.weight", &[dim, hidden]);
        put("mlp.weights_out.bias", &[dim]);
    }
    let bytes = safetensors::header(
        tensors.iter().map(|(name, shape)| (name.as_str(), Dtype::F32, shape.as_slice())),
        &Default::default(),
    );
    let data: u64 = tensors.iter().map(|(_, shape)| 4 * shape.iter().product::<usize>() as u64).sum();
    let config = format!(
        r#"{{"model_type": "dinov2", "hidden_size": {dim}, "num_hidden_layers": {depth}, "num_attention_heads": 32,
        "patch_size": 14, "image_size": {image_size}, "mlp_ratio": 4, "use_swiglu_ffn": true, "hidden_act": "gelu",
        "layer_norm_eps": 1e-6, "num_channels": 3, "qkv_bias": true}}"#
    );
    vec![Box::new(beginning(bytes, data)), Box::new(MemoryFile::new("config.json", config.into_bytes()))]
}

/// Weights whose header is there, and of the `data` bytes behind it none.
fn beginning(header: Vec<u8>, data: u64) -> Beginning {
    let len = header.len() as u64 + data;
    Beginning::new("model.safetensors", header, len)
}

fn seven_billion() -> Vec<Box<dyn ReadAt>> {
    headers(4096, 32, 10_928, 224)
}

fn with_gauge() -> Engine {
    on_cpu().with_gauge(gauge)
}

#[test]
fn a_model_of_seven_billion_is_refused_before_a_weight_is_read() {
    let mut engine = with_gauge();
    let before = engine.model().expect("loaded").info().clone();
    tell(100 << 20, 1 << 32, 0);
    for slot in [Slot::Main, Slot::Other] {
        let error = block_on(engine.load_into(slot, "", seven_billion(), &mut |_, _, _| {})).expect_err("too large");
        let Error::Engine(EngineError::Memory { needs, weights, left, most, fits, half }) = &error else {
            panic!("{error}");
        };
        assert_eq!((*weights, *most), (4 * 6_450_170_880, 1 << 32));
        // The widest weight on its way: its bytes and its numbers.
        assert_eq!(*needs, weights + 8 * 4096 * 2 * 10_928);
        let free = (1 << 32) - (100 << 20);
        assert!(*left == free || slot == Slot::Main && *left > free && *left < free + (10 << 20), "{left}");
        assert_eq!(fits.as_ref().expect("one fits").0, "facebook/webssl-dino300m-full2b-224");
        assert!(*half > *needs / 2 && *half < needs * 11 / 20, "{half}");
        let sentence = error.to_string();
        for part in ["needs 26.5 GB", "25.8 GB of them its weights", "of 4.3 GB", "webssl-dino300m-full2b-224 (1.3 GB)"]
        {
            assert!(sentence.contains(part), "{part} is not in: {sentence}");
        }
        assert!(sentence.contains("GPU engine") && sentence.contains("native-trainer"), "{sentence}");
        // Who fetches it hears the same beforehand.
        let refused = block_on(engine.room(slot).refuses(seven_billion())).expect("too large");
        assert_eq!(refused.to_string(), sentence);
    }
    assert!(block_on(engine.room(Slot::Main).refuses(model_files())).is_none(), "a small one finds room");
    assert_eq!(engine.model().expect("stays").info(), &before);
    block_on(engine.embed(CAT, false)).expect("the old model goes on");
}

#[test]
fn the_model_before_counts_as_free_and_the_one_beside_it_does_not() {
    let mut engine = with_gauge();
    // Two of the same do not fit beside each other; one in place of the other does.
    let bytes = engine.model().expect("loaded").info().bytes;
    tell(bytes, 2 * bytes, 0);
    let beside = block_on(engine.load_into(Slot::Other, "", model_files(), &mut |_, _, _| {}));
    assert!(matches!(beside, Err(Error::Engine(EngineError::Memory { left, .. })) if left == bytes), "{beside:?}");
    let twin = block_on(engine.load_drawn(Slot::Other, &ModelSource::Twin { seed: 1 }));
    assert!(matches!(twin, Err(Error::Engine(EngineError::Memory { fits: None, .. }))), "{twin:?}");
    block_on(engine.load_model("", model_files(), &mut |_, _, _| {})).expect("takes the place of the one before");
    tell(bytes, 4 * bytes, 0);
    block_on(engine.load_into(Slot::Other, "", model_files(), &mut |_, _, _| {})).expect("there is room");
    block_on(engine.load_drawn(Slot::Other, &ModelSource::Twin { seed: 1 })).expect("there is room").expect("a twin");
}

#[test]
fn a_model_that_is_not_whole_is_said_to_be_so_before_it_is_weighed() {
    let mut engine = with_gauge();
    tell(0, 1 << 20, 0);
    let mut files = seven_billion();
    let whole = files.swap_remove(0);
    let bytes = block_on(whole.read_at(0, 8)).expect("there");
    let header = u64::from_le_bytes(bytes.try_into().expect("eight")) as usize;
    let bytes = block_on(whole.read_at(0, 8 + header)).expect("there");
    files.push(Box::new(beginning(bytes, 1000)));
    let error = block_on(engine.load_model("", files, &mut |_, _, _| {})).expect_err("cut short");
    assert!(matches!(error, Error::Format(_)), "{error}");
    // A tensor that is missing leaves the old model, too.
    let error =
        block_on(engine.load_model("", headers(4096, 0, 10_928, 224), &mut |_, _, _| {})).expect_err("no block");
    assert!(!matches!(error, Error::Engine(EngineError::Memory { .. })), "{error}");
    assert!(engine.model().is_some());
}

#[test]
fn a_small_machine_is_advised_and_not_refused() {
    let engine = with_gauge();
    let advice = |machine| {
        tell(0, 1 << 40, machine);
        block_on(engine.weigh(Slot::Main, seven_billion())).expect("there is room").advice
    };
    let said = advice(8 << 30).expect("8 GiB are few");
    assert!(said.contains("takes 26.5 GB") && said.contains("8.6 GB in this machine"), "{said}");
    assert!(said.contains("facebook/webssl-dino1b-full2b-224"), "{said}");
    assert_eq!(advice(64 << 30), None);
    assert_eq!(advice(0), None, "nobody tells");
}

#[test]
fn a_gpu_with_small_bindings_refuses_what_it_cannot_cut() {
    let gpu = gpu();
    let open = OpenDevice { device: gpu.device.clone(), info: gpu.info.clone() };
    let mut engine = Engine::new(open, || 0.0).with_gauge(gauge);
    // What the page's own memory may take does not bind weights on a GPU.
    tell(0, 1, 0);
    device::limit_binding(10_000);
    let refused = block_on(engine.load_model("", model_files(), &mut |_, _, _| {}));
    device::limit_binding(0);
    let Err(Error::Engine(EngineError::Piece { needs, most, fits: None })) = refused else { panic!("{refused:?}") };
    // Seven by seven patches of three colours, 64 filters.
    assert_eq!((needs, most), (4 * 64 * 3 * 49, 10_000));
    block_on(engine.load_model("", model_files(), &mut |_, _, _| {})).expect("loads");
    let memory = engine.memory();
    assert!(memory.gpu > 0 && memory.piece > 1 << 20, "{memory:?}");
    assert_eq!(engine.info().kind, EngineKind::Gpu);
}

#[test]
fn what_a_model_weighs_is_what_it_takes() {
    let engine = on_cpu();
    let model = engine.model().expect("loaded");
    assert_eq!(Weighed::of_twin(model).needs.weights, model.info().bytes);
}

#[test]
fn working_ahead_ends_and_changes_nothing() {
    let mut engine = on_cpu();
    assert!(block_on(engine.warm()).expect("nothing to do").is_none(), "no image was embedded");
    assert!(!engine.is_warm());
    block_on(engine.embed(CAT, false)).expect("embeds");
    let mut steps = 0;
    while let Some(picture) = block_on(engine.warm()).expect("each is a view") {
        assert_eq!(picture.image_size(), [28, 28]);
        steps += 1;
        assert!(steps < 100, "it never ends");
    }
    assert!(engine.is_warm() && steps >= 8, "{steps} steps");
    // No basis was left behind: colours are fitted by the first picture that is shown.
    engine.add_image(lab_protocol::ImageId(9), "other.png", png(64, 64, 9)).expect("decodes");
    let colours = |engine: &mut Engine| {
        block_on(engine.view(lab_protocol::ImageId(9), &View::SharedPca { foreground: None }))
            .expect("shows")
            .host_values
    };
    let mut fresh = on_cpu();
    fresh.add_image(lab_protocol::ImageId(9), "other.png", png(64, 64, 9)).expect("decodes");
    assert_eq!(colours(&mut engine), colours(&mut fresh));
    // A basis that is there stays, whatever is computed ahead.
    let cut = View::SharedPca { foreground: Some(Foreground { threshold: 0.3, below: true }) };
    let before = block_on(engine.view(CAT, &cut)).expect("shows").host_values;
    while block_on(engine.warm()).expect("each is a view").is_some() {}
    assert_eq!(block_on(engine.view(CAT, &cut)).expect("shows").host_values, before);
    // Another model is worked ahead for anew.
    block_on(engine.load_model("", model_files(), &mut |_, _, _| {})).expect("loads");
    assert!(!engine.is_warm());
}

#[test]
fn what_a_gpu_complains_of_ends_in_an_error_and_not_in_a_panic() {
    use burn::tensor::wgpu::wgpu::{BufferDescriptor, BufferUsages};
    let gpu = gpu();
    let numbers = || block_on(readback(random::<1>([3], 1, &gpu.device)));
    assert!(numbers().is_ok());
    // As a driver that has no memory left would: a buffer that cannot be.
    let usage = BufferUsages::MAP_READ | BufferUsages::MAP_WRITE;
    drop(gpu.setup.device.create_buffer(&BufferDescriptor { label: None, size: 16, usage, mapped_at_creation: false }));
    let told = numbers().expect_err("told").to_string();
    assert!(told.contains("use a smaller batch or model"), "{told}");
    // Told once, and the device goes on.
    assert!(numbers().is_ok());
}
