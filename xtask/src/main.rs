//! `cargo xtask`: everything one does to this project that is not writing code.
//!
//! One small program instead of shell scripts, so that set-up, page and tests behave the same on every desk and in CI.
//! A file a task: `setup` (what must be installed), `web` (build the page), `serve`, `lab` (all three), `test`,
//! `size`, `golden`, `shaders`, `new_kernel`; `shell` runs other programs, `args` reads our own command line.

mod args;
mod golden;
mod lab;
mod new_kernel;
mod serve;
mod setup;
mod shaders;
mod shell;
mod size;
mod tally;
mod test;
mod web;

use args::Args;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask TASK [options]

  lab [--port N] [--dev] [--no-open]     install what is missing, build the page, serve it on 127.0.0.1
  test [--native | --web] [--filter S]   run every test, native and in a real browser
  setup [--native | --web] [--check]     install what is missing, or only say what is (--check)
  web [--dev] [--engine cpu|gpu]         build the page into dist/
  serve [--dir D] [--port N]             serve a folder (dist/) on 127.0.0.1 with the page's own security headers
  size [--check]                         sizes of the built page as a table; --check holds them to the budget
  golden [--check]                       make the committed PyTorch results anew, or compare (needs Python)
  shaders [--out D]                      write the final WGSL of every shader
  new-kernel NAME                        lay out the four parts of a kernel, failing until they are filled
";

fn main() -> ExitCode {
    let mut args = Args::from_env();
    let task = args.positional().unwrap_or_else(|| "help".to_owned());
    let result = match task.as_str() {
        "lab" => lab::run(args),
        "test" => test::run(args),
        "setup" => setup::run(args),
        "web" => web::run(args),
        "serve" => serve::run(args),
        "size" => size::run(args),
        "golden" => golden::run(args),
        "shaders" => shaders::run(args),
        "new-kernel" => new_kernel::run(args),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(anyhow::anyhow!("there is no task `{other}`\n\n{HELP}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
