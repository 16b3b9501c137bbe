//! What the engine is asked to draw, whichever room asks.

use lab_protocol::{CanvasId, Command, ImageId, MaskCommand, MaskView, PatchMask, SeeCommand, Slot, View};

/// A picture of an image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Paint {
    /// What a model sees.
    View {
        /// Which model.
        slot: Slot,
        /// What of it.
        view: View,
    },
    /// What a masked autoencoder makes of a part of it.
    Mask {
        /// What is hidden.
        hidden: PatchMask,
        /// What to show of the result.
        what: MaskView,
    },
}

impl Paint {
    /// A view of the main model.
    pub(crate) fn main(view: View) -> Self {
        Self::View { slot: Slot::Main, view }
    }

    /// The other image that it needs: the one whose patch is looked for.
    pub(crate) fn from(&self) -> Option<ImageId> {
        match self {
            Self::View { view: View::Similarity { from, .. }, .. } => Some(*from),
            _ => None,
        }
    }

    /// The command that draws it.
    pub(crate) fn command(self, canvas: CanvasId, image: ImageId, size: [u32; 2]) -> Command {
        match self {
            Self::View { slot: Slot::Main, view } => Command::Show { canvas, image, view, size },
            Self::View { slot, view } => Command::See(SeeCommand::Show { slot, canvas, image, view, size }),
            Self::Mask { hidden, what } => Command::Mask(MaskCommand::Show { canvas, image, hidden, what, size }),
        }
    }
}
