//! Whole models against PyTorch: every golden folder, on the CPU device and on the GPU.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use lab_core::device::readback;
use lab_core::error::{Error, ModelError};
use lab_core::formats::safetensors::header;
use lab_core::formats::{Dtype, ModelFiles};
use lab_core::host::MemoryFile;
use lab_core::image::{Limits, decode};
use lab_core::models::mae::{self, Masking, patchify, unpatchify};
use lab_core::models::{LoadOptions, Model, inspect, load, model};
use lab_core::parity;
use lab_tests::{
    SAMPLES, assert_close, cpu, golden, golden_model, golden_path, golden_tensor, gpu, gpu_with_f16, model_in, values,
};
use pollster::block_on;

// The bar that the project sets itself: within 1e-4 absolute or 1e-4 relative of PyTorch in f32.
const TOLERANCE: f64 = 1e-4;

/// Folder, file of weights (where there are several), folder of the outputs.
const CASES: [(&str, Option<&str>, &str); 19] = [
    ("webdino-swiglu", None, "webdino-swiglu"),
    ("dinov2-mlp", None, "dinov2-mlp"),
    ("dinov2-mlp-f16", None, "dinov2-mlp"),
    ("dinov2-mlp-bf16", None, "dinov2-mlp"),
    ("dinov2-mlp-sharded", None, "dinov2-mlp"),
    ("dinov2-registers", None, "dinov2-registers"),
    ("webmae-vit", None, "webmae-vit"),
    ("mae-normpix", None, "mae-normpix"),
    ("mae-rawpix", None, "mae-rawpix"),
    ("clip-vision", None, "clip-vision"),
    ("siglip-vision", None, "siglip-vision"),
    ("clip-whole", None, "clip-whole"),
    ("siglip-whole", None, "siglip-whole"),
    ("dinov2-mlp-original", Some("flat.pth"), "dinov2-mlp-original"),
    ("dinov2-mlp-original", Some("chunked.pth"), "dinov2-mlp-original"),
    ("dinov2-mlp-original", Some("teacher.pth"), "dinov2-mlp-original"),
    ("dinov2-mlp-original", Some("teacher-module.pth"), "dinov2-mlp-original"),
    ("webdino-swiglu-original", Some("chunked.pth"), "webdino-swiglu-original"),
    ("dinov2-registers-original", Some("flat.pth"), "dinov2-registers"),
];

fn open(folder: &str, only: Option<&str>, device: &Device, half: bool) -> Result<Model, Error> {
    block_on(load(golden_model(folder, only), device, LoadOptions { half }, &mut |_, _, _| {}))
}

fn check(folder: &str, only: Option<&str>, outputs: &str, device: &Device) {
    let model = open(folder, only, device, false).unwrap_or_else(|error| panic!("{folder} {only:?}: {error}"));
    let io = golden(&format!("models/{outputs}/io.safetensors"));
    let report = block_on(parity::run(&model, &io, TOLERANCE, TOLERANCE)).expect("comparable");
    assert!(report.passed(), "{folder} {only:?}: {report:#?}");
    assert!(report.tensors.len() >= 4, "{folder}: only {} tensors compared", report.tensors.len());
}

#[test]
fn every_family_equals_pytorch_on_the_cpu() {
    for (folder, only, outputs) in CASES {
        check(folder, only, outputs, &cpu());
    }
    check("mae-normpix-original", Some("mae.pth"), "mae-normpix", &cpu());
}

#[test]
fn every_family_equals_pytorch_on_the_gpu() {
    let gpu = gpu();
    for (folder, only, outputs) in CASES {
        check(folder, only, outputs, &gpu.device);
    }
    check("mae-normpix-original", Some("mae.pth"), "mae-normpix", &gpu.device);
}

