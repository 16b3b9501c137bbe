//! `native-trainer serve`: lends this machine's devices to runs on others, by burn's remote backend.

use std::net::TcpListener;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::cli::ServeArgs;
use crate::{engine, text};

/// Runs the command, until Ctrl-C or SIGTERM.
pub(crate) fn run(arguments: &ServeArgs) -> Result<ExitCode> {
    let device = engine::open(&arguments.engine)?;
    let listener =
        TcpListener::bind(&arguments.listen).with_context(|| format!("cannot listen on {}", arguments.listen))?;
    text::note(&format!("serving {} on ws://{}", engine::describe(&device.info), listener.local_addr()?));
    lab_core::device::serve(vec![device.device], listener)?;
    Ok(ExitCode::SUCCESS)
}
