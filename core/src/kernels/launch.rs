//! The one place that speaks CubeCL: a shader, its buffers, its parameters, and off it goes.

use burn::backend::wgpu::{CubeDim, CubeTensor, KernelSource, SourceKernel, SourceTemplate};
use burn::tensor::{DType, Shape};
use cubecl::CubeCount;
use cubecl::prelude::KernelId;
use cubecl::server::{KernelArguments, MetadataBindingInfo};
use lab_shaders::Shader;

/// A shader as CubeCL's kernel: its text goes to the driver as it is.
struct Wgsl(&'static Shader);

impl KernelSource for Wgsl {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(self.0.source)
    }

    fn id(&self) -> KernelId {
        // The name carries the variant: without it the cache would serve one variant for another.
        KernelId::new::<Self>().info(self.0.name).cube_dim(cube_dim(self.0).0)
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

fn cube_dim(shader: &Shader) -> CubeDim {
    let [x, y, z] = shader.workgroup_size;
    CubeDim::new_3d(x, y, z)
}

/// How many workgroups run.
pub(crate) enum Groups {
    /// This many in a row, folded into two dimensions where one does not hold them (`common/dispatch.wgsl`).
    Line(usize),
    /// A grid; each side at most 65 535.
    Grid([usize; 3]),
}

/// Workgroups along one dimension that every device dispatches.
pub(crate) const MAX_GROUPS: usize = 65_535;

/// Runs `shader` over `buffers` (in the order of its bindings, outputs included, parameters left out).
pub(crate) fn launch(shader: &'static Shader, buffers: &[&CubeTensor], params: &[u32], groups: Groups) {
    assert_eq!(buffers.len() + 1, shader.bindings.len(), "{}: buffers do not match the bindings", shader.name);
    let client = &buffers[0].client;
    let mut arguments = KernelArguments::new();
    for buffer in buffers {
        arguments = arguments.with_buffer(buffer.handle.clone().binding());
    }
    // As the launch's info, which CubeCL keeps and binds after the buffers: a buffer of our own would have everything that
    // waits submitted first, launch by launch.
    let words = params.chunks(2).map(|pair| u64::from(pair[0]) | u64::from(pair.get(1).copied().unwrap_or(0)) << 32);
    arguments.info = MetadataBindingInfo::custom(words.collect());
    let groups = match groups {
        Groups::Line(0) => return,
        Groups::Line(count) => [count.min(MAX_GROUPS), count.div_ceil(MAX_GROUPS), 1],
        Groups::Grid(grid) => grid,
    };
    assert!(groups.iter().all(|&side| side <= MAX_GROUPS), "{}: {groups:?} workgroups", shader.name);
    let count = CubeCount::Static(groups[0] as u32, groups[1] as u32, groups[2] as u32);
    let kernel = SourceKernel::new(Wgsl(shader), cube_dim(shader));
    client.launch(Box::new(kernel), count, arguments);
}

/// Runs `shader` with an invocation an element, in workgroups of 64.
pub(crate) fn launch_elements(shader: &'static Shader, buffers: &[&CubeTensor], params: &[u32], elements: usize) {
    launch(shader, buffers, params, Groups::Line(elements.div_ceil(64)));
}

/// Runs `shader` over elements of which each invocation takes one after another, `workgroups * 64` apart: a launch of
/// millions of workgroups costs more than what they do.
pub(crate) fn launch_strided(shader: &'static Shader, buffers: &[&CubeTensor], params: &[u32], elements: usize) {
    /// Workgroups that fill a large GPU some times over.
    const MOST: usize = 8192;
    launch(shader, buffers, params, Groups::Line(elements.div_ceil(64).min(MOST)));
}

/// An uninitialised contiguous f32 tensor beside `like`.
pub(crate) fn empty(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    empty_of(like, shape, DType::F32)
}

/// An uninitialised contiguous tensor beside `like`.
pub(crate) fn empty_of(like: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    let shape = shape.into();
    let handle = like.client.empty(shape.num_elements() * dtype.size());
    CubeTensor::new_contiguous(like.client.clone(), like.device.clone(), shape, handle, dtype)
}

/// The sizes of a tensor, as an array.
pub(crate) fn dims<const D: usize>(tensor: &CubeTensor) -> [usize; D] {
    std::array::from_fn(|axis| tensor.meta.shape()[axis])
}

/// The wgpu buffer below a tensor, with offset and size in bytes.
pub(crate) fn resource(tensor: &CubeTensor) -> Result<(cubecl::wgpu::wgpu::Buffer, u64, u64), String> {
    use cubecl::wgpu::{AutoCompiler, WgpuServer};
    let managed = tensor.client.get_resource::<WgpuServer<AutoCompiler>>(tensor.handle.clone());
    let managed = managed.map_err(|error| error.to_string())?;
    let resource = managed.resource();
    Ok((resource.buffer.clone(), resource.offset, resource.size))
}
