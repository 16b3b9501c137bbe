//! What the room Learn says: six tours, each a few steps of text that set the real rooms.

use super::number;
use crate::rooms::learn::{Equation, Measure, Views};

/// The room's name in the navigation.
pub(crate) const ROOM: &str = "Learn";
/// What one does here, in a sentence.
pub(crate) const LEAD: &str =
    "Six tours through what a self-supervised vision transformer does. The pictures are live: touch them.";

pub(crate) const TOURS_LABEL: &str = "Tours";
pub(crate) const NEXT: &str = "Next";
pub(crate) const BACK: &str = "Back";
pub(crate) const AGAIN: &str = "From the start";
pub(crate) const OPEN_THERE: &str = "Open in its room";

/// A tour.
pub(crate) struct Tour {
    /// Its word in a link.
    pub(crate) id: &'static str,
    /// Its name.
    pub(crate) title: &'static str,
    /// Its steps.
    pub(crate) steps: &'static [Step],
}

/// A step of a tour.
pub(crate) struct Step {
    /// Its heading.
    pub(crate) title: &'static str,
    /// Its paragraphs.
    pub(crate) text: &'static [&'static str],
    /// What a trained model would show, said while the one at work has learned nothing; empty where that is no matter.
    pub(crate) learned: &'static str,
    /// The state that it sets, as a link.
    pub(crate) state: &'static str,
    /// What stands beside it.
    pub(crate) stage: Views,
    /// A formula with the numbers of the moment.
    pub(crate) formula: Option<Equation>,
    /// Further links: address and words.
    pub(crate) links: &'static [(&'static str, &'static str)],
}

