//! What a machine must have, how to see whether it is there, and how to get it.
//!
//! Rust tools go to `.cache/tools` inside the project, pinned, so that nobody's own versions are replaced.
//! System packages are installed only on Debian's family and only as root; elsewhere the exact command is printed, for the
//! systems whose commands we are sure of.

use crate::args::Args;
use crate::shell;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Builds the page from `app/index.html`.
const TRUNK: &str = "0.21.14";
/// Oldest Node.js whose test runner and zlib (brotli) we use.
const NODE_MAJOR: u32 = 20;
const WASM: &str = "wasm32-unknown-unknown";

/// The parts of the project that somebody wants to use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Build the page.
    pub(crate) page: bool,
    /// Test the page in a browser.
    pub(crate) browser: bool,
    /// Run GPU tests natively.
    pub(crate) vulkan: bool,
}

/// `cargo xtask setup`.
pub(crate) fn run(mut args: Args) -> Result<()> {
    let (native, web) = (args.flag("--native"), args.flag("--web"));
    let check = args.flag("--check");
    args.finish()?;
    let all = native == web;
    let needs = Needs { page: all || web, browser: all || web, vulkan: all || native };
    if !check {
        ensure(needs)?;
        println!("everything is installed");
        return Ok(());
    }
    let missing = missing(needs)?;
    for part in &missing {
        println!("missing: {}\n    {}", part.name(), part.command());
    }
    if missing.is_empty() {
        println!("everything is installed");
        return Ok(());
    }
    bail!("{} missing; `cargo xtask setup` installs what it can", missing.len())
}

/// One thing that can be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    WasmTarget,
    Trunk,
    WasmBindgen(String),
    Node(Option<String>),
    E2ePackages,
    WebTools,
    Debian(Vec<&'static str>),
    Compiler,
    Chromium,
    Vulkan,
}

/// Whose commands a person types to install what xtask cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Apt,
    Dnf,
    Pacman,
    Brew,
    Winget,
}

impl Manager {
    fn here() -> Option<Self> {
        if cfg!(target_os = "macos") {
            return Some(Self::Brew);
        }
        if cfg!(windows) {
            return Some(Self::Winget);
        }
        let of_linux = [("apt-get", Self::Apt), ("dnf", Self::Dnf), ("pacman", Self::Pacman)];
        of_linux.into_iter().find_map(|(program, manager)| shell::which(program).map(|_| manager))
    }

    /// The command that installs a part; `None` where there is none, or none that we are sure of.
    fn command(self, part: &Part) -> Option<&'static str> {
        Some(match (part, self) {
            (Part::Node(_), Self::Apt) => {
                "apt-get install -y nodejs npm   (as root; before Debian 13 and Ubuntu 25.04 it is too old there: \
                 install it from https://nodejs.org)"
            }
            (Part::Node(_), Self::Dnf) => "sudo dnf install nodejs npm",
            (Part::Node(_), Self::Pacman) => "sudo pacman -S --needed nodejs npm",
            (Part::Node(_), Self::Brew) => "brew install node",
            (Part::Node(_), Self::Winget) => "winget install --exact --id OpenJS.NodeJS.LTS",
            (Part::Compiler, Self::Dnf) => "sudo dnf install gcc gcc-c++",
            (Part::Compiler, Self::Pacman) => "sudo pacman -S --needed base-devel",
            (Part::Compiler, Self::Brew) => "xcode-select --install",
            (Part::Chromium, Self::Dnf) => "sudo dnf install chromium",
            (Part::Chromium, Self::Pacman) => "sudo pacman -S --needed chromium",
            (Part::Chromium, Self::Brew) => "brew install --cask google-chrome",
            (Part::Chromium, Self::Winget) => "winget install --exact --id Google.Chrome",
            (Part::Vulkan, Self::Dnf) => "sudo dnf install vulkan-loader mesa-vulkan-drivers",
            (Part::Vulkan, Self::Pacman) => "sudo pacman -S --needed vulkan-icd-loader vulkan-swrast",
            _ => return None,
        })
    }
}

