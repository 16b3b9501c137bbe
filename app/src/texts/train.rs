//! The room Train.

use lab_protocol::train::{Data, Status, StepReport, Verdict};

use super::{number, percent};
use crate::rooms::train::{Difference, Method, Saved};

/// What the room is called.
pub(crate) const ROOM: &str = "Train";
/// What it is for.
pub(crate) const LEAD: &str = "A small vision transformer learns here, from pictures alone, on your machine. Let it run, or look inside one step.";

// Controls.
pub(crate) const RUN: &str = "The run";
pub(crate) const METHOD: &str = "Method";
pub(crate) const DINO: &str = "DINO";
pub(crate) const MAE: &str = "MAE";
pub(crate) const LEARNS_FROM: &str = "Learns from";
pub(crate) const DRAWN: &str = "drawn shapes";
pub(crate) const PLAY: &str = "Play";
pub(crate) const PAUSE: &str = "Pause";
pub(crate) const STEP: &str = "One step";
pub(crate) const RESET: &str = "Begin anew";
pub(crate) const PACE: &str = "Pace";
pub(crate) const SLOW: &str = "slow motion";
pub(crate) const CALM: &str = "a step a second";
pub(crate) const FULL: &str = "full speed";
pub(crate) const SETTINGS: &str = "Settings of the next run";
pub(crate) const SETTINGS_HINT: &str =
    "One section.key=value a line, as native-trainer takes them with --set. They hold from “Begin anew” on.";
pub(crate) const SETTINGS_EXAMPLE: &str = "optim.base_lr=2e-3\ntrain.seed=1";
pub(crate) const CONFIG: &str = "Every setting of this run";
pub(crate) const WAITING: &str = "The run is on its way…";
/// Where there is no run and so no verdict.
pub(crate) const NONE: &str = "There is no run yet";
pub(crate) const BEGIN_LINKED: &str = "Begin the link's run";
pub(crate) const BEGIN_CHOSEN: &str = "Begin the run you chose";
pub(crate) const GO_ON: &str = "Go on with the kept run";
/// The sign beside the room's name while another one is open.
pub(crate) const RUNS: &str = "a run goes on here";
/// The panel of the model, beside a run.
pub(crate) const OTHER_MODEL: &str = "Model of the other rooms";
pub(crate) const OTHER_MODEL_SAYS: &str =
    "Not the network in training: that one is the run's, and comes here by “Open the model in See”.";
pub(crate) const KEYS: &str = "Space plays and pauses, S makes one step.";

/// The user's own images, as a choice.
pub(crate) fn own(count: usize) -> String {
    match count {
        1 => "the image beside".to_owned(),
        _ => format!("the {count} images beside"),
    }
}

/// Where a run stands.
pub(crate) fn standing(status: &Status, report: Option<&StepReport>) -> String {
    let step = format!("Step {} of {}", status.step, status.total_steps);
    match report {
        Some(report) => format!("{step} · loss {:.3} · {:.0} ms a step", report.loss, report.millis),
        None => step,
    }
}

/// Why no run could begin, and what to do.
pub(crate) fn no_run(why: &str) -> String {
    let why = why.trim_end();
    let stop = if why.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("No run could begin: {why}{stop} Correct the settings below or the choices, then press “{RESET}”.")
}

/// What a link, or the user, asks for.
pub(crate) fn asked(asked: Method, own: bool, difference: Difference, linked: bool) -> String {
    let who = if linked { "This link asks for" } else { "You chose" };
    let data = match (difference.data, own) {
        (false, _) => "",
        (true, true) => " on the images beside",
        (true, false) => " on drawn shapes",
    };
    let more = match (difference.settings, difference.switches) {
        (true, true) => " with other settings and switches",
        (true, false) => " with other settings",
        (false, true) => " with other switches",
        (false, false) => "",
    };
    format!("{who} {}{data}{more}", method(asked))
}

