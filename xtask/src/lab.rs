//! `cargo xtask lab`: the one command a newcomer needs: install, build, serve, say where.

use crate::args::Args;
use crate::serve::{self, Server};
use crate::setup::{self, Needs};
use crate::{shell, web};
use anyhow::Result;

/// Installs what is missing, builds the page and serves it until Ctrl-C.
pub(crate) fn run(mut args: Args) -> Result<()> {
    let port = args.number("--port")?;
    let dev = args.flag("--dev");
    let release = args.flag("--release");
    let no_open = args.flag("--no-open");
    args.finish()?;
    anyhow::ensure!(!(dev && release), "--dev and --release exclude each other");
    if let Some(port) = port {
        // Said before the long build, not after it.
        drop(serve::listen(port)?);
    }
    setup::ensure(Needs { page: true, browser: false, vulkan: false })?;
    web::build(if dev { web::Mode::Dev } else { web::Mode::Release }, web::Lints::Off)?;
    let server = Server::bind(&web::dist(), port)?;
    let address = server.address();
    println!(
        "\n  The lab is open at  {address}\n  Ctrl-C ends it. Nothing you drop on the page leaves this machine.\n"
    );
    if !no_open {
        open_browser(&address);
    }
    server.serve_forever()
}

/// Shows the address in the user's browser where there is a screen; a failure is no matter, the address is printed.
fn open_browser(address: &str) {
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else if ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some()) {
        "xdg-open"
    } else {
        return;
    };
    let quiet = std::process::Stdio::null;
    drop(shell::command(opener).arg(address).stdout(quiet()).stderr(quiet()).spawn());
}
