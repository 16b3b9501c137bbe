//! Where the keyboard is after what it was on has gone away.

use std::iter::successors;

use leptos::prelude::*;
use leptos::task::{spawn_local, tick};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, MouseEvent};

use crate::rooms;

/// A row of a list goes away by a press of its own button: the keyboard moves to the same button of the row that takes its
/// place, of the last one where it was the last, and to the room where none is left.
pub(crate) fn pass_on(event: &MouseEvent) {
    // A mouse stays where it is: whatever it pressed, the room need not come into sight.
    let by_keyboard = event.detail() == 0;
    let row = event_target::<Element>(event).closest("li, p, .class").ok().flatten();
    let before = successors(row.clone(), Element::previous_element_sibling).count();
    let list = row.and_then(|row| row.parent_element());
    spawn_local(async move {
        tick().await;
        let rows = successors(list.and_then(|list| list.first_element_child()), Element::next_element_sibling);
        let next = rows.take(before).last().and_then(|row| row.query_selector("button:last-of-type").ok().flatten());
        match next {
            Some(button) => drop(button.unchecked_into::<HtmlElement>().focus()),
            None if by_keyboard => rooms::focus(),
            None => {}
        }
    });
}
