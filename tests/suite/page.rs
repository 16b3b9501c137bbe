//! What the page computes by itself, without a browser: the unit tests of its plain files, run natively. The page as a
//! whole needs a browser and is tested in one; leptos would have to be built natively only for these.

#![allow(dead_code, reason = "the page uses what its tests do not")]

#[path = "../../app/src/rooms/learn/answers.rs"]
mod answers;
#[path = "../../app/src/csv.rs"]
mod csv;
#[path = "../../app/src/widgets/frame.rs"]
mod frame;
#[path = "../../app/src/grid.rs"]
mod grid;
#[path = "../../app/src/hash.rs"]
mod hash;
#[path = "../../app/src/offers.rs"]
mod offers;
#[path = "../../app/src/rooms/train/settings.rs"]
mod settings;
