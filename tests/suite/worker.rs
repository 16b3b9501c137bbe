//! What the page's worker says and keeps, where no browser is needed: the wire, and the names of a kept run's files.

use lab_protocol::{Command, Event, Message, Request};
use lab_worker::saves::{Save, newest_first, next, spare};
use lab_worker::wire::{parse, sentence, write};

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
    // What the user wrote stays as it was written.
    for error in ["depth 3: expected section.key=value.", "my holiday.jpg: cut short.", "foo = 3: there is no key foo."]
    {
        assert_eq!(sentence(error), error);
    }
    assert_eq!(sentence(""), ".");
}

fn names(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| format!("{word}.safetensors")).collect()
}

const SEVENTH: Save = Save { number: 7, pictures: 3 };

#[test]
fn saves_are_ordered_by_their_number() {
    let there = names(&["images-3", "state-10-3", "state-7-3", "state-9-0", "state-a", "state-8"]);
    let numbers: Vec<u64> = newest_first(&there).iter().map(|save| save.number).collect();
    assert_eq!(numbers, [10, 9, 7]);
    assert_eq!(newest_first(&there)[2], SEVENTH);
    assert_eq!((SEVENTH.state(), SEVENTH.images()), (there[2].clone(), Some(there[0].clone())));
    assert_eq!(newest_first(&there)[1].images(), None);
}

#[test]
fn a_number_is_given_once() {
    assert_eq!(next(&[]), 1);
    assert_eq!(next(&names(&["state-7-3", "images-3"])), 8);
    // Pictures whose state never came.
    assert_eq!(next(&names(&["state-7-3", "images-8"])), 9);
}

#[test]
fn what_is_whole_or_in_use_stays() {
    let there = names(&["images-2", "images-3", "images-8", "state-6-2", "state-7-3", "state-8-8"]);
    assert_eq!(
        spare(&there, Some(SEVENTH), Some(8)),
        ["images-2.safetensors", "state-6-2.safetensors", "state-8-8.safetensors"]
    );
    assert_eq!(spare(&there[3..4], None, None), ["state-6-2.safetensors"]);
}
