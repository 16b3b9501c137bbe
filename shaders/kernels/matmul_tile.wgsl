#ifdef RHS_F16
enable f16;
#endif
// Matrix product by tiles of 64x64 in workgroup memory, 4x4 outputs an invocation: for GPUs.
#import matmul_bindings
#import epilogue
const TILE: u32 = 64u;
const STEP: u32 = 16u;
var<workgroup> a_tile: array<f32, 1024>;   // [STEP][TILE]
var<workgroup> b_tile: array<f32, 1024>;   // [STEP][TILE]

@compute @workgroup_size(16, 16, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let outer = group.z / params.inner;
    let inner = group.z % params.inner;
    let a_base = params.a_offset + outer * params.a_outer + inner * params.a_inner;
    let b_base = params.b_offset + outer * params.b_outer + inner * params.b_inner;
    let row_start = group.y * TILE;
    let column_start = group.x * TILE;
#for r in 0..4
    var sum{r} = vec4<f32>(0.0);
#endfor
    let length = length_of(group.z, groups.z);
    for (var k_start = 0u; k_start < length; k_start += STEP) {
        for (var turn = 0u; turn < 4u; turn++) {
            let cell = index + turn * 256u;
            // Neighbouring invocations read neighbouring addresses, whichever way the operand lies.
            var k = cell % STEP;
            var line = cell / STEP;
            if (params.a_col != 1u) {
                k = cell / TILE;
                line = cell % TILE;
            }
            var value = 0.0;
            if (row_start + line < params.m && k_start + k < length) {
                value = a[a_base + (row_start + line) * params.a_row + (k_start + k) * params.a_col];
            }
            a_tile[k * TILE + line] = value;

            k = cell % STEP;
            line = cell / STEP;
            if (params.b_row != 1u) {
                k = cell / TILE;
                line = cell % TILE;
            }
            value = 0.0;
            if (column_exists(column_start + line) && k_start + k < length) {
                value = f32(b[b_base + (k_start + k) * params.b_row + source_column(column_start + line) * params.b_col]);
            }
            b_tile[k * TILE + line] = value;
        }
        workgroupBarrier();
        for (var k = 0u; k < STEP; k++) {
            let rows = k * TILE + local.y * 4u;
            let columns = k * TILE + local.x * 4u;
            let right = vec4<f32>(b_tile[columns], b_tile[columns + 1u], b_tile[columns + 2u], b_tile[columns + 3u]);
#for r in 0..4
            sum{r} += a_tile[rows + {r}u] * right;
#endfor
        }
        workgroupBarrier();
    }
    let base = out_of(group.z);
#for r in 0..4
    write_row(base, row_start + local.y * 4u + {r}u, column_start + local.x * 4u, sum{r});
#endfor
}
