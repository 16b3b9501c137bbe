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

/// An error as a page shows it: a sentence that begins large, unless with the name of a file, and ends with a point.
pub fn sentence(error: &str) -> String {
    let word = error.split_whitespace().next().unwrap_or_default().trim_end_matches(':');
    let mut letters = error.chars();
    let first = match letters.next() {
        Some(first) if word.chars().all(|letter| letter.is_alphabetic() || letter == '\'') => {
            first.to_uppercase().to_string()
        }
        Some(first) => first.to_string(),
        None => String::new(),
    };
    let point = if error.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{point}", letters.as_str())
}

#[cfg(test)]
mod tests {
    use lab_protocol::Command;

    use super::*;

    #[test]
    fn a_command_is_understood() {
        let request = parse(r#"{"id":3,"command":{"do":"start","protocol":1}}"#).expect("well said");
        assert_eq!(request, Request { id: 3, command: Command::Start { protocol: 1 } });
    }

    #[test]
    fn nonsense_is_answered_with_advice() {
        for text in ["", "{}", r#"{"id":1,"command":{"do":"fly"}}"#] {
            let error = parse(text).expect_err("nonsense");
            assert!(error.contains("reload"), "{error}");
        }
    }

    #[test]
    fn answers_are_json_that_a_page_reads() {
        let text = write(Some(3), Event::Done);
        assert_eq!(text, r#"{"reply_to":3,"event":{"event":"done"}}"#);
        let text = write(None, Event::Failed { message: "say \"why\"".to_owned() });
        let message: Message = serde_json::from_str(&text).expect("our own words");
        assert_eq!(message.event, Event::Failed { message: "say \"why\"".to_owned() });
    }

    #[test]
    fn errors_become_sentences() {
        assert_eq!(sentence("no model is loaded: load one first"), "No model is loaded: load one first.");
        assert_eq!(sentence("Why?"), "Why?");
        assert_eq!(sentence("photo.jpg: cut short"), "photo.jpg: cut short.");
        assert_eq!(sentence(""), ".");
    }
}
