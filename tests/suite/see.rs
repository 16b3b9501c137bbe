//! The room See: rollout, all heads, colours that stay, two models on one image.

use std::ops::Range;
use std::path::Path;

use lab_core::device;
use lab_core::engine::{Colouring, Engine, paint};
use lab_core::kernels::attention::attention_probs;
use lab_core::models::trace::Trace;
use lab_protocol::{Foreground, ImageId, ModelSource, Palette, Query, SeeEvent, Slot, View};
use lab_tests::{SAMPLES, assert_close, golden_file, host_file, values};
use pollster::block_on;

use crate::engine::{CAT, DOG, model_files, on_cpu, png};

#[test]
fn all_heads_are_the_heads_one_by_one() {
    let mut engine = on_cpu();
    let query = Query::Patch { index: 2 };
    let all = block_on(engine.view(CAT, &View::Heads { layer: 1, query, columns: 3 })).expect("shows");
    let heads = engine.model().expect("loaded").config().num_heads;
    let n = all.summary.grid[0] * all.summary.grid[1];
    assert_eq!((all.colouring, all.summary.heads.len(), all.host_values.len()), (Colouring::Montage, heads, heads * n));
    assert_eq!(all.tiles, [heads.div_ceil(3.min(heads)), 3.min(heads)]);
    for head in 0..heads {
        let view = View::Attention { layer: 1, head: Some(head as u32), query };
        let one = block_on(engine.view(CAT, &view)).expect("shows");
        assert_close(&format!("head {head}"), &all.host_values[head * n..][..n], &one.host_values, 1e-6, 1e-6);
        let summary = &all.summary.heads[head];
        assert_eq!((summary.peak, summary.max), (one.summary.peak, one.summary.max));
        assert_eq!(all.host_ranges[2 * head..][..2], [one.summary.min, one.summary.max]);
        let tokens = (n + 1) as f32;
        assert!(summary.entropy > 0.0 && summary.entropy <= tokens.log2() + 1e-4, "{summary:?}");
    }
}

#[test]
fn rollout_of_a_model_is_the_product_of_its_blocks() {
    let mut engine = on_cpu();
    let picture = block_on(engine.view(CAT, &View::Rollout { layer: 2, query: Query::Cls })).expect("shows");
    let model = engine.model().expect("loaded");
    let (mut trace, heads) = (Trace::none().with_qkv(), model.config().num_heads);
    let output = model.forward(picture.pixels().clone(), &mut trace);
    let tokens = output.last_hidden_state.dims()[1];
    let mut row: Vec<f64> = (0..tokens).map(|token| f64::from(u8::from(token == 0))).collect();
    for block in (0..3).rev() {
        let probs = values(attention_probs(trace.qkv(block).expect("traced").clone(), heads, 0..tokens, None));
        let mean = |q: usize, k: usize| {
            (0..heads).map(|head| f64::from(probs[(head * tokens + q) * tokens + k])).sum::<f64>() / heads as f64
        };
        let mixed = |k: usize| (0..tokens).map(|q| row[q] * mean(q, k)).sum::<f64>();
        row = (0..tokens).map(|k| 0.5 * row[k] + 0.5 * mixed(k)).collect();
    }
    let n = picture.host_values.len();
    let expected: Vec<f32> = row[tokens - n..].iter().map(|&share| share as f32).collect();
    assert_close("rollout", &picture.host_values, &expected, 1e-6, 1e-5);
    assert!(picture.summary.on_patches.expect("told") < 1.0, "the class token keeps a share");
}

