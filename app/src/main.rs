//! The page: what people see and touch. It holds no tensor; the engine in its worker computes and draws.

mod grid;
mod hash;
mod link;

fn main() {
    console_error_panic_hook::set_once();
}
