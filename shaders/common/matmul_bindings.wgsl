// out[batch, m, n] = epilogue(sum over k of a[batch, m, k] * b[batch, k, n]); all strided, but the columns of out lie side by side.
// A batch is (outer, inner), so that [B, H, N, D] views need no copy; strides and offsets count elements.
// Pieces of one long sum are batches too, the last of them shorter.
struct Params {
    m: u32, n: u32, k: u32, k_last: u32,
    inner: u32,
    a_outer: u32, a_inner: u32, a_row: u32, a_col: u32, a_offset: u32,
    b_outer: u32, b_inner: u32, b_row: u32, b_col: u32, b_offset: u32,
    out_outer: u32, out_inner: u32, out_row: u32, out_offset: u32,
    epilogue: u32,
    accumulate: u32,
}
#ifdef QUADS
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
#ifdef RHS_F16
@group(0) @binding(1) var<storage, read> b: array<vec4<f16>>;
#else
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
#endif
#else
@group(0) @binding(0) var<storage, read> a: array<f32>;
#ifdef RHS_F16
@group(0) @binding(1) var<storage, read> b: array<f16>;
#else
@group(0) @binding(1) var<storage, read> b: array<f32>;
#endif
#endif
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> gamma: array<f32>;
@group(0) @binding(4) var<storage, read> residual: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<storage, read> params: Params;

// How long the sums of a batch are.
fn length_of(batch: u32, batches: u32) -> u32 {
    return select(params.k, params.k_last, batch + 1u == batches);
}

// Where a batch begins in out.
fn out_of(batch: u32) -> u32 {
    return params.out_offset + (batch / params.inner) * params.out_outer + (batch % params.inner) * params.out_inner;
}
