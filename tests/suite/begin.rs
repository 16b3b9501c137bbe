//! Runs that begin with weights that there are: another size, released layouts, heads or none.
//!
//! What is expected comes from PyTorch: the goldens hold the outputs of the same weights at 28 pixels, their own size,
//! and at 42, by Hugging Face's interpolation and by DINOv2's.

use burn::tensor::{Tensor, TensorData};
use lab_core::config::Config;
use lab_core::data::multi_crop::Batch;
use lab_core::formats::ModelFiles;
use lab_core::host::MemoryFile;
use lab_core::rng::Rng;
use lab_core::train::{Outcome, Trainer};
use lab_tests::{assert_close, cpu, golden, golden_model, golden_tensor, values};
use pollster::block_on;
use safetensors::tensor::{Dtype, TensorView};

/// The sizes of `golden/models/dinov2-mlp`, and a short run.
const DINO: [&str; 18] = [
    "method=dinov2",
    "model.patch_size=7",
    "model.embed_dim=64",
    "model.depth=3",
    "model.num_heads=2",
    "model.mlp_ratio=2",
    "model.layerscale=1",
    "crops.local_size=14",
    "crops.local_number=2",
    "dino.head_n_prototypes=24",
    "dino.head_hidden_dim=40",
    "dino.head_bottleneck_dim=16",
    "teacher.centering=sinkhorn_knopp",
    "optim.warmup_epochs=0",
    "optim.freeze_last_layer_epochs=0.2",
    "train.batch_size=2",
    "train.epochs=1",
    "train.epoch_length=10",
];

fn begin(settings: &[&str]) -> Trainer {
    let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
    let config = Config::resolve(None, None, &settings).unwrap_or_else(|error| panic!("{error}"));
    block_on(Trainer::begin(config, 100, &cpu())).expect("a run")
}

fn at(size: &str) -> Trainer {
    begin(&[&DINO[..], &[&format!("crops.global_size={size}")]].concat())
}

/// A net's tokens for pixels `[B, 3, H, W]`.
fn tokens(trainer: &Trainer, shape: &[usize], pixels: Vec<f32>) -> Vec<f32> {
    let shape: [usize; 4] = shape.to_vec().try_into().expect("four");
    let pixels = Tensor::from_data(TensorData::new(pixels, shape), &cpu());
    values(trainer.evaluated().backbone.forward(pixels).last_hidden_state)
}

/// A run's state as a file of weights.
fn state(trainer: &Trainer) -> ModelFiles {
    let read = |entry: &lab_core::train::state::Entry| {
        let values = block_on(entry.read()).expect("readable");
        (entry.name.clone(), entry.shape.clone(), values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
    };
    let tensors: Vec<_> = trainer.state().iter().map(read).collect();
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("bytes")));
    let file = safetensors::serialize(views, None).expect("plain tensors");
    block_on(ModelFiles::from_files(vec![Box::new(MemoryFile::new("state.safetensors", file))])).expect("a file")
}

fn step(trainer: &mut Trainer) {
    let mut batch = Batch::new(trainer.config(), trainer.config().train.batch_size);
    let mut stream = Rng::new(5).stream("images", trainer.steps_made());
    batch.global.iter_mut().chain(&mut batch.local).for_each(|value| *value = stream.normal() as f32);
    let outcome = block_on(trainer.step(&[batch])).expect("a step");
    assert!(matches!(outcome, Outcome::Updated(_)), "{outcome:?}");
}

/// A tensor of the state.
fn tensor(trainer: &Trainer, name: &str) -> Vec<f32> {
    let entry = trainer.state().into_iter().find(|entry| entry.name == name);
    block_on(entry.unwrap_or_else(|| panic!("no {name}")).read()).expect("readable")
}

