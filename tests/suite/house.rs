//! Reads the sources and holds them to the house: who may import whom, the four parts of each kernel, one address
//! for burn, two for CubeCL, links and paths in the documents.
//!
//! Each rule is a small function from text to complaints, tested on small strings below the rules, so that a rule
//! that has gone blind is noticed.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders (or files) of `core/src`, highest first; one imports only from the lines below its own.
const LAYERS: [&[&str]; 10] = [
    &["engine"],
    &["train"],
    &["data", "parity", "probe"],
    &["config"],
    &["models"],
    &["layers", "losses"],
    &["kernels"],
    &["device", "image", "formats"],
    &["host", "rng"],
    &["error"],
];

/// Which of our crates each may depend on (also for tests and builds).
const CRATES: [(&str, &[&str]); 9] = [
    ("shaders", &[]),
    ("protocol", &[]),
    ("loops", &[]),
    ("core", &["lab-shaders", "lab-protocol", "lab-loops"]),
    ("worker", &["lab-core", "lab-protocol", "lab-shaders"]),
    ("app", &["lab-protocol"]),
    ("native-trainer", &["lab-core", "lab-protocol"]),
    ("tests", &["lab-core", "lab-protocol", "lab-shaders", "lab-worker"]),
    ("xtask", &[]),
];

/// Crates whose sources never name burn.
const WITHOUT_BURN: [&str; 6] = ["shaders", "protocol", "loops", "app", "native-trainer", "xtask"];

/// What core does not know; it asks its host.
const NOT_IN_CORE: [&str; 7] =
    ["web_sys", "js_sys", "wasm_bindgen", "std::fs", "std::env", "std::thread::spawn", "std::time::Instant"];

/// Files of `core/src/kernels` that are no kernel.
const NO_KERNELS: [&str; 6] = ["mod", "flex", "kept", "launch", "share", "self_check"];

/// Folders of the checkout that documents name files in.
const FOLDERS: [&str; 13] = [
    "app",
    "configs",
    "core",
    "docs",
    "fuzz",
    "loops",
    "native-trainer",
    "protocol",
    "public",
    "shaders",
    "tests",
    "worker",
    "xtask",
];

/// Who may name CubeCL: the launch itself, and the switch that asks which device there is.
const CUBECL: [&str; 2] = ["core/src/kernels/launch.rs", "core/src/device/mode.rs"];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests lie in the checkout").to_path_buf()
}

// ---- the rules ----------------------------------------------------------------------------------------------------

/// The crate-level modules that a file of core imports. `depth` is how deep the file's module lies (`kernels/mod.rs`
/// 1, `kernels/matmul.rs` 2), so that `super::super::…` is understood.
fn imports(code: &str, depth: usize) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            names_at(&code[at + "crate::".len()..], &mut found);
        }
    }
    let up = "super::".repeat(depth);
    for (at, _) in code.match_indices(&up) {
        let rest = &code[at + up.len()..];
        if depth > 0 && !code[..at].ends_with("super::") && !rest.starts_with("super::") {
            names_at(rest, &mut found);
        }
    }
    found.sort();
    found.dedup();
    found
}

