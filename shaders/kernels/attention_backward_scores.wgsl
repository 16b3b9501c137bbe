// Between the products of attention's gradient: scores become probabilities, and their gradients become the scores'.
//   scores (q k^T) and d_scores (d_out v^T, the gradients of the probabilities) [rows, N], both replaced
//   lse [B, H, N], out and d_out [B, N, H, head_dim]; one workgroup a row, which is a query of a head
#import dispatch
#import reduce
struct Params { rows: u32, tokens: u32, heads: u32, some_heads: u32, head_dim: u32, first_batch: u32, first_head: u32, scale: f32 }
@group(0) @binding(0) var<storage, read_write> scores: array<f32>;
@group(0) @binding(1) var<storage, read_write> d_scores: array<f32>;
@group(0) @binding(2) var<storage, read> lse: array<f32>;
@group(0) @binding(3) var<storage, read> out: array<f32>;
@group(0) @binding(4) var<storage, read> d_out: array<f32>;
@group(0) @binding(5) var<storage, read> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let row = group_index(group, groups);
    if (row >= params.rows) {
        return;
    }
    let token = row % params.tokens;
    let h = params.first_head + (row / params.tokens) % params.some_heads;
    let b = params.first_batch + row / params.tokens / params.some_heads;
    let output = ((b * params.tokens + token) * params.heads + h) * params.head_dim;
    var part = 0.0;
    for (var i = index; i < params.head_dim; i += 64u) {
        part += d_out[output + i] * out[output + i];
    }
    let delta = sum_of_64(part, index);
    let denominator = lse[(b * params.heads + h) * params.tokens + token];
    for (var i = index; i < params.tokens; i += 64u) {
        let at = row * params.tokens + i;
        let probability = exp(scores[at] * params.scale - denominator);
        scores[at] = probability;
        d_scores[at] = probability * (d_scores[at] - delta) * params.scale;
    }
}
