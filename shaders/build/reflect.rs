//! What a shader declares, read from naga's module, and the limits every WebGPU device grants.

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, ScalarKind, ShaderStage, StorageAccess, TypeInner};

/// Storage buffers a stage may bind, whatever the device (WebGPU, default limits).
const MAX_STORAGE_BUFFERS: usize = 8;
/// Invocations of a workgroup.
const MAX_INVOCATIONS: u32 = 256;
/// Bytes of workgroup memory.
const MAX_WORKGROUP_BYTES: u32 = 16_384;
/// The same for what runs natively alone: the least of the drivers that have matrix units.
const MAX_NATIVE_WORKGROUP_BYTES: u32 = 32_768;
/// What a shader may ask for beyond the language, by its mark in the text. naga knows subgroups without `enable`. The last
/// two are for native drivers alone.
const EXTENSIONS: [(&str, Capabilities); 3] = [
    ("enable f16;", Capabilities::SHADER_FLOAT16),
    ("@builtin(subgroup_id)", Capabilities::SUBGROUP),
    ("enable wgpu_cooperative_matrix;", Capabilities::COOPERATIVE_MATRIX),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One compute entry point, `main`.
    Kernel,
    /// The same, for native drivers alone.
    Native,
    /// `vertex` and `fragment`.
    View,
}

#[derive(Debug)]
pub(crate) struct Reflection {
    pub(crate) workgroup_size: [u32; 3],
    /// Name, and whether the shader writes it; in the order of the binding numbers.
    pub(crate) bindings: Vec<(String, bool)>,
    /// Field and Rust type.
    pub(crate) params: Vec<(String, &'static str)>,
    pub(crate) needs_f16: bool,
}

pub(crate) fn reflect(source: &str, kind: Kind) -> Result<Reflection, String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    let allowed = if kind == Kind::Native { &EXTENSIONS[..] } else { &EXTENSIONS[..1] };
    let enabled = allowed.iter().filter(|(line, _)| source.contains(line)).map(|&(_, capability)| capability);
    let capabilities: Capabilities = enabled.collect();
    let needs_f16 = capabilities.contains(Capabilities::SHADER_FLOAT16);
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .validate(&module)
        .map_err(|error| error.emit_to_string(source))?;
    translate(&module, &info, kind, needs_f16)?;
    let mut entries: Vec<_> = module.entry_points.iter().map(|entry| (entry.stage, entry.name.as_str())).collect();
    entries.sort_by_key(|(_, name)| *name);
    let expected: &[(ShaderStage, &str)] = match kind {
        Kind::Kernel | Kind::Native => &[(ShaderStage::Compute, "main")],
        Kind::View => &[(ShaderStage::Fragment, "fragment"), (ShaderStage::Vertex, "vertex")],
    };
    if entries != expected {
        return Err(format!("expected the entry points {expected:?}, found {entries:?}"));
    }
    let workgroup_size = module.entry_points[0].workgroup_size;
    let invocations: u32 = workgroup_size.iter().product();
    if invocations > MAX_INVOCATIONS {
        return Err(format!("{invocations} invocations in a workgroup, at most {MAX_INVOCATIONS} run everywhere"));
    }
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).map_err(|error| error.to_string())?;
    let mut bindings = Vec::new();
    let mut params = Vec::new();
    let mut workgroup_bytes = 0;
    for (_, variable) in module.global_variables.iter() {
        let name = variable.name.clone().unwrap_or_default();
        match variable.space {
            AddressSpace::WorkGroup => workgroup_bytes += layouter[variable.ty].size,
            AddressSpace::Storage { access } => {
                let binding = variable.binding.ok_or(format!("`{name}` has no binding"))?;
                if binding.group != 0 {
                    return Err(format!("`{name}` is in group {}, expected 0", binding.group));
                }
                bindings.push((binding.binding, name.clone(), access.contains(StorageAccess::STORE)));
                if name == "params" {
                    params = fields(&module, variable.ty)?;
                }
            }
            AddressSpace::Uniform | AddressSpace::Handle => {
                return Err(format!("`{name}`: only storage buffers are bound"));
            }
            _ => {}
        }
    }
    let most = if kind == Kind::Native { MAX_NATIVE_WORKGROUP_BYTES } else { MAX_WORKGROUP_BYTES };
    if workgroup_bytes > most {
        return Err(format!("{workgroup_bytes} bytes of workgroup memory, at most {most} fit everywhere"));
    }
    if bindings.len() > MAX_STORAGE_BUFFERS {
        return Err(format!("{} storage buffers, at most {MAX_STORAGE_BUFFERS} bind everywhere", bindings.len()));
    }
    bindings.sort();
    if let Some(gap) = bindings.iter().enumerate().position(|(index, binding)| binding.0 as usize != index) {
        return Err(format!("binding {gap} is missing: bindings count up from 0"));
    }
    let bindings = bindings.into_iter().map(|(_, name, writes)| (name, writes)).collect();
    Ok(Reflection { workgroup_size, bindings, params, needs_f16 })
}

/// As Vulkan will have it, and Metal and DX12, which few of those who change a shader can try. naga's writers take less than
/// its validator, and say so by a panic.
fn translate(module: &naga::Module, info: &naga::valid::ModuleInfo, kind: Kind, needs_f16: bool) -> Result<(), String> {
    use naga::back::{hlsl, msl, spv};
    fn writes<E: ToString>(what: &str, write: impl FnOnce() -> Result<(), E>) -> Result<(), String> {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(write))
            .map_err(|_| format!("naga cannot write it as {what}: its panic is above"))?
            .map_err(|error| format!("naga cannot write it as {what}: {}", error.to_string()))
    }
    writes("SPIR-V", || spv::write_vec(module, info, &spv::Options::default(), None).map(drop))?;
    if kind == Kind::Native {
        return Ok(()); // written for what Vulkan alone offers
    }
    writes("MSL", || {
        let options = msl::Options { lang_version: (2, 4), ..Default::default() };
        msl::write_string(module, info, &options, &msl::PipelineOptions::default()).map(drop)
    })?;
    writes("HLSL", || {
        let shader_model = if needs_f16 { hlsl::ShaderModel::V6_2 } else { hlsl::ShaderModel::V5_1 };
        let options = hlsl::Options { shader_model, ..Default::default() };
        let mut text = String::new();
        hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions::default()).write(module, info, None).map(drop)
    })
}

fn fields(module: &naga::Module, ty: naga::Handle<naga::Type>) -> Result<Vec<(String, &'static str)>, String> {
    let TypeInner::Struct { members, .. } = &module.types[ty].inner else {
        return Err("`params` is no struct".to_owned());
    };
    members
        .iter()
        .map(|member| {
            let name = member.name.clone().unwrap_or_default();
            match module.types[member.ty].inner {
                TypeInner::Scalar(scalar) if scalar.width == 4 => match scalar.kind {
                    ScalarKind::Uint => Ok((name, "u32")),
                    ScalarKind::Sint => Ok((name, "i32")),
                    ScalarKind::Float => Ok((name, "f32")),
                    _ => Err(format!("Params.{name}: expected u32, i32 or f32")),
                },
                _ => Err(format!("Params.{name}: expected u32, i32 or f32")),
            }
        })
        .collect()
}