/// `name…` gives one name, `{a::b, c::{d, e}, f}` gives `a c f`.
fn names_at(text: &str, found: &mut Vec<String>) {
    let identifier =
        |text: &str| -> String { text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let Some(group) = text.strip_prefix('{') else {
        found.push(identifier(text));
        return;
    };
    let (mut depth, mut start) = (0_usize, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.push(identifier(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found.retain(|name| !name.is_empty());
}

/// Complaints about one file of core, given the folder it lies in.
fn layer_complaints(folder: &str, code: &str, depth: usize) -> Vec<String> {
    let line_of = |name: &str| LAYERS.iter().position(|line| line.contains(&name));
    let Some(own) = line_of(folder) else {
        return vec![format!("`{folder}` has no place in the layers of tests/suite/house.rs")];
    };
    imports(code, depth)
        .into_iter()
        .filter(|name| name != folder)
        .filter_map(|name| match line_of(&name) {
            // What the crate's root re-exports (`crate::Error`, `crate::Result`) is no folder.
            None => None,
            Some(line) if line > own => None,
            Some(_) => Some(format!("`{folder}` imports `{name}`, which does not lie below it")),
        })
        .collect()
}

/// The code of a file: without comments, and up to its unit tests, which may look around freely.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text.lines().map(|line| match line.find("//") {
        // `https://` inside a string is no comment.
        Some(at) if !line[..at].ends_with(':') => &line[..at],
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// True if `word` stands in `code` as a whole path segment or identifier.
fn names(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(part) && !code[at + word.len()..].chars().next().is_some_and(part)
    })
}

/// True if code names burn or one of its crates.
fn names_burn(code: &str) -> bool {
    ["burn", "burn_wgpu", "burn_tensor", "burn_core", "burn_backend", "burn_autodiff", "burn_flex", "burn_store"]
        .iter()
        .any(|name| {
            names(code, name) && (code.contains(&format!("{name}::")) || code.contains(&format!("use {name};")))
        })
}

/// Names of our crates that a Cargo.toml depends on.
fn own_dependencies(manifest: &str) -> Vec<&str> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
            if let Some((_, name)) = line.trim_end_matches(']').split_once("dependencies.") {
                found.push(name);
            }
        } else if section.contains("dependencies") {
            found.extend(line.split(['.', '=', ' ']).next());
        }
    }
    found.retain(|name| name.starts_with("lab-"));
    found
}

/// The parts that each kernel must have, given what lies in the three folders.
fn kernel_complaints(
    shaders: &[String],
    wrappers: &[(String, String)],
    tests: &[String],
    document: &str,
) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, code) in wrappers {
        // `linear` is `matmul` with an epilogue: a kernel may launch a neighbour's shader.
        let borrows = wrappers.iter().any(|(other, _)| other != name && code.contains(&format!("super::{other}")));
        if !borrows && !shaders.iter().any(|shader| belongs(shader, name, code)) {
            complaints.push(format!("kernel `{name}` uses no shader of shaders/kernels"));
        }
        if !code.contains("pub fn reference") {
            complaints.push(format!("kernel `{name}` has no `pub fn reference` in core/src/kernels/{name}.rs"));
        }
        if !tests.contains(name) {
            complaints.push(format!("kernel `{name}` has no test tests/suite/kernels/{name}.rs"));
        }
        if !document.contains(&format!("| `{name}` |")) {
            complaints.push(format!("kernel `{name}` has no line in docs/kernels.md"));
        }
    }
    for shader in shaders {
        if !wrappers.iter().any(|(name, code)| belongs(shader, name, code)) {
            complaints.push(format!("shader `{shader}` is used by no kernel of core/src/kernels"));
        }
    }
    complaints
}

/// A shader is a kernel's if it has its name (`attention_backward_q` is `attention`'s) or the wrapper names it.
fn belongs(shader: &str, kernel: &str, wrapper: &str) -> bool {
    shader == kernel
        || shader.strip_prefix(kernel).is_some_and(|rest| rest.starts_with('_'))
        || names(wrapper, shader)
        || names(wrapper, &shader.to_uppercase())
}

/// Targets of the links and pictures of a Markdown text that lie in this project, `path#anchor` as written.
fn local_links(markdown: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut in_code, mut in_comment) = (false, false);
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        in_comment |= line.contains("<!--");
        let skip = in_code || in_comment;
        in_comment &= !line.contains("-->");
        if skip {
            continue;
        }
        let line: String = line.split('`').step_by(2).collect(); // what stands in backticks is no link
        let targets = line.split("](").skip(1).map(|rest| rest.split([')', ' ']).next());
        let pictures = line.split("src=\"").skip(1).map(|rest| rest.split('"').next());
        found.extend(targets.chain(pictures).flatten().map(str::to_owned));
    }
    found.retain(|link| !link.contains("://") && !link.starts_with("mailto:"));
    found
}

