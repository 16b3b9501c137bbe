//! What the room Video says.

/// The room's name in the navigation.
pub(crate) const ROOM: &str = "Video";
pub(crate) const LEAD: &str = "Frames coloured by their patches' components, in one basis so that colours keep their \
                               meaning. Click a thing and it is followed by its features alone.";

pub(crate) const SOURCE: &str = "Where frames come from";
pub(crate) const MOVING: &str = "Frame by frame";
pub(crate) const FOLLOWING: &str = "What is followed, and colours";
pub(crate) const PAN: &str = "Picture on show";
pub(crate) const CAMERA: &str = "Camera";
pub(crate) const CLIP: &str = "Open a clip…";
pub(crate) const PAUSE: &str = "Pause";
pub(crate) const PLAY: &str = "Play";
pub(crate) const STEP: &str = "One frame";
pub(crate) const REFIT: &str = "Fit colours anew";
pub(crate) const RELEASE: &str = "Follow nothing";
pub(crate) const SAVE: &str = "Save the three pictures as PNG";
pub(crate) const SAVE_TRACK: &str = "Save where the followed thing was, frame by frame";
/// Columns of that file.
pub(crate) const TRACK: [&str; 6] = ["frame", "row", "column", "likeness", "patches", "out of sight"];

// Links.
pub(crate) const MISSING_COLOURS: &str = "the frame that the colours were fitted to";
pub(crate) const MISSING_WAY: &str = "how the followed thing looked before this frame";
pub(crate) const NO_COLOURS: &str = "The colours of this link were fitted to a picture that is not here: they are fitted \
                                     to the frame on show instead.";
pub(crate) const MISSING_CAMERA: &str = "what the camera sees";
pub(crate) const MISSING_CLIP: &str = "your clip";

pub(crate) const INPUT: &str = "As the model sees it";
pub(crate) const INPUT_EXPLAIN: &str = "Click or tap a thing, or choose a patch with the arrow keys and press Enter.";
pub(crate) const COMPONENTS: &str = "Components";
pub(crate) const COMPONENTS_EXPLAIN: &str = "By the basis of one frame: patches of like colour have like tokens.";
pub(crate) const LIKENESS: &str = "Likeness";
pub(crate) const LIKENESS_EXPLAIN: &str = "How like every place is to what was clicked: mean cosine of the three by three patches there, without what all patches \
     share.";
pub(crate) const NOTHING: &str = "Nothing is followed yet.";
pub(crate) const ROLE: &str = "patch picker";

/// The picker's words for screen readers.
pub(crate) fn picker(place: &str) -> String {
    format!("The frame as the model receives it. Arrow keys choose a patch, Enter follows it; now {place}")
}

/// Speed, and what the basis still explains.
pub(crate) fn speed(rate: Option<f64>, millis: f64, explained: f32) -> String {
    let speed = match rate {
        Some(rate) => format!("{rate:.1} frames a second, {millis:.0} ms each."),
        None => format!("{millis:.0} ms for this frame."),
    };
    format!("{speed} The basis holds {:.0} % of this frame's variance.", 100.0 * explained)
}

/// Where the thing is.
pub(crate) fn followed(place: &str, score: f32, patches: usize, lost: bool) -> String {
    match lost {
        true => format!(
            "Lost: the most alike place near {place} has likeness {score:.2}. It is looked for further and further out."
        ),
        false => format!("Followed: {place}, likeness {score:.2}, {patches} patches belong to it."),
    }
}

/// A clip that the browser cannot play.
pub(crate) fn no_clip(name: &str) -> String {
    format!("This browser cannot play {name}: its format or codec is unknown here. Convert it to MP4 (H.264) or WebM.")
}

/// A picture that only the engine can decode.
pub(crate) fn no_pan(name: &str) -> String {
    format!(
        "This browser cannot draw {name} itself, as is usual for TIFF, so no window moves over it here: choose another \
         picture, or convert it to PNG. The other rooms show it."
    )
}

/// A frame could not be read.
pub(crate) fn no_frame(reason: &str) -> String {
    format!("A frame could not be read ({reason}): pause and play again, or choose another source.")
}
