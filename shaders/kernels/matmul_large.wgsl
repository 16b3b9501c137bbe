#ifdef RHS_F16
enable f16;
#endif
// Matrix product by tiles of 128x128 in workgroup memory, 8x8 outputs an invocation: for GPUs, where there are enough
// such tiles to fill one.
#import matmul_bindings
#import epilogue
const STEP: u32 = 8u;
// A line of 33 instead of 32 quads, so that invocations that write one column of quads meet different banks.
const LINE: u32 = 33u;
var<workgroup> a_tile: array<vec4<f32>, 264>;   // [STEP][LINE]: quads of rows
var<workgroup> b_tile: array<vec4<f32>, 264>;   // [STEP][LINE]: quads of columns

@compute @workgroup_size(16, 16, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let outer = group.z / params.inner;
    let inner = group.z % params.inner;
    let row_start = group.y * 128u;
    let column_start = group.x * 128u;
    // The quad that this invocation brings: neighbours read neighbouring addresses, whichever way the operand lies.
    let a_k = select(index / 32u, index % STEP, params.a_col == 1u);
    let a_quad = select(index % 32u, index / STEP, params.a_col == 1u);
    let b_k = select(index / 32u, index % STEP, params.b_row == 1u);
    let b_quad = select(index % 32u, index / STEP, params.b_row == 1u);
    let a_base = params.a_offset + outer * params.a_outer + inner * params.a_inner;
    let b_base = params.b_offset + outer * params.b_outer + inner * params.b_inner;
    // Beyond the edge the last line is read again; write_row drops what comes of it.
#for i in 0..4
    let a{i} = a_base + min(row_start + a_quad * 4u + {i}u, params.m - 1u) * params.a_row;
    var b{i} = b_base;
    if (column_exists(column_start + b_quad * 4u + {i}u)) {
        b{i} += source_column(column_start + b_quad * 4u + {i}u) * params.b_col;
    }
#endfor
#for r in 0..4
    var upper_left{r} = vec4<f32>(0.0);
    var upper_right{r} = vec4<f32>(0.0);
    var lower_left{r} = vec4<f32>(0.0);
    var lower_right{r} = vec4<f32>(0.0);
#endfor
    let length = length_of(group.z, groups.z);
    for (var start = 0u; start < length; start += STEP) {
        var a_next = vec4<f32>(0.0);
        var b_next = vec4<f32>(0.0);
        if (start + a_k < length) {
            let at = (start + a_k) * params.a_col;
            a_next = vec4<f32>(a[a0 + at], a[a1 + at], a[a2 + at], a[a3 + at]);
        }
        if (start + b_k < length) {
            let at = (start + b_k) * params.b_row;
            b_next = vec4<f32>(f32(b[b0 + at]), f32(b[b1 + at]), f32(b[b2 + at]), f32(b[b3 + at]));
        }
        workgroupBarrier();
        a_tile[a_k * LINE + a_quad] = a_next;
        b_tile[b_k * LINE + b_quad] = b_next;
        workgroupBarrier();
        for (var k = 0u; k < STEP; k++) {
            let upper = a_tile[k * LINE + local.y];
            let lower = a_tile[k * LINE + local.y + 16u];
            let left = b_tile[k * LINE + local.x];
            let right = b_tile[k * LINE + local.x + 16u];
#for r in 0..4
            upper_left{r} += upper[{r}] * left;
            upper_right{r} += upper[{r}] * right;
            lower_left{r} += lower[{r}] * left;
            lower_right{r} += lower[{r}] * right;
#endfor
        }
    }
    let row = row_start + local.y * 4u;
    let column = column_start + local.x * 4u;
    let base = out_of(group.z);
#for r in 0..4
    write_row(base, row + {r}u, column, upper_left{r});
    write_row(base, row + {r}u, column + 64u, upper_right{r});
    write_row(base, row + 64u + {r}u, column, lower_left{r});
    write_row(base, row + 64u + {r}u, column + 64u, lower_right{r});
#endfor
}
