// scatter_tokens: y[b, n] = sum of x[b, m] over the m with ids[b, m] = n (zero where there is none), the adjoint of
// gather_tokens; an invocation an element, always summed in the order of m, so the result is the same every time.
// scatter_links tells which m: to look through all of them for each element took most of a DINOv2 step
//   x [B, picked, dim], links [B, tokens + picked] -> y [B, tokens, dim]
#import dispatch
struct Params { batch: u32, tokens: u32, picked: u32, dim: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> links: array<i32>;
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
    let token = (id / params.dim) % params.tokens;
    let b = id / params.dim / params.tokens;
    let chains = b * (params.tokens + params.picked);
    var sum = 0.0;
    for (var m = links[chains + token]; m >= 0; m = links[chains + params.tokens + u32(m)]) {
        sum += x[(b * params.picked + u32(m)) * params.dim + d];
    }
    y[id] = sum;
}
