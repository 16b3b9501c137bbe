//! Builds the page into `dist/`.
//!
//! Trunk builds only the small page. The engine is one crate built twice, without and with a GPU, so that a visitor's
//! first visit fetches little; xtask builds both (Trunk knows no features per link), runs wasm-bindgen and wasm-opt
//! on them, puts them into `dist/engine` and writes down in `engine/manifest.json` what they are.

use crate::args::Args;
use crate::setup::{self, Needs};
use crate::shell;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How the page is built; the engines are always optimised, an unoptimised one would be too slow to look at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Quick to build: no wasm-opt, the page unoptimised.
    Dev,
    /// What is published.
    Release,
}

/// Whether Clippy looks on while the page is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lints {
    /// No.
    Off,
    /// Yes, and a warning ends it.
    Denied,
}

/// The engines: folder under `engine/`, and what cargo is told.
const ENGINES: [(&str, &[&str]); 2] =
    [("cpu", &["--no-default-features"]), ("gpu", &["--no-default-features", "--features", "gpu"])];
/// How far wasm-opt goes with them: -O2 takes three times as long, computes no faster, and is larger after brotli.
const ENGINE_PASS: &str = "-O1";
/// The line of `public/sw.js` that gives way to the list of files.
const UNLISTED: &str = "const MANIFEST = null; // replaced when built";
/// Beside an engine's files: what they were made of.
const STAMP: &str = ".stamp";
const WASM: &str = "wasm32-unknown-unknown";
/// What every browser with WebGPU or SIMD reads, and what Rust 1.95 emits for wasm32.
const WASM_FEATURES: [&str; 7] = [
    "--enable-simd",
    "--enable-bulk-memory",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// Where the page lies once built.
pub(crate) fn dist() -> PathBuf {
    shell::root().join("dist")
}

/// `cargo xtask web`.
pub(crate) fn run(mut args: Args) -> Result<()> {
    let dev = args.flag("--dev");
    let release = args.flag("--release");
    let only = args.value("--engine")?;
    args.finish()?;
    ensure!(!(dev && release), "--dev and --release exclude each other");
    setup::ensure(Needs { page: true, browser: false, vulkan: false })?;
    let known = |name: &String| ENGINES.iter().any(|(engine, ..)| engine == name);
    if let Some(name) = only.as_ref().filter(|name| !known(name)) {
        bail!("there is no engine `{name}`: cpu and gpu are");
    }
    build_some(if dev { Mode::Dev } else { Mode::Release }, Lints::Off, only.as_deref())?;
    println!("the page is in {}", dist().display());
    Ok(())
}

/// Builds engines and page.
pub(crate) fn build(mode: Mode, lints: Lints) -> Result<()> {
    build_some(mode, lints, None)
}

/// The same with one engine alone: enough to look at the page while working on it.
fn build_some(mode: Mode, lints: Lints, only: Option<&str>) -> Result<()> {
    let engines = || ENGINES.iter().filter(|(name, ..)| only.is_none_or(|only| only == *name));
    let out = shell::target_dir().join("engine");
    // wasm-opt works on one core for minutes: beside the compiler's next work.
    let manifest = std::thread::scope(|scope| {
        let mut finished = Vec::new();
        for (at, (name, told)) in engines().enumerate() {
            eprintln!("[{}/3] the {name} engine", at + 1);
            let engine = build_engine(out.join(name), told, mode, lints)?;
            finished.push((*name, scope.spawn(move || engine.finish())));
        }
        eprintln!("[3/3] the page");
        build_page(mode, lints)?;
        finished
            .into_iter()
            .map(|(name, engine)| Ok((name.to_owned(), shell::joined(engine)?)))
            .collect::<Result<serde_json::Map<_, _>>>()
    })?;
    for (name, ..) in engines() {
        copy_folder(&out.join(name), &dist().join("engine").join(name))?;
    }
    let manifest = json!({ "version": env!("CARGO_PKG_VERSION"), "engines": manifest });
    let text = serde_json::to_string_pretty(&manifest)? + "\n";
    write(&dist().join("engine").join("manifest.json"), text.as_bytes())?;
    let weights = weights_manifest(&dist().join("weights"))?;
    let text = serde_json::to_string_pretty(&weights)? + "\n";
    write(&dist().join("weights").join("manifest.json"), text.as_bytes())?;
    inline_scripts_to_files(&dist())?;
    list_for_offline(&dist(), &weights)
}

fn linted(command: Command, lints: Lints) -> Command {
    if lints == Lints::Denied { crate::test::linting(command) } else { command }
}

/// Lets Trunk build the page into `dist/`.
fn build_page(mode: Mode, lints: Lints) -> Result<()> {
    let mut trunk = linted(shell::command("trunk"), lints);
    trunk.args(["build", "--offline", "true"]);
    if mode == Mode::Release {
        trunk.arg("--release");
    }
    // Trunk reads NO_COLOR as a flag with a value and stops at the usual `NO_COLOR=1`.
    shell::run(trunk.env_remove("NO_COLOR").arg("--dist").arg(dist()))?;
    if mode == Mode::Release { strip_names(&dist()) } else { Ok(()) }
}

/// An engine that is compiled and bound to JavaScript.
struct Engine {
    out: PathBuf,
    /// What it is made of and by; nothing where it lies finished in `out`.
    stamp: Option<String>,
    /// wasm-opt's pass, where it is optimised.
    pass: Option<&'static str>,
}

/// Compiles one engine, and runs wasm-bindgen on it into `out`.
fn build_engine(out: PathBuf, told: &[&str], mode: Mode, lints: Lints) -> Result<Engine> {
    let mut cargo = linted(shell::cargo(), lints);
    cargo.args(["build", "--release", "--package", "lab-worker", "--target", WASM]);
    cargo.args(told).arg("--message-format=json-render-diagnostics");
    eprintln!("$ {}", shell::describe(&cargo));
    let wasm = artifact(&shell::capture(&mut cargo)?, "lab-worker", false)?;
    let bytes = read(&wasm)?;
    // The same code through the same tools gives the same files: nothing to do twice.
    let pass = (mode == Mode::Release).then_some(ENGINE_PASS);
    let stamp = format!("{} {} {pass:?}\n", setup::locked_version("wasm-bindgen")?, sha256(&bytes));
    if fs::read_to_string(out.join(STAMP)).ok().as_deref() == Some(&stamp) {
        return Ok(Engine { out, stamp: None, pass });
    }
    ensure!(
        !is_command(&bytes),
        "the linker took {} for a command and runs its constructors before every call: worker/src/start.rs must call them",
        wasm.display()
    );
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("cannot empty {}", out.display()))?;
    }
    let mut bindgen = shell::command("wasm-bindgen");
    bindgen.args(["--target", "web", "--no-typescript", "--out-name", "lab_worker", "--out-dir"]);
    shell::run(bindgen.arg(&out).arg(&wasm))?;
    Ok(Engine { out, stamp: Some(stamp), pass })
}