/// The tours, in the order in which they build on each other.
pub(crate) const TOURS: [Tour; 6] = [
    Tour {
        id: "tokens",
        title: "What a patch token is",
        steps: &[
            Step {
                title: "A picture becomes a sequence",
                text: &[
                    "A vision transformer cuts the picture into squares, the patches, and turns each into a list of numbers: a token.",
                    "The white lines are the cuts. Choose a patch with the pointer or the arrow keys; the frame shows which token you hold.",
                ],
                learned: "",
                state: "room=see&sample=ginger-cat&patch=119",
                stage: Views::Patches,
                formula: Some(Equation::Patches),
                links: &[],
            },
            Step {
                title: "Tokens are directions",
                text: &[
                    "A token has far more numbers than an eye can read. Its three strongest directions over the picture, drawn as colours, give a first impression: patches of one colour have like tokens.",
                    "With random weights the colours follow brightness and place. A trained model colours things: a cat, its ears, the ground.",
                ],
                learned: "",
                state: "room=see&sample=reef&patch=119",
                stage: Views::Patches,
                formula: None,
                links: &[("#room=see&sample=reef&basis=shared&foreground=0.5", "One basis for all pictures")],
            },
            Step {
                title: "Alike means close",
                text: &[
                    "How alike two tokens are is the cosine of the angle between them: 1 for the same direction, 0 for unrelated ones.",
                    "The map shows the cosine of every patch with the one you chose; below, the same patch is looked for in the other pictures.",
                ],
                learned: "Alike in colour and place is all that it knows; a trained one lights up the other apples and leaves the ground dark.",
                state: "room=see&sample=apples&patch=147",
                stage: Views::Similarity,
                formula: Some(Equation::Cosine),
                links: &[],
            },
        ],
    },
    Tour {
        id: "attention",
        title: "Attention",
        steps: &[
            Step {
                title: "Where a token looks",
                text: &[
                    "In each block a token asks a question, its query; every token offers a key. Where they fit, the token looks, and mixes in what stands there.",
                    "The map shows how much the class token, which stands for the whole picture, takes from each patch.",
                ],
                learned: "Where it looks is chance. After DINO's training the class token looks at the thing in the picture.",
                state: "room=see&sample=grey-cat&layer=3",
                stage: Views::Attention,
                formula: Some(Equation::Attention),
                links: &[],
            },
            Step {
                title: "A patch asks",
                text: &[
                    "Any token may ask. Now it is the patch that you chose: move it, and its map follows.",
                    "In early blocks a patch often looks at its neighbours, in late ones at whatever belongs to it.",
                ],
                learned: "Here a patch looks at what chance made like it; after training at what belongs to it.",
                state: "room=see&sample=grey-cat&layer=0&query=patch&patch=119",
                stage: Views::Attention,
                formula: Some(Equation::Attention),
                links: &[],
            },
            Step {
                title: "Many heads",
                text: &[
                    "A block asks several questions at once, one a head, each in a part of the token of its own.",
                    "Here are all of them, each by its own scale. In a trained DINO some heads find the thing, others its edge or the ground.",
                ],
                learned: "These heads differ by chance alone; only training gives each a task.",
                state: "room=see&sample=grey-cat&layer=2&map=heads",
                stage: Views::Attention,
                formula: None,
                links: &[],
            },
            Step {
                title: "Through all blocks",
                text: &[
                    "After the first block a token is already a mixture. To know what of the picture reaches the last one, the blocks must be multiplied; half of each is the path that passes by the attention.",
                    "That product is the attention rollout of Abnar and Zuidema.",
                ],
                learned: "The product of chance is nearly flat; after training it gathers on the thing.",
                state: "room=see&sample=grey-cat&map=rollout",
                stage: Views::Attention,
                formula: Some(Equation::Rollout),
                links: &[],
            },
        ],
    },
    Tour {
        id: "mae",
        title: "Learning by filling in: MAE",
        steps: &[
            Step {
                title: "Most of it is hidden",
                text: &[
                    "A masked autoencoder sees a quarter of the patches and has to paint the rest. No label is needed: the picture itself is the answer.",
                    "Draw on the first picture to hide patches or to show them; the others follow.",
                ],
                learned: "",
                state: "room=mask&sample=lemons",
                stage: Views::Mask,
                formula: Some(Equation::Reconstruction),
                links: &[],
            },
            Step {
                title: "Why so much",
                text: &[
                    "Patches are redundant: with few hidden, copying the neighbours is enough. At three quarters the model has to know what things look like.",
                    "Move the ratio, and watch the error of the hidden patches.",
                ],
                learned: "",
                state: "room=mask&sample=lemons&ratio=25",
                stage: Views::Mask,
                formula: Some(Equation::Reconstruction),
                links: &[],
            },
            Step {
                title: "Blocks are harder",
                text: &[
                    "Single patches have neighbours to lean on; a block has none. The same ratio, drawn as blocks, costs more.",
                    "The error is measured on hidden patches only, and with norm_pix_loss on patches freed of their own brightness and contrast.",
                ],
                learned: "",
                state: "room=mask&sample=lemons&kind=block&ratio=50",
                stage: Views::Mask,
                formula: Some(Equation::Reconstruction),
                links: &[("#room=train", "Train one in the room Train")],
            },
        ],
    },
    Tour {
        id: "dino",
        title: "DINO, and why it does not collapse",
        steps: &[
            Step {
                title: "A teacher that nobody taught",
                text: &[
                    "DINO shows two crops of one picture to two networks. The student has to give the answer that the teacher gives; the teacher is the running mean of earlier students.",
                    "There is an easy way out: give the same answer to everything. That is collapse, and two small steps on the teacher's output prevent it.",
                ],
                learned: "So nobody has taught this teacher: it tells pictures apart by colour. The arithmetic is that of a trained one, whose answers put the cats together.",
                state: "room=see&sample=harbour",
                stage: Views::Teacher,
                formula: Some(Equation::Teacher),
                links: &[],
            },
            Step {
                title: "Sharpening",
                text: &[
                    "Dividing by a small temperature makes the teacher sure of itself. Push it to 1: every answer becomes the same flat one, and tells nothing.",
                    "The bars are computed: each picture's class token against those of all pictures, by the engine a moment ago.",
                ],
                learned: "What the answers say is chance; what temperature does to them is the same in training.",
                state: "room=see&sample=harbour",
                stage: Views::Teacher,
                formula: Some(Equation::Teacher),
                links: &[],
            },
            Step {
                title: "Centring",
                text: &[
                    "Sharpening alone lets one prototype win everywhere. Subtracting the mean output takes away what all pictures share, so that no prototype can be everybody's answer.",
                    "Each pulls against the other. What remains is the information that the answer holds about the picture; at zero the network has collapsed, one way or the other.",
                    "Both need a teacher that follows slowly. As the student's own copy it loses the picture too, within some tens of steps.",
                ],
                learned: "What the answers say is chance; what centring does to them is the same in training.",
                state: "room=see&sample=harbour",
                stage: Views::Teacher,
                formula: Some(Equation::Information),
                links: &[("#room=train", "Switch them off while it learns, in the room Train")],
            },
        ],
    },
    Tour {
        id: "scale",
        title: "What scale does",
        steps: &[
            Step {
                title: "Language was not the difference",
                text: &[
                    "For years CLIP, which learns from captions, was better at questions about pictures than models that learn from pictures alone. Fan and colleagues trained both on the same two billion images of the web, at five sizes.",
                    "CLIP stays where it is. Web-DINO rises with every size, and passes it.",
                ],
                learned: "",
                state: "room=see&sample=harbour",
                stage: Views::Scale(Measure::Average),
                formula: Some(Equation::Scale),
                links: &[],
            },
            Step {
                title: "Also at reading",
                text: &[
                    "The chart shows OCR and charts now: reading was thought to need language in training. CLIP is ahead, and falls; the self-supervised models, which never saw a caption, climb.",
                    "Seeing more images helps still more here: from one to eight billion seen, the seven-billion model gains 12.7 points on these tasks.",
                ],
                learned: "",
                state: "room=see&sample=harbour",
                stage: Views::Scale(Measure::Ocr),
                formula: None,
                links: &[],
            },
        ],
    },
    Tour {
        id: "search",
        title: "From features to search",
        steps: &[
            Step {
                title: "One vector for a picture",
                text: &[
                    "The class token of the last block stands for the whole picture. Two pictures are as alike as their class tokens: the list is sorted by the cosine with the one on show.",
                    "Choose another picture and the order changes. Nothing was trained for it, and nothing is uploaded.",
                ],
                learned: "It sorts by colour and layout; a trained one puts the other cat beside a cat.",
                state: "room=see&sample=apples",
                stage: Views::Search,
                formula: None,
                links: &[("#room=probe", "Search in many, in the room Probe")],
            },
            Step {
                title: "From pictures to parts",
                text: &[
                    "Patch tokens search for parts: this patch, in every other picture. Keep it, go to another picture, and it is still looked for.",
                    "With trained features this finds the eye of one cat on another, without a single label.",
                ],
                learned: "The eye that it finds here is a patch of like colour; expect no more of it.",
                state: "room=see&sample=ginger-cat&patch=101",
                stage: Views::Similarity,
                formula: Some(Equation::Cosine),
                links: &[("#room=see&sample=grey-cat&from=ginger-cat&from-patch=101", "Asked of the other cat")],
            },
            Step {
                title: "Against chance",
                text: &[
                    "How much of this is learned? Beside the first model stands a second: the same architecture with random weights. Each colours what its first component, over all pictures, takes for a thing, and leaves the ground black.",
                    "Where both agree, the architecture speaks; where they differ, the training. In the room See the second may be any model.",
                ],
                learned: "So both are drawn by chance, and what differs here is no training either. With a trained model in the first place the thing stands out.",
                state: "room=see&sample=ginger-cat&patch=101&basis=shared&foreground=0.5&compare=twin",
                stage: Views::Twin,
                formula: None,
                links: &[],
            },
        ],
    },
];