/// What stands here instead, and what becomes of it.
pub(crate) fn other(asked: &str, status: &Status) -> String {
    let step = status.step;
    let method = if Method::of(status) == Method::Mae { "an MAE" } else { "a DINO" };
    let data = if matches!(status.data, Data::Own { .. }) { " on images of yours" } else { "" };
    let steps = if step == 1 { "step" } else { "steps" };
    format!(
        "{asked}; {method} run of {step} {steps}{data} is kept here. A new run takes its place; until you leave the \
         page it can be brought back, and below it can be downloaded."
    )
}

fn method(method: Method) -> &'static str {
    match method {
        Method::Dino => DINO,
        Method::Mae => MAE,
    }
}

/// What is trained on what.
pub(crate) fn about(status: &Status) -> String {
    let method = method(Method::of(status));
    let (size, patch) = (status.img_size, status.patch_size);
    let (batch, images) = (status.batch_size, status.images);
    let a_step = match batch as u64 > images {
        true => format!("{batch} images a step, each of the {images} more than once"),
        false => format!("{batch} of {images} images a step"),
    };
    format!(
        "{method}, {:.2} M parameters, crops of {size} pixels in patches of {patch}, {a_step}.",
        status.parameters as f64 / 1e6
    )
}

/// Images with which there is something to learn but the images themselves.
const ENOUGH: u64 = 256;

/// A run that learns a few images by heart.
pub(crate) fn few(status: &Status) -> Option<String> {
    let images = status.images;
    (images < ENOUGH).then(|| {
        format!(
            "{images} images are far too few: it learns them by heart, and little about others. Add some hundreds, or take \
             the drawn shapes."
        )
    })
}

/// A step that was refused.
pub(crate) fn refused(what: &str, step: u64) -> String {
    format!("Step {step} was refused: {what} is not finite. Nothing was updated; the next images are tried.")
}

/// The run went over to another engine.
pub(crate) fn goes_on(step: u64, had: u64) -> String {
    match step == had {
        true => format!("The run goes on with step {step}."),
        false => format!("The run goes on from step {step}, where it was last saved; it had reached step {had}."),
    }
}

// Keeping.
/// Why a run is not saved beside another tab's.
pub(crate) const OTHER_TAB: &str =
    "Another tab of this page keeps its run in this browser: close it, or download this run";
pub(crate) const ELSEWHERE: &str = "The run that this browser keeps is open in another tab. This tab trains a run of its own, which is not saved: \
     download it below if you want it later. Or close the other tab, and open its run here.";
pub(crate) const TAKE_OVER: &str = "Open the kept run here";
pub(crate) const STILL_ELSEWHERE: &str =
    "The run is still open in another tab: close that tab first, then press “Open the kept run here” again.";
pub(crate) const BRING_BACK: &str = "Bring it back";
pub(crate) const LET_GO: &str = "Let it go";

/// A run that was found where the browser keeps it, and how far it had come.
pub(crate) fn found(step: u64, had: Option<u64>) -> String {
    match had {
        Some(had) => format!(
            "This run goes on from step {step}, where it was last saved; it had reached step {had} when the page was left. \
             “{PLAY}” goes on."
        ),
        None => format!("This run was kept at step {step}, where it was left. “{PLAY}” goes on."),
    }
}

/// A run that gave way to the one that stands.
pub(crate) fn aside(of: Method, step: u64) -> String {
    let method = method(of);
    format!("The {method} run of {step} steps gave way to this one. Until you leave the page it can be brought back.")
}

// Health.
pub(crate) const HEALTH: &str = "Is it learning?";

/// The verdict in a word or two.
pub(crate) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Young => "Too early to tell",
        Verdict::Good => "Learning",
        Verdict::Watch => "Watch it",
        Verdict::Collapsing => "Collapsed",
        Verdict::Diverging => "Diverging",
    }
}

