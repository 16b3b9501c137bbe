//! The room Mask: masks, reconstruction, and the way back from normalised pixels.

use lab_core::engine::{Colouring, Engine, NO_VALUE, paint};
use lab_core::host::ReadAt;
use lab_protocol::{ImageId, MaskCommand, MaskEvent, MaskKind, MaskView, ModelSource, PatchMask, Slot, View};
use lab_tests::{golden_file, values};
use pollster::block_on;

use crate::engine::{CAT, on_cpu};

fn mae_files(folder: &str) -> Vec<Box<dyn ReadAt>> {
    ["config.json", "model.safetensors"].map(|name| golden_file(&format!("models/{folder}/{name}"))).into()
}

fn with_mae(folder: &str) -> Engine {
    let mut engine = on_cpu();
    block_on(engine.load_into(Slot::Mae, folder, mae_files(folder), &mut |_, _, _| {})).expect("loads");
    engine
}

fn sample(engine: &mut Engine, kind: MaskKind, ratio: f32, seed: u32) -> (Vec<bool>, PatchMask) {
    let event = block_on(engine.mask(MaskCommand::Sample { kind, ratio, seed })).expect("draws");
    let MaskEvent::Sampled { grid, hidden } = event else { panic!("{event:?}") };
    (hidden.flags(grid[0] * grid[1]).expect("of this grid"), hidden)
}

fn reconstruct(engine: &mut Engine, hidden: &PatchMask) -> (Vec<f32>, Option<f32>, bool) {
    let command = MaskCommand::Reconstruct { image: CAT, hidden: hidden.clone() };
    let event = block_on(engine.mask(command)).expect("paints");
    let MaskEvent::Reconstructed { losses, loss, norm_pix, .. } = event else { panic!("{event:?}") };
    (losses, loss, norm_pix)
}

fn pixels(engine: &mut Engine, hidden: &PatchMask, what: MaskView) -> Vec<f32> {
    let picture = block_on(engine.mask_view(CAT, hidden, what)).expect("shows");
    assert_eq!(picture.colouring, Colouring::Pixels);
    values(picture.pixels().clone())
}

#[test]
fn masks_hide_what_was_asked_and_depend_on_their_seed() {
    let mut engine = with_mae("mae-normpix");
    for (kind, ratio) in [
        (MaskKind::Random, 0.75),
        (MaskKind::Random, 0.5),
        (MaskKind::Block, 0.5),
        (MaskKind::Grid, 0.75),
        (MaskKind::Grid, 0.5),
        (MaskKind::Grid, 0.4),
    ] {
        let (flags, mask) = sample(&mut engine, kind, ratio, 1);
        let hidden = flags.iter().filter(|hidden| **hidden).count();
        assert_eq!(hidden, flags.len() - (flags.len() as f32 * (1.0 - ratio)) as usize, "{kind:?} {ratio}");
        assert_eq!(sample(&mut engine, kind, ratio, 1).1, mask, "the same seed");
        let others = (2..12).filter(|seed| sample(&mut engine, kind, ratio, *seed).1 != mask).count();
        assert!(others > 0, "{kind:?}: every seed draws the same");
    }
    assert!(!sample(&mut engine, MaskKind::Random, 0.0, 1).0.contains(&true));
    let all_but_one = sample(&mut engine, MaskKind::Random, 1.0, 1).0;
    assert_eq!(all_but_one.iter().filter(|hidden| !**hidden).count(), 1, "the encoder sees at least one patch");
}

#[test]
fn losses_are_those_of_the_loss() {
    for folder in ["mae-normpix", "mae-rawpix"] {
        let mut engine = with_mae(folder);
        let (flags, mask) = sample(&mut engine, MaskKind::Random, 0.5, 4);
        let (losses, loss, norm_pix) = reconstruct(&mut engine, &mask);
        assert_eq!(norm_pix, folder == "mae-normpix");
        let hidden: Vec<f32> =
            losses.iter().zip(&flags).filter(|(_, hidden)| **hidden).map(|(loss, _)| *loss).collect();
        let mean = hidden.iter().sum::<f32>() / hidden.len() as f32;
        assert!((loss.expect("something is hidden") - mean).abs() < 1e-6);
        assert!(losses.iter().all(|loss| loss.is_finite() && *loss > 0.0));
    }
}

#[test]
fn only_hidden_patches_are_painted() {
    let mut engine = with_mae("mae-normpix");
    let (flags, mask) = sample(&mut engine, MaskKind::Random, 0.5, 4);
    let [original, seen, painted, predicted] =
        [MaskView::Original, MaskView::Seen, MaskView::Painted, MaskView::Predicted]
            .map(|what| pixels(&mut engine, &mask, what));
    let side = (original.len() / 3).isqrt();
    let grid = flags.len().isqrt();
    let patch = side / grid;
    for at in 0..original.len() {
        let (y, x) = (at % (side * side) / side, at % side);
        if flags[y / patch * grid + x / patch] {
            assert_eq!(painted[at], predicted[at]);
            assert_ne!(painted[at], original[at]);
        } else {
            assert_eq!((seen[at], painted[at]), (original[at], original[at]), "pixel {at} is shown");
        }
    }
}

