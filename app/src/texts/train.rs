//! What the room Train says.

/// The room's name in the navigation.
pub(crate) const ROOM: &str = "Train";
/// What comes, until it is here.
pub(crate) const COMING: &str =
    "Here DINO and MAE will train in the page on your own images, step by step, and collapse when you ask them to.";
