// attention: out = softmax(q k^T * scale) v, never holding the probabilities (online softmax); an invocation a query
//   qkv [B, N, 3, H, HEAD_DIM] -> out [B, N, H, HEAD_DIM], lse [B, H, N] (log of the softmax's denominator)
struct Params { batch: u32, tokens: u32, heads: u32, packed: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> ranges: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> lse: array<f32>;
@group(0) @binding(4) var<storage, read> params: Params;
#import attention_layout

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let id = group_index(group, groups) * 64u + index;
    if (id >= params.batch * params.heads * params.tokens) {
        return;
    }
    let token = id % params.tokens;
    let h = (id / params.tokens) % params.heads;
    let b = id / params.tokens / params.heads;
    let query = at(0u, b, token, h);
#for i in 0..HEAD_DIM/4
    let q{i} = qkv[query + {i}u] * params.scale;
    var o{i} = vec4<f32>(0.0);
#endfor
    var peak = -3.0e38;
    var total = 0.0;
    let range = range_of(token);
    for (var n = range.x; n < range.y; n++) {
        let key = at(1u, b, n, h);
        var score = 0.0;
#for i in 0..HEAD_DIM/4
        score += dot(q{i}, qkv[key + {i}u]);
#endfor
        let next = max(peak, score);
        let shrink = exp(peak - next);
        let weight = exp(score - next);
        total = total * shrink + weight;
        peak = next;
        let value = key + params.heads * QUADS;
#for i in 0..HEAD_DIM/4
        o{i} = o{i} * shrink + weight * qkv[value + {i}u];
#endfor
    }
    let target_at = ((b * params.tokens + token) * params.heads + h) * QUADS;
#for i in 0..HEAD_DIM/4
    out[target_at + {i}u] = o{i} / total;
#endfor
    lse[id] = peak + log(total);
}
