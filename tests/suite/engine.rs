//! The engine as the page drives it: a model, images, views, neighbours, and everything that can go wrong.

use std::io::Cursor;

use image::{ImageFormat, RgbImage};
use lab_core::device::{self, OpenDevice, readback};
use lab_core::engine::{Colouring, Engine, Picture, paint};
use lab_core::error::{EngineError, Error};
use lab_core::host::{MemoryFile, ReadAt};
use lab_core::image::{Limits, decode};
use lab_core::kernels::attention::attention_probs;
use lab_core::models::trace::Trace;
use lab_core::models::{LoadOptions, load};
use lab_protocol::{ImageId, Kernels, PROTOCOL, Query, View};
use lab_tests::{assert_close, cpu, golden_file, golden_model, gpu};
use pollster::block_on;

pub(crate) const CAT: ImageId = ImageId(1);
pub(crate) const DOG: ImageId = ImageId(2);

/// A clock for tests: each look takes a millisecond.
fn ticks() -> f64 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NOW: AtomicU32 = AtomicU32::new(0);
    f64::from(NOW.fetch_add(1, Ordering::Relaxed))
}

/// A PNG of a soft pattern, another one for another seed.
pub(crate) fn png(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let image = RgbImage::from_fn(width, height, |x, y| {
        let wave = |a: u32, b: u32| (127.5 + 127.0 * ((a * x + b * y + 40 * seed) as f32 / 17.0).sin()) as u8;
        image::Rgb([wave(1, 2), wave(3, seed), wave(seed, 1)])
    });
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).expect("memory takes it");
    bytes.into_inner()
}

pub(crate) fn model_files() -> Vec<Box<dyn ReadAt>> {
    ["config.json", "model.safetensors"].map(|name| golden_file(&format!("models/dinov2-mlp/{name}"))).into()
}

fn engine_on(open: OpenDevice) -> Engine {
    let mut engine = Engine::new(open, ticks);
    block_on(engine.load_model("", model_files(), &mut |_, _, _| {})).expect("loads");
    assert_eq!(engine.add_image(CAT, "cat.png", png(90, 70, 1)).expect("decodes"), [90, 70]);
    assert_eq!(engine.add_image(DOG, "dog.png", png(64, 80, 5)).expect("decodes"), [64, 80]);
    engine
}

pub(crate) fn on_cpu() -> Engine {
    engine_on(device::cpu())
}

fn all_views() -> Vec<View> {
    vec![
        View::Input,
        View::Attention { layer: 0, head: None, query: Query::Cls },
        View::Attention { layer: 1, head: Some(1), query: Query::Patch { index: 3 } },
        View::Heads { layer: 2, query: Query::Cls, columns: 2 },
        View::Rollout { layer: 2, query: Query::Patch { index: 1 } },
        View::Pca,
        View::Similarity { from: CAT, patch: 2 },
        View::Similarity { from: DOG, patch: 0 },
    ]
}

#[test]
fn an_embedding_is_the_models_own() {
    let mut engine = on_cpu();
    let found = block_on(engine.embed(CAT, true)).expect("embeds");
    let model = block_on(load(golden_model("dinov2-mlp", None), &cpu(), LoadOptions::default(), &mut |_, _, _| {}));
    let model = model.expect("loads");
    let picture = decode(&png(90, 70, 1), &Limits::default()).expect("our own PNG");
    let side = model.preprocess().output_side().expect("square") as usize;
    let pixels = model.preprocess().apply(&picture).expect("fits");
    let expected = block_on(model.embed(pixels, [1, 3, side, side], true)).expect("embeds");
    assert_close("class", &found.cls, &expected.cls, 1e-6, 1e-6);
    assert_close("patches", &found.patches, &expected.patches, 1e-6, 1e-6);
    assert_eq!((found.dim, found.grid), (expected.dim, expected.grid));
    assert!(found.millis >= 1.0, "the clock was asked before and after");
    // Asked again without patches: the same, from memory.
    let again = block_on(engine.embed(CAT, false)).expect("embeds");
    assert_eq!((again.cls, again.millis, again.patches.len()), (found.cls, found.millis, 0));
}

#[test]
fn attention_shows_the_row_that_was_asked_for() {
    let mut engine = on_cpu();
    let view = View::Attention { layer: 1, head: Some(1), query: Query::Patch { index: 3 } };
    let picture = block_on(engine.view(CAT, &view)).expect("shows");
    let model = engine.model().expect("loaded");
    let mut trace = Trace::none().with_qkv();
    let output = model.forward(picture.pixels().clone(), &mut trace);
    let qkv = trace.qkv(1).expect("traced").clone();
    let (tokens, n) = (qkv.dims()[1], output.grid[0] * output.grid[1]);
    let probs = block_on(readback(attention_probs(qkv, model.config().num_heads, 0..tokens, None))).expect("reads");
    let start = (tokens + tokens - n + 3) * tokens + tokens - n; // head 1, query 3 behind class and registers
    let expected = &probs[start..start + n];
    assert_close("attention", &picture.host_values, expected, 1e-6, 1e-5);
    let sum: f32 = expected.iter().sum();
    assert!((picture.summary.on_patches.expect("told") - sum).abs() < 1e-5);
    assert!(sum < 1.0, "some of it falls on the class token");
    let peak = expected.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).expect("patches").0;
    assert_eq!(picture.summary.peak as usize, peak);
    assert_eq!(picture.summary.max, picture.host_values[peak]);
}

