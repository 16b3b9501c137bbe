enable f16;
enable wgpu_cooperative_matrix;
// Matrix product on the device's matrix units ("tensor cores"): operands rounded to 16 bits, sums in 32. A workgroup's
// 128x128 outputs are dealt out to eight subgroups of 32 invocations, 64x32 to each, in fragments of 16x16.
//
// Operands are read in quads, along the sum (as forward products have them) or across it, so strides and offsets are
// multiples of four; the tiles in workgroup memory lie as the operand does, and no transpose costs anything.
#import matmul_bindings
#import epilogue
const STEP: u32 = 32u;
const SIDE: u32 = 128u;
// Quads of a tile's line, two of them unused, so that neighbouring lines meet different banks: a line is a row or column
// of the operand's 32 numbers along the sum, or 128 rows or columns of one.
const ALONG: u32 = 10u;
const ACROSS: u32 = 34u;
var<workgroup> a_tile: array<vec4<f16>, 1280>;
var<workgroup> b_tile: array<vec4<f16>, 1280>;
var<workgroup> fragments: array<f32, 2048>;   // [subgroup][16][16]: what is written out one by one

@compute @workgroup_size(256, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let outer = group.z / params.inner;
    let inner = group.z % params.inner;
    let row_start = group.y * SIDE;
    let column_start = group.x * SIDE;
    let a_base = params.a_offset + outer * params.a_outer + inner * params.a_inner;
    let b_base = params.b_offset + outer * params.b_outer + inner * params.b_inner;
    let length = length_of(group.z, groups.z);
    // Quads that this invocation brings, four of each operand: where in the operand, where in the tile, and how far along
    // the sum. Beyond the edge the last row is read again, and zeros for a quad of which nothing exists.
#for q in 0..4
    let id{q} = index + {q}u * 256u;
#ifdef A_ACROSS
    let a_row{q} = row_start + (id{q} % 32u) * 4u;
    let a_k{q} = select(length, id{q} / 32u, a_row{q} < params.m);
    let a_from{q} = a_base + a_row{q} + (id{q} / 32u) * params.a_col;
    let a_to{q} = (id{q} / 32u) * ACROSS + id{q} % 32u;
#else
    let a_row{q} = min(row_start + id{q} / 8u, params.m - 1u);
    let a_k{q} = (id{q} % 8u) * 4u;
    let a_from{q} = a_base + a_row{q} * params.a_row + a_k{q};
    let a_to{q} = (id{q} / 8u) * ALONG + id{q} % 8u;
#endif
#ifdef B_ACROSS
    let b_column{q} = column_start + (id{q} % 32u) * 4u;
    let b_k{q} = select(length, id{q} / 32u, b_column{q} < params.n);
    let b_from{q} = b_base + b_column{q} + (id{q} / 32u) * params.b_row;
    let b_to{q} = (id{q} / 32u) * ACROSS + id{q} % 32u;
#else
    let b_column{q} = column_start + id{q} / 8u;
    let b_exists{q} = column_exists(b_column{q});
    let b_k{q} = select(length, (id{q} % 8u) * 4u, b_exists{q});
    let b_from{q} = b_base + select(0u, source_column(b_column{q}), b_exists{q}) * params.b_col + (id{q} % 8u) * 4u;
    let b_to{q} = (id{q} / 8u) * ALONG + id{q} % 8u;
#endif
    var a_next{q} = vec4<f16>(0.0);
    var b_next{q} = vec4<f16>(0.0);
    if (a_k{q} < length) {
        a_next{q} = vec4<f16>(a[a_from{q} / 4u]);
    }
    if (b_k{q} < length) {
        b_next{q} = vec4<f16>(b[b_from{q} / 4u]);
    }
#endfor
    let rows = (subgroup / 4u) * 64u;
    let columns = (subgroup % 4u) * 32u;
#for i in 0..4
#for j in 0..2
    var sum{i}{j} = coop_mat16x16<f32, C>();
#endfor
#endfor
    for (var start = 0u; start < length; start += STEP) {
        workgroupBarrier();
#for q in 0..4
        a_tile[a_to{q}] = a_next{q};
        b_tile[b_to{q}] = b_next{q};
#endfor
        workgroupBarrier();
        // The next quads come while these are multiplied.
        let next = start + STEP;
#for q in 0..4
        a_next{q} = vec4<f16>(0.0);
        b_next{q} = vec4<f16>(0.0);
#ifdef A_ACROSS
        let a_at{q} = a_from{q} + next * params.a_col;
#else
        let a_at{q} = a_from{q} + next;
#endif
#ifdef B_ACROSS
        let b_at{q} = b_from{q} + next * params.b_row;
#else
        let b_at{q} = b_from{q} + next;
#endif
        if (next + a_k{q} < length) {
            a_next{q} = vec4<f16>(a[a_at{q} / 4u]);
        }
        if (next + b_k{q} < length) {
            b_next{q} = vec4<f16>(b[b_at{q} / 4u]);
        }
#endfor
#for h in 0..2
#for i in 0..4
#ifdef A_ACROSS
        let a{h}{i} = coopLoad<coop_mat16x16<f16, A>>(&a_tile[{h}u * 16u * ACROSS + (rows + {i}u * 16u) / 4u], ACROSS);
#else
        let a{h}{i} = coopLoadT<coop_mat16x16<f16, A>>(&a_tile[(rows + {i}u * 16u) * ALONG + {h}u * 4u], ALONG);
#endif
#endfor
#for j in 0..2
#ifdef B_ACROSS
        let b{h}{j} = coopLoadT<coop_mat16x16<f16, B>>(&b_tile[{h}u * 16u * ACROSS + (columns + {j}u * 16u) / 4u], ACROSS);
#else
        let b{h}{j} = coopLoad<coop_mat16x16<f16, B>>(&b_tile[(columns + {j}u * 16u) * ALONG + {h}u * 4u], ALONG);
#endif
#endfor
#for i in 0..4
#for j in 0..2
        sum{i}{j} = coopMultiplyAdd(a{h}{i}, b{h}{j}, sum{i}{j});
#endfor
#endfor
#endfor
    }
    let base = out_of(group.z);
    let row = row_start + rows;
    let column = column_start + columns;
    // Place and stride are named before a store: naga loses what is computed in the call itself.
    let stride = params.out_row;
    let plain = params.epilogue == 0u && params.accumulate == 0u && (base | stride) % 4u == 0u;
    if (plain && row_start + SIDE <= params.m && column_start + SIDE <= params.n) {
#for i in 0..4
#for j in 0..2
        let at{i}{j} = base + (row + {i}u * 16u) * stride + column + {j}u * 16u;
        coopStoreT(sum{i}{j}, &out[at{i}{j}], stride);
#endfor
#endfor
        return;
    }
    let fragment = subgroup * 256u;
#for i in 0..4
#for j in 0..2
    workgroupBarrier();
    coopStoreT(sum{i}{j}, &fragments[fragment], 16u);
    workgroupBarrier();
    if (params.epilogue == SILU_GATE) {
        for (var quad = lane; quad < 64u; quad += 32u) {
            let at = fragment + quad * 4u;
            let product = vec4<f32>(fragments[at], fragments[at + 1u], fragments[at + 2u], fragments[at + 3u]);
            write_row(base, row + {i}u * 16u + quad / 4u, column + {j}u * 16u + (quad % 4u) * 4u, product);
        }
    } else {
        // Neighbours write neighbouring numbers.
        for (var at = lane; at < 256u; at += 32u) {
            write_one(base, row + {i}u * 16u + at / 16u, column + {j}u * 16u + at % 16u, fragments[fragment + at]);
        }
    }
#endfor
#endfor
}
