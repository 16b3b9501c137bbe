//! Text to requests, events to text.

use lab_protocol::{Event, Message, PROTOCOL, Request};

/// A request, or a sentence on why it is none.
///
/// # Errors
///
/// The sentence: most likely page and engine are of different versions.
pub fn parse(text: &str) -> Result<Request, String> {
    serde_json::from_str(text).map_err(|error| {
        format!(
            "the engine (protocol {PROTOCOL}) does not understand this command: {error}; \
             reload the page without its cache"
        )
    })
}

/// An event as the text of a message.
pub fn write(reply_to: Option<u32>, event: Event) -> String {
    let message = Message { reply_to, event };
    // Plain data: numbers that are no numbers become `null`, nothing can fail.
    serde_json::to_string(&message).unwrap_or_else(|error| {
        format!(r#"{{"reply_to":null,"event":{{"event":"failed","message":"unwritable answer: {error}"}}}}"#)
    })
}

/// Words with which errors of ours begin. What begins otherwise may be the user's: the name of a file, a setting.
const OURS: [&str; 23] = [
    "a", "asked", "cannot", "delete", "each", "every", "expected", "found", "give", "it", "its", "no", "not",
    "nothing", "only", "tensor", "the", "there", "these", "this", "to", "two", "what",
];

/// An error as a page shows it: a sentence that begins large, unless with a word of the user's, and ends with a point.
pub fn sentence(error: &str) -> String {
    let word = error.split_whitespace().next().unwrap_or_default();
    let mut letters = error.chars();
    let first = match letters.next() {
        Some(first) if OURS.contains(&word) => first.to_uppercase().to_string(),
        Some(first) => first.to_string(),
        None => String::new(),
    };
    let point = if error.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{point}", letters.as_str())
}
