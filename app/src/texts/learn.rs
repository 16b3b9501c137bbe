//! What the room Learn says.

/// The room's name in the navigation.
pub(crate) const ROOM: &str = "Learn";
/// What comes, until it is here.
pub(crate) const COMING: &str =
    "Here guided tours will explain patch tokens, attention, MAE and DINO with the views themselves.";