/// What a collapse is, and what to do about it: RankMe of the features, whether they are one as well, and whether KoLeo is
/// at work.
pub(crate) fn alarm(rank: f64, one: bool, koleo: bool) -> String {
    let features = match (one, koleo) {
        (true, _) => format!("The features behind it are nearly one as well (RankMe {rank:.1})."),
        (false, true) => {
            format!("The features behind it are still apart (RankMe {rank:.1}): KoLeo alone keeps them so.")
        }
        (false, false) => {
            format!("The features behind it are still apart (RankMe {rank:.1}), though nothing keeps them so any more.")
        }
    };
    format!(
        "Every image gets the same answer: nothing of the picture is left in the answer. {features} Switching on again what \
         is off heals it no more, since no answer tells two images apart: go back to before, or begin anew."
    )
}

/// What features know of drawn shapes.
pub(crate) fn knn(share: f64) -> String {
    format!(
        "Its features tell the eight shapes apart in {} of cases (guessing: 12.5 %); it was never told what they are.",
        percent(share as f32)
    )
}

// Sandbox.
pub(crate) const SANDBOX: &str = "Collapse sandbox";
pub(crate) const SANDBOX_HINT: &str = "Three things keep DINO from giving every image the same answer, a fourth keeps the features behind it apart. Switch one \
     off while it runs, and watch.";
pub(crate) const CENTRING: &str = "Centring";
pub(crate) const CENTRING_SAYS: &str =
    "no prototype may win always; off, few are left, from the start only one: entropy 0";
pub(crate) const SHARPENING: &str = "Sharpening";
pub(crate) const SHARPENING_SAYS: &str = "the teacher must decide; off, it says the same of all: entropy 1";
pub(crate) const EMA: &str = "EMA";
pub(crate) const EMA_SAYS: &str =
    "the teacher follows slowly; off, it is the student itself: both run in circles, and the image is lost";
pub(crate) const KOLEO: &str = "KoLeo";
pub(crate) const KOLEO_SAYS: &str =
    "features of different pictures push each other away; off, they use few directions: RankMe falls";
pub(crate) const WITHOUT_KOLEO: &str = "this run was begun without it: dino.koleo_loss_weight is 0";
pub(crate) const KEEP_MOMENT: &str = "Keep this moment";
pub(crate) const BACK: &str = "Back to before";

/// What was kept.
pub(crate) fn kept(step: Option<u64>) -> String {
    match step {
        Some(step) => format!("Kept: step {step}."),
        None => "Nothing is kept yet; the first switch keeps the moment before it.".to_owned(),
    }
}

pub(crate) const SINCE: &str = "What became of it, as means of ten steps";

/// The moment that was kept, and the last one.
pub(crate) fn since(kept: u64) -> [String; 2] {
    [format!("step {kept}"), "now".to_owned()]
}

// Looks.
pub(crate) const LOOKS: &str = "What it makes of held-out pictures";
pub(crate) const LOOKS_DINO: &str =
    "Below each picture: where the class token of the last block looks, bright where it looks most.";
pub(crate) const LOOKS_MAE: &str =
    "Below each picture: what the encoder saw, and the picture with the decoder's guess in the gaps.";
pub(crate) const PROTOTYPES: &str = "Use of the prototypes";
pub(crate) const PROTOTYPES_HINT: &str =
    "The teacher's mean answer over held-out pictures. One high bar, or all bars alike in every picture, is collapse.";

/// The alternative text of a small picture.
pub(crate) fn picture(title: &str, row: usize) -> String {
    format!("Held-out picture {}: {title}", row + 1)
}

/// Prototypes in words.
pub(crate) fn prototypes(shares: &[f32]) -> String {
    let most = shares.iter().copied().fold(0.0, f32::max);
    let used = shares.iter().filter(|&&share| share > 0.25 / shares.len() as f32).count();
    let are = if used == 1 { "is" } else { "are" };
    format!("{} prototypes; {used} of them {are} used, the busiest takes {}.", shares.len(), percent(most))
}