/// Paths of this project that a Markdown text names in backticks; patterns (`*.mjs`) and gaps (`NAME.rs`) are none.
fn named_paths(markdown: &str) -> Vec<String> {
    let plain = |path: &str| path.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '-' | '_'));
    let ours = |path: &str| path.split_once('/').is_some_and(|(folder, _)| FOLDERS.contains(&folder));
    let mut found = Vec::new();
    let mut in_code = false;
    for line in markdown.lines() {
        in_code ^= line.trim_start().starts_with("```");
        if !in_code {
            let words = line.split('`').skip(1).step_by(2);
            found.extend(words.filter(|&word| plain(word) && ours(word) && !word.contains("NAME")).map(str::to_owned));
        }
    }
    found
}

/// The anchor that GitHub gives to a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Complaints about the links of one document; `read` gives the text of a path, or nothing if it is not there.
fn link_complaints(markdown: &str, folder: &Path, read: impl Fn(&Path) -> Option<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for link in local_links(markdown) {
        let (path, fragment) = link.split_once('#').unwrap_or((&link, ""));
        let text = if path.is_empty() { Some(markdown.to_owned()) } else { read(&folder.join(path)) };
        let Some(text) = text else {
            complaints.push(format!("link to `{link}`, which is not there"));
            continue;
        };
        let has_heading = || text.lines().any(|line| line.starts_with('#') && anchor(line) == fragment);
        if !fragment.is_empty() && !has_heading() {
            complaints.push(format!("link to `{link}`, which has no such heading"));
        }
    }
    complaints
}

// ---- the rules on the project -------------------------------------------------------------------------------------

/// All files below a folder with an extension, without built, hidden and installed ones.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || ["target", "dist", "node_modules", "shared"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn stems(folder: &Path, extension: &str) -> Vec<String> {
    let stem = |path: PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    files(folder, extension).into_iter().map(stem).filter(|name| name != "mod").collect()
}

#[track_caller]
fn nothing_wrong(complaints: &[String]) {
    assert!(complaints.is_empty(), "the house complains:\n  {}", complaints.join("\n  "));
}

#[test]
fn arrows_inside_core_point_down() {
    let source = root().join("core/src");
    let mut complaints = Vec::new();
    for path in files(&source, "rs") {
        let relative = path.strip_prefix(&source).expect("below core/src");
        let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy().replace(".rs", "")).collect();
        if parts == ["lib"] {
            continue; // the crate's map names everything
        }
        let depth = parts.iter().filter(|part| *part != "mod").count();
        let found = layer_complaints(&parts[0], &code_of(&read(&path)), depth);
        complaints.extend(found.into_iter().map(|complaint| format!("{}: {complaint}", relative.display())));
    }
    nothing_wrong(&complaints);
}

#[test]
fn crates_depend_only_downwards() {
    let mut complaints = Vec::new();
    for (name, allowed) in CRATES {
        let manifest = read(&root().join(name).join("Cargo.toml"));
        for dependency in own_dependencies(&manifest).into_iter().filter(|d| !allowed.contains(d)) {
            complaints.push(format!("{name}/Cargo.toml depends on {dependency}"));
        }
    }
    nothing_wrong(&complaints);
}

#[test]
fn burn_and_cubecl_have_one_address() {
    let mut complaints = Vec::new();
    for folder in WITHOUT_BURN {
        for path in files(&root().join(folder), "rs").into_iter().filter(|path| names_burn(&code_of(&read(path)))) {
            complaints.push(format!("{} names burn", path.display()));
        }
    }
    let addresses = CUBECL.map(|path| root().join(path));
    for folder in ["shaders", "protocol", "core", "app", "native-trainer", "tests"] {
        for path in files(&root().join(folder), "rs") {
            let exempt = addresses.contains(&path) || path.ends_with("tests/suite/house.rs");
            if !exempt && names(&code_of(&read(&path)), "cubecl") {
                complaints.push(format!("{} names cubecl; only {CUBECL:?} may", path.display()));
            }
        }
    }
    nothing_wrong(&complaints);
}

