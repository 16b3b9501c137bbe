// gather_tokens: y[b, m] = x[b, ids[b, m]]; an invocation an element
//   x [B, tokens, dim], ids [B, picked] -> y [B, picked, dim]
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
    if (id >= params.batch * params.picked * params.dim) {
        return;
    }
    let d = id % params.dim;
    let row = id / params.dim;
    let b = row / params.picked;
    let token = u32(clamp(ids[row], 0, i32(params.tokens) - 1));
    y[id] = x[(b * params.tokens + token) * params.dim + d];
}