/// Whether the linker wrapped the exported functions of a .wasm, as it names what it wraps
/// (docs/decisions/0021-constructors-run-once.md).
fn is_command(wasm: &[u8]) -> bool {
    const MARK: &[u8] = b".command_export";
    wasm.windows(MARK.len()).any(|part| part == MARK)
}

impl Engine {
    /// Optimises it where that is asked for, and describes its files.
    fn finish(self) -> Result<Value> {
        let Self { out, stamp, pass } = self;
        if let Some(stamp) = stamp {
            if let Some(pass) = pass {
                wasm_opt(&out.join("lab_worker_bg.wasm"), &[pass])?;
            }
            write(&out.join(STAMP), stamp.as_bytes())?;
        }
        let mut files = serde_json::Map::new();
        for path in walk(&out)? {
            let bytes = read(&path)?;
            let name = path.strip_prefix(&out).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            files.insert(name, json!({ "bytes": bytes.len(), "sha256": sha256(&bytes) }));
        }
        ensure!(
            files.contains_key("lab_worker_bg.wasm"),
            "wasm-bindgen wrote no lab_worker_bg.wasm into {}",
            out.display()
        );
        Ok(json!({ "script": "lab_worker.js", "wasm": "lab_worker_bg.wasm", "files": files }))
    }
}

