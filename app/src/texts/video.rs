//! What the room Video says.

/// The room's name in the navigation.
pub(crate) const ROOM: &str = "Video";
/// What comes, until it is here.
pub(crate) const COMING: &str =
    "Here the features of a webcam or a clip will be coloured live, and a clicked thing followed through it.";
