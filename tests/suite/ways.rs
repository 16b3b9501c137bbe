//! Other ways to the same step: blocks computed again, half precision, a batch dealt out to several devices.

use std::collections::BTreeMap;

use burn::tensor::Device;
use lab_core::config::Config;
use lab_core::data::multi_crop::Batch;
use lab_core::formats::Checkpoint;
use lab_core::host::MemoryFile;
use lab_core::kernels::mode;
use lab_core::train::state::{Counters, FORMAT};
use lab_core::train::{Outcome, Trainer};
use lab_tests::{assert_close, cpu, gpu, gpu_with_f16};
use pollster::block_on;
use safetensors::tensor::{Dtype, TensorView};

const BATCH: usize = 4;
/// Every learning rate here is this.
const LR: f32 = 1e-3;

const SIZES: [&str; 15] = [
    "model.patch_size=4",
    "model.embed_dim=32",
    "model.depth=3",
    "model.num_heads=2",
    "model.mlp_ratio=2",
    "crops.global_size=16",
    "crops.local_size=8",
    "crops.local_number=2",
    "train.batch_size=4",
    "train.epochs=1",
    "train.epoch_length=10",
    "optim.base_lr=1e-3",
    "optim.min_lr=1e-3",
    "optim.lr_rule=constant",
    "optim.warmup_epochs=0",
];

const MAE: [&str; 4] = ["method=mae", "mae.decoder_embed_dim=16", "mae.decoder_depth=2", "mae.decoder_num_heads=2"];

const DINO: [&str; 9] = [
    "method=dinov2",
    "dino.head_n_prototypes=24",
    "dino.head_hidden_dim=40",
    "dino.head_bottleneck_dim=16",
    "ibot.head_n_prototypes=20",
    "ibot.head_hidden_dim=40",
    "ibot.head_bottleneck_dim=16",
    "optim.freeze_last_layer_epochs=0",
    "model.layerscale=0.5",
];

fn begin(settings: &[&[&str]], device: &Device) -> Trainer {
    let settings: Vec<String> = settings.concat().iter().map(ToString::to_string).collect();
    let config = Config::resolve(None, None, &settings).unwrap_or_else(|error| panic!("{error}"));
    block_on(Trainer::begin(config, 100, device)).unwrap_or_else(|error| panic!("{error}"))
}

/// Images drawn from the number of the step alone.
fn made_up(trainer: &Trainer) -> Batch {
    let mut batch = Batch::new(trainer.config(), BATCH);
    let mut stream = lab_core::rng::Rng::new(5).stream("images", trainer.steps_made());
    batch.global.iter_mut().chain(&mut batch.local).for_each(|value| *value = stream.normal() as f32);
    batch
}

fn attempt(trainer: &mut Trainer) -> Outcome {
    let batch = made_up(trainer);
    block_on(trainer.step(&[batch])).expect("a step")
}

/// Losses of so many steps, term by term, and the teacher's figures.
fn steps(trainer: &mut Trainer, mut count: usize) -> Vec<f32> {
    let mut found = Vec::new();
    while count > 0 {
        match attempt(trainer) {
            Outcome::Updated(step) => {
                found.extend(step.losses.into_iter().chain(step.teacher).map(|(_, value)| value as f32));
                count -= 1;
            }
            Outcome::Overflowed { loss_scale } => assert!(loss_scale > 16.0, "the scale fell to {loss_scale}"),
            Outcome::Refused { what } => panic!("{what} is not finite"),
        }
    }
    found
}

fn state(trainer: &Trainer) -> BTreeMap<String, Vec<f32>> {
    let entries = trainer.state().into_iter();
    entries.map(|entry| (entry.name.clone(), block_on(entry.read()).expect("readable"))).collect()
}

