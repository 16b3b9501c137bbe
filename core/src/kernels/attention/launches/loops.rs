//! Attention on the CPU: Flex's products around the loops of `lab-loops`, some queries at a time where there are many.

use std::ops::Range;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use lab_loops::softmax;

use super::AttentionOps;
use crate::kernels::flex::{contiguous, dims, filled, from, slice, view};

/// Bytes of probabilities that a call holds at once; a call of more goes image by image, and an image of more in
/// pieces of its queries.
const PROBABILITIES: usize = 128 << 20;

/// The sizes of a call.
#[derive(Clone, Copy)]
struct Sizes {
    b: usize,
    n: usize,
    heads: usize,
    head_dim: usize,
    scale: f32,
}

/// Queries of a call that are computed together: of all images, or some of one image.
#[derive(Clone, Copy)]
struct Piece {
    image: usize,
    images: usize,
    first: usize,
    queries: usize,
}

impl Sizes {
    fn of(qkv: &FlexTensor, heads: u32) -> Self {
        let ([b, n, width], heads) = (dims(qkv), heads as usize);
        let head_dim = width / 3 / heads;
        Self { b, n, heads, head_dim, scale: (head_dim as f32).powf(-0.5) }
    }

    /// The call's queries, `bytes` of probabilities at a time: for each image (or all of them) its pieces in order.
    fn pieces(self, bytes: usize) -> Vec<Vec<Piece>> {
        let Self { b, n, heads, .. } = self;
        let whole = Piece { image: 0, images: b, first: 0, queries: n };
        let of_a_query = 4 * heads * n;
        if b * n * of_a_query <= bytes {
            return vec![vec![whole]];
        }
        let at_once = (bytes / of_a_query.max(1)).clamp(1, n.max(1));
        let of_image = |image| {
            let piece = |first| Piece { image, images: 1, first, queries: at_once.min(n - first) };
            (0..n).step_by(at_once).map(piece).collect()
        };
        (0..b).map(of_image).collect()
    }

    /// Queries (part 0), keys (1) or values (2) as `[images, heads, tokens, head_dim]`, where they lie.
    fn part(self, qkv: &FlexTensor, part: usize, piece: Piece) -> FlexTensor {
        let Self { n, heads, head_dim, .. } = self;
        let width = heads * head_dim;
        // Keys and values of every token, whatever queries are asked about.
        let (first, tokens) = if part == 0 { (piece.first, piece.queries) } else { (0, n) };
        let start = 3 * width * (piece.image * n + first) + part * width;
        view(qkv, [piece.images, heads, tokens, head_dim], [3 * n * width, head_dim, 3 * width, 1], start)
    }

    /// The piece's rows of `[B, N, D]` as `[images, heads, queries, head_dim]`, where they lie.
    fn by_heads(self, x: &FlexTensor, piece: Piece) -> FlexTensor {
        let Self { n, heads, head_dim, .. } = self;
        let width = heads * head_dim;
        let start = width * (piece.image * n + piece.first);
        view(x, [piece.images, heads, piece.queries, head_dim], [n * width, head_dim, width, 1], start)
    }

    /// Scores before scaling, `[images, heads, queries, N]`.
    fn scores(self, qkv: &FlexTensor, piece: Piece) -> FlexTensor {
        Flex::float_matmul(self.part(qkv, 0, piece), swapped(self.part(qkv, 1, piece)))
    }

    /// For each image and head of a piece, where its queries lie in `[B, heads, N]`.
    fn rows(self, piece: Piece) -> impl Iterator<Item = Range<usize>> {
        let Self { n, heads, .. } = self;
        (0..piece.images * heads).map(move |row| {
            let start = (piece.image * heads + row) * n + piece.first;
            start..start + piece.queries
        })
    }

    /// As `fused_attention`, holding `bytes` of probabilities at once.
    fn forward(self, qkv: &FlexTensor, bytes: usize) -> (FlexTensor, FlexTensor) {
        let Self { b, n, heads, head_dim, scale } = self;
        let width = heads * head_dim;
        let (mut out, mut lse) = (vec![0.0; b * n * width], vec![0.0; b * heads * n]);
        for piece in self.pieces(bytes).into_iter().flatten() {
            let mut probs = self.scores(qkv, piece);
            let mut denominators = vec![0.0; piece.images * heads * piece.queries];
            softmax::forward(numbers(&mut probs), n, scale, &mut denominators);
            for (rows, found) in self.rows(piece).zip(denominators.chunks_exact(piece.queries)) {
                lse[rows].copy_from_slice(found);
            }
            let by_heads = Flex::float_matmul(probs, self.part(qkv, 2, piece));
            let tokens = &mut out[width * (piece.image * n + piece.first)..][..width * piece.images * piece.queries];
            softmax::to_tokens(&[slice(&by_heads)], [heads, piece.queries, head_dim], tokens);
        }
        (from(out, [b, n, width]), from(lse, [b, heads, n]))
    }

