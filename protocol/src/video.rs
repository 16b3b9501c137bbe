//! The room Video: frames of a webcam or a clip, coloured by their components in a basis that stays, and one thing that
//! is followed by its features.

use serde::{Deserialize, Serialize};

use crate::CanvasId;

/// What the page can ask in the room Video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "video")]
pub enum VideoCommand {
    /// The next frame. Attachments: one `ImageBitmap`. Answer: [`VideoEvent::Frame`].
    Frame {
        /// Where it is drawn as the model receives it.
        input: Option<CanvasId>,
        /// Where its components are drawn.
        components: Option<CanvasId>,
        /// Where its likeness to the thing that is followed is drawn.
        likeness: Option<CanvasId>,
        /// Width and height of all in pixels.
        size: [u32; 2],
    },
    /// Follow what lies on a patch of the last frame. Answer: [`VideoEvent::Following`].
    Follow {
        /// The patch, row by row.
        patch: u32,
    },
    /// Follow nothing. Answer: [`VideoEvent::Following`].
    Release,
    /// Take the components' basis from the next frame. Answer: [`VideoEvent::Following`].
    Refit,
    /// Take the components' basis from this frame, which is neither drawn nor followed in. Attachments: one `ImageBitmap`.
    /// Answer: [`VideoEvent::Following`].
    Fit,
}

/// What the engine says in the room Video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "video")]
pub enum VideoEvent {
    /// A frame was seen and drawn.
    Frame {
        /// Patch rows and columns.
        grid: [usize; 2],
        /// From pixels to pictures, in milliseconds.
        millis: f64,
        /// The share of this frame's variance that the three components of the basis hold.
        explained: f32,
        /// Where the thing is.
        followed: Option<Followed>,
    },
    /// What is followed from now on.
    Following {
        /// Whether anything is.
        on: bool,
    },
}

/// A thing that is followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Followed {
    /// The patch in its middle; where it was last while it is lost.
    pub patch: u32,
    /// Mean cosine of the nine patches there with those that are looked for, without what all patches share.
    pub score: f32,
    /// Most likely out of sight.
    pub lost: bool,
    /// Patches that belong to it, by label propagation.
    pub region: Vec<u32>,
    /// Smallest and largest likeness in the frame.
    pub range: [f32; 2],
}