/// Gradients, as AdamW's first moments have them: after one step a tenth of them.
fn assert_gradients_close(what: &str, found: &Trainer, expected: &Trainer, rtol: f32) {
    let (found, expected) = (state(found), state(expected));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, expected) in expected.iter().filter(|(name, _)| name.starts_with("optim.m.")) {
        let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        assert_close(&format!("{what}: {name}"), &found[name], expected, rtol * largest + 1e-9, rtol);
    }
}

// --- blocks computed again ------------------------------------------------------------------------

/// Plain and checkpointed, the same otherwise.
fn both(method: &[&str], device: &Device) -> [Trainer; 2] {
    ["false", "true"].map(|on| {
        let on = format!("train.checkpoint_activations={on}");
        begin(&[&SIZES, method, &["model.drop_path_rate=0.3", &on]], device)
    })
}

fn check_recomputed(device: &Device) {
    for method in [&MAE[..], &DINO[..]] {
        let [mut plain, mut again] = both(method, device);
        // To rounding: without a graph sums are added up in another order, and so are the gradients of what several
        // crops go through.
        let (expected, found) = (steps(&mut plain, 1), steps(&mut again, 1));
        assert_close("losses", &found, &expected, 1e-6, 1e-6);
        assert_gradients_close("recomputed", &again, &plain, 2e-5);
        let (expected, found) = (steps(&mut plain, 2), steps(&mut again, 2));
        assert_close("losses", &found, &expected, 1e-4, 1e-4);
        // And it is a function: the same run, the same bits.
        let [_, mut once_more] = both(method, device);
        steps(&mut once_more, 3);
        assert_eq!(state(&again), state(&once_more));
    }
}

#[test]
fn activation_checkpointing_changes_nothing_but_memory() {
    check_recomputed(&cpu());
}

#[test]
fn activation_checkpointing_changes_nothing_on_the_gpu() {
    check_recomputed(&gpu().device);
}

// --- half precision ---------------------------------------------------------------------------------

/// `computed` says whether products multiply 16 bits there, or only what is kept for the backward pass is rounded.
fn check_half(device: &Device, computed: bool) {
    for method in [&MAE[..], &DINO[..]] {
        let [mut plain, mut half] = ["f32", "f16"].map(|precision| {
            let precision = format!("train.precision={precision}");
            begin(&[&SIZES, method, &["model.drop_path_rate=0", &precision]], device)
        });
        let (expected, found) = (steps(&mut plain, 3), steps(&mut half, 3));
        // Stated: losses and the teacher's figures within 1 %, or a thousandth where only gradients are rounded.
        let tolerance = if computed { 1e-2 } else { 1e-3 };
        assert_close("losses", &found, &expected, tolerance, tolerance);
        // Where a gradient is next to nothing its rounding decides Adam's sign; on average weights stay together within
        // a tenth of what they moved.
        let (expected, found) = (state(&plain), state(&half));
        let students = expected.iter().filter(|(name, _)| name.starts_with("student."));
        let (mut sum, mut count) = (0.0, 0);
        for (name, expected) in students {
            let gaps = expected.iter().zip(&found[name]).map(|(a, b)| (a - b).abs());
            assert!(gaps.clone().all(|gap| gap <= 2.1 * 3.0 * LR), "{name}");
            sum += gaps.map(f64::from).sum::<f64>();
            count += expected.len();
        }
        let mean = sum / count as f64;
        assert!(mean > 0.0 && mean < 0.1 * 3.0 * f64::from(LR), "16 bits round, mean distance {mean}");
        assert!(found.contains_key("loss_scale") && !expected.contains_key("loss_scale"));
    }
}

#[test]
fn sixteen_bits_stay_close_to_thirty_two() {
    check_half(&cpu(), true);
}

#[test]
fn sixteen_bits_stay_close_to_thirty_two_on_the_gpu() {
    let Some(gpu) = gpu_with_f16() else { return };
    check_half(&gpu.device, mode::has_matrix_units(&gpu.device));
}