#[test]
fn colours_stay_from_image_to_image() {
    let mut engine = on_cpu();
    let view = View::SharedPca { foreground: None };
    let event = block_on(engine.fit(Slot::Main, &[CAT, DOG])).expect("fits");
    let SeeEvent::Fitted { images: 2, explained } = event else { panic!("{event:?}") };
    let (cat, dog) =
        (block_on(engine.view(CAT, &view)).expect("shows"), block_on(engine.view(DOG, &view)).expect("shows"));
    assert_eq!((cat.low, cat.high), (dog.low, dog.high), "one scale for all");
    assert_eq!((cat.summary.explained, cat.summary.fitted), (Some(explained), Some(2)));
    // The same picture under another name has the same colours, where its own basis would do as it likes.
    engine.add_image(ImageId(9), "again.png", png(64, 80, 5)).expect("decodes");
    let again = block_on(engine.view(ImageId(9), &view)).expect("shows");
    assert_eq!(again.host_values, dog.host_values);
    let foreground = Some(Foreground { threshold: 0.5, below: false });
    let parted = block_on(engine.view(CAT, &View::SharedPca { foreground })).expect("shows");
    let share = parted.summary.foreground.expect("told");
    let dark = parted.host_values.chunks_exact(3).filter(|patch| (0..3).all(|c| patch[c] < parted.low[c])).count();
    let n = parted.host_values.len() / 3;
    assert!((share - (n - dark) as f32 / n as f32).abs() < 1e-6, "{share} is told, {dark} of {n} are dark");
    // Nor has a background a colour, or a number, in the other palette.
    engine.set_palette(Palette::BlueYellow);
    let safe = block_on(engine.view(CAT, &View::SharedPca { foreground })).expect("shows");
    assert_eq!((safe.palette, &safe.host_values), (Palette::BlueYellow, &parted.host_values));
    let [side, rows] = [8, parted.summary.grid[0]];
    let pixels = block_on(paint::paint(&safe, (side * rows) as u32, (side * rows) as u32)).expect("paints");
    let black = |patch: usize| {
        let at = (patch / rows * side + side / 2) * side * rows + patch % rows * side + side / 2;
        pixels[4 * at..4 * at + 3] == [0, 0, 0]
    };
    assert_eq!((0..n).filter(|&patch| black(patch)).count(), dark);
    let (_, sent) = block_on(engine.numbers(Slot::Main, CAT, &View::SharedPca { foreground })).expect("sends");
    assert_eq!(sent.iter().filter(|value| value.is_nan()).count(), 3 * dark);
    // Without a fit the first image shown is it.
    let mut fresh = on_cpu();
    assert_eq!(block_on(fresh.view(CAT, &view)).expect("shows").summary.fitted, Some(1));
    assert!(block_on(fresh.fit(Slot::Main, &[])).expect_err("of nothing").to_string().contains("at least one"));
}

/// The network that a visitor meets has learned: what its first component, over all samples, takes for a thing is the cat and
/// not what lies behind it; of networks of the same sizes with random weights that is not so.
#[test]
fn the_shipped_network_parts_a_cat_from_its_ground() {
    let mut engine = Engine::new(device::cpu(), || 0.0);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../public/weights/tiny-dino");
    let names = ["config.json", "model.safetensors", "preprocessor_config.json"];
    let files = names.iter().map(|name| host_file(&folder.join(name))).collect();
    block_on(engine.load_model("tiny-dino", files, &mut |_, _, _| {})).expect("loads");
    let all: Vec<ImageId> = (0..SAMPLES.len() as u32).map(ImageId).collect();
    for (id, (name, bytes)) in all.iter().zip(SAMPLES) {
        engine.add_image(*id, name, bytes.to_vec()).expect("decodes");
    }
    let cat = all[SAMPLES.iter().position(|(name, _)| *name == "ginger-cat.jpg").expect("is there")];
    let found = |engine: &mut Engine, slot: Slot| {
        block_on(engine.fit(slot, &all)).expect("fits");
        let foreground = Some(Foreground { threshold: 0.5, below: false });
        let picture = block_on(engine.view_in(slot, cat, &View::SharedPca { foreground })).expect("shows");
        let columns = picture.summary.grid[1];
        let kept = |patch: usize| (0..3).any(|c| picture.host_values[3 * patch + c] >= picture.low[c]);
        let share = |rows: Range<usize>, of: Range<usize>| {
            let patches: Vec<usize> =
                rows.flat_map(|row| of.clone().map(move |column| row * columns + column)).collect();
            patches.iter().filter(|&&patch| kept(patch)).count() as f32 / patches.len() as f32
        };
        assert_eq!(picture.summary.grid, [16, 16]);
        // The face, of which its pupils, four patches of thirty, are left out; and the corners above it.
        [share(5..10, 5..11), (share(0..3, 0..4) + share(0..3, 12..16)) / 2.0]
    };
    let [face, ground] = found(&mut engine, Slot::Main);
    assert!(face > 0.8 && ground < 0.1, "{face} of the face, {ground} of the ground");
    for seed in 0..3 {
        block_on(engine.load_drawn(Slot::Other, &ModelSource::Twin { seed })).expect("draws").expect("no files");
        let [face, ground] = found(&mut engine, Slot::Other);
        assert!(!(face > 0.8 && ground < 0.1), "seed {seed}: {face} of the face, {ground} of the ground");
    }
}

