//! Picking rows by number, and its adjoint.

use crate::split::rows;

/// `y[b, m] = x[b, ids[b, m]]`: x `[B, N, dim]`, ids `[B, M]`, y `[B, M, dim]`.
///
/// # Panics
///
/// When a number is not below N.
pub fn gather(x: &[f32], ids: &[usize], [tokens, picked, dim]: [usize; 3], y: &mut [f32]) {
    rows([y], [dim], |start, [y]| {
        for (at, y) in (start..).zip(y.chunks_exact_mut(dim)) {
            let from = (at / picked * tokens + below(ids[at], tokens)) * dim;
            y.copy_from_slice(&x[from..from + dim]);
        }
    });
}

/// `y[b, n]` = the sum of `x[b, m]` over the m with `ids[b, m] = n`, in their order; y `[B, N, dim]` begins with zeros.
///
/// # Panics
///
/// When a number is not below N.
pub fn scatter(x: &[f32], ids: &[usize], [tokens, picked, dim]: [usize; 3], y: &mut [f32]) {
    // Rows of y that nobody else writes: a sample of the batch each.
    rows([y], [tokens * dim], |start, [y]| {
        for (b, y) in (start..).zip(y.chunks_exact_mut(tokens * dim)) {
            for m in b * picked..(b + 1) * picked {
                let to = below(ids[m], tokens) * dim;
                for (y, &x) in y[to..to + dim].iter_mut().zip(&x[m * dim..(m + 1) * dim]) {
                    *y += x;
                }
            }
        }
    });
}

fn below(id: usize, tokens: usize) -> usize {
    assert!(id < tokens, "token {id} of {tokens}");
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let x: Vec<f32> = (0..20).map(|i| i as f32).collect(); // [2, 5, 2]
        let ids = [4, 0, 3, 2, 2, 1];
        let mut y = vec![0.0; 12];
        gather(&x, &ids, [5, 3, 2], &mut y);
        assert_eq!(y, [8.0, 9.0, 0.0, 1.0, 6.0, 7.0, 14.0, 15.0, 14.0, 15.0, 12.0, 13.0]);
        let mut back = vec![0.0; 20];
        scatter(&y, &ids, [5, 3, 2], &mut back);
        assert_eq!(&back[..10], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 6.0, 7.0, 8.0, 9.0]);
        assert_eq!(&back[10..], [0.0, 0.0, 12.0, 13.0, 28.0, 30.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "token 5 of 5")]
    fn a_number_beyond_the_tokens_is_named() {
        gather(&[0.0; 10], &[5], [5, 1, 2], &mut [0.0; 2]);
    }
}