/// The run's state as a checkpoint, some entry replaced.
fn checkpoint(trainer: &Trainer, replaced: &[(&str, Vec<f32>)]) -> Checkpoint {
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = trainer
        .state()
        .iter()
        .map(|entry| {
            let values = replaced.iter().find(|(name, _)| *name == entry.name).map(|(_, values)| values.clone());
            let values = values.unwrap_or_else(|| block_on(entry.read()).expect("readable"));
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (entry.name.clone(), entry.shape.clone(), bytes)
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("bytes")));
    let file = safetensors::serialize(views, None).expect("plain tensors");
    block_on(Checkpoint::open(Box::new(MemoryFile::new("state.safetensors", file)))).expect("just written")
}

#[test]
fn gradients_beyond_sixteen_bits_halve_the_scale_and_change_nothing_else() {
    let settings: [&[&str]; 3] = [&SIZES, &MAE, &["train.precision=f16"]];
    let mut run = begin(&settings, &cpu());
    steps(&mut run, 1);
    let counters = Counters { format: FORMAT, step: 1, cursor: 4, bad_images: 0, bad_steps: 0, images: 100 };
    // A scale that no 16-bit gradient bears: 2^60.
    let huge = (60f32).exp2();
    let start = checkpoint(&run, &[("loss_scale", vec![huge, 3.0])]);
    block_on(run.restore(&start, &counters)).expect("its own state");
    let before = state(&run);
    let found = attempt(&mut run);
    assert_eq!(found, Outcome::Overflowed { loss_scale: f64::from(huge) / 2.0 });
    let mut after = state(&run);
    assert_eq!(after.insert("loss_scale".to_owned(), before["loss_scale"].clone()), Some(vec![huge / 2.0, 0.0]));
    assert_eq!(after, before);
    assert_eq!(run.steps_made(), 1);
    // Saved in the middle of its fall, a second run falls and goes on alike, to the bit.
    let mut second = begin(&settings, &cpu());
    block_on(second.restore(&checkpoint(&run, &[]), &counters)).expect("a state");
    let tries = |run: &mut Trainer| (0..60).take_while(|_| matches!(attempt(run), Outcome::Overflowed { .. })).count();
    let fall = tries(&mut run);
    assert!((10..59).contains(&fall), "{fall} halvings");
    assert_eq!(tries(&mut second), fall);
    assert_eq!(state(&run), state(&second));
    // Without 16 bits such an entry is of no use, and said to be.
    let mut plain = begin(&[&SIZES, &MAE], &cpu());
    let error = block_on(plain.restore(&checkpoint(&run, &[]), &counters)).expect_err("another run").to_string();
    assert!(error.contains("loss_scale"), "{error}");
    // A new run may begin there in 32 bits, and one in 16 where one in 32 stands.
    block_on(plain.restore_from(&checkpoint(&run, &[]), &counters)).expect("the same sizes");
    let mut third = begin(&settings, &cpu());
    let first_scale = state(&third)["loss_scale"].clone();
    block_on(third.restore_from(&checkpoint(&plain, &[]), &counters)).expect("the same sizes");
    let mut weights = state(&third);
    assert_eq!(weights.remove("loss_scale"), Some(first_scale));
    assert_eq!(weights, state(&plain));
}

// --- memory ---------------------------------------------------------------------------------------

#[test]
fn memory_of_sizes_that_do_not_come_again_is_given_back() {
    let gpu = gpu();
    // Large prototypes, so that masked patches, of which every step has another number, take most of the memory.
    let large = ["ibot.head_n_prototypes=4096", "crops.global_size=40", "train.epoch_length=40"];
    let mut run = begin(&[&SIZES, &DINO, &large], &gpu.device);
    let reserved = || lab_core::device::reserved_bytes(&gpu.device).expect("a pool") as f64;
    let mut after = Vec::new();
    for _ in 0..24 {
        steps(&mut run, 1);
        after.push(reserved());
    }
    eprintln!("set aside after each step: {after:?}");
    // After the second step the moments are there. A quarter more than a step needs is kept, then one step's sizes come.
    let (needed, most) = (after[1], after.iter().copied().fold(0.0, f64::max));
    assert!(most < 1.6 * needed, "{most} after {needed}");
    assert!(after.windows(2).any(|pair| pair[1] < 0.8 * pair[0]), "nothing was given back");
    drop(run);
    let left = reserved();
    assert!(left < 0.1 * needed, "{left} left by a run of {needed}");
}

