// scatter_tokens: y[b, n] = sum of x[b, m] over the m with ids[b, m] = n (zero where there is none), the adjoint of
// gather_tokens; an invocation an element, always summed in the order of m, so the result is the same every time
//   x [B, picked, dim], ids [B, picked] -> y [B, tokens, dim]
#import dispatch
struct Params { batch: u32, tokens: u32, picked: u32, dim: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> ids: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let id = group_index(group, groups) * 64u + index;
    if (id >= params.batch * params.tokens * params.dim) {
        return;
    }
    let d = id % params.dim;
    let token = i32((id / params.dim) % params.tokens);
    let b = id / params.dim / params.tokens;
    var sum = 0.0;
    for (var m = b * params.picked; m < (b + 1u) * params.picked; m++) {
        if (ids[m] == token) {
            sum += x[m * params.dim + d];
        }
    }
    y[id] = sum;
}