/// Compiles the page's own tests, with the page's profile so that no dependency is compiled twice, for
/// `wasm-bindgen-test-runner` and `tests/e2e/page-own.test.mjs`.
pub(crate) fn build_tests(lints: Lints) -> Result<PathBuf> {
    let mut cargo = linted(shell::cargo(), lints);
    cargo.args(["test", "--no-run", "--release", "--package", "lab-app", "--target", WASM]);
    cargo.arg("--message-format=json-render-diagnostics");
    eprintln!("$ {}", shell::describe(&cargo));
    artifact(&shell::capture(&mut cargo)?, "lab-app", true)
}

/// The .wasm that cargo says it built of a crate: a library, a binary, or its tests.
fn artifact(messages: &str, crate_name: &str, tests: bool) -> Result<PathBuf> {
    let found = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["profile"]["test"] == tests)
        .filter(|message| {
            let name = message["target"]["name"].as_str().unwrap_or_default();
            name.replace('_', "-") == crate_name
        })
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .rfind(|file| file.extension().is_some_and(|extension| extension == "wasm"));
    found.with_context(|| format!("cargo built {crate_name} but named no .wasm file; is it a cdylib or a binary?"))
}

/// Runs a .wasm through wasm-opt, in place; the names of its functions go in any case.
fn wasm_opt(wasm: &Path, passes: &[&str]) -> Result<()> {
    let script = shell::root().join("xtask/npm/node_modules/binaryen/bin/wasm-opt");
    let smaller = wasm.with_extension("opt");
    let mut node = shell::command("node");
    shell::run(node.arg(script).args(passes).args(WASM_FEATURES).arg(wasm).arg("-o").arg(&smaller))?;
    fs::rename(&smaller, wasm).with_context(|| format!("cannot replace {}", wasm.display()))
}

/// What the page is told of the models that lie beside it: each folder that holds a `config.json` and a
/// `model.safetensors`, with what its `about.json` says.
fn weights_manifest(folder: &Path) -> Result<Value> {
    let mut models = Vec::new();
    let mut folders: Vec<PathBuf> = match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect(),
        Err(_) => Vec::new(),
    };
    folders.sort();
    for path in folders {
        let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (config, weights) = (path.join("config.json"), path.join("model.safetensors"));
        ensure!(config.is_file() && weights.is_file(), "public/weights/{id} needs config.json and model.safetensors");
        ensure!(
            id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
            "public/weights/{id}: letters, digits and dashes make the name of a folder that a link can hold"
        );
        let json = |path: &Path| -> Result<Value> {
            serde_json::from_slice(&read(path)?).with_context(|| format!("{} is no JSON", path.display()))
        };
        let config = json(&config)?;
        let about = if path.join("about.json").is_file() { json(&path.join("about.json"))? } else { json!({}) };
        let word = |key: &str| about[key].as_str().unwrap_or_default().to_owned();
        let decoder = config["architectures"][0] == "ViTMAEForPreTraining";
        // What a visitor meets who asks for no model.
        let first = !decoder && models.iter().all(|model: &Value| model["first"] == false);
        models.push(json!({
            "id": id,
            "title": word("title"),
            "licence": word("licence"),
            "note": word("note"),
            "decoder": decoder,
            "first": first,
            "bytes": fs::metadata(&weights)?.len(),
        }));
    }
    Ok(json!({ "models": models }))
}

/// Takes the names of functions out of the page's .wasm: leptos' generics make them half of it. The loops of the page
/// are few, so nothing is optimised here: `-Oz` was measured to be larger after brotli.
fn strip_names(dist: &Path) -> Result<()> {
    let files = walk(dist)?;
    let mut wasm = files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "wasm"));
    wasm.try_for_each(|wasm| wasm_opt(wasm, &[]))
}