#[test]
fn two_models_see_one_image() {
    let mut engine = on_cpu();
    let view = View::Similarity { from: CAT, patch: 3 };
    let error = block_on(engine.view_in(Slot::Other, CAT, &view)).expect_err("nothing there").to_string();
    assert!(error.contains("no second model"), "{error}");
    let main = block_on(engine.view(CAT, &view)).expect("shows");
    // The same files in the second slot see the same; a random twin of the same sizes does not.
    block_on(engine.load_into(Slot::Other, "copy", model_files(), &mut |_, _, _| {})).expect("loads");
    let copy = block_on(engine.view_in(Slot::Other, CAT, &view)).expect("shows");
    assert_close("copy", &copy.host_values, &main.host_values, 1e-6, 1e-6);
    let twin =
        block_on(engine.load_drawn(Slot::Other, &ModelSource::Twin { seed: 3 })).expect("draws").expect("no files");
    assert!(twin.untrained && twin.name.contains("twin"), "{twin:?}");
    assert_eq!(twin.parameters, engine.model().expect("stays").info().parameters);
    let twin = block_on(engine.view_in(Slot::Other, CAT, &view)).expect("shows");
    assert_eq!(twin.summary.grid, main.summary.grid);
    assert_ne!(twin.host_values, main.host_values);
    // The main model is untouched, and images that come and go do so for both.
    assert_eq!(block_on(engine.view(CAT, &view)).expect("shows").host_values, main.host_values);
    engine.add_image(ImageId(9), "late.png", png(50, 50, 7)).expect("decodes");
    assert!(block_on(engine.view_in(Slot::Other, ImageId(9), &View::Pca)).is_ok());
    engine.remove_image(ImageId(9)).expect("is there");
    assert!(block_on(engine.view_in(Slot::Other, ImageId(9), &View::Pca)).is_err());
    engine.unload(Slot::Other);
    assert!(block_on(engine.view_in(Slot::Other, CAT, &view)).is_err());
    assert!(block_on(engine.view(CAT, &view)).is_ok());
}

#[test]
fn numbers_come_plane_by_plane() {
    let mut engine = on_cpu();
    let check = |engine: &mut Engine, view: View, names: &[&str]| {
        let picture = block_on(engine.view(CAT, &view)).expect("shows");
        let (event, numbers) = block_on(engine.numbers(Slot::Main, CAT, &view)).expect("answers");
        let SeeEvent::Numbers { grid, channels } = event else { panic!("{event:?}") };
        assert_eq!(channels, names, "{view:?}");
        assert_eq!(numbers.len(), channels.len() * grid[0] * grid[1], "{view:?}");
        (picture.host_values, numbers)
    };
    let query = Query::Cls;
    let (drawn, sent) = check(&mut engine, View::Rollout { layer: 0, query }, &["rollout"]);
    assert_eq!(drawn, sent);
    let (drawn, sent) = check(&mut engine, View::Pca, &["pc1", "pc2", "pc3"]);
    let n = sent.len() / 3;
    assert_eq!((sent[0], sent[n], sent[2 * n + 1]), (drawn[0], drawn[1], drawn[5]));
    check(&mut engine, View::Input, &[]);
    let heads = engine.model().expect("loaded").config().num_heads;
    let names: Vec<String> = (0..heads).map(|head| format!("head {head}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    check(&mut engine, View::Heads { layer: 0, query, columns: 2 }, &names);
}

#[test]
fn a_slot_keeps_its_model_when_files_hold_none() {
    let mut engine = on_cpu();
    block_on(engine.load_into(Slot::Other, "copy", model_files(), &mut |_, _, _| {})).expect("loads");
    let nothing = vec![golden_file("models/dinov2-mlp/config.json")];
    assert!(block_on(engine.load_into(Slot::Other, "", nothing, &mut |_, _, _| {})).is_err());
    assert!(block_on(engine.view_in(Slot::Other, CAT, &View::Pca)).is_ok());
}
