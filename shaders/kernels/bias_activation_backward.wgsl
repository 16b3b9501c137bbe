// Gradient of bias_activation with respect to x, whose sum over rows is that of the bias.
//   dx = dy * activation'(x + bias); some elements an invocation
//   x [rows, dim], bias [dim], dy [rows, dim] -> dx [rows, dim]
#import dispatch
#import activation
struct Params { count: u32, dim: u32, activation: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<storage, read> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let begin = group_index(group, groups) * 64u + index;
    for (var id = begin; id < params.count; id += groups.x * groups.y * 64u) {
        dx[id] = dy[id] * slope(x[id] + bias[id % params.dim], params.activation);
    }
}
