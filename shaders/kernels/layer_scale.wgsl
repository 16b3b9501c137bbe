// layer_scale: y = x * gamma; some elements an invocation
//   x [rows, dim], gamma [dim] -> y [rows, dim]
#import dispatch
struct Params { count: u32, dim: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gamma: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let begin = group_index(group, groups) * 64u + index;
    for (var id = begin; id < params.count; id += groups.x * groups.y * 64u) {
        y[id] = x[id] * gamma[id % params.dim];
    }
}
