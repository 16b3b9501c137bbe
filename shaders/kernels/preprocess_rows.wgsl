// preprocess, first pass: resize each row of RGBA bytes as Pillow does, and round to bytes; an invocation a pixel
//   source [height, width] packed RGBA, bounds [out_width, 2] (first, count), weights [out_width, taps]
//   -> rows [height, out_width] packed RGB
#import dispatch
struct Params { width: u32, height: u32, out_width: u32, taps: u32 }
@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read> bounds: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> rows: array<u32>;
@group(0) @binding(4) var<storage, read> params: Params;
#import bytes

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let id = group_index(group, groups) * 64u + index;
    if (id >= params.height * params.out_width) {
        return;
    }
    let column = id % params.out_width;
    let row = id / params.out_width;
    let first = bounds[2u * column];
    var sum = vec3<f32>(0.0);
    for (var tap = 0u; tap < bounds[2u * column + 1u]; tap++) {
        sum += weights[column * params.taps + tap] * unpack_rgb(source[row * params.width + first + tap]);
    }
    rows[id] = pack_rgb(sum);
}