/// Moves inline module scripts (Trunk's loader) into files, so that the page's policy can forbid inline scripts.
fn inline_scripts_to_files(dist: &Path) -> Result<()> {
    let index = dist.join("index.html");
    let html = String::from_utf8(read(&index)?).context("dist/index.html is not UTF-8")?;
    let (html, scripts) = split_inline_scripts(&html)?;
    for (name, text) in scripts {
        write(&dist.join(name), text.as_bytes())?;
    }
    write(&index, html.as_bytes())
}

/// Writes into `sw.js` what the page is made of, so that it can be kept for use without a network.
///
/// `first` marks what is kept at the first visit: page, CPU engine, samples, and the model that is met without asking. The
/// GPU's engine and other weights are large and not for everybody; they are kept when they are first used.
fn list_for_offline(dist: &Path, weights: &Value) -> Result<()> {
    let worker = dist.join("sw.js");
    let models = weights["models"].as_array().map(Vec::as_slice).unwrap_or_default();
    let met = models.iter().find(|model| model["first"] == true).and_then(|model| model["id"].as_str());
    let met = met.map(|id| format!("weights/{id}/"));
    let script = String::from_utf8(read(&worker)?).context("sw.js is not UTF-8")?;
    let mut files = serde_json::Map::new();
    for path in walk(dist)? {
        let name = path.strip_prefix(dist).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        if name != "sw.js" {
            let bytes = read(&path)?;
            let later = ["engine/gpu/", "examples/", "weights/"].iter().any(|folder| name.starts_with(folder));
            let now = name == "weights/manifest.json" || met.as_ref().is_some_and(|folder| name.starts_with(folder));
            let later = later && !now;
            files.insert(name, json!({ "sha256": sha256(&bytes), "first": !later }));
        }
    }
    write(&worker, listed(&script, &Value::Object(files))?.as_bytes())
}

/// The service worker with its list of files.
fn listed(script: &str, files: &Value) -> Result<String> {
    let version = sha256(format!("{script}{files}").as_bytes());
    let manifest = json!({ "version": version[..16], "files": files });
    ensure!(script.matches(UNLISTED).count() == 1, "sw.js has no line `{UNLISTED}` to write the files into");
    Ok(script.replace(UNLISTED, &format!("const MANIFEST = {manifest};")))
}

/// The page without inline scripts, and the files that now hold them.
fn split_inline_scripts(html: &str) -> Result<(String, Vec<(String, String)>)> {
    let (mut page, mut scripts, mut rest) = (String::new(), Vec::new(), html);
    while let Some(start) = rest.find("<script") {
        let Some(open) = rest[start..].find('>').map(|at| start + at + 1) else { break };
        let Some(close) = rest[open..].find("</script>").map(|at| open + at) else {
            bail!("index.html has a <script> without its end");
        };
        let (tag, text) = (&rest[start..open], &rest[open..close]);
        page.push_str(&rest[..start]);
        if tag.contains(" src=") || text.trim().is_empty() {
            page.push_str(&rest[start..close]);
        } else {
            let name = format!("start-{}.js", &sha256(text.as_bytes())[..16]);
            page.push_str(&format!("{} src=\"./{name}\">", without_nonce(tag.trim_end_matches('>'))));
            scripts.push((name, text.to_owned()));
        }
        rest = &rest[close..];
    }
    page.push_str(rest);
    Ok((page, scripts))
}

/// A nonce written into a static file is the same for everybody and so proves nothing.
fn without_nonce(tag: &str) -> String {
    let words = tag.split(' ').filter(|word| !word.starts_with("nonce="));
    words.collect::<Vec<_>>().join(" ")
}