#[test]
fn a_patch_is_most_like_itself() {
    let mut engine = on_cpu();
    let own = block_on(engine.view(CAT, &View::Similarity { from: CAT, patch: 2 })).expect("shows");
    assert_eq!(own.summary.peak, 2);
    assert!((own.summary.max - 1.0).abs() < 1e-5, "{:?}", own.summary);
    let other = block_on(engine.view(DOG, &View::Similarity { from: CAT, patch: 2 })).expect("shows");
    assert!(other.summary.max < 1.0 && other.summary.min >= -1.0, "{:?}", other.summary);
}

#[test]
fn colours_explain_falling_shares() {
    let mut engine = on_cpu();
    let picture = block_on(engine.view(CAT, &View::Pca)).expect("shows");
    let [first, second, third] = picture.summary.explained.expect("told");
    assert!(first >= second && second >= third && third > 0.0, "{:?}", picture.summary);
    assert!(first + second + third <= 1.0 + 1e-4, "{:?}", picture.summary);
    assert_eq!(picture.colouring, Colouring::Rgb);
    assert_eq!(picture.host_values.len(), 3 * picture.summary.grid[0] * picture.summary.grid[1]);
}

#[test]
fn the_input_is_painted_as_the_recipe_made_it() {
    let mut engine = on_cpu();
    let picture = block_on(engine.view(CAT, &View::Input)).expect("shows");
    let [width, height] = picture.image_size().map(|side| side as u32);
    let painted = block_on(paint::paint(&picture, width, height)).expect("paints");
    let source = decode(&png(90, 70, 1), &Limits::default()).expect("our own PNG");
    let expected = engine.model().expect("loaded").preprocess().prepare(&source).expect("fits");
    let expected: Vec<u8> = expected.data().chunks(3).flat_map(|rgb| [rgb[0], rgb[1], rgb[2], 255]).collect();
    assert!(painted.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 1) && painted.len() == expected.len());
}

#[test]
fn the_gpu_engine_sees_what_the_cpu_engine_sees() {
    let gpu = gpu();
    let mut ours = engine_on(OpenDevice { device: gpu.device.clone(), info: gpu.info.clone() });
    let mut theirs = on_cpu();
    let values = |picture: &Picture| picture.host_values.clone();
    for view in all_views() {
        let (a, b) =
            (block_on(ours.view(CAT, &view)).expect("shows"), block_on(theirs.view(CAT, &view)).expect("shows"));
        assert_eq!(a.summary.grid, b.summary.grid);
        // Components that hold nearly equal shares may turn into each other; all else is the same to 1e-4.
        let tolerance = if view == View::Pca { 0.05 * (b.summary.max - b.summary.min) } else { 1e-4 };
        assert_close(&format!("{view:?}"), &values(&a), &values(&b), tolerance, 1e-3);
    }
    let (a, b) =
        (block_on(ours.embed(CAT, false)).expect("embeds"), block_on(theirs.embed(CAT, false)).expect("embeds"));
    assert_close("embedding", &a.cls, &b.cls, 1e-4, 1e-3);
    let before = a.cls;
    ours.set_kernels(Kernels::Reference);
    let reference = block_on(ours.embed(CAT, false)).expect("embeds");
    ours.set_kernels(Kernels::Wgsl);
    assert_close("by references", &reference.cls, &before, 1e-4, 1e-3);
    assert!(block_on(ours.start(PROTOCOL)).expect("checks").replaced().is_empty());
}

#[test]
fn neighbours_are_the_embedded_others() {
    let mut engine = on_cpu();
    assert!(block_on(engine.nearest(CAT, 5)).expect("answers").is_empty(), "nothing else is embedded yet");
    let twin = ImageId(7);
    engine.add_image(twin, "twin.png", png(90, 70, 1)).expect("decodes");
    for image in [DOG, twin] {
        block_on(engine.embed(image, false)).expect("embeds");
    }
    let nearest = block_on(engine.nearest(CAT, 5)).expect("answers");
    assert_eq!(nearest.iter().map(|(image, _)| *image).collect::<Vec<_>>(), [twin, DOG]);
    assert!((nearest[0].1 - 1.0).abs() < 1e-6 && nearest[1].1 < nearest[0].1, "{nearest:?}");
    assert_eq!(block_on(engine.nearest(CAT, 1)).expect("answers").len(), 1);
    engine.remove_image(twin).expect("is there");
    assert_eq!(block_on(engine.nearest(CAT, 5)).expect("answers").len(), 1);
}