/// "step 2 of 4".
pub(crate) fn step(at: usize, count: usize) -> String {
    format!("step {at} of {count}")
}

/// The button at the end of a tour.
pub(crate) fn next_tour(title: &str) -> String {
    format!("Next tour: {title}")
}

/// That the model at work has learned nothing, and what another one would show.
pub(crate) fn untrained(name: &str, learned: &str) -> String {
    format!(
        "Untrained: {name} has random weights. {learned} Open a trained model in any other room, and this tour runs on it."
    )
}

/// What the letters of a formula stand for.
pub(crate) fn symbols(of: Equation) -> &'static str {
    match of {
        Equation::Patches => "N: how many patches. S: side of the picture, P: side of a patch, both in pixels.",
        Equation::Attention => {
            "aⱼ: how much the asking token takes from token j. q: its query, kⱼ: the key of token j, d: how many numbers \
             each of them has."
        }
        Equation::Rollout => {
            "R: what reaches each token from each patch. A: the attention of a block, the mean of its heads; I: each token \
             itself; Â: both in equal parts, from block 1 to block L."
        }
        Equation::Cosine => "s, t: the tokens of two patches. s · t: their product, ‖s‖: the length of one.",
        Equation::Reconstruction => {
            "M: the hidden patches, |M|: how many. xᵢ: the numbers of patch i, x̂ᵢ: what the decoder paints there. P: side of \
             a patch; 3P²: its numbers, three colours a pixel."
        }
        Equation::Teacher => {
            "g: the teacher's output for a picture, a number a prototype. c: the centre, the mean of g over the pictures. \
             τ: the temperature. P: the answer."
        }
        Equation::Information => {
            "H: entropy, in bits. P: the answer for a picture, P̄: the mean of all answers. The bar over H(P): the mean over \
             the pictures."
        }
        Equation::Scale => "a, b: fitted to the points of the chart, for each kind of training.",
    }
}