    /// As `fused_attention_backward`, holding twice `bytes` of probabilities at once.
    fn backward(self, qkv: &FlexTensor, lse: &FlexTensor, d_out: &FlexTensor, bytes: usize) -> FlexTensor {
        let Self { b, n, heads, head_dim, scale } = self;
        let width = heads * head_dim;
        filled([b, n, 3 * width], |d_qkv| {
            for pieces in self.pieces(bytes) {
                let (mut d_queries, mut d_keys, mut d_values) = (Vec::new(), None, None);
                for &piece in &pieces {
                    let mut probs = self.scores(qkv, piece);
                    let lse: Vec<f32> = self.rows(piece).flat_map(|rows| &slice(lse)[rows]).copied().collect();
                    softmax::again(numbers(&mut probs), n, scale, &lse);
                    let d_out = self.by_heads(d_out, piece);
                    added(&mut d_values, Flex::float_matmul(swapped(probs.clone()), d_out.clone()));
                    let mut d_scores = Flex::float_matmul(d_out, swapped(self.part(qkv, 2, piece)));
                    softmax::backward(slice(&probs), numbers(&mut d_scores), n, scale);
                    d_queries.push(Flex::float_matmul(d_scores.clone(), self.part(qkv, 1, piece)));
                    added(&mut d_keys, Flex::float_matmul(swapped(d_scores), self.part(qkv, 0, piece)));
                }
                let (Some(d_keys), Some(d_values)) = (d_keys, d_values) else { continue };
                let d_queries = match d_queries.len() {
                    1 => d_queries.remove(0),
                    _ => Flex::float_cat(d_queries, 2),
                };
                let Piece { image, images, .. } = pieces[0];
                let tokens = &mut d_qkv[3 * width * image * n..][..3 * width * images * n];
                let parts = [slice(&d_queries), slice(&d_keys), slice(&d_values)];
                softmax::to_tokens(&parts, [heads, n, head_dim], tokens);
            }
        })
    }
}

/// Adds to a sum that may not have begun.
fn added(sum: &mut Option<FlexTensor>, more: FlexTensor) {
    *sum = Some(match sum.take() {
        Some(sum) => Flex::float_add(sum, more),
        None => more,
    });
}

/// The last two axes exchanged.
fn swapped(x: FlexTensor) -> FlexTensor {
    Flex::float_swap_dims(x, 2, 3)
}

fn numbers(tensor: &mut FlexTensor) -> &mut [f32] {
    tensor.storage_mut()
}

impl AttentionOps for Flex {
    fn fused_attention(qkv: FloatTensor<Self>, heads: u32) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let qkv = contiguous(qkv);
        Sizes::of(&qkv, heads).forward(&qkv, PROBABILITIES)
    }

    fn fused_attention_backward(
        qkv: FloatTensor<Self>,
        _out: FloatTensor<Self>,
        lse: FloatTensor<Self>,
        d_out: FloatTensor<Self>,
        heads: u32,
        _half: bool,
    ) -> FloatTensor<Self> {
        let (qkv, d_out) = (contiguous(qkv), contiguous(d_out));
        Sizes::of(&qkv, heads).backward(&qkv, &contiguous(lse), &d_out, PROBABILITIES)
    }

    fn fused_attention_probs(qkv: FloatTensor<Self>, heads: u32, first: u32, count: u32) -> FloatTensor<Self> {
        let qkv = contiguous(qkv);
        let sizes = Sizes::of(&qkv, heads);
        let piece = Piece { image: 0, images: sizes.b, first: first as usize, queries: count as usize };
        let mut probs = sizes.scores(&qkv, piece);
        let mut lse = vec![0.0; sizes.b * sizes.heads * count as usize];
        softmax::forward(numbers(&mut probs), sizes.n, sizes.scale, &mut lse);
        probs
    }

    fn fused_attention_packed(
        _qkv: FloatTensor<Self>,
        _ranges: IntTensor<Self>,
        _heads: u32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("the door sends packed crops to the reference")
    }

    fn fused_attention_backward_packed(
        _qkv: FloatTensor<Self>,
        _out: FloatTensor<Self>,
        _lse: FloatTensor<Self>,
        _d_out: FloatTensor<Self>,
        _ranges: IntTensor<Self>,
        _heads: u32,
    ) -> FloatTensor<Self> {
        unreachable!("the door sends packed crops to the reference")
    }

    fn fused_attention_probs_packed(
        _qkv: FloatTensor<Self>,
        _ranges: IntTensor<Self>,
        _heads: u32,
        _first: u32,
        _count: u32,
    ) -> FloatTensor<Self> {
        unreachable!("the door sends packed crops to the reference")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_whole() {
        // Two images of seven tokens, two heads of four.
        let (b, n, heads, width) = (2, 7, 2, 8);
        let numbers =
            |count: usize, seed: usize| (0..count).map(|i| ((i * 37 + seed) % 23) as f32 / 11.5 - 1.0).collect();
        let qkv = from(numbers(b * n * 3 * width, 5), [b, n, 3 * width]);
        let d_out = from(numbers(b * n * width, 11), [b, n, width]);
        let sizes = Sizes::of(&qkv, heads);
        let (out, lse) = sizes.forward(&qkv, PROBABILITIES);
        let gradient = sizes.backward(&qkv, &lse, &d_out, PROBABILITIES);
        // An image at once, three queries of one, one.
        for (bytes, pieces) in [(4 * 2 * 7 * 7, 1), (4 * 2 * 7 * 3, 3), (1, 7)] {
            assert_eq!(sizes.pieces(bytes).iter().map(Vec::len).collect::<Vec<_>>(), [pieces; 2]);
            let (out_of_pieces, lse_of_pieces) = sizes.forward(&qkv, bytes);
            let of_pieces = sizes.backward(&qkv, &lse, &d_out, bytes);
            for (found, expected) in [(&out_of_pieces, &out), (&lse_of_pieces, &lse), (&of_pieces, &gradient)] {
                // Sums of another order.
                let close =
                    slice(found).iter().zip(slice(expected)).all(|(found, expected)| (found - expected).abs() < 1e-5);
                assert!(close, "{bytes}: {:?} for {:?}", slice(found), slice(expected));
            }
        }
    }
}
