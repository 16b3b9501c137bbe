//! What the room Probe says.

use lab_protocol::{ProbeFeatures, ProbeReport};

/// The room's name in the navigation.
pub(crate) const ROOM: &str = "Probe";
pub(crate) const LEAD: &str = "Give each class a few pictures. The features stay as the model made them; only a small \
                               classifier on top learns, at once, and is tested on pictures it had not seen.";

// Classes.
pub(crate) const CLASSES: &str = "Classes";
pub(crate) const NAME: &str = "Name of the class";
pub(crate) const NAME_EXPECTED: &str = "A class has a name, and a name one class";
pub(crate) const ADD_CLASS: &str = "Add a class";
pub(crate) const REMOVE_CLASS: &str = "Remove this class";
pub(crate) const ADD: &str = "Add pictures…";
pub(crate) const ADD_SHOWN: &str = "Add the one on show";
pub(crate) const HOLD: &str = "Hold to record";
pub(crate) const HOLDING: &str = "Recording…";
pub(crate) const CAMERA_ON: &str = "Switch the camera on";
pub(crate) const CAMERA_OFF: &str = "Switch it off";
pub(crate) const CAMERA_LABEL: &str = "What the camera sees";
pub(crate) const CLEAR: &str = "Start empty";
pub(crate) const BRING_BACK: &str = "Bring the classes back";
pub(crate) const EXAMPLE: &str = "Load the example";
pub(crate) const SAVE_PROJECT: &str = "Save classes…";
pub(crate) const SAVE_PROJECT_MEANS: &str =
    "One file with the classes and their pictures; nothing of it outlives this page otherwise";
pub(crate) const OPEN_PROJECT: &str = "Open classes…";
/// The name of such a file.
pub(crate) const PROJECT: &str = "classes.lab";

/// A file that holds no classes.
pub(crate) fn no_project(name: &str) -> String {
    format!("{name} holds no classes, or ends early: open a file that “{SAVE_PROJECT}” has saved.")
}

/// How many pictures a class has.
pub(crate) fn count(count: usize) -> String {
    if count == 1 { "1 picture".to_owned() } else { format!("{count} pictures") }
}

/// The button that removes a class.
pub(crate) fn remove_class(name: &str) -> String {
    format!("Remove the class {name}")
}

// Links.
pub(crate) const MISSING_CLASSES: &str = "your own pictures in the classes";
pub(crate) const MISSING_PROBE: &str = "the probe that you opened";
pub(crate) const MISSING_ASKED: &str = "the pictures that you asked about";
pub(crate) const OWN_STAY: &str = "This link names other classes. Yours hold pictures that no link can bring back and \
                                   stay: press “Start empty” and open the link again if you want its classes.";

/// A new class.
pub(crate) fn class(number: usize) -> String {
    format!("Class {number}")
}

// Settings.
pub(crate) const SETTINGS: &str = "How it learns";
pub(crate) const FEATURES: &str = "Features";
pub(crate) const K: &str = "k, the neighbours that vote";
pub(crate) const C: &str = "C, how far the linear classifier trusts the pictures";
pub(crate) const K_EXPECTED: &str = "k is a whole number from 1 to 1000";
pub(crate) const C_EXPECTED: &str = "C is a number above 0";
pub(crate) const STANDARDISE: &str = "Standardise each dimension";

/// What is taken of an image.
pub(crate) fn features(which: ProbeFeatures) -> &'static str {
    match which {
        ProbeFeatures::Cls => "class token",
        ProbeFeatures::Mean => "mean of patches",
        ProbeFeatures::Both => "both",
    }
}

// Results.
pub(crate) const RESULT: &str = "How good it is";
pub(crate) const METHOD: &str = "Classifier";
pub(crate) const LINEAR: &str = "Linear";
pub(crate) const KNN: &str = "k-NN";
pub(crate) const WAITING: &str = "At least two classes with two pictures each are needed.";
pub(crate) const LEARNING: &str = "Learning…";
pub(crate) const TABLE: &str = "Each class: how often it is named rightly, and found";
pub(crate) const COLUMNS: [&str; 5] = ["Class", "Pictures", "Precision", "Recall", "F1"];
pub(crate) const CONFUSION: &str = "What was taken for what: rows are the true class, columns the answer";
pub(crate) const MARGINS: &str = "The hardest pictures first";
pub(crate) const MARGINS_HINT: &str =
    "Margin: the probability of the true class less that of the strongest other. Below zero it was mistaken.";
