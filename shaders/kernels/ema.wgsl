// ema: y = teacher * momentum + student * rest, rest = 1 - momentum; some elements an invocation
//   teacher [count], student [count] -> y [count]
#import dispatch
struct Params { count: u32, momentum: f32, rest: f32 }
@group(0) @binding(0) var<storage, read> teacher: array<f32>;
@group(0) @binding(1) var<storage, read> student: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let begin = group_index(group, groups) * 64u + index;
    for (var id = begin; id < params.count; id += groups.x * groups.y * 64u) {
        y[id] = teacher[id] * params.momentum + student[id] * params.rest;
    }
}
