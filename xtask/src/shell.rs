//! Other programs: run one, find one, wait for what runs beside; and the project's own folders.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::ScopedJoinHandle;

/// The top of the checkout.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Cargo's target folder, also where it was moved by CARGO_TARGET_DIR.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Where xtask keeps the pinned tools it installs: inside the project, so that nobody's own versions are replaced.
pub(crate) fn cache_dir() -> PathBuf {
    root().join(".cache")
}

/// A command that starts at the top of the checkout and finds our pinned tools first.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).env("PATH", search_path()).stdin(Stdio::null());
    command
}

/// The cargo that runs us, with colours kept when its output passes through our pipe.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// `npm`, which is a script on Windows.
pub(crate) fn npm() -> Command {
    command(if cfg!(windows) { "npm.cmd" } else { "npm" })
}

/// PATH with the project's own tools in front: what cargo installed, and what npm did (Trunk looks for wasm-opt).
fn search_path() -> std::ffi::OsString {
    let own = [cache_dir().join("tools").join("bin"), root().join("xtask/npm/node_modules/.bin")];
    let rest = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(own.into_iter().chain(std::env::split_paths(&rest))).unwrap_or(rest)
}

/// Finds a program on PATH (ours first).
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let names: &[String] = &if cfg!(windows) {
        vec![format!("{program}.exe"), format!("{program}.cmd")]
    } else {
        vec![program.to_owned()]
    };
    std::env::split_paths(&search_path())
        .flat_map(|dir| names.iter().map(move |name| dir.join(name)))
        .find(|path| path.is_file())
}

/// The first line a program prints, or nothing if it does not run. For `--version`.
pub(crate) fn first_line(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let output = command(program).args(args).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
}

/// The command line as one would type it.
pub(crate) fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words
        .map(|word| {
            let word = word.to_string_lossy();
            if word.contains(' ') { format!("'{word}'") } else { word.into_owned() }
        })
        .collect();
    words.join(" ")
}

/// Runs a command on this terminal; an error names it and its exit status.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = describe(command);
    eprintln!("$ {line}");
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs a command and returns what it printed on stdout; stderr stays on the terminal.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let line = describe(command);
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({})", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed no UTF-8"))
}

/// Runs a command on this terminal and also keeps what it prints (stdout and stderr, line by line as they came).
/// Returns whether it succeeded, and its text without colours.
pub(crate) fn tee(command: &mut Command) -> Result<(bool, String)> {
    let line = describe(command);
    eprintln!("$ {line}");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    let kept = Arc::new(Mutex::new(String::new()));
    let mut readers = Vec::new();
    if let Some(out) = child.stdout.take() {
        readers.push(copy_lines(out, std::io::stdout(), Arc::clone(&kept)));
    }
    if let Some(err) = child.stderr.take() {
        readers.push(copy_lines(err, std::io::stderr(), Arc::clone(&kept)));
    }
    let status = child.wait().with_context(|| format!("lost `{line}`"))?;
    for reader in readers {
        if reader.join().is_err() {
            bail!("reading the output of `{line}` failed");
        }
    }
    let text = kept.lock().map(|text| text.clone()).unwrap_or_default();
    Ok((status.success(), text))
}

fn copy_lines(
    from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    kept: Arc<Mutex<String>>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line);
            // A closed terminal must not stop the tests: what cannot be shown is still counted.
            let _ = writeln!(to, "{line}");
            if let Ok(mut kept) = kept.lock() {
                kept.push_str(&without_colours(&line));
                kept.push('\n');
            }
        }
    })
}

/// What a thread came to; its panic is ours.
pub(crate) fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Drops terminal colour sequences (`ESC [ … letter`) and carriage returns.
pub(crate) fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                if chars.next() == Some('[') {
                    chars.by_ref().find(char::is_ascii_alphabetic);
                }
            }
            '\r' => {}
            _ => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go() {
        assert_eq!(without_colours("\u{1b}[32;1mok\u{1b}[0m. 3\r"), "ok. 3");
    }

    #[test]
    fn tee_keeps_both_streams_and_the_verdict() {
        let (ok, text) = tee(command("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap();
        assert!(!ok);
        assert!(text.contains("out\n") && text.contains("err\n"));
    }
}
