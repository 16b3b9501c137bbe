//! Turns `common/`, `kernels/`, `native/`, `views/` and `permutations.txt` into `OUT_DIR/shaders.rs`.
//!
//! Every shader is resolved (`#import`, `#ifdef`, `#for`), parsed and validated by naga, and held to the limits that
//! every WebGPU device grants; those of `native/` to what native drivers with matrix units grant. What a browser would
//! refuse fails the build here, with file and line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "build/reflect.rs"]
mod reflect;
#[path = "build/resolve.rs"]
mod resolve;

use resolve::Defines;

/// What stands before a kind's items: a browser's build leaves some out.
fn gate(kind: reflect::Kind) -> &'static str {
    if kind == reflect::Kind::Native { "#[cfg(not(target_family = \"wasm\"))]\n" } else { "" }
}

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    for watched in ["common", "kernels", "native", "views", "permutations.txt", "build"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let permutations = read_permutations(&root.join("permutations.txt"));
    let mut rust = String::from("// Written by build.rs from the WGSL beside it.\n\n");
    let mut constants = BTreeMap::new();
    for (folder, kind) in
        [("kernels", reflect::Kind::Kernel), ("native", reflect::Kind::Native), ("views", reflect::Kind::View)]
    {
        for (name, path) in wgsl_files(&root.join(folder)) {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let variants = variants(&name, &permutations);
            for (index, (variant, defines)) in variants.iter().enumerate() {
                let source = resolve::resolve(&text, &root.join("common"), defines)
                    .unwrap_or_else(|error| panic!("{} ({variant}): {error}", path.display()));
                let reflection = reflect::reflect(&source, kind)
                    .unwrap_or_else(|error| panic!("{} ({variant}): {error}", path.display()));
                constants.insert(variant.clone(), kind);
                rust.push_str(gate(kind));
                write_shader(&mut rust, variant, &source, &reflection);
                if index == 0 && kind != reflect::Kind::Native {
                    write_params(&mut rust, &name, &reflection);
                }
            }
        }
    }
    for (list, kind, what) in [
        ("KERNELS", reflect::Kind::Kernel, "Every compute shader."),
        (
            "NATIVE",
            reflect::Kind::Native,
            "Every compute shader that no browser runs; its parameters are those of its kind in `kernels/`.",
        ),
        ("VIEWS", reflect::Kind::View, "Every drawing shader."),
    ] {
        let names: Vec<_> = constants
            .iter()
            .filter(|(_, k)| **k == kind)
            .map(|(name, _)| format!("&{}", name.to_uppercase()))
            .collect();
        rust.push_str(gate(kind));
        writeln!(rust, "/// {what}\npub static {list}: &[&Shader] = &[{}];", names.join(", ")).expect("a string");
    }
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("shaders.rs"), rust).expect("OUT_DIR is writable");
}

/// `file suffix NAME[=VALUE]…`, one a line: the shader `file_suffix` is `file` with these defines.
fn read_permutations(path: &Path) -> BTreeMap<String, Vec<(String, Defines)>> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut found: BTreeMap<String, Vec<(String, Defines)>> = BTreeMap::new();
    for line in text.lines().map(|line| line.split('#').next().unwrap_or("").trim()).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (Some(file), Some(suffix)) = (words.next(), words.next()) else {
            panic!("{}: expected `file suffix NAME[=VALUE]…`, found `{line}`", path.display());
        };
        let defines = words
            .map(|word| match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word.to_owned(), None),
            })
            .collect();
        found.entry(file.to_owned()).or_default().push((suffix.to_owned(), defines));
    }
    found
}

/// A file's shaders. Where permutations give values (`HEAD_DIM=64`) the plain file is no shader of its own.
fn variants(name: &str, permutations: &BTreeMap<String, Vec<(String, Defines)>>) -> Vec<(String, Defines)> {
    let listed = permutations.get(name).map(Vec::as_slice).unwrap_or_default();
    let valued = listed.iter().any(|(_, defines)| defines.values().any(Option::is_some));
    let plain = (!valued).then(|| (name.to_owned(), Defines::new()));
    plain
        .into_iter()
        .chain(listed.iter().map(|(suffix, defines)| (format!("{name}_{suffix}"), defines.clone())))
        .collect()
}

fn wgsl_files(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "wgsl"))
        .map(|path| (path.file_stem().expect("a file").to_string_lossy().into_owned(), path))
        .collect();
    files.sort();
    files
}

fn write_shader(rust: &mut String, name: &str, source: &str, reflection: &reflect::Reflection) {
    let bindings: Vec<_> = reflection
        .bindings
        .iter()
        .map(|(name, writes)| format!("Binding {{ name: {name:?}, writes: {writes} }}"))
        .collect();
    writeln!(
        rust,
        "/// `{name}`, see its WGSL.\npub static {}: Shader = Shader {{ name: {name:?}, source: {source:?}, workgroup_size: {:?}, \
         bindings: &[{}], needs_f16: {} }};\n",
        name.to_uppercase(),
        reflection.workgroup_size,
        bindings.join(", "),
        reflection.needs_f16,
    )
    .expect("a string");
}

fn write_params(rust: &mut String, name: &str, reflection: &reflect::Reflection) {
    if reflection.params.is_empty() {
        return;
    }
    writeln!(rust, "/// Parameters of `{name}`.\npub mod {name} {{").expect("a string");
    writeln!(rust, "    /// The shader's `Params`, field by field.\n    #[derive(Debug, Clone, Copy, PartialEq)]\n    pub struct Params {{")
        .expect("a string");
    for (field, kind) in &reflection.params {
        writeln!(rust, "        /// `{field}`, see the WGSL.\n        pub {field}: {kind},").expect("a string");
    }
    writeln!(rust, "    }}\n\n    impl Params {{\n        /// The struct as the shader reads it.\n        pub fn words(&self) -> Vec<u32> {{\n            vec![").expect("a string");
    for (field, kind) in &reflection.params {
        let word = match *kind {
            "f32" => format!("self.{field}.to_bits()"),
            "i32" => format!("self.{field} as u32"),
            _ => format!("self.{field}"),
        };
        writeln!(rust, "                {word},").expect("a string");
    }
    writeln!(rust, "            ]\n        }}\n    }}\n}}\n").expect("a string");
}
