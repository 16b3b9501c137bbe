//! What the room Probe says.

/// The room's name in the navigation.
pub(crate) const ROOM: &str = "Probe";
/// What comes, until it is here.
pub(crate) const COMING: &str =
    "Here you will make classes from a few images and test how far frozen features carry a classifier.";
