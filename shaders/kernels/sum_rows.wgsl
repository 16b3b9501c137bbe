// sum_rows: out[chunk, c] = sum over the rows of a chunk of x[row, c], always added in the same order
//   x [rows, columns] -> out [chunks, columns]; a workgroup 64 columns of a chunk (group.z)
#import dispatch
struct Params { rows: u32, columns: u32, chunk: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> params: Params;
var<workgroup> parts: array<f32, 256>;

@compute @workgroup_size(64, 4, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let column = group_index(group, groups) * 64u + local.x;
    let start = group.z * params.chunk;
    let end = min(start + params.chunk, params.rows);
    var part = 0.0;
    if (column < params.columns) {
        for (var row = start + local.y; row < end; row += 4u) {
            part += x[row * params.columns + column];
        }
    }
    parts[local.y * 64u + local.x] = part;
    workgroupBarrier();
    if (local.y == 0u && column < params.columns) {
        let sum = (parts[local.x] + parts[local.x + 64u]) + (parts[local.x + 128u] + parts[local.x + 192u]);
        out[group.z * params.columns + column] = sum;
    }
}