/// MAE at other sizes has no golden of its own (decision 6); its encoder is a ViT, of which PyTorch's outputs there are.
#[test]
fn the_encoder_of_an_mae_equals_pytorch_at_other_sizes() {
    let (vit, mae) = (golden("models/webmae-vit/model.safetensors"), golden("models/mae-rawpix/model.safetensors"));
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for name in vit.names().filter(|name| !name.starts_with("pooler.")) {
        let tensor = block_on(vit.read(name)).expect("listed");
        tensors.push((format!("vit.{name}"), tensor.shape, tensor.bytes));
    }
    // A decoder of zeros that fits it; nothing asks it here.
    for name in mae.names().filter(|name| name.starts_with("decoder.")) {
        let shape = match name {
            "decoder.decoder_embed.weight" => vec![32, 160],
            "decoder.decoder_pos_embed" => vec![1, 17, 32],
            "decoder.decoder_pred.weight" => vec![48, 32],
            "decoder.decoder_pred.bias" => vec![48],
            _ => mae.entry(name).expect("listed").shape.clone(),
        };
        let zeros = vec![0; 4 * shape.iter().product::<usize>()];
        tensors.push((name.to_owned(), shape, zeros));
    }
    let listed = tensors.iter().map(|(name, shape, _)| (name.as_str(), Dtype::F32, shape.as_slice()));
    let mut bytes = header(listed, &BTreeMap::new());
    tensors.iter().for_each(|(_, _, data)| bytes.extend(data));
    let files = block_on(ModelFiles::from_files(vec![Box::new(MemoryFile::new("model.safetensors", bytes))]));
    let text = std::fs::read_to_string(golden_path("models/mae-rawpix/config.json")).expect("committed");
    let mut config: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for (field, value) in [("hidden_size", 160), ("image_size", 16), ("intermediate_size", 80), ("patch_size", 4)] {
        config[field] = value.into();
    }
    let files = ModelFiles { config: Some(config.to_string()), ..files.expect("well formed") };
    let model = block_on(load(files, &cpu(), LoadOptions::default(), &mut |_, _, _| {})).expect("loads");
    assert!(model.decoder().is_some());
    let io = golden("models/webmae-vit/io.safetensors");
    let report = block_on(parity::run(&model, &io, TOLERANCE, TOLERANCE)).expect("comparable");
    assert!(report.passed() && report.not_compared.is_empty(), "{report:#?}");
    for size in ["other", "third", "fourth"] {
        let name = format!("{size}_size.last_hidden_state");
        assert!(report.tensors.iter().any(|tensor| tensor.name == name), "{name}");
    }
}

#[test]
fn every_golden_folder_is_in_the_list() {
    let listed: Vec<&str> = CASES.iter().map(|case| case.0).chain(["mae-normpix-original"]).collect();
    for entry in std::fs::read_dir(golden_path("models")).expect("goldens are committed") {
        let name = entry.expect("readable").file_name().into_string().expect("ASCII");
        assert!(listed.contains(&name.as_str()), "tests/golden/models/{name} is compared with nothing");
    }
}

#[test]
fn parity_notices_a_wrong_number() {
    let model = open("dinov2-mlp", None, &cpu(), false).expect("loads");
    // Another model's outputs of the same shapes.
    let io = golden("models/webdino-swiglu/io.safetensors");
    let report = block_on(parity::run(&model, &io, TOLERANCE, TOLERANCE)).expect("comparable");
    assert!(!report.passed());
}

