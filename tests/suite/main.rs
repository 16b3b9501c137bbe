//! One binary for every test that needs more than its own file; the modules are listed here.

mod house;
