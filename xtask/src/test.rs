//! `cargo xtask test`: every test there is, native and in a real browser, by one command.
//!
//! The page is built beside the native steps, the browser's tests come last. A failed step does not stop the ones that do
//! not need it, so that one run shows all that is wrong. The last line, `N passed, N failed`, is for machines; a check
//! without tests of its own counts as one.

use crate::args::Args;
use crate::serve::Server;
use crate::setup::{self, Needs};
use crate::tally::Tally;
use crate::{shell, size, web};
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Packages that only exist for the browser: natively they are neither built nor tested.
const BROWSER_ONLY: [&str; 2] = ["lab-app", "lab-worker"];

/// What the user asked for.
struct Plan {
    native: bool,
    web: bool,
    filter: Option<String>,
}

/// One step, its verdict and its time.
struct Done {
    name: &'static str,
    tally: Tally,
    note: String,
    time: Duration,
}

/// `cargo xtask test`.
pub(crate) fn run(mut args: Args) -> Result<()> {
    let (native, web) = (args.flag("--native"), args.flag("--web"));
    let all = native == web;
    let plan = Plan { native: all || native, web: all || web, filter: args.value("--filter")? };
    args.finish()?;
    let start = Instant::now();
    let mut done = Vec::new();
    steps(&plan, &mut done);
    let total = summary(&done, start.elapsed());
    // Alone on its line, and the last one on stdout: CI reads it.
    println!("{} passed, {} failed", total.passed, total.failed);
    if total.failed > 0 {
        bail!("see the steps marked FAILED above");
    }
    Ok(())
}

fn steps(plan: &Plan, done: &mut Vec<Done>) {
    // A filter means "only these tests, quickly": no checks, no set-up of what they cannot need.
    let checks = plan.filter.is_none();
    let needs = Needs { page: false, browser: plan.web, vulkan: plan.native };
    if !step(done, "set-up", || setup::ensure(needs).map(|()| Tally::default())) {
        return;
    }
    // The page is built beside the native steps: alone, each of them leaves one of two cores idle for minutes.
    let built = std::thread::scope(|scope| {
        let page = plan.web.then(|| scope.spawn(page_steps));
        native_steps(plan, checks, done);
        let (page_done, built) = shell::joined(page?);
        done.extend(page_done);
        Some(built)
    });
    match built {
        None => {}
        Some(Built { page: true, tests }) => {
            // gzip works on one core for some seconds.
            std::thread::scope(|scope| {
                let sizes = checks.then(|| scope.spawn(sizes));
                step(done, "tests, browser", || browser_tests(plan.filter.as_deref(), tests));
                done.extend(sizes.into_iter().flat_map(shell::joined));
            });
        }
        Some(Built { page: false, .. }) => {
            let tally = Tally { passed: 0, failed: 1 };
            let note = "not run: the page was not built".to_owned();
            done.push(Done { name: "tests, browser", tally, note, time: Duration::ZERO });
        }
    }
}

/// What needs no browser.
fn native_steps(plan: &Plan, checks: bool, done: &mut Vec<Done>) {
    if checks {
        step(done, "format", || checked(shell::cargo().args(["fmt", "--all", "--check"])));
    }
    if !plan.native {
        return;
    }
    step(done, "clippy and build, native", || {
        let mut cargo = linting(shell::cargo());
        checked(cargo.args(["test", "--no-run"]).args(native_packages()))
    });
    step(done, "tests, native", || counted(&mut native_tests(plan.filter.as_deref())));
    step(done, "doc tests", || {
        let mut cargo = linting(shell::cargo());
        cargo.args(["test", "--doc"]).args(native_packages()).envs(setup::vulkan_env());
        if let Some(filter) = &plan.filter {
            cargo.args(["--", filter]);
        }
        counted(&mut cargo)
    });
}

/// What a browser is given.
#[derive(Default)]
struct Built {
    /// `dist/` is there.
    page: bool,
    /// The page's own tests, compiled.
    tests: Option<PathBuf>,
}

fn page_steps() -> (Vec<Done>, Built) {
    let (mut done, mut built) = (Vec::new(), Built::default());
    built.page = step(&mut done, "set-up of the page's tools", || {
        setup::ensure(Needs { page: true, browser: false, vulkan: false }).map(|()| Tally::default())
    }) && step(&mut done, "clippy and build, page", || {
        web::build(web::Mode::Release, web::Lints::Denied).map(|()| Tally::one(true))
    });
    if built.page {
        step(&mut done, "clippy and build, the page's own tests", || {
            built.tests = Some(web::build_tests(web::Lints::Denied)?);
            Ok(Tally::one(true))
        });
    }
    (done, built)
}

/// How much a visitor downloads.
fn sizes() -> Vec<Done> {
    let mut done = Vec::new();
    step(&mut done, "page size", size::check);
    done
}

/// Lets Clippy compile our own crates, warnings denied: one build lints and runs, where `cargo clippy` would check every
/// dependency once more (nine minutes of two cores).
pub(crate) fn linting(mut cargo: Command) -> Command {
    // How cargo-clippy itself hands its arguments to the driver.
    cargo.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
    cargo.env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    cargo
}

