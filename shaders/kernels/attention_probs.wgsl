// attention_probs: softmax(q k^T * scale) of some queries, for views; an invocation a query and head
//   qkv [B, N, 3, H, HEAD_DIM] -> probs [B, H, queries, N], queries counted from first_query
struct Params { batch: u32, tokens: u32, heads: u32, packed: u32, scale: f32, first_query: u32, queries: u32 }
@group(0) @binding(0) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> ranges: array<u32>;
@group(0) @binding(2) var<storage, read_write> probs: array<f32>;
@group(0) @binding(3) var<storage, read> params: Params;
#import attention_layout

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let id = group_index(group, groups) * 64u + index;
    if (id >= params.batch * params.heads * params.queries) {
        return;
    }
    let token = params.first_query + id % params.queries;
    let h = (id / params.queries) % params.heads;
    let b = id / params.queries / params.heads;
    let query = at(0u, b, token, h);
#for i in 0..HEAD_DIM/4
    let q{i} = qkv[query + {i}u] * params.scale;
#endfor
    let range = range_of(token);
    let row = id * params.tokens;
    var peak = -3.0e38;
    var total = 0.0;
    for (var n = 0u; n < params.tokens; n++) {
        var score = -3.0e38;
        if (n >= range.x && n < range.y) {
            let key = at(1u, b, n, h);
            score = 0.0;
#for i in 0..HEAD_DIM/4
            score += dot(q{i}, qkv[key + {i}u]);
#endfor
            let next = max(peak, score);
            total = total * exp(peak - next) + exp(score - next);
            peak = next;
        }
        probs[row + n] = score;
    }
    for (var n = 0u; n < params.tokens; n++) {
        probs[row + n] = exp(probs[row + n] - peak) / total;
    }
}