#[test]
fn mae_gradients_equal_pytorch() {
    for device in [cpu().autodiff(), gpu().device.clone().autodiff()] {
        for folder in ["mae-normpix", "mae-rawpix"] {
            let model = open(folder, None, &device, false).expect("loads");
            let io = golden(&format!("models/{folder}/io.safetensors"));
            let (shape, pixels) = golden_tensor(&io, "pixel_values");
            let pixels = model.pixels(pixels, shape.try_into().expect("four")).expect("fits");
            let (_, noise) = golden_tensor(&io, "noise");
            let (decoder, config) = model.decoder().expect("a decoder");
            let masking = Masking::from_noise(&noise, pixels.dims()[0], config.mask_ratio);
            let encoder = model.encoder();
            let output = lab_core::models::mae::forward(encoder, decoder, config, pixels, &masking);
            let grads = output.loss.backward();
            let mut compared = 0;
            let mut compare = |name: &str, found: Vec<f32>| {
                let (_, expected) = golden_tensor(&io, &format!("grad.{name}"));
                let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
                // The bar: 1e-3 relative; elements near zero are held to the tensor's largest.
                assert_close(&format!("{folder} {name}"), &found, &expected, 1e-3 * largest.max(1e-6), 1e-3);
                compared += 1;
            };
            let patch = &encoder.patch_embed;
            compare(
                "vit.embeddings.patch_embeddings.projection.weight",
                values(patch.weight.val().grad(&grads).expect("patch")),
            );
            compare(
                "vit.embeddings.patch_embeddings.projection.bias",
                values(patch.bias.val().grad(&grads).expect("patch")),
            );
            compare(
                "vit.embeddings.cls_token",
                values(encoder.cls_token.as_ref().expect("cls").val().grad(&grads).expect("cls")),
            );
            compare("vit.layernorm.weight", values(encoder.norm.weight.val().grad(&grads).expect("norm")));
            compare("decoder.mask_token", values(decoder.mask_token.val().grad(&grads).expect("mask token")));
            compare(
                "decoder.decoder_pred.weight",
                values(decoder.decoder_pred.weight[0].val().grad(&grads).expect("pred")),
            );
            compare(
                "decoder.decoder_embed.bias",
                values(decoder.decoder_embed.bias.val().grad(&grads).expect("embed")),
            );
            for (index, block) in encoder.blocks.iter().enumerate() {
                let name = format!("vit.encoder.layer.{index}");
                let linear = |linear: &lab_core::layers::linear::Linear| {
                    values(linear.weight[0].val().grad(&grads).expect("linear"))
                };
                compare(&format!("{name}.intermediate.dense.weight"), linear(&block.mlp.fc1));
                compare(&format!("{name}.output.dense.weight"), linear(&block.mlp.fc2));
                compare(&format!("{name}.attention.output.dense.weight"), linear(&block.attn.proj));
                compare(
                    &format!("{name}.layernorm_before.bias"),
                    values(block.norm1.bias.val().grad(&grads).expect("norm1")),
                );
                let qkv = linear(&block.attn.qkv);
                let third = qkv.len() / 3;
                for (part, place) in ["query", "key", "value"].iter().zip(qkv.chunks(third)) {
                    compare(&format!("{name}.attention.attention.{part}.weight"), place.to_vec());
                }
            }
            assert!(compared >= 14, "{compared}");
        }
    }
}

#[test]
fn half_precision_weights_stay_close() {
    let Some(gpu) = gpu_with_f16() else { return };
    // These weights are exact in f16, so half storage changes nothing but memory.
    let whole = open("dinov2-mlp", None, &gpu.device, false).expect("loads");
    let half = open("dinov2-mlp", None, &gpu.device, true).expect("loads");
    assert!(half.info().bytes * 10 < whole.info().bytes * 7, "{} of {}", half.info().bytes, whole.info().bytes);
    let io = golden("models/dinov2-mlp/io.safetensors");
    assert!(block_on(parity::run(&half, &io, TOLERANCE, TOLERANCE)).expect("comparable").passed());
}

#[test]
fn a_weight_in_pieces_gives_the_same() {
    use lab_core::models::keys::recognise;
    use lab_core::models::parameters::Parameters;
    use lab_core::models::vit::Vit;
    for folder in ["dinov2-mlp", "webdino-swiglu"] {
        let whole = open(folder, None, &cpu(), false).expect("loads");
        let files = golden_model(folder, None);
        let layout = recognise(&files.checkpoint, files.config.as_deref()).expect("known");
        let mut silent = |_: u64, _: u64, _: &str| {};
        // A binding of 5 000 bytes: 19 rows of 64 columns.
        let mut parameters =
            Parameters::from_checkpoint(&files.checkpoint, &layout.recipes, whole.device(), false, 5_000, &mut silent);
        let pieces = block_on(Vit::build(&layout.config, &mut parameters)).expect("loads");
        assert!(pieces.blocks[0].attn.qkv.weight.len() > 5);
        let pixels: Tensor<4> = lab_tests::random([1, 3, 28, 28], 1, whole.device());
        let expected = values(whole.encoder().forward(pixels.clone()).last_hidden_state);
        let found = values(pieces.forward(pixels).last_hidden_state);
        assert_close(folder, &found, &expected, 1e-5, 1e-5);
    }
}

