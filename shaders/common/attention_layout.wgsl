#import dispatch
// qkv is [B, N, 3, H, HEAD_DIM] in quads of floats. `ranges` holds, for each token, the first and the last-but-one
// token that it may attend to (crops of several sizes packed in one row); it is read only when params.packed is set.
const QUADS: u32 = {HEAD_DIM}u / 4u;

// Where the quads of token n's query (part 0), key (1) or value (2) begin.
fn at(part: u32, b: u32, n: u32, h: u32) -> u32 {
    return (((b * params.tokens + n) * 3u + part) * params.heads + h) * QUADS;
}

fn range_of(token: u32) -> vec2<u32> {
    if (params.packed != 0u) {
        return vec2<u32>(ranges[2u * token], ranges[2u * token + 1u]);
    }
    return vec2<u32>(0u, params.tokens);
}
