// sum_of_squares: in two launches, always added in the same order. The first squares: each workgroup adds up the
// elements that lie `stride` apart, and leaves one number. The second, of one workgroup, adds those.
//   x [count] -> y [groups]
#import dispatch
#import reduce
struct Params { count: u32, stride: u32, squares: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let row = group_index(group, groups);
    var part = 0.0;
    for (var i = row * 64u + index; i < params.count; i += params.stride) {
        part += select(x[i], x[i] * x[i], params.squares == 1u);
    }
    let sum = sum_of_64(part, index);
    if (index == 0u && row * 64u < params.stride) {
        y[row] = sum;
    }
}
