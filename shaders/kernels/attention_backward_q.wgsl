// Gradient of attention with respect to the queries; an invocation a query. Also delta = sum over d of d_out * out,
// which the gradient of keys and values needs.
//   qkv [B, N, 3, H, HEAD_DIM], out and d_out [B, N, H, HEAD_DIM], lse [B, H, N] -> d_qkv (queries only), delta [B, H, N]
struct Params { batch: u32, tokens: u32, heads: u32, packed: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> ranges: array<u32>;
@group(0) @binding(2) var<storage, read> out: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> lse: array<f32>;
@group(0) @binding(4) var<storage, read> d_out: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> d_qkv: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> delta: array<f32>;
@group(0) @binding(7) var<storage, read> params: Params;
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
    let output = ((b * params.tokens + token) * params.heads + h) * QUADS;
    var mine = 0.0;
#for i in 0..HEAD_DIM/4
    let q{i} = qkv[query + {i}u] * params.scale;
    let g{i} = d_out[output + {i}u];
    var d{i} = vec4<f32>(0.0);
    mine += dot(g{i}, out[output + {i}u]);
#endfor
    let denominator = lse[id];
    let range = range_of(token);
    for (var n = range.x; n < range.y; n++) {
        let key = at(1u, b, n, h);
        let value = key + params.heads * QUADS;
        var score = 0.0;
        var d_probability = 0.0;
#for i in 0..HEAD_DIM/4
        score += dot(q{i}, qkv[key + {i}u]);
        d_probability += dot(g{i}, qkv[value + {i}u]);
#endfor
        let d_score = exp(score - denominator) * (d_probability - mine) * params.scale;
#for i in 0..HEAD_DIM/4
        d{i} += d_score * qkv[key + {i}u];
#endfor
    }
#for i in 0..HEAD_DIM/4
    d_qkv[query + {i}u] = d{i};
#endfor
    delta[id] = mine;
}