#[test]
fn inspection_reads_headers_only() {
    let report = block_on(inspect(&golden_model("webmae-vit", None))).expect("known");
    assert_eq!(report.ignored, ["pooler.dense.bias", "pooler.dense.weight"]);
    assert!(report.missing.is_empty() && report.unknown.is_empty());
    assert_eq!((report.info.embed_dim, report.info.num_heads, report.info.patch_size), (160, 2, 4));
    let whole = block_on(inspect(&golden_model("clip-whole", None))).expect("known");
    assert!(whole.ignored.iter().any(|name| name.starts_with("text_model.")));
    assert!(whole.unknown.is_empty(), "{:?}", whole.unknown);
}

#[test]
fn missing_and_unknown_tensors_are_both_named() {
    // A checkpoint with one tensor renamed.
    let path = golden_path("models/dinov2-mlp/model.safetensors");
    let bytes = std::fs::read(path).expect("committed");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
    let mut header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
    let moved = header.remove("layernorm.bias").expect("there");
    header.insert("layernorm.bais".to_owned(), moved);
    let text = serde_json::to_vec(&header).expect("JSON");
    let broken = [&(text.len() as u64).to_le_bytes()[..], &text, &bytes[8 + length..]].concat();
    let files = block_on(ModelFiles::from_files(vec![Box::new(MemoryFile::new("model.safetensors", broken))]));
    let files = files.expect("well formed");
    let config = std::fs::read_to_string(golden_path("models/dinov2-mlp/config.json")).expect("committed");
    let files = ModelFiles { config: Some(config), ..files };
    let error = block_on(load(files, &cpu(), LoadOptions::default(), &mut |_, _, _| {})).expect_err("broken");
    match error {
        Error::Model(ModelError::Tensors { missing, unknown, .. }) => {
            assert_eq!(missing, ["layernorm.bias"]);
            assert_eq!(unknown, ["layernorm.bais"]);
        }
        other => panic!("{other}"),
    }
}

/// A golden model's names and shapes over zeros, changed by `change`, with its config changed too.
fn forged(
    folder: &str,
    change: impl FnOnce(&mut BTreeMap<String, Vec<usize>>),
    config: impl FnOnce(&mut serde_json::Value),
) -> ModelFiles {
    let golden = golden_model(folder, None);
    let names = golden.checkpoint.names();
    let mut shapes: BTreeMap<String, Vec<usize>> =
        names.filter_map(|name| Some((name.to_owned(), golden.checkpoint.entry(name)?.shape.clone()))).collect();
    change(&mut shapes);
    let tensors = shapes.iter().map(|(name, shape)| (name.as_str(), Dtype::F32, shape.as_slice()));
    let mut bytes = header(tensors, &BTreeMap::new());
    let numbers: usize = shapes.values().map(|shape| shape.iter().product::<usize>()).sum();
    bytes.resize(bytes.len() + 4 * numbers, 0);
    let files = block_on(ModelFiles::from_files(vec![Box::new(MemoryFile::new("model.safetensors", bytes))]));
    let mut stated = serde_json::from_str(golden.config.as_deref().expect("a config")).expect("JSON");
    config(&mut stated);
    ModelFiles { config: Some(stated.to_string()), ..files.expect("well formed") }
}

#[test]
fn a_header_that_lies_is_an_error() {
    let refused = |what: &str, files: ModelFiles, expected: &str| {
        let error = block_on(inspect(&files)).expect_err(what).to_string();
        assert!(error.contains(expected), "{what}: {error}");
        let error = block_on(load(files, &cpu(), LoadOptions::default(), &mut |_, _, _| {})).expect_err(what);
        assert!(error.to_string().contains(expected), "{what}: {error}");
    };
    // Numbers of blocks that no file holds.
    for last in ["18446744073709551615", "4000000000", "3000000"] {
        let name = format!("encoder.layer.{last}.norm1.weight");
        let files = forged("dinov2-mlp", |shapes| drop(shapes.insert(name, vec![64])), |_| ());
        refused(last, files, "encoder.layer.3.…");
    }
    let first = "encoder.layer.0.mlp.fc1.weight";
    let narrow = |shapes: &mut BTreeMap<String, Vec<usize>>| drop(shapes.insert(first.to_owned(), vec![0, 64]));
    refused("no width", forged("dinov2-mlp", narrow, |_| ()), "at least one row");
    let swiglu = "encoder.layer.0.mlp.weights_in.weight";
    let narrow = |shapes: &mut BTreeMap<String, Vec<usize>>| drop(shapes.insert(swiglu.to_owned(), vec![0, 64]));
    refused("no width of SwiGLU", forged("webdino-swiglu", narrow, |_| ()), "at least one row");
    let embed = "decoder.decoder_embed.weight";
    let narrow = |shapes: &mut BTreeMap<String, Vec<usize>>| drop(shapes.insert(embed.to_owned(), vec![0, 64]));
    refused("no decoder", forged("mae-rawpix", narrow, |_| ()), "at least one row");
    let patches = "embeddings.patch_embeddings.projection.weight";
    let grey = |shapes: &mut BTreeMap<String, Vec<usize>>| drop(shapes.insert(patches.to_owned(), vec![64, 1, 7, 7]));
    refused("grey", forged("dinov2-mlp", grey, |_| ()), "red, green and blue");
}

