//! What the room Mask says.

/// The room's name in the navigation.
pub(crate) const ROOM: &str = "Mask";
/// What comes, until it is here.
pub(crate) const COMING: &str =
    "Here patches of a picture will be hidden by hand, and a masked autoencoder paints them while you watch.";