impl Part {
    fn name(&self) -> String {
        match self {
            Part::WasmTarget => format!("Rust's {WASM} target"),
            Part::Trunk => format!("trunk {TRUNK}"),
            Part::WasmBindgen(version) => format!("wasm-bindgen-cli {version}"),
            Part::Node(None) => format!("Node.js {NODE_MAJOR} or newer with npm"),
            Part::Node(Some(found)) => format!("Node.js {NODE_MAJOR} or newer with npm (found {found})"),
            Part::E2ePackages => "the npm packages of tests/e2e".to_owned(),
            Part::WebTools => "the npm packages of xtask/npm (wasm-opt)".to_owned(),
            Part::Debian(packages) => format!("Debian packages {}", packages.join(", ")),
            Part::Compiler => "a C compiler (cc; Rust links with it)".to_owned(),
            Part::Chromium => "Chromium or Chrome (or set CHROMIUM to its path)".to_owned(),
            Part::Vulkan => "a Vulkan driver: a graphics card's, or Mesa's software one (lavapipe)".to_owned(),
        }
    }

    /// The command that a person would type.
    fn command(&self) -> String {
        self.command_by(Manager::here())
    }

    fn command_by(&self, manager: Option<Manager>) -> String {
        if let Some(command) = manager.and_then(|manager| manager.command(self)) {
            return command.to_owned();
        }
        match self {
            Part::WasmTarget => format!("rustup target add {WASM}"),
            Part::Trunk => format!("cargo install {}", trunk()),
            Part::WasmBindgen(version) => format!("cargo install {}", wasm_bindgen(version)),
            Part::Node(_) => "install it from https://nodejs.org or your system's packages".to_owned(),
            Part::E2ePackages => "npm ci --prefix tests/e2e".to_owned(),
            Part::WebTools => "npm ci --prefix xtask/npm".to_owned(),
            Part::Debian(packages) => {
                format!("apt-get update && apt-get install -y {}   (as root)", packages.join(" "))
            }
            Part::Compiler => "install gcc or clang from your system's packages".to_owned(),
            Part::Chromium => "install Chromium from your system's packages".to_owned(),
            Part::Vulkan => "install your card's Vulkan driver, or Mesa with lavapipe".to_owned(),
        }
    }

    fn install(&self) -> Result<()> {
        match self {
            Part::WasmTarget => shell::run(shell::command("rustup").args(["target", "add", WASM])),
            Part::Trunk => cargo_install(&trunk(), 0),
            Part::WasmBindgen(version) => cargo_install(&wasm_bindgen(version), 1),
            Part::E2ePackages => npm_ci("tests/e2e"),
            Part::WebTools => npm_ci("xtask/npm"),
            Part::Debian(packages) if is_root() => {
                let mut update = shell::command("apt-get");
                shell::run(update.arg("update"))?;
                let mut install = shell::command("apt-get");
                install.env("DEBIAN_FRONTEND", "noninteractive");
                shell::run(install.args(["install", "-y", "--no-install-recommends"]).args(packages))
            }
            Part::Debian(_) | Part::Node(_) | Part::Compiler | Part::Chromium | Part::Vulkan => {
                bail!("{} cannot be installed by xtask here", self.name())
            }
        }
    }

    fn installs_itself(&self) -> bool {
        match self {
            Part::Debian(_) => is_root(),
            Part::Node(_) | Part::Compiler | Part::Chromium | Part::Vulkan => false,
            _ => true,
        }
    }
}

/// Installs what is missing, or stops with the exact commands.
pub(crate) fn ensure(needs: Needs) -> Result<()> {
    let missing = missing(needs)?;
    let by_hand: Vec<_> = missing.iter().filter(|part| !part.installs_itself()).collect();
    if !by_hand.is_empty() {
        let list: Vec<_> = by_hand.iter().map(|part| format!("  {}\n      {}", part.name(), part.command())).collect();
        bail!("please install first:\n{}\nthen run the same command again", list.join("\n"));
    }
    for (at, part) in missing.iter().enumerate() {
        eprintln!("[{}/{}] installing {}", at + 1, missing.len(), part.name());
        part.install().with_context(|| format!("by hand: {}", part.command()))?;
    }
    let still = self::missing(needs)?;
    if let Some(part) = still.first() {
        bail!("{} is still missing after its installation; by hand: {}", part.name(), part.command());
    }
    Ok(())
}