#[test]
fn a_config_that_contradicts_its_weights_is_an_error() {
    let cases = [
        ("dinov2-mlp", "patch_size", serde_json::json!(16), "expected 7"),
        ("dinov2-mlp", "num_channels", serde_json::json!(1), "expected 3"),
        ("dinov2-mlp", "use_swiglu_ffn", serde_json::json!(true), "expected false"),
        ("dinov2-mlp", "model_type", serde_json::json!("vit"), "DINOv2 (Hugging Face)"),
        ("dinov2-mlp", "hidden_act", serde_json::json!(7), "expected a word"),
        ("dinov2-mlp", "layer_norm_eps", serde_json::json!(1e300), "below 1"),
        ("webmae-vit", "intermediate_size", serde_json::json!(1), "expected 80"),
        ("mae-rawpix", "mask_ratio", serde_json::json!(1.0), "one of 36 patches"),
        ("mae-rawpix", "mask_ratio", serde_json::json!(2.0), "one of 36 patches"),
    ];
    for (folder, field, value, expected) in cases {
        let files = forged(folder, |_| (), |config| config[field] = value.clone());
        let error = block_on(inspect(&files)).expect_err(field).to_string();
        assert!(error.contains(field) && error.contains(expected), "{field}: {error}");
    }
    let files = forged("dinov2-mlp", |_| (), |config| *config = serde_json::json!([]));
    let error = block_on(inspect(&files)).expect_err("a list").to_string();
    assert!(error.contains("no JSON object"), "{error}");
}

#[test]
fn inspection_finds_what_has_another_shape() {
    let name = "encoder.layer.1.mlp.fc1.weight";
    let files = forged("dinov2-mlp", |shapes| drop(shapes.insert(name.to_owned(), vec![128, 63])), |_| ());
    let report = block_on(inspect(&files)).expect("known");
    let [wrong] = &report.misshapen[..] else { panic!("{:?}", report.misshapen) };
    assert_eq!((wrong.tensor.as_str(), &wrong.found[..]), (name, &[128, 63][..]));
    let error = block_on(load(files, &cpu(), LoadOptions::default(), &mut |_, _, _| {})).expect_err("misshapen");
    assert!(error.to_string().contains("[128, 63], expected [128, 64]"), "{error}");
}

#[test]
fn bad_pixels_are_an_error() {
    let model = open("dinov2-mlp", None, &cpu(), false).expect("loads");
    let error = model.pixels(vec![0.0; 10], [1, 3, 28, 28]).expect_err("too few");
    assert!(error.to_string().contains("10 values"), "{error}");
    let error = model.pixels(vec![0.0; 3 * 4 * 4], [1, 3, 4, 4]).expect_err("too small");
    assert!(error.to_string().contains("4 x 4"), "{error}");
}

#[test]
fn unpatchify_undoes_patchify() {
    let pixels: Tensor<4> = lab_tests::random([2, 3, 12, 20], 1, &cpu());
    let patches = patchify(pixels.clone(), 4);
    assert_eq!(patches.dims(), [2, 15, 48]);
    assert_close("round trip", &values(unpatchify(patches.clone(), 3, 5)), &values(pixels.clone()), 0.0, 0.0);
    // Channel fastest: the first three numbers are the first pixel's.
    let first = values(patches.narrow(0, 0, 1).narrow(1, 0, 1))[..3].to_vec();
    let pixel = values(pixels.narrow(0, 0, 1).narrow(2, 0, 1).narrow(3, 0, 1));
    assert_eq!(first, pixel);
}

