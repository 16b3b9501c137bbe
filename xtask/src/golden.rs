//! `cargo xtask golden`: makes the committed PyTorch results anew. Never part of a test run.

use crate::args::Args;
use crate::shell;
use anyhow::{Context, Result};

/// Makes a virtual environment with the pinned packages and runs `tests/golden/generate.py` in it. With `--check` the
/// results are made elsewhere and compared.
pub(crate) fn run(mut args: Args) -> Result<()> {
    let check = args.flag("--check");
    args.finish()?;
    let folder = shell::root().join("tests/golden");
    let requirements = folder.join("requirements.txt");
    let pins = std::fs::read(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
    let venv = shell::cache_dir().join("golden-venv");
    let bin = venv.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let mark = venv.join("installed-requirements.txt");
    if std::fs::read(&mark).ok().as_ref() != Some(&pins) {
        let python = if cfg!(windows) { "python" } else { "python3" };
        shell::run(shell::command(python).args(["-m", "venv"]).arg(&venv))?;
        shell::run(shell::command(bin.join("python")).args(["-m", "pip", "install", "-r"]).arg(&requirements))?;
        std::fs::write(&mark, &pins).with_context(|| format!("cannot write {}", mark.display()))?;
    }
    let mut generate = shell::command(bin.join("python"));
    generate.arg(folder.join("generate.py")).arg(if check { "--check" } else { "--out" }).arg(&folder);
    shell::run(&mut generate)?;
    if !check {
        println!("done: `git diff --stat tests/golden` shows what changed");
    }
    Ok(())
}
