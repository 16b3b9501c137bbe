// silu_gate: y = silu(a) * b with [a | b] = x + bias; some elements an invocation
//   x [rows, 2 dim], bias [2 dim] -> y [rows, dim]
#import dispatch
#import activation
struct Params { count: u32, dim: u32 }   // count: elements of y
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
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
        let column = id % params.dim;
        let at = (id / params.dim) * 2u * params.dim + column;
        y[id] = silu(x[at] + bias[column]) * (x[at + params.dim] + bias[params.dim + column]);
    }
}