#[test]
fn the_untrained_model_is_the_same_everywhere() {
    let config = model::tiny_config();
    let gpu = gpu();
    let [ours, theirs] = [&cpu(), &gpu.device].map(|device| {
        let model = block_on(Model::untrained(config.clone(), 7, device)).expect("drawn");
        assert!(model.info().untrained);
        let pixels = TensorData::new((0..3 * 56 * 56).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect(), [1, 3, 56, 56]);
        let output = model.encoder().forward(Tensor::from_data(pixels, device));
        block_on(readback(output.embedding())).expect("readable")
    });
    assert_close("tiny", &ours, &theirs, 1e-4, 1e-4);
    assert!(ours.iter().any(|value| value.abs() > 0.1), "an embedding of nothing");
}

/// The model that ships with the page has learned: three quarters of a photograph hidden, it is nearer than the mean
/// colour of what is seen, and than the nearest patch that is seen.
#[test]
fn the_shipped_autoencoder_paints_what_it_cannot_see() {
    // It was trained on none of the samples.
    let files = model_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../public/weights/tiny-mae"), None);
    let model = block_on(load(files, &cpu(), LoadOptions::default(), &mut |_, _, _| {})).expect("loads");
    let (decoder, config) = model.decoder().expect("a decoder");
    assert!(!config.norm_pix_loss, "it paints pixels");
    let side = model.config().img_size / model.config().patch_size;
    let (mut painted, mut mean, mut nearest) = (0.0, 0.0, 0.0);
    for (seed, (name, sample)) in SAMPLES.iter().enumerate() {
        let image = decode(sample, &Limits::default()).expect(name);
        let pixels = model.preprocess().apply(&image).expect("pixels");
        let shape = [1, 3, model.config().img_size, model.config().img_size];
        let pixels = Tensor::<4>::from_data(TensorData::new(pixels, shape), &cpu());
        let noise: Vec<f32> = (0..side * side).map(|i| ((i * 37 + seed * 101 + 11) * 7919 % 1009) as f32).collect();
        let masking = Masking::from_noise(&noise, 1, 0.75);
        let output = mae::forward(model.encoder(), decoder, config, pixels.clone(), &masking);
        let patches = values(patchify(pixels, model.config().patch_size));
        let numbers = patches.len() / (side * side);
        let patch = |index: usize| &patches[index * numbers..][..numbers];
        let seen: Vec<usize> = (0..side * side).filter(|&i| masking.mask[i] < 0.5).collect();
        let colour = |place: usize| {
            let all = seen.iter().flat_map(|&i| patch(i).iter().skip(place % 3).step_by(3));
            all.clone().sum::<f32>() / all.count() as f32
        };
        let colours = [0, 1, 2].map(colour);
        let hidden: Vec<usize> = (0..side * side).filter(|&i| masking.mask[i] > 0.5).collect();
        let error = |guess: &dyn Fn(usize, usize) -> f32| {
            let patch_error = |&i: &usize| {
                let squares = patch(i).iter().enumerate().map(|(place, &truth)| (truth - guess(i, place)).powi(2));
                squares.sum::<f32>() / numbers as f32
            };
            hidden.iter().map(patch_error).sum::<f32>() / hidden.len() as f32
        };
        let near = |i: usize| {
            let far = |j: usize| (i / side).abs_diff(j / side).pow(2) + (i % side).abs_diff(j % side).pow(2);
            *seen.iter().min_by_key(|&&j| far(j)).expect("some are seen")
        };
        painted += values(output.loss)[0];
        mean += error(&|_, place| colours[place % 3]);
        nearest += error(&|i, place| patch(near(i))[place]);
    }
    eprintln!("painted {painted}, the mean colour {mean}, the nearest patch {nearest}");
    assert!(painted < 0.75 * mean && painted < 0.75 * nearest, "{painted}, {mean}, {nearest}");
}
