//! `native-trainer`: vision transformers from the command line.
//!
//! The commands live in [`commands`], one file each; [`cli`] is the whole command line on one page.
//! All computing is `lab-core`'s; this program brings what core does not know: files, threads, a terminal, a clock.
//! It ends with 0 when all went well, 1 when something failed or a comparison did not hold, 2 for a command line that cannot
//! be read, 130 when it was stopped and its output is not whole.

mod bad;
mod cli;
mod commands;
mod engine;
mod features;
mod host;
mod inputs;
mod loader;
mod memory;
mod progress;
mod recipe;
mod run;
mod sinks;
mod text;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};

/// Tensors come and go by the megabyte; what gives each back to the system has every page of the next one faulted in anew.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Pretrain(arguments) => commands::pretrain::run(&arguments),
        Command::Plan(arguments) => commands::plan::run(&arguments),
        Command::Embed(arguments) => commands::embed::run(&arguments),
        Command::Probe(arguments) => commands::probe::run(&arguments),
        Command::Eval(arguments) => commands::eval::run(&arguments),
        Command::Parity(arguments) => commands::parity::run(&arguments),
        Command::Devices(arguments) => commands::devices::run(&arguments),
        #[cfg(feature = "remote")]
        Command::Serve(arguments) => commands::serve::run(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            text::complain(&error);
            ExitCode::FAILURE
        }
    }
}