// Numbers of the moment.
/// What a doubling brings, by the fits to the same tables.
pub(crate) const LIVE_SCALE: &str =
    "Fitted to the points: Web-DINO gains 1.9 points a doubling (R² 0.995), Web-MAE 1.1, CLIP 0.1.";

/// Patches of the model on show.
pub(crate) fn live_patches(size: usize, patch: usize, dim: usize) -> String {
    let side = size / patch.max(1);
    format!("Here: ({size} / {patch})² = {} patches, each a token of {dim} numbers.", side * side)
}

/// The largest weight on the screen.
pub(crate) fn live_attention(head_dim: usize, most: &str) -> String {
    format!("Here d = {head_dim}, and the brightest patch gets {most}.")
}

/// What reaches the token from patches.
pub(crate) fn live_rollout(share: &str) -> String {
    format!("Here {share} of what reaches the token comes from patches, the rest from the class token itself.")
}

/// The range on the screen.
pub(crate) fn live_cosine(least: &str, most: &str) -> String {
    format!("Here the cosines go from {least} to {most}.")
}

/// The loss on the screen.
pub(crate) fn live_loss(hidden: usize, all: usize, loss: &str) -> String {
    format!("Here |M| = {hidden} of {all} patches, and L = {loss}.")
}

/// One answer's entropy.
pub(crate) fn live_teacher(entropy: &str) -> String {
    format!("Here an answer has {entropy} bits of entropy on average; none means quite sure.")
}

/// What the answer tells.
pub(crate) fn live_information(mean: &str, each: &str, told: &str) -> String {
    format!("Here I = {mean} − {each} = {told} bits.")
}

// The teacher on the stage.
pub(crate) const TEACHER_TITLE: &str = "A teacher's answers";
pub(crate) const TEACHER_EXPLAIN: &str =
    "A row a picture, a colour a prototype; the pictures themselves serve as prototypes, in the same order.";
pub(crate) const TEACHER_CAPTION: &str = "How sure the teacher is of each picture";
pub(crate) const TEMPERATURE: &str = "Temperature τ";
pub(crate) const PICTURE: &str = "picture";
pub(crate) const SAVE_ANSWERS: &str = "Save the answers, a line a picture and a column a prototype";
pub(crate) const CENTRE: &str = "Subtract the centre";

/// The largest share of an answer.
pub(crate) fn most(share: f64) -> String {
    super::percent(share as f32)
}

/// What the answers are worth.
pub(crate) fn teacher_verdict(each: f64, mean: f64, count: usize) -> String {
    if count == 0 {
        return "Waiting for the pictures to be seen…".to_owned();
    }
    let (most, told) = ((count as f64).log2(), mean - each);
    let numbers = format!("The answers tell {} of {} bits about the picture", number(told as f32), number(most as f32));
    match (told, mean) {
        (told, _) if told > 0.5 * most => format!("{numbers}: no collapse."),
        (_, mean) if mean < 0.5 * most => format!("{numbers}: one prototype answers for nearly all. Collapse."),
        _ => format!("{numbers}: they are nearly flat. Sharpen them."),
    }
}

// The chart on the stage.
pub(crate) const SCALE_TITLE: &str = "Size and questions about pictures";
pub(crate) const SCALE_MEASURE: &str = "Measure";
pub(crate) const SCALE_AVERAGE: &str = "All sixteen tasks";
pub(crate) const SCALE_OCR: &str = "OCR and charts";
pub(crate) const SCALE_VISION: &str = "Vision-centric";
pub(crate) const SCALE_X: &str = "parameters of the encoder, billions";
pub(crate) const SCALE_Y: &str = "mean score, percent";
pub(crate) const SCALE_SOURCE: &str = "Numbers: Fan et al., Scaling Language-Free Visual Representation Learning, arXiv 2504.01017, tables 6, 11 and 12. Drawn by us.";

/// The chart in a sentence.
pub(crate) fn scale_label(dino: f64, dino_large: f64, clip: f64, clip_large: f64) -> String {
    format!(
        "Mean score by size, from one to seven billion parameters: Web-DINO from {dino:.1} to {dino_large:.1}, \
         CLIP from {clip:.1} to {clip_large:.1}"
    )
}