/// What a decoder with `norm_pix_loss` says of a patch has the true patch's mean and deviation put back: where it is
/// right in normalised terms, it is right in colours.
#[test]
fn normalised_patches_find_the_way_back() {
    let mut engine = with_mae("mae-normpix");
    let (flags, mask) = sample(&mut engine, MaskKind::Random, 0.5, 4);
    let (losses, _, _) = reconstruct(&mut engine, &mask);
    let (original, predicted) =
        (pixels(&mut engine, &mask, MaskView::Original), pixels(&mut engine, &mask, MaskView::Predicted));
    let (side, grid) = ((original.len() / 3).isqrt(), flags.len().isqrt());
    let patch = side / grid;
    for (place, loss) in losses.iter().enumerate() {
        let of = |pixels: &[f32]| -> Vec<f64> {
            let rows = (0..3).flat_map(|c| (0..patch).map(move |y| (c, y)));
            rows.flat_map(|(c, y)| {
                let start = c * side * side + (place / grid * patch + y) * side + place % grid * patch;
                pixels[start..start + patch].iter().map(|&value| f64::from(value)).collect::<Vec<_>>()
            })
            .collect()
        };
        let (truth, painted) = (of(&original), of(&predicted));
        let count = truth.len() as f64;
        let mean = truth.iter().sum::<f64>() / count;
        let variance = truth.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0) + 1e-6;
        let error = truth.iter().zip(&painted).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / count / variance;
        assert!(
            (error - f64::from(*loss)).abs() < 1e-3 * (1.0 + error),
            "patch {place}: {error} in colours, {loss} told"
        );
    }
}

#[test]
fn the_heat_map_shows_hidden_patches_only() {
    let mut engine = with_mae("mae-rawpix");
    let (flags, mask) = sample(&mut engine, MaskKind::Block, 0.5, 2);
    let (losses, _, _) = reconstruct(&mut engine, &mask);
    let picture = block_on(engine.mask_view(CAT, &mask, MaskView::Loss)).expect("shows");
    for ((value, hidden), loss) in picture.host_values.iter().zip(&flags).zip(&losses) {
        assert_eq!(*value, if *hidden { *loss } else { 10.0 * NO_VALUE });
    }
    // Where nothing is hidden the picture shines through unchanged.
    let [width, height] = picture.image_size().map(|side| side as u32);
    let map = block_on(paint::paint(&picture, width, height)).expect("paints");
    let original = block_on(engine.mask_view(CAT, &mask, MaskView::Original)).expect("shows");
    let original = block_on(paint::paint(&original, width, height)).expect("paints");
    let (grid, patch) = (flags.len().isqrt(), width as usize / flags.len().isqrt());
    for (at, (a, b)) in map.chunks_exact(4).zip(original.chunks_exact(4)).enumerate() {
        let (y, x) = (at / width as usize, at % width as usize);
        if !flags[y / patch * grid + x / patch] {
            assert_eq!(a, b, "pixel {x}, {y}");
        }
    }
}

#[test]
fn the_main_model_is_used_where_it_has_a_decoder() {
    let mut engine = on_cpu();
    let none = MaskCommand::Sample { kind: MaskKind::Random, ratio: 0.5, seed: 1 };
    let error = block_on(engine.mask(none.clone())).expect_err("no decoder").to_string();
    assert!(error.contains("no decoder") && error.contains("ViTMAEForPreTraining"), "{error}");
    let info = block_on(engine.load_drawn(Slot::Mae, &ModelSource::UntrainedMae)).expect("draws").expect("no files");
    assert!(info.untrained && info.decoder.as_ref().is_some_and(|decoder| decoder.grid == [8, 8] && decoder.norm_pix));
    assert_eq!(sample(&mut engine, MaskKind::Random, 0.5, 1).0.len(), 64);
    // A main model with a decoder of another grid takes over, and the views of the room See go on.
    let main = block_on(engine.load_model("mae", mae_files("mae-rawpix"), &mut |_, _, _| {})).expect("loads");
    let grid = main.decoder.expect("has one").grid;
    assert_eq!(sample(&mut engine, MaskKind::Random, 0.5, 1).0.len(), grid[0] * grid[1]);
    assert!(block_on(engine.view(CAT, &View::Pca)).is_ok());
}

#[test]
fn what_cannot_be_reconstructed_is_said_in_a_sentence() {
    let mut engine = with_mae("mae-normpix");
    let (flags, _) = sample(&mut engine, MaskKind::Random, 0.5, 1);
    let ask = |engine: &mut Engine, image: ImageId, hidden: PatchMask| {
        block_on(engine.mask(MaskCommand::Reconstruct { image, hidden })).expect_err("cannot").to_string()
    };
    let all = PatchMask::new(&vec![true; flags.len()]);
    assert!(ask(&mut engine, CAT, all).contains("show at least one"));
    let short = PatchMask::new(&[true, false]);
    assert!(ask(&mut engine, CAT, short).contains("does not fit"));
    let fine = PatchMask::new(&flags);
    assert!(ask(&mut engine, ImageId(77), fine).contains("no image 77"));
    // Nothing hidden: no loss, and the picture as it was.
    let nothing = PatchMask::new(&vec![false; flags.len()]);
    assert_eq!(reconstruct(&mut engine, &nothing).1, None);
    assert_eq!(pixels(&mut engine, &nothing, MaskView::Painted), pixels(&mut engine, &nothing, MaskView::Original));
}
