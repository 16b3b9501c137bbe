// Gradient of silu_gate with respect to x, whose sum over rows is that of the bias.
//   da = dy * b * silu'(a), db = dy * silu(a) with [a | b] = x + bias; some elements an invocation
//   x [rows, 2 dim], bias [2 dim], dy [rows, dim] -> dx [rows, 2 dim]
#import dispatch
#import activation
struct Params { count: u32, dim: u32 }   // count: elements of dy
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
        let column = id % params.dim;
        let at = (id / params.dim) * 2u * params.dim + column;
        let gate = x[at] + bias[column];
        let value = x[at + params.dim] + bias[params.dim + column];
        let s = sigmoid(gate);
        dx[at] = dy[id] * value * s * (1.0 + gate * (1.0 - s));
        dx[at + params.dim] = dy[id] * gate * s;
    }
}
