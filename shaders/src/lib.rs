//! Hand-written WGSL, checked when built.
//!
//! `kernels/` compute, `native/` where no browser does, `views/` draw, `common/` is imported by all;
//! `permutations.txt` names the few variants. The build script resolves, validates and reflects them; what it wrote is included here: a [`Shader`] a file or variant,
//! and a module a file with the Rust twin of its `Params`. This crate knows neither burn nor wgpu.

/// A shader's text and what it declares.
#[derive(Debug, PartialEq, Eq)]
pub struct Shader {
    /// File name, with the variant's suffix: `attention_64`.
    pub name: &'static str,
    /// The WGSL that ships, directives resolved.
    pub source: &'static str,
    /// Of `main`; zeros for a view.
    pub workgroup_size: [u32; 3],
    /// Storage buffers in the order of their numbers.
    pub bindings: &'static [Binding],
    /// Stores 16-bit floats: the device needs `shader-f16`.
    pub needs_f16: bool,
}

/// One storage buffer of a shader.
#[derive(Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its name in WGSL.
    pub name: &'static str,
    /// Whether the shader may write it.
    pub writes: bool,
}

include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_reads_its_parameters_last() {
        for shader in KERNELS.iter().chain(NATIVE) {
            let last = shader.bindings.last().map(|binding| binding.name);
            assert_eq!(last, Some("params"), "{}", shader.name);
        }
    }

    #[test]
    fn no_directive_is_left() {
        for shader in KERNELS.iter().chain(NATIVE).chain(VIEWS) {
            assert!(!shader.source.lines().any(|line| line.trim_start().starts_with('#')), "{}", shader.name);
        }
    }
}
