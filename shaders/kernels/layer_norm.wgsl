// layer_norm: y = (x - mean) / sqrt(var + eps) * gamma + beta, var biased
//   x [rows, dim], gamma [dim], beta [dim] -> y [rows, dim]; one workgroup a row, two passes
#import dispatch
#import reduce
struct Params { rows: u32, dim: u32, eps: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gamma: array<f32>;
@group(0) @binding(2) var<storage, read> beta: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> params: Params;

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
    let base = row * params.dim;
    var part = 0.0;
    for (var i = index; i < params.dim; i += 64u) {
        part += x[base + i];
    }
    let mean = sum_of_64(part, index) / f32(params.dim);
    part = 0.0;
    for (var i = index; i < params.dim; i += 64u) {
        let centred = x[base + i] - mean;
        part += centred * centred;
    }
    let inverse = 1.0 / sqrt(sum_of_64(part, index) / f32(params.dim) + params.eps);
    for (var i = index; i < params.dim; i += 64u) {
        y[base + i] = (x[base + i] - mean) * inverse * gamma[i] + beta[i];
    }
}
