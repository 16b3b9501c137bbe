//! The page: what people see and touch. It holds no tensor; the engine in its worker computes and draws.

mod engine;
mod grid;
mod hash;
mod link;
mod pictures;
mod state;
mod texts;
mod views;
mod widgets;

fn main() {
    console_error_panic_hook::set_once();
}