// Curves.
pub(crate) const CURVES: &str = "Curves";
pub(crate) const LOSS: &str = "Loss";
pub(crate) const LOSS_DINO: &str = "Cross-entropy of student and teacher. It may rise and still learn.";
pub(crate) const LOSS_MAE: &str = "Squared error of the hidden patches.";
pub(crate) const LOSS_ALL: &str = "loss";
pub(crate) const LOSS_LOCAL: &str = "of local crops";
pub(crate) const TEACHER: &str = "The teacher's answer";
pub(crate) const TEACHER_HINT: &str = "Entropy 0: one prototype takes all. Information 0: every image gets the same.";
pub(crate) const ENTROPY: &str = "entropy";
pub(crate) const INFORMATION: &str = "information";
pub(crate) const KL: &str = "KL of teacher and student";
pub(crate) const KL_HINT: &str =
    "How much the student still has to learn from the teacher; 0 where both say the same of all.";
pub(crate) const KL_SHORT: &str = "KL";
pub(crate) const RANK: &str = "RankMe";
pub(crate) const RANK_HINT: &str =
    "How many directions the features use; at 1 they are all one. The teacher's answer may collapse before they do.";
pub(crate) const RANK_SHORT: &str = "of held-out features";
pub(crate) const SHAPES: &str = "Shapes told apart";
pub(crate) const SHAPES_HINT: &str = "Nearest neighbours by features; no label was used in training.";
pub(crate) const SHAPES_SHORT: &str = "right neighbours";
pub(crate) const NORM: &str = "Gradient";
pub(crate) const NORM_HINT: &str = "Its length before clipping.";
pub(crate) const NORM_SHORT: &str = "norm";
/// What the axis of the steps is called.
pub(crate) const STEPS: &str = "step";
pub(crate) const NATS: &str = "nats";
pub(crate) const SHARE: &str = "share";
pub(crate) const SAVE_CURVES: &str = "Save all curves as CSV";
pub(crate) const SAVE_RUN: &str = "Settings and figures as JSON";

/// How files of this run are called.
pub(crate) fn file(status: &Status) -> String {
    format!("{} step {}", method(Method::of(status)), status.step)
}

// Slow motion.
pub(crate) const INSIDE: &str = "Inside one step";
/// Which step it is, and where the run stands now.
pub(crate) fn inside(step: u64, now: u64) -> String {
    match step == now {
        true => format!("Every number here is of step {step}, the last one."),
        false => {
            let since = now.saturating_sub(step);
            let steps = if since == 1 { "step" } else { "steps" };
            format!("Every number here is of step {step}; the run stands at step {now}, {since} {steps} later.")
        }
    }
}