/// Lower-case hex.
fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// All files of a folder, sorted, without hidden ones.
pub(crate) fn walk(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        if path.is_dir() {
            files.extend(walk(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for path in walk(from)? {
        write(&to.join(path.strip_prefix(from).unwrap_or(&path)), &read(&path)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_scripts_become_files() {
        let html = "<head><script type=\"module\" nonce=\"x\">start()</script><script src=\"a.js\"></script></head>";
        let (page, scripts) = split_inline_scripts(html).unwrap();
        let [(name, text)] = &scripts[..] else { panic!("{scripts:?}") };
        assert_eq!(text, "start()");
        assert_eq!(
            page,
            format!("<head><script type=\"module\" src=\"./{name}\"></script><script src=\"a.js\"></script></head>")
        );
        assert!(split_inline_scripts("<script>never ends").is_err());
    }

    #[test]
    fn the_service_worker_changes_with_any_file() {
        let script = format!("// head\n{UNLISTED}\nrest();\n");
        let list = |hash: &str| listed(&script, &json!({ "a.js": { "sha256": hash, "first": true } })).unwrap();
        let (one, other) = (list("00"), list("11"));
        assert_ne!(one, other);
        assert_eq!(one, list("00"));
        assert!(one.contains(r#""a.js":{"first":true,"sha256":"00"}"#) && one.ends_with("rest();\n"), "{one}");
        assert!(listed("nothing to replace", &json!({})).is_err());
    }

    #[test]
    fn a_folder_of_weights_is_enough() {
        let folder = std::env::temp_dir().join(format!("lab-weights-{}", std::process::id()));
        let put = |name: &str, text: &str| write(&folder.join(name), text.as_bytes()).unwrap();
        assert_eq!(weights_manifest(&folder).unwrap(), json!({ "models": [] }));
        put("README.md", "no folder");
        put("tiny-mae/config.json", r#"{"architectures": ["ViTMAEForPreTraining"]}"#);
        put("tiny-mae/model.safetensors", "12345");
        put("tiny-mae/about.json", r#"{"title": "Tiny MAE", "licence": "MIT"}"#);
        let manifest = weights_manifest(&folder).unwrap();
        let expected = json!({
            "id": "tiny-mae", "title": "Tiny MAE", "licence": "MIT", "note": "", "decoder": true, "first": false,
            "bytes": 5
        });
        assert_eq!(manifest["models"][0], expected);
        // The first that is no autoencoder is met first.
        for id in ["vit-a", "vit-b"] {
            put(&format!("{id}/config.json"), r#"{"architectures": ["Dinov2Model"]}"#);
            put(&format!("{id}/model.safetensors"), "12345");
        }
        let manifest = weights_manifest(&folder).unwrap();
        let first = |at: usize| manifest["models"][at]["first"].as_bool();
        assert_eq!([first(0), first(1), first(2)], [Some(false), Some(true), Some(false)]);
        put("half/config.json", "{}");
        assert!(weights_manifest(&folder).unwrap_err().to_string().contains("model.safetensors"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn wrapped_functions_are_seen() {
        assert!(is_command(b"\0\x1c__externref_table_alloc.command_export\0"));
        assert!(!is_command(b"\0\x17__externref_table_alloc\0"));
    }

    #[test]
    fn finds_the_engine_in_cargos_messages() {
        let message = |name: &str, tests: bool, files: &[&str]| {
            let (target, profile) = (json!({ "name": name }), json!({ "test": tests }));
            json!({ "reason": "compiler-artifact", "target": target, "profile": profile, "filenames": files })
                .to_string()
        };
        let messages = [
            message("lab_core", false, &["/t/liblab_core.rlib"]),
            "not json".to_owned(),
            message("lab-worker", false, &["/t/lab-worker.js", "/t/lab-worker.wasm"]),
            message("lab-app", true, &["/t/deps/lab_app-1.wasm"]),
        ];
        let found = |name: &str, tests: bool| artifact(&messages.join("\n"), name, tests);
        assert_eq!(found("lab-worker", false).unwrap(), PathBuf::from("/t/lab-worker.wasm"));
        assert_eq!(found("lab-app", true).unwrap(), PathBuf::from("/t/deps/lab_app-1.wasm"));
        assert!(found("lab-app", false).is_err() && artifact("{}", "lab-worker", false).is_err());
    }
}
