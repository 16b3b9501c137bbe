// Gradient of attention with respect to keys and values; an invocation a key.
//   qkv [B, N, 3, H, HEAD_DIM], lse and delta [B, H, N], d_out [B, N, H, HEAD_DIM] -> d_qkv (keys and values only)
struct Params { batch: u32, tokens: u32, heads: u32, packed: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> ranges: array<u32>;
@group(0) @binding(2) var<storage, read> lse: array<f32>;
@group(0) @binding(3) var<storage, read> delta: array<f32>;
@group(0) @binding(4) var<storage, read> d_out: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> d_qkv: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> params: Params;
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
    let key = at(1u, b, token, h);
    let value = key + params.heads * QUADS;
#for i in 0..HEAD_DIM/4
    let k{i} = qkv[key + {i}u];
    let v{i} = qkv[value + {i}u];
    var dk{i} = vec4<f32>(0.0);
    var dv{i} = vec4<f32>(0.0);
#endfor
    // Attention is allowed within a block both ways, so a key's queries are those it would ask itself.
    let range = range_of(token);
    for (var n = range.x; n < range.y; n++) {
        let query = at(0u, b, n, h);
        let output = ((b * params.tokens + n) * params.heads + h) * QUADS;
        let row = (b * params.heads + h) * params.tokens + n;
        var score = 0.0;
        var d_probability = 0.0;
#for i in 0..HEAD_DIM/4
        score += dot(k{i}, qkv[query + {i}u]);
        d_probability += dot(v{i}, d_out[output + {i}u]);
#endfor
        let probability = exp(score * params.scale - lse[row]);
        let d_score = probability * (d_probability - delta[row]) * params.scale;
#for i in 0..HEAD_DIM/4
        dk{i} += d_score * qkv[query + {i}u];
        dv{i} += probability * d_out[output + {i}u];
#endfor
    }
#for i in 0..HEAD_DIM/4
    d_qkv[key + {i}u] = dk{i};
    d_qkv[value + {i}u] = dv{i};
#endfor
}