pub(crate) const INTO_NEXT: &str = "Look into the next step";
pub(crate) const NEXT: &str = "Next";
pub(crate) const BEFORE: &str = "Back";
pub(crate) const NO_STAGES: &str = "Press “One step”, or choose slow motion, to see inside a step.";
/// The stages of a DINO step: name, formula, what happens.
pub(crate) static DINO_STAGES: [(&str, &str, &str); 7] = [
    (
        "Crops",
        "x → x₁ˢ, x₂ˢ, x₁ˡ …",
        "One picture becomes several: two global crops, which the teacher sees, and small local ones for the student alone. \
         Colours are changed or taken away, so that they do not give away which crops belong together.",
    ),
    (
        "Student and teacher",
        "z = head(ViT(x))",
        "Both turn a crop into one number a prototype. They are the same network with different weights, here on the same two crops.",
    ),
    (
        "Centre",
        "zₜ − c",
        "The mean of the teacher's past answers is taken away, so that no prototype wins for every picture.",
    ),
    (
        "Sharpen",
        "pₜ = softmax((zₜ − c) / τₜ)",
        "A cold softmax makes the teacher decide. The student's softmax is warmer.",
    ),
    (
        "Loss",
        "−Σ pₜ log pₛ",
        "Each student crop shall say what the teacher says of another crop of the same picture. A crop is never compared \
         with itself.",
    ),
    (
        "Gradient",
        "g ← g · min(1, clip / ‖g‖)",
        "The loss flows back through the student alone; too long a gradient is shortened.",
    ),
    (
        "EMA",
        "θₜ ← m θₜ + (1 − m) θₛ",
        "The teacher is not trained. It follows the student slowly, and so is a little better than it.",
    ),
];
/// The stages of an MAE step.
pub(crate) static MAE_STAGES: [(&str, &str, &str); 5] = [
    ("Image", "x → patches", "One crop, cut into patches."),
    ("Mask", "keep N (1 − r)", "Most patches are hidden at random. What is left is all that the encoder sees."),
    (
        "Visible tokens",
        "ViT(kept patches)",
        "A row a token, a column a number: the class token and the patches that were kept, after the encoder.",
    ),
    (
        "Decoder",
        "mask tokens → pixels",
        "A small decoder gets the tokens and a placeholder for every gap, and paints all patches.",
    ),
    (
        "Loss per patch",
        "mean (x̂ − x)² over hidden",
        "Only hidden patches count. Bright is where the guess is far off; shown patches are left dark.",
    ),
];
/// Bars of the outputs and of the answers, each by its sign in the formula.
pub(crate) const TEACHER_Z: &str = "teacher zₜ, ";
pub(crate) const STUDENT_Z: &str = "student zₛ, ";
pub(crate) const TEACHER_P: &str = "teacher pₜ, ";
pub(crate) const STUDENT_P: &str = "student pₛ, ";
pub(crate) const GLOBAL: [&str; 2] = ["global 1", "global 2"];
pub(crate) const CENTRE_BARS: &str = "centre c";
pub(crate) const AFTER_CENTRE: &str = "zₜ − c, global 1";
pub(crate) const TEACHER_SAYS: &str = "Teacher \\ student";
pub(crate) const NOT_COMPARED: &str = "–";
pub(crate) const PAIRS: &str = "Loss of each pair of crops";
pub(crate) const STUDENT_MOVED: &str = "student θₛ moves";
pub(crate) const TEACHER_MOVED: &str = "teacher θₜ moves";
pub(crate) const NOTHING_MOVES: &str = "Nothing moves in this step: the warm-up begins with a learning rate of 0, so the student keeps its weights, and the \
     teacher, its copy, has nothing to follow. Make another step to see both move.";

/// How many prototypes a row of bars shows.
pub(crate) fn bars(shown: usize, all: usize) -> String {
    if shown == all { format!("all {all} prototypes") } else { format!("the first {shown} of {all} prototypes") }
}

/// Bars in words.
pub(crate) fn bars_label(what: &str, values: &[f32]) -> String {
    let best = values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)));
    match best {
        Some((at, _)) => format!("{what}: from {} to {}, highest at prototype {}.", number(low), number(high), at + 1),
        None => format!("{what}: nothing."),
    }
}

/// The numbers of sharpening.
pub(crate) fn temperatures(teacher: f64, student: f64) -> String {
    format!("Temperature of the teacher τₜ = {teacher:.3}, of the student τₛ = {student:.2}.")
}

/// The loss of this step, and KoLeo's part of it.
pub(crate) fn loss_is(loss: f64, koleo: Option<f64>) -> String {
    match koleo {
        None => format!("The mean of all pairs is the loss of this step: {loss:.4}."),
        Some(koleo) => format!(
            "The mean of all pairs, {:.4}, and {koleo:.4} of KoLeo, which pushes the features of different pictures apart, is \
             the loss of this step: {loss:.4}.",
            loss - koleo
        ),
    }
}

/// A gradient's part.
pub(crate) fn gradient(part: &str, norm: f64, factor: f64) -> String {
    let clipped =
        if factor < 1.0 { format!("shortened to {}", percent(factor as f32)) } else { "not clipped".to_owned() };
    format!("{part}: ‖g‖ = {}, {clipped}", number(norm as f32))
}

/// The step of the optimiser.
pub(crate) fn student_moved(share: f64, lr: f64) -> String {
    if lr == 0.0 {
        return "The warm-up begins with a learning rate of 0: AdamW notes the gradient and moves nothing in this step."
            .to_owned();
    }
    format!("AdamW with a learning rate of {lr:.1e} moves the weights by {} of their length.", small(share))
}