#[test]
fn released_weights_continue_at_a_higher_resolution_as_pytorch_sees_them() {
    // Folder, file, where the outputs are, tensors of the heads that the file has.
    for (folder, only, io) in
        [("dinov2-mlp", None, "dinov2-mlp"), ("dinov2-mlp-original", Some("flat.pth"), "dinov2-mlp-original")]
    {
        for (size, group) in [("28", ""), ("42", "third_size.")] {
            let mut trainer = at(size);
            let begun = block_on(trainer.begin_from(&golden_model(folder, only))).expect("the same sizes");
            let io = golden(&format!("models/{io}/io.safetensors"));
            let (shape, pixels) = golden_tensor(&io, &format!("{group}pixel_values"));
            let (_, expected) = golden_tensor(&io, &format!("{group}last_hidden_state"));
            let found = tokens(&trainer, &shape, pixels);
            assert_close(&format!("{folder} at {size}"), &found, &expected, 1e-4, 1e-4);
            let resized = match size {
                "28" => vec![],
                _ => vec![("backbone.pos_embed".to_owned(), 4, 6)],
            };
            assert_eq!(begun.resized, resized);
            // Student and teacher begin alike, whatever the head.
            assert_eq!(
                tensor(&trainer, "student.backbone.blocks.2.mlp.fc1.weight"),
                tensor(&trainer, "teacher.backbone.blocks.2.mlp.fc1.weight")
            );
            // What is missing is said, key by key and in a sentence.
            assert!(begun.missing.iter().all(|name| name.starts_with("dino_head.")), "{begun:?}");
            assert_eq!(begun.missing.len(), 8, "{begun:?}");
            let says = begun.to_string();
            assert!(says.contains("missing there and new here: dino_head (8 tensors)"), "{says}");
            assert_eq!(says.contains("interpolated from 4 x 4 to 6 x 6 patches"), size == "42", "{says}");
            step(&mut trainer);
        }
    }
}

#[test]
fn attention_is_split_as_the_weights_learned_it() {
    // Every tensor has the same shape whatever the heads.
    let mut trainer = begin(&[&DINO[..], &["crops.global_size=28", "model.num_heads=1"]].concat());
    let before = tensor(&trainer, "student.backbone.blocks.0.attn.qkv.weight");
    let error = block_on(trainer.begin_from(&golden_model("dinov2-mlp", None))).expect_err("other heads").to_string();
    assert!(error.contains("model.num_heads") && error.contains("set model.num_heads="), "{error}");
    assert_eq!(tensor(&trainer, "student.backbone.blocks.0.attn.qkv.weight"), before);
}

#[test]
fn new_heads_warm_up_with_their_prototypes_frozen() {
    let mut trainer = at("42");
    block_on(trainer.begin_from(&golden_model("dinov2-mlp", None))).expect("the same sizes");
    let prototypes = |trainer: &Trainer| tensor(trainer, "student.dino_head.last_layer.weight_v");
    let layer = |trainer: &Trainer| tensor(trainer, "student.dino_head.mlp.0.weight");
    let (first, first_layer) = (prototypes(&trainer), layer(&trainer));
    // optim.freeze_last_layer_epochs=0.2 of 10 steps.
    for _ in 0..2 {
        step(&mut trainer);
    }
    assert_eq!(prototypes(&trainer), first, "frozen");
    assert_ne!(layer(&trainer), first_layer, "the layers before them learn");
    step(&mut trainer);
    assert_ne!(prototypes(&trainer), first, "no longer frozen");
}

