// patch_embed: a convolution whose stride is its size, as the matrix product it is; 4x4 outputs an invocation
//   x [B, C, height, width], weight [dim, C, patch, patch], bias [dim] -> y [B, grid_h * grid_w, dim]
struct Params {
    batch: u32, channels: u32, height: u32, width: u32, patch_size: u32, grid_h: u32, grid_w: u32, dim: u32,
}
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> params: Params;

// Where channel 0 of the patch's first pixel lies.
fn corner(patch_index: u32) -> u32 {
    let patches = params.grid_h * params.grid_w;
    let b = patch_index / patches;
    let place = patch_index % patches;
    let top = (place / params.grid_w) * params.patch_size;
    let left = (place % params.grid_w) * params.patch_size;
    return b * params.channels * params.height * params.width + top * params.width + left;
}

@compute @workgroup_size(8, 8, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let rows = params.batch * params.grid_h * params.grid_w;
    let row = id.y * 4u;
    let column = id.x * 4u;
    if (row >= rows || column >= params.dim) {
        return;
    }
    let area = params.patch_size * params.patch_size * params.channels;
#for i in 0..4
    let x{i} = corner(min(row + {i}u, rows - 1u));
    let w{i} = min(column + {i}u, params.dim - 1u) * area;
    var sum{i} = vec4<f32>(0.0);
#endfor
    for (var c = 0u; c < params.channels; c++) {
        for (var dy = 0u; dy < params.patch_size; dy++) {
            let pixel = (c * params.height + dy) * params.width;
            let place = (c * params.patch_size + dy) * params.patch_size;
            for (var dx = 0u; dx < params.patch_size; dx++) {
                let p = pixel + dx;
                let k = place + dx;
                let right = vec4<f32>(weight[w0 + k], weight[w1 + k], weight[w2 + k], weight[w3 + k]);
#for r in 0..4
                sum{r} += x[x{r} + p] * right;
#endfor
            }
        }
    }
    for (var i = 0u; i < 4u; i++) {
        if (column + i < params.dim) {
            let shift = bias[column + i];
#for r in 0..4
            if (row + {r}u < rows) {
                y[(row + {r}u) * params.dim + column + i] = sum{r}[i] + shift;
            }
#endfor
        }
    }
}