/// The teacher's step.
pub(crate) fn teacher_moved(momentum: f64, moved: f64, apart: f64) -> String {
    format!(
        "m = {momentum:.4}: the teacher moves by {} of its length; student and teacher are {} apart.",
        small(moved),
        small(apart)
    )
}

/// How far one of the two moved, beside its bar.
pub(crate) fn moves(who: &str, share: f64) -> String {
    format!("{who} by {} of its length", small(share))
}

/// How the centre moved.
pub(crate) fn centre_moved(length: f64) -> String {
    format!("This batch moves the centre c by {}; the next step uses it.", number(length as f32))
}

fn small(share: f64) -> String {
    if share < 0.0005 { format!("{:.4} %", 100.0 * share) } else { format!("{:.2} %", 100.0 * share) }
}

/// What MAE hid.
pub(crate) fn hidden(hidden: usize, all: usize) -> String {
    format!("{hidden} of {all} patches are hidden.")
}

/// The encoder's tokens.
pub(crate) fn tokens(tokens: usize, dim: usize) -> String {
    format!("{tokens} tokens of {dim} numbers.")
}

/// MAE's loss of one image.
pub(crate) fn patch_loss(mean: f32, loss: f64) -> String {
    format!("This picture's mean is {mean:.4}; that of the whole batch, the loss of this step, is {loss:.4}.")
}

/// The alternative text of a picture of a step.
pub(crate) fn stage_picture(title: &str) -> String {
    format!("This step's first picture: {title}")
}

/// Patches by their loss, in words.
pub(crate) fn loss_map(worst: usize, grid: usize) -> String {
    format!("Loss of each patch; the worst is in row {}, column {}.", worst / grid + 1, worst % grid + 1)
}

// Files.
pub(crate) const FILES: &str = "Keep it, take it along";
pub(crate) const DOWNLOAD: &str = "Download the run";
pub(crate) const OPEN: &str = "Open a run…";
pub(crate) const SEE: &str = "Open the model in See";
pub(crate) const EXPORT: &str = "Download the model";
pub(crate) const KEEP: &str = "Keep this network";
pub(crate) const FORGET: &str = "Forget the saved run";
pub(crate) const FILES_HINT: &str = "A run is one safetensors file: native-trainer pretrain DATA --from FILE --out RUN goes on with it, and this page opens \
     the state.safetensors of a native run. A model is a Hugging Face folder, for native-trainer embed and transformers. A \
     network that is kept stands among the kept models: two steps of a run can be compared in See.";

/// Where the run is safe.
pub(crate) fn saved(saved: &Saved) -> String {
    match saved {
        Saved::Never => {
            "Not saved yet; it saves itself every few seconds while it runs, and after each single step.".to_owned()
        }
        Saved::Browser(step) => {
            format!(
                "Saved in this browser at step {step}, and every few seconds while it runs; a reload goes on from there."
            )
        }
        Saved::Page(step, why) => {
            format!("Kept in memory at step {step}, and lost with this page, since {}", lower(why))
        }
    }
}

fn lower(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// The name of a run's network as it stands.
pub(crate) fn network(status: &Status) -> String {
    format!("{} run, step {}", method(Method::of(status)), status.step)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn what_is_asked_is_said() {
        let all = Difference { method: false, data: true, settings: true, switches: true };
        assert_eq!(
            asked(Method::Dino, true, all, false),
            "You chose DINO on the images beside with other settings and switches"
        );
        let method = Difference { method: true, ..Difference::default() };
        assert_eq!(asked(Method::Mae, false, method, true), "This link asks for MAE");
    }

    #[test]
    fn a_refusal_ends_in_what_to_do() {
        assert!(no_run("did you mean a?").starts_with("No run could begin: did you mean a? Correct the settings"));
        assert!(no_run("it is too large").contains("too large. Correct"));
    }
}