// --- several devices ------------------------------------------------------------------------------

/// What one device does with the whole batch, and `devices` with a share each.
fn check_spread(settings: &[&str], first: &Device, others: &[Device], rtol: f32) {
    let method = if settings.contains(&"method=mae") { &MAE[..] } else { &DINO[..] };
    let all: [&[&str]; 4] = [&SIZES, method, settings, &["model.drop_path_rate=0", "dino.koleo_loss_weight=0"]];
    let (mut whole, mut spread) = (begin(&all, &cpu()), begin(&all, first));
    block_on(spread.spread(others)).expect("equal shares");
    let (expected, found) = (steps(&mut whole, 1), steps(&mut spread, 1));
    let what = format!("{settings:?} on {} devices", 1 + others.len());
    assert_close(&what, &found, &expected, rtol, rtol);
    assert_gradients_close(&what, &spread, &whole, rtol);
    // Centres and teachers too.
    let (at_whole, at_spread) = (state(&whole), state(&spread));
    for (name, expected) in at_whole.iter().filter(|(name, _)| name.starts_with("center.")) {
        assert_close(&format!("{what}: {name}"), &at_spread[name], expected, rtol, rtol);
    }
    // The second step begins with what the first device handed out.
    assert_close(&what, &steps(&mut spread, 2), &steps(&mut whole, 2), 50.0 * rtol, 50.0 * rtol);
}

const WAYS: [&[&str]; 3] = [
    &["method=mae"],
    &["teacher.centering=sinkhorn_knopp", "ibot.separate_head=true"],
    &["teacher.centering=centering", "train.checkpoint_activations=true"],
];

#[test]
fn two_devices_equal_one_with_the_double_batch() {
    for settings in WAYS {
        check_spread(settings, &cpu(), &[cpu()], 1e-5);
    }
    check_spread(WAYS[1], &cpu(), &[cpu(), cpu(), cpu()], 1e-5);
}

#[test]
fn a_cpu_and_a_gpu_share_a_batch() {
    let gpu = gpu();
    // Two kinds of arithmetic: PyTorch's bar for gradients, 1e-3.
    check_spread(WAYS[1], &gpu.device, &[cpu()], 1e-3);
    check_spread(WAYS[0], &cpu(), std::slice::from_ref(&gpu.device), 1e-3);
}

#[test]
fn a_spread_run_resumes_to_the_bit_and_unequal_shares_are_told() {
    let all: [&[&str]; 2] = [&SIZES, &DINO];
    let fresh = || {
        let mut run = begin(&all, &cpu());
        block_on(run.spread(&[cpu()])).expect("equal shares");
        run
    };
    let (mut whole, mut first, mut second) = (fresh(), fresh(), fresh());
    steps(&mut whole, 3);
    steps(&mut first, 1);
    let counters = Counters { format: FORMAT, step: 1, cursor: 4, bad_images: 0, bad_steps: 0, images: 100 };
    block_on(second.restore(&checkpoint(&first, &[]), &counters)).expect("its own state");
    steps(&mut second, 2);
    assert_eq!(state(&whole), state(&second));
    for (devices, word) in [(2, "multiple of 3"), (3, "at least 2 each")] {
        let mut run = begin(&all, &cpu());
        let error = block_on(run.spread(&vec![cpu(); devices])).expect_err("no equal shares").to_string();
        assert!(error.contains(word), "{error}");
    }
}
