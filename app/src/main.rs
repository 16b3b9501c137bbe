//! The page: what people see and touch. It holds no tensor; the engine in its worker computes and draws.

#![allow(unreachable_pub, reason = "leptos writes pub into what its macro makes of a component")]

mod csv;
mod debug;
mod download;
mod engine;
mod fetch;
mod focus;
mod grid;
mod hash;
mod inputs;
mod lab;
mod link;
mod offers;
mod panels;
mod pictures;
mod registry;
mod rooms;
mod signals;
mod state;
mod stored;
#[cfg(test)]
mod tests;
mod texts;
mod views;
mod webcam;
mod widgets;

fn main() {
    console_error_panic_hook::set_once();
    // In a task of its own: what the browser does to start this module is long enough.
    leptos::prelude::set_timeout(|| leptos::mount::mount_to_body(lab::Lab), std::time::Duration::ZERO);
}
