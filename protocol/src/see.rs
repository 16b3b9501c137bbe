//! The room See: a second model beside the first, a basis for colours, and the numbers behind a picture.

use serde::{Deserialize, Serialize};

use crate::{CanvasId, ImageId, ModelSource, Palette, Slot, View};

/// What the page can ask in the room See.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "see")]
pub enum SeeCommand {
    /// Load a model into a slot. Attachments: for [`ModelSource::Files`] the `File`s.
    /// Answer: [`Event::ModelLoaded`](crate::Event::ModelLoaded).
    Load {
        /// Where to.
        slot: Slot,
        /// Where it comes from.
        source: ModelSource,
    },
    /// Forget the model in a slot. Answer: [`Event::Done`](crate::Event::Done).
    Unload {
        /// Which.
        slot: Slot,
    },
    /// Draw a view as the model in a slot sees it. Answer: [`Event::Shown`](crate::Event::Shown).
    Show {
        /// Whose view.
        slot: Slot,
        /// Where.
        canvas: CanvasId,
        /// Of which image.
        image: ImageId,
        /// What.
        view: View,
        /// Width and height of the canvas in device pixels.
        size: [u32; 2],
    },
    /// Fit the basis of [`View::SharedPca`] anew. Answer: [`SeeEvent::Fitted`].
    Fit {
        /// Whose tokens.
        slot: Slot,
        /// On these images; the first few, where there are many.
        images: Vec<ImageId>,
    },
    /// Draw components in another palette from now on, in the room Video too; what is on canvases stays. Answer:
    /// [`Event::Done`](crate::Event::Done).
    Colour {
        /// Which.
        palette: Palette,
    },
    /// Send home what a view draws. Answer: [`SeeEvent::Numbers`].
    Numbers {
        /// Whose view.
        slot: Slot,
        /// Of which image.
        image: ImageId,
        /// What.
        view: View,
    },
}

/// What the engine says in the room See.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "see")]
pub enum SeeEvent {
    /// The basis is fitted.
    Fitted {
        /// On how many images.
        images: u32,
        /// The share of their variance that each component holds.
        explained: [f32; 3],
    },
    /// The numbers behind a view. Attachments: an `ArrayBuffer` of `f32`, `[channels, rows, columns]`; NaN where there is
    /// none.
    Numbers {
        /// Patch rows and columns.
        grid: [usize; 2],
        /// What each channel is: "attention", "head 3", "pc1".
        channels: Vec<String>,
    },
}