/// What is not there, in the order in which to install it.
fn missing(needs: Needs) -> Result<Vec<Part>> {
    let mut missing = Vec::new();
    let mut debian = Vec::new();
    let on_debian = cfg!(target_os = "linux") && shell::which("apt-get").is_some();
    if !compiler_is_there() {
        if on_debian {
            debian.push("build-essential");
        } else {
            missing.push(Part::Compiler);
        }
    }
    if needs.browser && chromium().is_none() {
        if on_debian {
            debian.extend(["chromium", "fonts-dejavu-core"]);
        } else {
            missing.push(Part::Chromium);
        }
    }
    if needs.vulkan && !vulkan_is_there() {
        if on_debian {
            debian.extend(["mesa-vulkan-drivers", "libvulkan1"]);
        } else {
            missing.push(Part::Vulkan);
        }
    }
    if !debian.is_empty() {
        missing.push(Part::Debian(debian));
    }
    if needs.browser || needs.page {
        let node = shell::first_line("node", &["--version"]);
        if !node.as_deref().is_some_and(node_is_new_enough) || shell::which("npm").is_none() {
            missing.push(Part::Node(node));
        } else {
            if needs.browser && !npm_is_installed("tests/e2e") {
                missing.push(Part::E2ePackages);
            }
            if !npm_is_installed("xtask/npm") {
                missing.push(Part::WebTools);
            }
        }
    }
    if needs.page {
        if !wasm_target_is_there() {
            missing.push(Part::WasmTarget);
        }
        let bindgen = locked_version("wasm-bindgen")?;
        let there = |tool| version_of(tool).as_deref() == Some(&bindgen);
        if !there("wasm-bindgen") || !there("wasm-bindgen-test-runner") {
            missing.push(Part::WasmBindgen(bindgen));
        }
        if version_of("trunk").as_deref() != Some(TRUNK) {
            missing.push(Part::Trunk);
        }
    }
    Ok(missing)
}

/// `tool 1.2.3 (…)` → `1.2.3`.
fn version_of(tool: &str) -> Option<String> {
    let line = shell::first_line(tool, &["--version"])?;
    line.split_whitespace().nth(1).map(str::to_owned)
}

/// The version of a crate in our Cargo.lock: wasm-bindgen's tool must equal its crate to the last digit.
pub(crate) fn locked_version(name: &str) -> Result<String> {
    let path = shell::root().join("Cargo.lock");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let lock: toml::Table = text.parse().with_context(|| format!("{} is no TOML", path.display()))?;
    let packages = lock.get("package").and_then(|p| p.as_array()).cloned().unwrap_or_default();
    packages
        .iter()
        .find(|p| p.get("name").and_then(|n| n.as_str()) == Some(name))
        .and_then(|p| p.get("version")?.as_str().map(str::to_owned))
        .with_context(|| format!("{} does not name {name}", path.display()))
}

fn node_is_new_enough(version: &str) -> bool {
    let major = version.trim_start_matches('v').split('.').next().unwrap_or_default();
    major.parse::<u32>().is_ok_and(|major| major >= NODE_MAJOR)
}

/// On Windows Rust finds Visual Studio's by itself, or has not built us.
fn compiler_is_there() -> bool {
    let named = std::env::var_os("CC").is_some();
    cfg!(windows) || named || ["cc", "gcc", "clang"].iter().any(|name| shell::which(name).is_some())
}

fn wasm_target_is_there() -> bool {
    shell::first_line("rustc", &["--print", "target-libdir", "--target", WASM])
        .is_some_and(|dir| Path::new(&dir).read_dir().is_ok_and(|mut files| files.next().is_some()))
}

fn is_root() -> bool {
    shell::first_line("id", &["-u"]).as_deref() == Some("0")
}

/// What `cargo install` is told for trunk. Without TLS, as below: both fetch nothing here, and cryptography takes long to
/// build.
fn trunk() -> String {
    format!("--locked --no-default-features trunk@{TRUNK}")
}

/// The same for wasm-bindgen, and for what serves the page's own tests. Not --locked: its lock file names versions that were withdrawn from the registry.
fn wasm_bindgen(version: &str) -> String {
    format!("--no-default-features --bin wasm-bindgen --bin wasm-bindgen-test-runner wasm-bindgen-cli@{version}")
}

/// Installs a Rust tool into the project's cache.
fn cargo_install(what: &str, opt_level: u8) -> Result<()> {
    let mut install = shell::cargo();
    install.arg("install").arg("--root").arg(shell::cache_dir().join("tools")).args(what.split(' '));
    // Fast to build beats fast to run (trunk asks for fat LTO): trunk waits on others, only wasm-bindgen has work to do.
    install
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", opt_level.to_string());
    shell::run(&mut install)
}