/// Runs one step and records it; returns whether it passed.
fn step(done: &mut Vec<Done>, name: &'static str, work: impl FnOnce() -> Result<Tally>) -> bool {
    eprintln!("\n== {name}");
    let start = Instant::now();
    let (tally, note) = match work() {
        Ok(tally) => (tally, String::new()),
        Err(error) => (Tally { passed: 0, failed: 1 }, format!("{error:#}")),
    };
    if !note.is_empty() {
        eprintln!("error: {note}");
    }
    done.push(Done { name, tally, note, time: start.elapsed() });
    tally.failed == 0
}

/// A command that is itself one test.
fn checked(command: &mut Command) -> Result<Tally> {
    let (ok, _) = shell::tee(command)?;
    Ok(Tally::one(ok))
}

/// A command that runs tests and counts them itself.
fn counted(command: &mut Command) -> Result<Tally> {
    let (ok, text) = shell::tee(command)?;
    Ok(Tally::read(&text, ok))
}

/// The same selection for clippy, tests and doc tests, so that dependencies are built once; with devices of other machines,
/// which are tested on this one.
fn native_packages() -> Vec<&'static str> {
    let mut words = vec!["--workspace", "--features", "native-trainer/remote"];
    words.extend(BROWSER_ONLY.iter().flat_map(|name| ["--exclude", name]));
    words
}

/// cargo-nextest where it is installed (a process a test, a crash costs only itself), else cargo's own runner.
fn native_tests(filter: Option<&str>) -> Command {
    let nextest = shell::first_line("cargo-nextest", &["nextest", "--version"]).is_some();
    let mut cargo = linting(shell::cargo());
    if nextest {
        cargo.args(["nextest", "run", "--no-fail-fast"]).args(native_packages());
        if let Some(filter) = filter {
            // It may name a browser test only.
            cargo.args(["--no-tests=pass", filter]);
        }
    } else {
        // One test at a time may open the GPU; cargo's runner has no groups, so all of them queue.
        cargo.args(["test", "--no-fail-fast", "--lib", "--bins", "--tests"]).args(native_packages());
        cargo.arg("--").args(filter).arg("--test-threads=1");
    }
    cargo.envs(setup::vulkan_env());
    cargo
}

/// Serves `dist/` from this process and lets Playwright drive a browser over it, and over the page's own `tests`.
fn browser_tests(filter: Option<&str>, tests: Option<PathBuf>) -> Result<Tally> {
    let server = Server::bind(&web::dist(), Some(0))?;
    let address = server.address();
    server.spawn();
    let folder = shell::root().join("tests/e2e");
    let mut files: Vec<_> = web::walk(&folder)?
        .into_iter()
        .filter(|path| path.parent() == Some(&folder))
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    files.sort();
    if files.is_empty() {
        bail!("there is no *.test.mjs in {}", folder.display());
    }
    let native = native_trainer()?;
    let mut node = shell::command("node");
    node.args(["--test", "--test-concurrency=2", "--test-reporter=spec"]);
    node.env("NATIVE_TRAINER", native);
    if let Some(filter) = filter {
        node.arg("--test-name-pattern").arg(filter);
    }
    node.args(files).current_dir(&folder).env("LAB_URL", address);
    if let Some(tests) = tests {
        node.env("PAGE_TESTS", tests);
    }
    if let Some(chromium) = setup::chromium() {
        node.env("CHROMIUM", chromium);
    }
    counted(&mut node)
}

/// The native program, with whose numbers the browser's are compared. Its tests have built it; where only `--web` was
/// asked for, it is built the same way, so that no dependency is compiled twice.
fn native_trainer() -> Result<PathBuf> {
    let program = shell::target_dir().join("debug").join(format!("native-trainer{}", std::env::consts::EXE_SUFFIX));
    let mut cargo = linting(shell::cargo());
    let (ok, _) = shell::tee(cargo.args(["test", "--no-run"]).args(native_packages()))?;
    if !ok || !program.is_file() {
        bail!("cargo built no {}", program.display());
    }
    Ok(program)
}

/// Prints a line a step and returns the sum.
fn summary(done: &[Done], total_time: Duration) -> Tally {
    let mut total = Tally::default();
    println!("\n== summary");
    for Done { name, tally, note, time } in done {
        total += *tally;
        let verdict = if tally.failed > 0 { "FAILED" } else { "ok" };
        let counts = format!("{} passed, {} failed", tally.passed, tally.failed);
        println!("{verdict:<6}  {name:<16}  {:>5} s  {counts}", time.as_secs());
        if let Some(first) = note.lines().next() {
            println!("        {first}");
        }
    }
    println!("{:>32} s  in all", total_time.as_secs());
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_counted_and_named() {
        let mut done = Vec::new();
        assert!(step(&mut done, "good", || Ok(Tally { passed: 2, failed: 0 })));
        assert!(!step(&mut done, "bad", || bail!("broken")));
        assert!(!step(&mut done, "red", || checked(shell::command("sh").args(["-c", "exit 1"]))));
        assert_eq!(summary(&done, Duration::ZERO), Tally { passed: 2, failed: 2 });
        assert_eq!(done[1].note, "broken");
    }

    #[test]
    fn the_native_selection_leaves_out_what_only_a_browser_runs() {
        let words = native_packages().join(" ");
        assert_eq!(words, "--workspace --features native-trainer/remote --exclude lab-app --exclude lab-worker");
    }
}