#[test]
fn core_knows_no_host() {
    let mut complaints = Vec::new();
    for path in files(&root().join("core/src"), "rs") {
        let code = code_of(&read(&path));
        let found = NOT_IN_CORE.iter().filter(|word| names(&code, word));
        complaints.extend(found.map(|word| format!("{} names {word}", path.display())));
    }
    nothing_wrong(&complaints);
}

#[test]
fn kernels_have_four_parts() {
    let folder = root().join("core/src/kernels");
    let wrappers: Vec<_> = stems(&folder, "rs")
        .into_iter()
        // In a folder of its own lies a part of a wrapper.
        .filter(|name| folder.join(format!("{name}.rs")).is_file() && !NO_KERNELS.contains(&name.as_str()))
        .map(|name| {
            let code = code_of(&read(&folder.join(format!("{name}.rs"))));
            (name, code)
        })
        .collect();
    // Before the first wrapper is written there is nothing to hold together.
    if !wrappers.is_empty() {
        let shaders = stems(&root().join("shaders/kernels"), "wgsl");
        nothing_wrong(&kernel_complaints(
            &shaders,
            &wrappers,
            &stems(&root().join("tests/suite/kernels"), "rs"),
            &read(&root().join("docs/kernels.md")),
        ));
    }
}

#[test]
fn links_in_documents_resolve() {
    let mut complaints = Vec::new();
    let documents = files(&root(), "md");
    assert!(documents.iter().any(|path| path.ends_with("README.md")), "there is no README.md");
    for path in documents {
        let look = |target: &Path| {
            if target.is_dir() {
                Some(String::new())
            } else {
                fs::read(target).ok().map(|b| String::from_utf8_lossy(&b).into_owned())
            }
        };
        let text = read(&path);
        let mut found = link_complaints(&text, path.parent().expect("a file has a folder"), look);
        let gone = named_paths(&text).into_iter().filter(|named| !root().join(named).exists());
        found.extend(gone.map(|named| format!("names `{named}`, which is not there")));
        complaints.extend(found.into_iter().map(|complaint| format!("{}: {complaint}", path.display())));
    }
    nothing_wrong(&complaints);
}

// ---- the rules on small strings -----------------------------------------------------------------------------------

#[test]
fn imports_are_found_in_every_form() {
    let check = |code: &str, depth: usize, expected: &[&str]| assert_eq!(imports(code, depth), expected, "{code}");
    check("use crate::models::vit::Vit;", 2, &["models"]);
    check("use crate::{error::Error, layers::{mlp, block},\n    rng};", 2, &["error", "layers", "rng"]);
    check("let x = crate::train::step(); lab_crate::y(); $crate::z!()", 1, &["train"]);
    check("use super::super::engine::run; use super::launch;", 2, &["engine"]);
    check("use super::engine;", 1, &["engine"]);
    check("use super::mean;", 2, &[]);
}

#[test]
fn arrows_that_point_up_are_refused() {
    let complaints = |folder: &str, code: &str| layer_complaints(folder, code, 2).len();
    assert_eq!(complaints("kernels", "use crate::device::Device; use crate::kernels::launch;"), 0);
    assert_eq!(complaints("kernels", "use crate::models::vit;"), 1);
    assert_eq!(complaints("probe", "use crate::train::State;"), 1);
    assert_eq!(complaints("probe", "use crate::data::masking;"), 1, "same line");
    assert_eq!(complaints("losses", "use crate::{layers::mlp, models, Error};"), 2);
    assert_eq!(complaints("utils", ""), 1, "a folder without a place");
}

#[test]
fn comments_and_unit_tests_are_no_code() {
    let code =
        code_of("let a = 1; // use crate::engine\n/// crate::engine\n#[cfg(test)]\nmod tests { use crate::engine; }");
    assert_eq!(imports(&code, 1), [""; 0]);
    assert!(code.contains("let a"));
    assert!(code_of("let u = \"https://x\";").contains("https://x"));
}

