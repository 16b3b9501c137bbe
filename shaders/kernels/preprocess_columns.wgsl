// preprocess, second pass: resize the columns, round to bytes, crop, and normalise; an invocation a pixel
//   rows [height, width] packed RGB, bounds [.., 2] (first, count) and weights [.., taps] of the resized rows
//   -> y [3, out_height, out_width], (byte * rescale - mean) / std
#import dispatch
struct Params {
    width: u32, out_width: u32, out_height: u32, crop_left: u32, crop_top: u32, taps: u32, rescale: f32,
    mean_r: f32, mean_g: f32, mean_b: f32, std_r: f32, std_g: f32, std_b: f32,
}
@group(0) @binding(0) var<storage, read> rows: array<u32>;
@group(0) @binding(1) var<storage, read> bounds: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> params: Params;
#import bytes

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let id = group_index(group, groups) * 64u + index;
    let area = params.out_height * params.out_width;
    if (id >= area) {
        return;
    }
    let column = id % params.out_width + params.crop_left;
    let row = id / params.out_width + params.crop_top;
    let first = bounds[2u * row];
    var sum = vec3<f32>(0.0);
    for (var tap = 0u; tap < bounds[2u * row + 1u]; tap++) {
        sum += weights[row * params.taps + tap] * unpack_rgb(rows[(first + tap) * params.width + column]);
    }
    let mean = vec3<f32>(params.mean_r, params.mean_g, params.mean_b);
    let deviation = vec3<f32>(params.std_r, params.std_g, params.std_b);
    let rgb = (round_bytes(sum) * params.rescale - mean) / deviation;
    y[id] = rgb.x;
    y[id + area] = rgb.y;
    y[id + 2u * area] = rgb.z;
}
