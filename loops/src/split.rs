//! Rows over cores and lanes: the same blocks everywhere, on several threads and with wide registers where there are some.

#[cfg(not(target_family = "wasm"))]
use rayon::prelude::*;

/// Numbers in a block: small enough for the first cache, large enough to be worth a task.
const BLOCK: usize = 1 << 13;

/// Calls `work(first row, its rows of each output)` for blocks of whole rows; what it returns, in the order of rows.
///
/// `widths` are the outputs' numbers a row.
pub(crate) fn rows<const N: usize, R: Send>(
    mut outputs: [&mut [f32]; N],
    widths: [usize; N],
    work: impl Fn(usize, [&mut [f32]; N]) -> R + Sync,
) -> Vec<R> {
    let rows = outputs.iter().zip(widths).map(|(output, width)| output.len() / width.max(1)).max().unwrap_or(0);
    let block = (BLOCK / widths.into_iter().max().unwrap_or(1).max(1)).max(1);
    let mut pieces = Vec::with_capacity(rows.div_ceil(block));
    let mut start = 0;
    while start < rows {
        let count = block.min(rows - start);
        let piece = std::array::from_fn(|index| {
            let (head, tail) = std::mem::take(&mut outputs[index]).split_at_mut(count * widths[index]);
            outputs[index] = tail;
            head
        });
        pieces.push((start, piece));
        start += count;
    }
    let work = |(start, piece)| work(start, piece);
    #[cfg(not(target_family = "wasm"))]
    if pieces.len() > 1 {
        return pieces.into_par_iter().map(work).collect();
    }
    pieces.into_iter().map(work).collect()
}

/// A loop over rows that gains from wide registers: `run` must be `#[inline(always)]`, since only what is inlined is
/// compiled for them (a closure cannot promise that).
pub(crate) trait Loop<const N: usize>: Sync {
    /// What each block returns.
    type Output: Send;

    /// Fills the rows from `start` on.
    fn run(&self, start: usize, outputs: [&mut [f32]; N]) -> Self::Output;
}

/// [`rows`] with AVX2 and FMA where the processor has them; elsewhere the compiler's flags decide (NEON, wasm's SIMD128).
pub(crate) fn vector_rows<const N: usize, L: Loop<N>>(
    outputs: [&mut [f32]; N],
    widths: [usize; N],
    work: L,
) -> Vec<L::Output> {
    rows(outputs, widths, |start, piece| {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            return pulp::Simd::vectorize(simd, || work.run(start, piece));
        }
        work.run(start, piece)
    })
}

/// The sum of vectors of one length, in their order.
pub(crate) fn total(parts: impl IntoIterator<Item = Vec<f32>>, out: &mut [f32]) {
    out.fill(0.0);
    for part in parts {
        for (total, value) in out.iter_mut().zip(part) {
            *total += value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_comes_once_and_in_order() {
        for count in [0, 1, 7, 4000] {
            let (mut a, mut b) = (vec![0.0; count * 5], vec![0.0; count]);
            let starts = rows([&mut a, &mut b], [5, 1], |start, [a, b]| {
                a.fill(start as f32);
                b.iter_mut().enumerate().for_each(|(at, b)| *b = (start + at) as f32);
                (start, b.len())
            });
            assert!(b.iter().enumerate().all(|(at, &b)| b == at as f32));
            assert_eq!(starts.iter().map(|(_, rows)| rows).sum::<usize>(), count);
            assert!(starts.is_sorted());
        }
    }
}
