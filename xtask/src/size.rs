//! `cargo xtask size`: what a visitor downloads, and the budget that it must stay within (`--check`).

use crate::args::Args;
use crate::tally::Tally;
use crate::{shell, web};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::Path;

const BUDGET: &str = "configs/bundle-budget.toml";
/// Node's zlib has gzip and brotli built in, so xtask needs no compressor crates. The first argument: with brotli or not.
const COMPRESS: &str = r"
const { readFileSync } = require('node:fs');
const z = require('node:zlib');
const [brotli, ...files] = process.argv.slice(1);
const sizes = files.map((file) => {
  const bytes = readFileSync(file);
  const params = { [z.constants.BROTLI_PARAM_QUALITY]: 11, [z.constants.BROTLI_PARAM_LGWIN]: 24,
    [z.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  const gzip = z.gzipSync(bytes, { level: 9 }).length;
  return [bytes.length, gzip, brotli === 'brotli' ? z.brotliCompressSync(bytes, { params }).length : null];
});
console.log(JSON.stringify(sizes));
";

/// `cargo xtask size`.
pub(crate) fn run(mut args: Args) -> Result<()> {
    let check = args.flag("--check");
    args.finish()?;
    if check {
        self::check()?;
    } else {
        print!("{}", table(&measure(&web::dist(), true)?));
    }
    Ok(())
}

/// The step of `cargo xtask test`: prints the table and holds each part to its budget. Without brotli, which takes more
/// than a minute of a core to say the same.
pub(crate) fn check() -> Result<Tally> {
    let files = measure(&web::dist(), false)?;
    print!("{}", table(&files));
    report(&files)
}

/// One file of the page, in bytes.
#[derive(Clone, Debug)]
struct FileSize {
    name: String,
    raw: u64,
    gzip: u64,
    /// Where it was asked for.
    brotli: Option<u64>,
}

fn measure(dist: &Path, brotli: bool) -> Result<Vec<FileSize>> {
    let code =
        |path: &Path| matches!(path.extension().and_then(|e| e.to_str()), Some("wasm" | "js" | "mjs" | "css" | "html"));
    let paths: Vec<_> = web::walk(dist)
        .context("build the page first: cargo xtask web")?
        .into_iter()
        .filter(|path| code(path))
        .collect();
    let mut node = shell::command("node");
    node.arg("-e").arg(COMPRESS).arg("--").arg(if brotli { "brotli" } else { "gzip" });
    let text = shell::capture(node.args(&paths))?;
    let sizes: Value = serde_json::from_str(&text).context("node's answer is no JSON")?;
    let sizes = sizes.as_array().context("node's answer is no list")?;
    ensure!(sizes.len() == paths.len(), "node measured {} of {} files", sizes.len(), paths.len());
    let number = |value: &Value| value.as_u64().context("node's answer holds no numbers");
    let files = paths.iter().zip(sizes).map(|(path, size)| {
        let name = path.strip_prefix(dist).unwrap_or(path).to_string_lossy().replace('\\', "/");
        let brotli = brotli.then(|| number(&size[2])).transpose()?;
        Ok(FileSize { name, raw: number(&size[0])?, gzip: number(&size[1])?, brotli })
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
    let mut total = FileSize { name: part.to_owned(), raw: 0, gzip: 0, brotli: Some(0) };
    for file in files.iter().filter(|file| part_of(&file.name) == part) {
        total.raw += file.raw;
        total.gzip += file.gzip;
        total.brotli = total.brotli.zip(file.brotli).map(|(total, file)| total + file);
    }
    total
}

fn table(files: &[FileSize]) -> String {
    let with_brotli = files.iter().all(|file| file.brotli.is_some());
    let mut text = match with_brotli {
        true => String::from("| file | raw | gzip -9 | brotli -11 |\n|---|--:|--:|--:|\n"),
        false => String::from("| file | raw | gzip -9 |\n|---|--:|--:|\n"),
    };
    let parts = ["page", "engine_cpu", "engine_gpu"].map(|part| sum(files, part));
    for (file, mark) in files.iter().map(|file| (file, "")).chain(parts.iter().map(|part| (part, "**"))) {
        let FileSize { name, raw, gzip, brotli } = file;
        let brotli = brotli.filter(|_| with_brotli).map(|brotli| format!(" {brotli} |")).unwrap_or_default();
        text.push_str(&format!("| {mark}{name}{mark} | {raw} | {gzip} |{brotli}\n"));
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
        let limit = limit.get("gzip").and_then(toml::Value::as_integer);
        let limit = limit.and_then(|n| u64::try_from(n).ok());
        let Some(limit) = limit else { bail!("{BUDGET}: [{part}] needs `gzip = BYTES`") };
        let found = sum(files, part).gzip;
        ensure!(found > 0, "{BUDGET} names `{part}`, of which the built page has no file");
        let within = found <= limit;
        let verdict = if within { "within" } else { "ABOVE" };
        println!("{part}: {found} bytes with gzip, {verdict} the budget of {limit}");
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
        let file = |name: &str, gzip, brotli| FileSize { name: name.to_owned(), raw: 9, gzip, brotli };
        let names = [("a.wasm", 1), ("engine/cpu/b.wasm", 2), ("engine/gpu/b.wasm", 4), ("a.js", 8)];
        let files = names.map(|(name, size)| file(name, size, Some(size + 1)));
        assert_eq!((sum(&files, "page").gzip, sum(&files, "page").brotli), (9, Some(11)));
        assert_eq!(sum(&files, "engine_cpu").gzip, 2);
        assert!(table(&files).contains("| **engine_gpu** | 9 | 4 | 5 |"));
        let plain = names.map(|(name, size)| file(name, size, None));
        assert!(table(&plain).contains("| **engine_gpu** | 9 | 4 |\n"), "{}", table(&plain));
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
