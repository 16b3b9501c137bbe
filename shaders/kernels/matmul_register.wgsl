#ifdef RHS_F16
enable f16;
#endif
// Matrix product, 4x4 outputs an invocation straight from storage, no barrier: for software adapters, where a barrier
// costs more than a read, and for small products.
#import matmul_bindings
#import epilogue

@compute @workgroup_size(8, 8, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let outer = id.z / params.inner;
    let inner = id.z % params.inner;
    let row = id.y * 4u;
    let column = id.x * 4u;
    if (row >= params.m || !column_exists(column)) {
        return;
    }
    let a_base = params.a_offset + outer * params.a_outer + inner * params.a_inner;
    let b_base = params.b_offset + outer * params.b_outer + inner * params.b_inner;
    // Beyond the edge the last row and the first column are read again; write_row drops what comes of it.
#for i in 0..4
    let a{i} = a_base + min(row + {i}u, params.m - 1u) * params.a_row;
    var b{i} = b_base;
    if (column_exists(column + {i}u)) {
        b{i} += source_column(column + {i}u) * params.b_col;
    }
    var sum{i} = vec4<f32>(0.0);
#endfor
    let length = length_of(id.z, groups.z);
    let whole = length / 4u;
    for (var turn = 0u; turn < whole; turn++) {
#for step in 0..4
        {
            let ka = (turn * 4u + {step}u) * params.a_col;
            let kb = (turn * 4u + {step}u) * params.b_row;
            let right = vec4<f32>(f32(b[b0 + kb]), f32(b[b1 + kb]), f32(b[b2 + kb]), f32(b[b3 + kb]));
#for r in 0..4
            sum{r} += a[a{r} + ka] * right;
#endfor
        }
#endfor
    }
    for (var k = whole * 4u; k < length; k++) {
        let ka = k * params.a_col;
        let kb = k * params.b_row;
        let right = vec4<f32>(f32(b[b0 + kb]), f32(b[b1 + kb]), f32(b[b2 + kb]), f32(b[b3 + kb]));
#for r in 0..4
        sum{r} += a[a{r} + ka] * right;
#endfor
    }
    let base = out_of(id.z);
#for r in 0..4
    write_row(base, row + {r}u, column, sum{r});
#endfor
}
