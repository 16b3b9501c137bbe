//! What the room Mask says.

use lab_protocol::ModelInfo;

use super::{number, percent};

/// The room's name in the navigation.
pub(crate) const ROOM: &str = "Mask";
/// What one does here, in a sentence.
pub(crate) const LEAD: &str =
    "Hide patches of a picture; a masked autoencoder sees only the rest and paints what is missing.";

pub(crate) const SEEN: &str = "What the encoder saw";
pub(crate) const SEEN_EXPLAIN: &str = "Draw on it to hide patches or to show them again.";
pub(crate) const PAINTED: &str = "Reconstruction";
pub(crate) const PREDICTED: &str = "All that the decoder paints";
pub(crate) const PAINTED_EXPLAIN: &str = "Shown patches as they are, hidden ones as the decoder paints them.";
pub(crate) const PREDICTED_EXPLAIN: &str = "Every patch by the decoder; it was never trained on those that it saw.";
pub(crate) const LOSS: &str = "Error";
pub(crate) const LOSS_EXPLAIN: &str = "Squared error of each hidden patch, against the decoder's target.";
pub(crate) const ORIGINAL: &str = "Original";
pub(crate) const ORIGINAL_EXPLAIN: &str = "The picture as the model would receive it whole.";

pub(crate) const KIND: &str = "Mask";
pub(crate) const RANDOM: &str = "Random";
pub(crate) const BLOCK: &str = "Blocks";
pub(crate) const GRID: &str = "Grid";
pub(crate) const RATIO: &str = "Hidden";
pub(crate) const BRUSH: &str = "Drawing";
pub(crate) const HIDE: &str = "hides";
pub(crate) const SHOW: &str = "shows";
pub(crate) const SEED: &str = "Seed";
pub(crate) const SEED_EXPECTED: &str = "The seed is a whole number from 0 to 4294967295";
pub(crate) const RESAMPLE: &str = "Draw another";
pub(crate) const SHOW_ALL: &str = "Show all";
pub(crate) const EVERYWHERE: &str = "Show what it paints everywhere";
pub(crate) const RECONSTRUCT_WITH: &str = "Reconstruct with";
pub(crate) const WAITING: &str = "The autoencoder is on its way…";
pub(crate) const PICKER_ROLE: &str = "mask painter";

/// What the painter is, for screen readers.
pub(crate) fn painter(place: &str, hidden: bool, count: usize, all: usize) -> String {
    let state = if hidden { "hidden" } else { "shown" };
    format!(
        "What the encoder saw: {count} of {all} patches are hidden. Arrow keys move, space hides or shows; now {place}, \
         {state}"
    )
}

/// How much is hidden.
pub(crate) fn hidden(count: usize, all: usize) -> String {
    let share = percent(count as f32 / all.max(1) as f32);
    let least = if count > 0 && count + 1 == all { " One stays: the encoder has to see something." } else { "" };
    format!("{count} of {all} patches hidden, {share}.{least}")
}

/// What an error is measured in.
fn unit(norm_pix: bool) -> &'static str {
    match norm_pix {
        true => "0 is perfect, 1 is what each patch in its own mean colour costs",
        false => "0 is perfect, about 1 is what plain grey costs",
    }
}

/// The result in numbers.
pub(crate) fn result(loss: Option<f32>, norm_pix: bool) -> String {
    match loss {
        Some(loss) => format!("Mean error over the hidden patches: {} ({}).", number(loss), unit(norm_pix)),
        None => "Nothing is hidden, so there is no error.".to_owned(),
    }
}

/// The error map's numbers.
pub(crate) fn loss_caption(max: f32, peak: &str, norm_pix: bool) -> String {
    format!("Up to {} in {peak}; {}.", number(max), unit(norm_pix))
}

/// How targets are made, and how the picture is made of them.
pub(crate) fn target(norm_pix: bool) -> &'static str {
    match norm_pix {
        true => {
            "This decoder predicts each patch normalised (norm_pix_loss); to be seen, its patches take mean and deviation \
             of the true ones, as in MAE's own pictures."
        }
        false => "This decoder predicts pixels as they are.",
    }
}

/// Who paints here, and why.
pub(crate) fn own_model(main: &str, model: &ModelInfo) -> String {
    let untrained = if model.untrained { " It has learned nothing: it paints noise, and says so." } else { "" };
    format!("The model at work, {main}, has no decoder and cannot paint; here paints {}.{untrained}", model.name)
}

/// Who paints where the main model does.
pub(crate) fn main_model(model: &ModelInfo) -> String {
    let untrained = if model.untrained { " It has learned nothing: it paints noise, and says so." } else { "" };
    format!("The model at work, {}, paints.{untrained}", model.name)
}

/// A mask that a link holds and the autoencoder cannot take.
pub(crate) fn no_mask(patches: usize) -> String {
    format!(
        "The mask in this link does not fit: it takes {patches} patches, of which one at least is shown. Another is drawn \
         from the seed instead."
    )
}

/// The label of the whole picture.
pub(crate) fn original_label(name: &str) -> String {
    format!("{name} whole, nothing hidden")
}

/// The label of a picture.
pub(crate) fn label(what: &str, count: usize, all: usize) -> String {
    format!("{what}, {count} of {all} patches hidden")
}