#[test]
fn more_images_than_fit_are_computed_again() {
    let mut engine = on_cpu();
    let first = block_on(engine.view(CAT, &View::Pca)).expect("shows").host_values;
    for number in 10..18 {
        engine.add_image(ImageId(number), "more.png", png(40, 40, number)).expect("decodes");
        block_on(engine.view(ImageId(number), &View::Pca)).expect("shows");
    }
    let again = block_on(engine.view(CAT, &View::Pca)).expect("shows").host_values;
    assert_eq!(first, again);
}

#[test]
fn parity_runs_in_the_engine_and_leaves_the_model() {
    let mut engine = on_cpu();
    let mut files = model_files();
    files.push(golden_file("models/dinov2-mlp/io.safetensors"));
    let report = block_on(engine.parity(files, 1e-4, 1e-4, &mut |_, _, _| {})).expect("compares");
    assert!(report.passed(), "{report:#?}");
    let error = block_on(engine.parity(model_files(), 1e-4, 1e-4, &mut |_, _, _| {})).expect_err("nothing to compare");
    assert!(error.to_string().contains("io.safetensors"), "{error}");
    assert_eq!(engine.model().expect("stays").config().depth, 3);
}

#[test]
fn the_built_in_model_says_that_it_is_untrained() {
    let mut engine = Engine::new(device::cpu(), ticks);
    let info = block_on(engine.load_built_in()).expect("loads");
    assert!(info.untrained);
    engine.add_image(CAT, "cat.png", png(90, 70, 1)).expect("decodes");
    let embedded = block_on(engine.embed(CAT, false)).expect("embeds");
    assert_eq!((embedded.dim, embedded.grid), (info.embed_dim, [16, 16]));
    assert!(embedded.cls.iter().all(|value| value.is_finite()));
}

#[test]
fn what_cannot_be_done_is_said_in_a_sentence() {
    let mut engine = Engine::new(device::cpu(), ticks);
    let check = |result: Result<(), Error>, words: &str| {
        let error = result.expect_err(words).to_string();
        assert!(error.contains(words), "{words}: {error}");
    };
    check(block_on(engine.start(PROTOCOL + 1)).map(|_| ()), "reload the page");
    assert!(block_on(engine.start(PROTOCOL)).expect("the CPU has nothing to check").kernels.is_empty());
    check(block_on(engine.embed(CAT, false)).map(|_| ()), "no model is loaded");
    check(engine.add_image(CAT, "notes.txt", b"dear diary".to_vec()).map(|_| ()), "notes.txt");
    check(engine.remove_image(CAT), "no image 1");

    let mut engine = on_cpu();
    check(block_on(engine.embed(ImageId(9), false)).map(|_| ()), "no image 9");
    let attention = |layer, head, query| View::Attention { layer, head, query };
    check(block_on(engine.view(CAT, &attention(99, None, Query::Cls))).map(|_| ()), "no layer 99");
    check(block_on(engine.view(CAT, &attention(0, Some(99), Query::Cls))).map(|_| ()), "no head 99");
    let far = Query::Patch { index: 9_999 };
    check(block_on(engine.view(CAT, &attention(0, None, far))).map(|_| ()), "no patch 9999");
    let similarity = View::Similarity { from: ImageId(9), patch: 0 };
    check(block_on(engine.view(CAT, &similarity)).map(|_| ()), "no image 9");
    let similarity = View::Similarity { from: CAT, patch: 9_999 };
    check(block_on(engine.view(CAT, &similarity)).map(|_| ()), "no patch 9999");

    // A folder without a model takes nothing away.
    let nothing: Vec<Box<dyn ReadAt>> = vec![Box::new(MemoryFile::new("readme.md", b"hello".to_vec()))];
    check(block_on(engine.load_model("", nothing, &mut |_, _, _| {})).map(|_| ()), "readme.md");
    assert!(engine.model().is_some());
    let progress = std::cell::Cell::new((0, 0));
    block_on(engine.load_model("mine", model_files(), &mut |done, total, _| progress.set((done, total))))
        .expect("loads");
    let info = engine.model().expect("loaded").info().clone();
    assert_eq!(info.name, "mine");
    let other =
        ["config.json", "model.safetensors"].map(|name| golden_file(&format!("models/dinov2-registers/{name}")));
    let other = block_on(engine.load_model("", other.into(), &mut |_, _, _| {})).expect("loads");
    assert!(info.fingerprint.len() == 16 && info.fingerprint != other.fingerprint, "{info:?} {other:?}");
    let again = block_on(engine.load_model("", model_files(), &mut |_, _, _| {})).expect("loads");
    assert_eq!(again.fingerprint, info.fingerprint);
    assert!(progress.get().0 > 0 && progress.get().0 == progress.get().1, "{progress:?}");
    assert!(matches!(Error::from(EngineError::NoModel), Error::Engine(_)));
}
