// Gradient of layer_norm with respect to x, and dy * xhat, whose sum over rows is the gradient of gamma.
//   dx = (g - mean(g) - xhat * mean(g * xhat)) / sqrt(var + eps), g = dy * gamma
//   x [rows, dim], gamma [dim], dy [rows, dim] -> dx [rows, dim], dy_xhat [rows, dim]; one workgroup a row
#import dispatch
#import reduce
struct Params { rows: u32, dim: u32, eps: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gamma: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<storage, read_write> dy_xhat: array<f32>;
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
    let base = row * params.dim;
    let scale = 1.0 / f32(params.dim);
    var part = 0.0;
    for (var i = index; i < params.dim; i += 64u) {
        part += x[base + i];
    }
    let mean = sum_of_64(part, index) * scale;
    part = 0.0;
    for (var i = index; i < params.dim; i += 64u) {
        let centred = x[base + i] - mean;
        part += centred * centred;
    }
    let inverse = 1.0 / sqrt(sum_of_64(part, index) * scale + params.eps);
    var part_g = 0.0;
    part = 0.0;
    for (var i = index; i < params.dim; i += 64u) {
        let g = dy[base + i] * gamma[i];
        part_g += g;
        part += g * (x[base + i] - mean) * inverse;
    }
    let mean_g = sum_of_64(part_g, index) * scale;
    let mean_gx = sum_of_64(part, index) * scale;
    for (var i = index; i < params.dim; i += 64u) {
        let xhat = (x[base + i] - mean) * inverse;
        dx[base + i] = (dy[base + i] * gamma[i] - mean_g - xhat * mean_gx) * inverse;
        dy_xhat[base + i] = dy[base + i] * xhat;
    }
}
