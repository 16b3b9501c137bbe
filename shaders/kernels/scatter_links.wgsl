// scatter_links: which rows scatter_tokens adds up, as chains: for every token the first m that goes there, and for every m
// the next one that goes to the same token; -1 where there is none. An invocation a link
//   ids [B, picked] -> links [B, tokens + picked]
#import dispatch
struct Params { batch: u32, tokens: u32, picked: u32 }
@group(0) @binding(0) var<storage, read> ids: array<i32>;
@group(0) @binding(1) var<storage, read_write> links: array<i32>;
@group(0) @binding(2) var<storage, read> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let id = group_index(group, groups) * 64u + index;
    let each = params.tokens + params.picked;
    if (id >= params.batch * each) {
        return;
    }
    let place = id % each;
    let base = id / each * params.picked;
    var token = i32(place);
    var start = 0u;
    if (place >= params.tokens) {
        token = ids[base + place - params.tokens];
        start = place - params.tokens + 1u;
    }
    var found = -1;
    for (var m = start; m < params.picked; m++) {
        if (ids[base + m] == token) {
            found = i32(m);
            break;
        }
    }
    links[id] = found;
}
