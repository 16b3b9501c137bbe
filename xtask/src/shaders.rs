//! `cargo xtask shaders`: the final WGSL, as a browser receives it, to read or to give to other tools.

use crate::args::Args;
use crate::shell;
use anyhow::Result;
use std::path::PathBuf;

/// Writes every shader into a folder (`target/shaders` unless `--out` says otherwise).
pub(crate) fn run(mut args: Args) -> Result<()> {
    let out = args.value("--out")?.map_or_else(|| shell::target_dir().join("shaders"), PathBuf::from);
    args.finish()?;
    let mut cargo = shell::cargo();
    cargo.args(["run", "--quiet", "--package", "lab-shaders", "--example", "dump", "--"]).arg(&out);
    shell::run(&mut cargo)?;
    println!("the shaders are in {}", out.display());
    Ok(())
}
