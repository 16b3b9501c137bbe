//! `cargo xtask size`: what a visitor downloads, and the budget that it must stay within.

use crate::args::Args;
use crate::tally::Tally;
use crate::{shell, web};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::Path;

const BUDGET: &str = "configs/bundle-budget.toml";
/// Node's zlib has gzip and brotli built in, so xtask needs no compressor crates.
const COMPRESS: &str = r"
const { readFileSync } = require('node:fs');
const z = require('node:zlib');
const sizes = process.argv.slice(1).map((file) => {
  const bytes = readFileSync(file);
  const params = { [z.constants.BROTLI_PARAM_QUALITY]: 11, [z.constants.BROTLI_PARAM_LGWIN]: 24,
    [z.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  return [bytes.length, z.gzipSync(bytes, { level: 9 }).length, z.brotliCompressSync(bytes, { params }).length];
});
console.log(JSON.stringify(sizes));
";

/// `cargo xtask size`.
pub(crate) fn run(mut args: Args) -> Result<()> {
    let check = args.flag("--check");
    args.finish()?;
    let files = measure(&web::dist())?;
    print!("{}", table(&files));
    if check {
        report(&files)?;
    }
    Ok(())
}

/// The step of `cargo xtask test`: prints the table and holds each part to its budget.
pub(crate) fn check() -> Result<Tally> {
    let files = measure(&web::dist())?;
    print!("{}", table(&files));
    report(&files)
}

/// One file of the page, in bytes.
#[derive(Clone, Debug)]
struct FileSize {
    name: String,
    raw: u64,
    gzip: u64,
    brotli: u64,
}

fn measure(dist: &Path) -> Result<Vec<FileSize>> {
    let code =
        |path: &Path| matches!(path.extension().and_then(|e| e.to_str()), Some("wasm" | "js" | "mjs" | "css" | "html"));
    let paths: Vec<_> = web::walk(dist)
        .context("build the page first: cargo xtask web")?
        .into_iter()
        .filter(|path| code(path))
        .collect();
    let mut node = shell::command("node");
    let text = shell::capture(node.arg("-e").arg(COMPRESS).arg("--").args(&paths))?;
    let sizes: Value = serde_json::from_str(&text).context("node's answer is no JSON")?;
    let sizes = sizes.as_array().context("node's answer is no list")?;
    ensure!(sizes.len() == paths.len(), "node measured {} of {} files", sizes.len(), paths.len());
    let number = |value: &Value| value.as_u64().context("node's answer holds no numbers");
    let files = paths.iter().zip(sizes).map(|(path, size)| {
        let name = path.strip_prefix(dist).unwrap_or(path).to_string_lossy().replace('\\', "/");
        Ok(FileSize { name, raw: number(&size[0])?, gzip: number(&size[1])?, brotli: number(&size[2])? })
    });
    files.collect()
}

/// The part of the page a file belongs to: an engine, or the page itself.
fn part_of(name: &str) -> &'static str {
    if name.starts_with("engine/cpu/") {
        "engine_cpu"
    } else if name.starts_with("engine/gpu/") {
        "engine_gpu"
    } else {
        "page"
    }
}

fn sum(files: &[FileSize], part: &str) -> FileSize {
    let mut total = FileSize { name: part.to_owned(), raw: 0, gzip: 0, brotli: 0 };
    for file in files.iter().filter(|file| part_of(&file.name) == part) {
        total.raw += file.raw;
        total.gzip += file.gzip;
        total.brotli += file.brotli;
    }
    total
}

fn table(files: &[FileSize]) -> String {
    let mut text = String::from("| file | raw | gzip -9 | brotli -11 |\n|---|--:|--:|--:|\n");
    let parts = ["page", "engine_cpu", "engine_gpu"].map(|part| sum(files, part));
    for (file, mark) in files.iter().map(|file| (file, "")).chain(parts.iter().map(|part| (part, "**"))) {
        let FileSize { name, raw, gzip, brotli } = file;
        text.push_str(&format!("| {mark}{name}{mark} | {raw} | {gzip} | {brotli} |\n"));
    }
    text
}

/// Compares each part with the budget file; counts one test a part.
fn report(files: &[FileSize]) -> Result<Tally> {
    let path = shell::root().join(BUDGET);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let budget: toml::Table = text.parse().with_context(|| format!("{} is no TOML", path.display()))?;
    let mut tally = Tally::default();
    for (part, limit) in &budget {
        let limit = limit.get("brotli").and_then(toml::Value::as_integer);
        let limit = limit.and_then(|n| u64::try_from(n).ok());
        let Some(limit) = limit else { bail!("{BUDGET}: [{part}] needs `brotli = BYTES`") };
        let found = sum(files, part).brotli;
        ensure!(found > 0, "{BUDGET} names `{part}`, of which the built page has no file");
        let within = found <= limit;
        let verdict = if within { "within" } else { "ABOVE" };
        println!("{part}: {found} bytes with brotli, {verdict} the budget of {limit}");
        tally += Tally::one(within);
    }
    if tally.failed > 0 {
        eprintln!("make it smaller, or raise {BUDGET} and say why in the commit");
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_parts() {
        let file = |name: &str, brotli| FileSize { name: name.to_owned(), raw: 9, gzip: 5, brotli };
        let files = [file("a.wasm", 1), file("engine/cpu/b.wasm", 2), file("engine/gpu/b.wasm", 4), file("a.js", 8)];
        assert_eq!(sum(&files, "page").brotli, 9);
        assert_eq!(sum(&files, "engine_cpu").brotli, 2);
        assert!(table(&files).contains("| **engine_gpu** | 9 | 5 | 4 |"));
    }

    #[test]
    fn the_budget_names_every_part() {
        let text = std::fs::read_to_string(shell::root().join(BUDGET)).unwrap();
        let budget: toml::Table = text.parse().unwrap();
        let mut names: Vec<_> = budget.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["engine_cpu", "engine_gpu", "page"]);
    }
}