/// `npm ci` in a folder with a package-lock.json, marked by a copy of that file.
fn npm_ci(folder: &str) -> Result<()> {
    let dir = shell::root().join(folder);
    let mut npm = shell::npm();
    // Playwright must not fetch a browser of its own: the system's is what we test with.
    npm.env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1").current_dir(&dir);
    shell::run(npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]))?;
    let (lock, mark) = npm_lock_and_mark(folder);
    std::fs::copy(&lock, &mark).with_context(|| format!("cannot write {}", mark.display()))?;
    Ok(())
}

fn npm_is_installed(folder: &str) -> bool {
    let (lock, mark) = npm_lock_and_mark(folder);
    match (std::fs::read(lock), std::fs::read(mark)) {
        (Ok(lock), Ok(mark)) => lock == mark,
        _ => false,
    }
}

fn npm_lock_and_mark(folder: &str) -> (PathBuf, PathBuf) {
    let dir = shell::root().join(folder);
    (dir.join("package-lock.json"), dir.join("node_modules").join(".installed-lock.json"))
}

/// The browser for the tests: $CHROMIUM, else the usual names and places.
pub(crate) fn chromium() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM") {
        return Some(path.into());
    }
    let places = [
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    ];
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
        .iter()
        .find_map(|name| shell::which(name))
        .or_else(|| places.iter().map(PathBuf::from).find(|path| path.is_file()))
}

/// Variables for native GPU tests: software Vulkan where there is no card, nothing where there is one.
pub(crate) fn vulkan_env() -> Vec<(&'static str, PathBuf)> {
    let chosen = ["VK_ICD_FILENAMES", "VK_DRIVER_FILES"].iter().any(|name| std::env::var_os(name).is_some());
    if !cfg!(target_os = "linux") || chosen || has_graphics_card() {
        return Vec::new();
    }
    match lavapipe() {
        Some(path) => vec![("VK_ICD_FILENAMES", path.clone()), ("VK_DRIVER_FILES", path)],
        None => Vec::new(),
    }
}

fn vulkan_is_there() -> bool {
    if !cfg!(target_os = "linux") {
        return true; // Metal and DX12 come with the system.
    }
    let loader = ["/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
        .iter()
        .any(|dir| Path::new(dir).join("libvulkan.so.1").exists());
    loader && (lavapipe().is_some() || has_graphics_card())
}

/// A real card shows itself by a render node or by NVIDIA's device file.
fn has_graphics_card() -> bool {
    let render = Path::new("/dev/dri")
        .read_dir()
        .is_ok_and(|files| files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("renderD")));
    render || Path::new("/dev/nvidia0").exists()
}

/// Mesa's software driver.
fn lavapipe() -> Option<PathBuf> {
    ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"]
        .iter()
        .filter_map(|dir| Path::new(dir).read_dir().ok())
        .flatten()
        .flatten()
        .map(|file| file.path())
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("lvp_icd") && name.ends_with(".json")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_versions() {
        assert!(node_is_new_enough("v20.20.2"));
        assert!(node_is_new_enough("v100.0.0"));
        assert!(!node_is_new_enough("v18.19.0"));
        assert!(!node_is_new_enough(""));
    }

    #[test]
    fn what_only_a_person_can_install_has_a_command() {
        let parts = [Part::Node(None), Part::Compiler, Part::Chromium, Part::Vulkan];
        for (manager, program) in [(Manager::Dnf, "sudo dnf install "), (Manager::Pacman, "sudo pacman -S --needed ")] {
            for part in &parts {
                let command = part.command_by(Some(manager));
                assert!(command.starts_with(program) && command.len() > program.len(), "{part:?}: {command}");
            }
        }
        assert_eq!(Part::Chromium.command_by(Some(Manager::Brew)), "brew install --cask google-chrome");
        assert_eq!(
            Part::Node(Some("v18.0.0".to_owned())).command_by(Some(Manager::Winget)),
            "winget install --exact --id OpenJS.NodeJS.LTS"
        );
        // Nobody knows how: what to look for.
        for part in &parts {
            assert!(part.command_by(None).contains("install"), "{part:?}");
        }
        assert_eq!(Part::Trunk.command_by(Some(Manager::Dnf)), format!("cargo install {}", trunk()));
    }

    #[test]
    fn the_lock_file_pins_wasm_bindgen() {
        let version = locked_version("wasm-bindgen").unwrap();
        let manifest = std::fs::read_to_string(shell::root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("wasm-bindgen = \"={version}\"")), "{version}");
        assert!(locked_version("no-such-crate").is_err());
    }
}
