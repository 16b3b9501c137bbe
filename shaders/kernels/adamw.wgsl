// adamw: one step of AdamW, some elements an invocation, in torch.optim.AdamW's order
//   p, g, m, v [count] -> new_p, new_m, new_v [count]
// decay = 1 - lr weight_decay, step_size = lr / (1 - beta1^t), root_correction = sqrt(1 - beta2^t)
#import dispatch
struct Params {
    count: u32, grad_scale: f32, decay: f32, one_minus_beta1: f32, beta2: f32, one_minus_beta2: f32,
    step_size: f32, root_correction: f32, eps: f32,
}
@group(0) @binding(0) var<storage, read> p: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> m: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read_write> new_p: array<f32>;
@group(0) @binding(5) var<storage, read_write> new_m: array<f32>;
@group(0) @binding(6) var<storage, read_write> new_v: array<f32>;
@group(0) @binding(7) var<storage, read> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let begin = group_index(group, groups) * 64u + index;
    for (var id = begin; id < params.count; id += groups.x * groups.y * 64u) {
        step(id);
    }
}

fn step(id: u32) {
    let gradient = g[id] * params.grad_scale;
    let first = m[id] + (gradient - m[id]) * params.one_minus_beta1;
    let second = v[id] * params.beta2 + gradient * gradient * params.one_minus_beta2;
    let denominator = sqrt(second) / params.root_correction + params.eps;
    new_p[id] = p[id] * params.decay - params.step_size * (first / denominator);
    new_m[id] = first;
    new_v[id] = second;
}