pub(crate) const EXPORT: &str = "Save the probe";
pub(crate) const EXPORT_JSON: &str = "Report as JSON";
pub(crate) const EXPORT_CLASSES: &str = "Classes as CSV";
pub(crate) const EXPORT_PICTURES: &str = "Pictures as CSV";
/// First columns of the classes; a column an answer follows.
pub(crate) const CLASSES_CSV: [&str; 6] = ["classifier", "class", "pictures", "precision", "recall", "F1"];
/// Columns of the pictures.
pub(crate) const PICTURES_CSV: [&str; 5] = ["classifier", "picture", "class", "answer", "margin"];
pub(crate) const IMPORT: &str = "Open a probe…";

/// The column of the pictures that were taken for a class.
pub(crate) fn taken_for(name: &str) -> String {
    format!("taken for {name}")
}

/// A share in whole percent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// The interval, and how the pictures were kept apart.
pub(crate) fn interval(report: &ProbeReport) -> String {
    format!(
        "between {} and {} with 95 % certainty; {}, {} asked",
        percent(report.low),
        percent(report.high),
        report.validation,
        count(report.samples.len())
    )
}

/// What guessing would give, and why little more may be seen.
pub(crate) fn chance(classes: usize, untrained: bool) -> String {
    let guess = format!("Guessing would be right in {}.", percent(1.0 / classes.max(1) as f64));
    match untrained {
        true => format!(
            "{guess} The model is untrained: its features know only colours and coarse shapes, so expect little more. Load \
             a trained one to see the difference."
        ),
        false => guess,
    }
}

/// How long it took.
pub(crate) fn took(features: f64, learn: f64) -> String {
    format!("Features computed in {features:.0} ms, learned and tested in {learn:.0} ms.")
}

/// A picture's margin.
pub(crate) fn margin(margin: f32, truth: &str, predicted: &str) -> String {
    match truth == predicted {
        true => format!("{margin:+.2}, {truth}"),
        false => format!("{margin:+.2}, {truth} taken for {predicted}"),
    }
}

/// A probe came from a file.
pub(crate) fn imported(classes: &[String], images: usize, model: &str, same: bool) -> String {
    let weights = match same {
        true => "with the weights that are loaded now",
        false => "with other weights than are loaded now: its answers may mean nothing",
    };
    format!("Opened a probe of {} from {}, made by {model} {weights}.", classes.join(", "), count(images))
}

/// The file's name.
pub(crate) const FILE: &str = "probe.safetensors";

// Tests.
pub(crate) const TEST: &str = "Try it";
pub(crate) const TEST_DROP: &str = "Choose pictures to ask about";
pub(crate) const TEST_LIVE: &str = "Ask about the camera";
pub(crate) const TEST_STOP: &str = "Stop asking";
pub(crate) const TEST_SHOWN: &str = "Ask about the one on show";
pub(crate) const SAVE_ANSWERS: &str = "Save the answers";
/// First columns of that file; a column a class follows.
pub(crate) const ANSWERS: [&str; 3] = ["picture", "classifier", "answer"];
pub(crate) const NO_PROBE: &str = "There is nothing to ask yet.";

/// What it says of a picture.
pub(crate) fn verdict(name: &str, class: &str, confidence: f32) -> String {
    format!("{name}: {class}, {}", percent(f64::from(confidence)))
}

// Search.
pub(crate) const SEARCH: &str = "Search";
/// Words, a command, words.
pub(crate) const SEARCH_LEAD: [&str; 3] = [
    "Open embeddings that ",
    "native-trainer embed",
    " wrote (.safetensors, or .npy with its list), up to about 100 000.",
];
pub(crate) const SEARCH_OPEN: &str = "Open embeddings…";
pub(crate) const SEARCH_IMAGE: &str = "Like the picture on show";
pub(crate) const SEARCH_PATCH: &str = "Like its chosen patch";
pub(crate) const SEARCH_CLOSE: &str = "Close them";

/// What can be searched.
pub(crate) fn searchable(images: usize, patches: usize, dim: usize, model: &str, fits: bool) -> String {
    let each = if patches > 0 { format!(" of {patches} patches each") } else { String::new() };
    let by = if model.is_empty() { String::new() } else { format!(", made by {model}") };
    let fit = if fits { "" } else { " This model gives another width: load the one that made them." };
    format!("{images} images{each}, {dim} numbers a row{by}.{fit}")
}

/// How long a search took.
pub(crate) fn searched(count: usize, millis: f64) -> String {
    format!("{count} nearest, all compared in {millis:.0} ms.")
}
