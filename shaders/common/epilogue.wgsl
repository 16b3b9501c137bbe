#import activation
// What follows a matrix product, before the one write: shared by both products, which declare `params`, `bias`,
// `gamma`, `residual` and `out`.
// 1 to 4: the bias, then the activation of that number.
const SILU_GATE: u32 = 5u;   // b's first n/2 columns gate its last n/2 (SwiGLU's w12)
const RESIDUAL: u32 = 6u;    // residual + gamma * (product + bias)

// Which column of b the c-th column of the output grid reads. With a gate, groups of four hold two gates and their
// two partners, so that one invocation owns both factors of its outputs.
fn source_column(c: u32) -> u32 {
    if (params.epilogue == SILU_GATE) {
        return (c / 4u) * 2u + (c & 1u) + select(0u, params.n / 2u, (c & 2u) != 0u);
    }
    return c;
}

fn column_exists(c: u32) -> bool {
    if (params.epilogue == SILU_GATE) {
        return (c / 4u) * 2u + (c & 1u) < params.n / 2u;
    }
    return c < params.n;
}

// Writes four neighbouring columns, from `c` (a multiple of four), of one row of the batch that begins at `base`.
fn write_row(base: u32, row: u32, c: u32, product: vec4<f32>) {
    if (row >= params.m) {
        return;
    }
    if (params.epilogue == SILU_GATE) {
        let half = params.n / 2u;
        for (var i = 0u; i < 2u; i++) {
            let j = (c / 4u) * 2u + i;
            if (j < half) {
                let gate = product[i] + bias[j];
                let value = product[i + 2u] + bias[half + j];
                out[base + row * params.out_row + j] = silu(gate) * value;
            }
        }
        return;
    }
    for (var i = 0u; i < 4u; i++) {
        write_one(base, row, c + i, product[i]);
    }
}

// Writes one number, where it exists; not for a gate, which has two factors.
fn write_one(base: u32, row: u32, column: u32, product: f32) {
    if (row >= params.m || column >= params.n) {
        return;
    }
    let at = base + row * params.out_row + column;
    var y = product;
    if (params.accumulate != 0u) {
        y += out[at];
    }
    switch params.epilogue {
        case IDENTITY, GELU, QUICK_GELU, GELU_TANH: { y = activate(y + bias[column], params.epilogue); }
        case RESIDUAL: { y = residual[at] + gamma[column] * (y + bias[column]); }
        default: {}
    }
    out[at] = y;
}
