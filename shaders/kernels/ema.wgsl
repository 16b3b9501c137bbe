// ema: y = teacher * momentum + student * rest, rest = 1 - momentum; an invocation an element
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
    let id = group_index(group, groups) * 64u + index;
    if (id < params.count) {
        y[id] = teacher[id] * params.momentum + student[id] * params.rest;
    }
}
