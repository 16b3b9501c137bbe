//! `cargo xtask golden`: makes the committed PyTorch results anew. Never part of a test run.

use crate::args::Args;
use crate::{shell, web};
use anyhow::{Context, Result, ensure};

/// Makes a virtual environment with the pinned packages and runs every generator in `tests/golden`.
pub(crate) fn run(args: Args) -> Result<()> {
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
    let scripts: Vec<_> = web::walk(&folder)?
        .into_iter()
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("generate") && name.ends_with(".py")
        })
        .collect();
    ensure!(!scripts.is_empty(), "there is no generate*.py in {}", folder.display());
    for script in &scripts {
        shell::run(shell::command(bin.join("python")).arg(script))?;
    }
    println!("done: `git diff --stat tests/golden` shows what changed");
    Ok(())
}