#[test]
fn burn_is_recognised() {
    assert!(names_burn("use burn::tensor::Tensor;") && names_burn("fn f(t: burn_tensor::Tensor) {}"));
    assert!(!names_burn("let burn = 1;") && !names_burn("heartburn::x()") && !names_burn("burndown::x()"));
    assert!(names("use cubecl::prelude::*;", "cubecl") && !names("my_cubecl()", "cubecl"));
}

#[test]
fn manifests_are_read() {
    let manifest = "[package]\nname = \"lab-x\"\n[dependencies]\nlab-core.workspace = true\nserde = \"1\"\n\
        [target.'cfg(unix)'.dependencies]\nlab-app = { path = \"x\" }\n[dev-dependencies.lab-tests]\npath = \"y\"\n";
    assert_eq!(own_dependencies(manifest), ["lab-core", "lab-app", "lab-tests"]);
}

#[test]
fn a_missing_part_is_named() {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let kernel = |name: &str, code: &str| (name.to_owned(), code.to_owned());
    let shaders = list(&["attention", "attention_backward_q", "gather_tokens"]);
    let whole = [kernel("attention", "pub fn reference()"), kernel("tokens", "pub fn reference() { GATHER_TOKENS }")];
    let document = "| `attention` | x |\n| `tokens` | y |\n| `rope` | z |";
    let check = |wrappers: &[_], tests: &[&str]| kernel_complaints(&shaders, wrappers, &list(tests), document);
    assert_eq!(check(&whole, &["attention", "tokens"]), [""; 0]);
    let borrowed = [whole[0].clone(), whole[1].clone(), kernel("rope", "use super::attention; pub fn reference()")];
    assert_eq!(check(&borrowed, &["attention", "tokens", "rope"]), [""; 0]);
    let broken = [kernel("attention", "fn reference()"), kernel("mlp", "pub fn reference()")];
    let complaints = check(&broken, &["mlp"]).join("\n");
    for expected in [
        "no `pub fn reference`",
        "no test tests/suite/kernels/attention.rs",
        "`mlp` uses no shader",
        "`mlp` has no line",
        "`gather_tokens` is used by no",
    ] {
        assert!(complaints.contains(expected), "{expected}\n{complaints}");
    }
}

#[test]
fn dead_links_are_found() {
    let text = "# Top one\n[a](b.md) [c](http://x/y) ![p](q.png \"t\") [d](b.md#here) [e](#top-one) `[z](z.md)`\n\
        ```\n[f](g.md)\n```\n<!-- <img src=\"later.png\"> -->\n<img src=\"i.png\">\n";
    assert_eq!(local_links(text), ["b.md", "q.png", "b.md#here", "#top-one", "i.png"]);
    let there = |path: &Path| path.ends_with("b.md").then(|| "## Here\n".to_owned());
    let complaints = link_complaints(text, Path::new("/docs"), there);
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    let nowhere = link_complaints("[d](b.md#nowhere)", Path::new("/docs"), there);
    assert_eq!(nowhere, ["link to `b.md#nowhere`, which has no such heading"]);
}

#[test]
fn paths_in_backticks_are_found() {
    let text = "`core/src/lib.rs` and `docs/`, but `lib.rs`, `../shared/x`, `core/src/NAME.rs`, `tests/*.mjs`, `a b`\n\
        ```sh\ncat `core/none.rs`\n```\nand ``linker `cc` not found`` beside `app/src`\n";
    assert_eq!(named_paths(text), ["core/src/lib.rs", "docs/", "app/src"]);
}

/// The page's own JavaScript greets an engine by number; a stale one turns every visitor of the API away.
#[test]
fn the_javascript_api_speaks_the_protocol() {
    let script = read(&root().join("public/api/lab.js"));
    let line = format!("export const PROTOCOL = {};", lab_protocol::PROTOCOL);
    assert!(script.contains(&line), "public/api/lab.js does not hold `{line}`");
}