#[test]
fn heads_that_there_are_come_along() {
    let mut run = at("28");
    step(&mut run);
    let files = state(&run);
    // Of a run of our own: all of it, at another size too, positions by the rule of the method.
    let mut larger = at("42");
    let begun = block_on(larger.begin_from(&files)).expect("its own state");
    assert!(begun.missing.is_empty(), "{begun}");
    assert!(begun.unused.iter().all(|name| name.starts_with("optim.") || name.starts_with("center.")), "{begun:?}");
    for name in ["student.dino_head.last_layer.weight_v", "teacher.dino_head.mlp.1.bias", "student.backbone.norm.bias"]
    {
        assert_eq!(tensor(&larger, name), tensor(&run, name), "{name}");
    }
    let (shape, pixels) = golden_tensor(&golden("models/dinov2-mlp/io.safetensors"), "third_size.pixel_values");
    let expected = tokens(&run, &shape, pixels.clone());
    assert_close("at 42", &tokens(&larger, &shape, pixels), &expected, 1e-5, 1e-5);
    // A file of DINOv2's teacher: its heads are taken where their sizes are the run's, else the difference is told.
    let files = || golden_model("dinov2-mlp-original", Some("teacher.pth"));
    let names: Vec<String> = files().checkpoint.names().map(str::to_owned).collect();
    let shape = |name: &str| {
        let name = names.iter().find(|known| known.ends_with(name)).unwrap_or_else(|| panic!("{name} in {names:?}"));
        files().checkpoint.entry(name).expect("known").shape.clone()
    };
    let (hidden, prototypes) = (shape("dino_head.mlp.0.weight"), shape("dino_head.last_layer.weight_v"));
    let sizes = [
        format!("dino.head_hidden_dim={}", hidden[0]),
        format!("dino.head_n_prototypes={}", prototypes[0]),
        format!("dino.head_bottleneck_dim={}", prototypes[1]),
    ];
    let sizes: Vec<&str> = sizes.iter().map(String::as_str).collect();
    let layers = names.iter().filter(|name| name.contains("dino_head.mlp.") && name.ends_with("weight")).count();
    let layers = format!("dino.head_nlayers={layers}");
    let mut trainer = begin(&[&DINO[..], &["crops.global_size=28"], &sizes, &[&layers]].concat());
    let begun = block_on(trainer.begin_from(&files())).expect("the same sizes");
    assert!(!begun.missing.iter().any(|name| name.starts_with("dino_head.")), "{begun:?}");
    let wrong = "dino.head_n_prototypes=7";
    let mut trainer = begin(&[&DINO[..], &["crops.global_size=28"], &sizes, &[&layers, wrong]].concat());
    let error = block_on(trainer.begin_from(&files())).expect_err("other prototypes").to_string();
    assert!(error.contains("dino_head.last_layer"), "{error}");
}

#[test]
fn a_masked_autoencoder_continues_with_its_decoder() {
    // golden/models/mae-normpix: 36 pixels in patches of 6, two blocks of 64, a decoder of two blocks of 32.
    let settings = [
        "method=mae",
        "model.patch_size=6",
        "model.embed_dim=64",
        "model.depth=2",
        "model.num_heads=2",
        "model.mlp_ratio=1.5",
        "mae.decoder_embed_dim=32",
        "mae.decoder_depth=2",
        "mae.decoder_num_heads=2",
        "optim.warmup_epochs=0",
        "train.batch_size=2",
        "train.epoch_length=10",
    ];
    let files = golden_model("mae-normpix", None);
    // Its decoder's feed-forward half is narrower than MAE's own, which this run has: that is told, nothing changes.
    let mut trainer = begin(&[&settings[..], &["crops.global_size=36"]].concat());
    let before = tensor(&trainer, "student.backbone.cls_token");
    let error = block_on(trainer.begin_from(&files)).expect_err("another decoder").to_string();
    assert!(error.contains("decoder") && error.contains("model.init"), "{error}");
    assert_eq!(tensor(&trainer, "student.backbone.cls_token"), before);
    // A run of our own, at a higher resolution: encoder, decoder, both tables of positions.
    let run = begin(&[&settings[..], &["crops.global_size=24"]].concat());
    let mut larger = begin(&[&settings[..], &["crops.global_size=36"]].concat());
    let begun = block_on(larger.begin_from(&state(&run))).expect("its own state");
    let resized: Vec<&str> = begun.resized.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(resized, ["backbone.pos_embed", "decoder.decoder_pos_embed"]);
    assert!(begun.missing.is_empty(), "{begun}");
    assert_eq!(
        tensor(&larger, "student.decoder.decoder_pred.weight"),
        tensor(&run, "student.decoder.decoder_pred.weight")
    );
    step(&mut larger);
    // From MAE to DINOv2: the student's encoder is both, the tokens that MAE lacks are said.
    let dino: Vec<&str> = [
        "crops.global_size=24",
        "crops.local_size=12",
        "model.patch_size=6",
        "model.depth=2",
        "model.mlp_ratio=1.5",
        "model.layerscale=0",
    ]
    .into();
    let mut dino = begin(&[&DINO[..], &dino].concat());
    let begun = block_on(dino.begin_from(&state(&run))).expect("an encoder");
    assert!(begun.missing.contains(&"backbone.mask_token".to_owned()), "{begun}");
    assert_eq!(tensor(&dino, "teacher.backbone.norm.weight"), tensor(&run, "student.backbone.norm.weight"));
    step(&mut dino);
}
