//! `cargo xtask new-kernel NAME`: lays out the four parts of a kernel, failing until they are filled.
//!
//! The wrapper stops the compiler, so that a half-made kernel cannot be merged; `tests/suite/house.rs` checks that
//! all parts are there.

use crate::args::Args;
use crate::shell;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// Writes the parts; refuses to touch a file that exists.
pub(crate) fn run(mut args: Args) -> Result<()> {
    let name = args.positional().context("which name? cargo xtask new-kernel NAME")?;
    args.finish()?;
    ensure!(is_a_good_name(&name), "a kernel's name is lower_case_with_underscores, found `{name}`");
    let root = shell::root();
    let parts = parts(&root, &name);
    for (path, _) in &parts {
        ensure!(!path.exists(), "it is already there: {}", path.display());
    }
    for (path, text) in &parts {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    let docs = root.join("docs/kernels.md");
    let old = fs::read_to_string(&docs).with_context(|| format!("cannot read {}", docs.display()))?;
    fs::write(&docs, old + &docs_line(&name)).with_context(|| format!("cannot write {}", docs.display()))?;
    println!("added a line to {}", docs.display());
    println!(
        "now: write the shader, fill the wrapper and its `reference`, write the test, then add\n  \
         `pub mod {name};` to core/src/kernels/mod.rs, `mod {name};` to tests/suite/kernels/mod.rs, and a variant to \
         `Kernel` in core/src/device/mode.rs"
    );
    Ok(())
}

fn is_a_good_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn parts(root: &Path, name: &str) -> [(PathBuf, String); 3] {
    let shader = format!(
        "#import dispatch\n\
         // {name}: y = ...\n\
         //   x [rows, dim] -> y [rows, dim]; one thread an element\n\
         struct Params {{ len: u32 }}\n\
         @group(0) @binding(0) var<storage, read> x: array<f32>;\n\
         @group(0) @binding(1) var<storage, read_write> y: array<f32>;\n\
         @group(0) @binding(2) var<storage, read> params: Params;\n\n\
         // TODO({name}): the entry point `main`; the build refuses the shader until it is there.\n"
    );
    let wrapper = format!(
        "//! {name}: what it computes, the equation, the paper.\n//!\n\
         //! Shader: `shaders/kernels/{name}.wgsl`. Test: `tests/suite/kernels/{name}.rs`.\n\n\
         compile_error!(\"kernel `{name}`: write the door, the launch, the backward pass and `reference`\");\n\n\
         /// The same formula in tensor operations: differentiable for free, runs on any device.\n\
         pub fn reference() {{}}\n"
    );
    let test = format!(
        "//! {name}: kernel on the GPU = reference on the CPU device, values and gradients, awkward shapes.\n\n\
         #[test]\n\
         fn kernel_equals_reference_on_gpu() {{\n    \
             panic!(\"kernel `{name}` has no test yet: sizes 1, odd, above a workgroup, above 65 535 rows\");\n\
         }}\n"
    );
    [
        (root.join(format!("shaders/kernels/{name}.wgsl")), shader),
        (root.join(format!("core/src/kernels/{name}.rs")), wrapper),
        (root.join(format!("tests/suite/kernels/{name}.rs")), test),
    ]
}

fn docs_line(name: &str) -> String {
    format!("| `{name}` | (what it computes) | (why not burn's) |\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(is_a_good_name("layer_norm") && is_a_good_name("conv2d"));
        for bad in ["", "LayerNorm", "../x", "2d", "a-b", "_a"] {
            assert!(!is_a_good_name(bad), "{bad}");
        }
    }

    #[test]
    fn an_unfilled_kernel_fails() {
        let [shader, wrapper, test] = parts(Path::new("x"), "my_op").map(|(_, text)| text);
        assert!(shader.contains("struct Params") && !shader.contains("fn main"));
        assert!(wrapper.contains("compile_error!") && wrapper.contains("pub fn reference"));
        assert!(test.contains("panic!"));
    }
}
