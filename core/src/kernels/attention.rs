//! Softmax attention over fused queries, keys and values, never holding all probabilities.
//!
//! `softmax(q kᵀ / sqrt(head_dim)) v`, for each block of [`Segments`] alone when crops of several sizes are packed into
//! one row. The kernel is the online softmax of FlashAttention (Dao et al., arXiv 2205.14135), one invocation a query;
//! its backward pass recomputes the probabilities from the log of the softmax's denominator: some heads at a time between
//! products, or on a software adapter and for packed crops one invocation a query and a key. The CPU does the same with its
//! own products around the loops of `lab-loops`, some queries at a time where there are many.

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::matmul;
use super::mode::{self, Kernel};

/// Head dims that have a kernel; others take the reference.
pub const HEAD_DIMS: [usize; 6] = [16, 32, 64, 80, 96, 128];

/// Lengths of the crops packed into one row of tokens: a token attends within its own crop only.
#[derive(Debug, Clone)]
pub struct Segments {
    ranges: Tensor<2, Int>,
    lengths: Vec<usize>,
}

impl Segments {
    /// Crops of these many tokens, one after another.
    pub fn new(lengths: &[usize], device: &Device) -> Self {
        let mut start = 0i32;
        let mut ranges = Vec::with_capacity(2 * lengths.iter().sum::<usize>());
        for &length in lengths {
            let end = start + length as i32;
            ranges.extend((start..end).flat_map(|_| [start, end]));
            start = end;
        }
        let tokens = ranges.len() / 2;
        Self { ranges: Tensor::from_data(TensorData::new(ranges, [tokens, 2]), device), lengths: lengths.to_vec() }
    }

    /// Tokens of all crops.
    pub fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// `[N, N]`, true where attention is forbidden.
    fn forbidden(&self, device: &Device) -> Tensor<2, Bool> {
        let owner: Vec<usize> = self.lengths.iter().enumerate().flat_map(|(i, &n)| std::iter::repeat_n(i, n)).collect();
        let n = owner.len();
        let mask: Vec<bool> = owner.iter().flat_map(|a| owner.iter().map(move |b| a != b)).collect();
        Tensor::from_data(TensorData::new(mask, [n, n]), device)
    }
}

/// f32 qkv `[B, N, 3 D]`, as a fused projection leaves it (`[q | k | v]`, each `[heads, head_dim]`), to `[B, N, D]`.
pub fn attention(qkv: Tensor<3>, num_heads: usize, segments: Option<&Segments>) -> Tensor<3> {
    check(&qkv, num_heads, segments);
    if fuses(&qkv, num_heads, segments) {
        use burn::backend::Dispatch;
        let qkv = qkv.into_dispatch();
        let (out, _) = match segments {
            Some(segments) => {
                Dispatch::fused_attention_packed(qkv, segments.ranges.clone().into_dispatch(), num_heads as u32)
            }
            None => Dispatch::fused_attention(qkv, num_heads as u32),
        };
        return Tensor::from_dispatch(out);
    }
    reference(qkv, num_heads, segments)
}

/// The probabilities of `queries` (a range of tokens) over all tokens, `[B, heads, queries, N]`, for views.
pub fn attention_probs(
    qkv: Tensor<3>,
    num_heads: usize,
    queries: std::ops::Range<usize>,
    segments: Option<&Segments>,
) -> Tensor<4> {
    check(&qkv, num_heads, segments);
    assert!(queries.end <= qkv.dims()[1], "attention_probs: queries {queries:?} of {:?}", qkv.dims());
    if fuses(&qkv, num_heads, segments) && !qkv.device().is_autodiff() {
        use burn::backend::Dispatch;
        let (first, count) = (queries.start as u32, queries.len() as u32);
        let qkv = qkv.into_dispatch();
        return Tensor::from_dispatch(match segments {
            Some(segments) => {
                let ranges = segments.ranges.clone().into_dispatch();
                Dispatch::fused_attention_probs_packed(qkv, ranges, num_heads as u32, first, count)
            }
            None => Dispatch::fused_attention_probs(qkv, num_heads as u32, first, count),
        });
    }
    reference_probs(qkv, num_heads, queries, segments).0
}

/// [`attention`] in tensor operations.
pub fn reference(qkv: Tensor<3>, num_heads: usize, segments: Option<&Segments>) -> Tensor<3> {
    let [b, n, width] = qkv.dims();
    let (probs, value) = reference_probs(qkv, num_heads, 0..n, segments);
    matmul::matmul(probs, value).swap_dims(1, 2).reshape([b, n, width / 3])
}

/// [`attention_probs`] in tensor operations, with the values `[B, heads, N, head_dim]`.
pub fn reference_probs(
    qkv: Tensor<3>,
    num_heads: usize,
    queries: std::ops::Range<usize>,
    segments: Option<&Segments>,
) -> (Tensor<4>, Tensor<4>) {
    let [b, n, width] = qkv.dims();
    let head_dim = width / 3 / num_heads;
    let device = qkv.device();
    let part = |index: usize| {
        let part = qkv.clone().narrow(2, index * width / 3, width / 3);
        part.reshape([b, n, num_heads, head_dim]).swap_dims(1, 2)
    };
    let query = part(0).narrow(2, queries.start, queries.len());
    let mut scores = matmul::matmul(query, part(1).swap_dims(2, 3)) * (head_dim as f64).powf(-0.5);
    if let Some(segments) = segments {
        let forbidden = segments.forbidden(&device).narrow(0, queries.start, queries.len());
        scores = scores.mask_fill(forbidden.unsqueeze::<4>(), f32::NEG_INFINITY);
    }
    (softmax(scores, 3), part(2))
}

fn check(qkv: &Tensor<3>, num_heads: usize, segments: Option<&Segments>) {
    let [b, n, width] = qkv.dims();
    assert!(width.is_multiple_of(3 * num_heads), "attention: qkv {:?} with {num_heads} heads", qkv.dims());
    if let Some(segments) = segments {
        assert!(b == 1 && n == segments.tokens(), "attention: qkv {:?} packed as {:?}", qkv.dims(), segments.lengths);
    }
}

/// The shaders are written for some head dims, the CPU's loops for crops that are not packed; both are f32.
fn fuses(qkv: &Tensor<3>, num_heads: usize, segments: Option<&Segments>) -> bool {
    let device = qkv.device();
    mode::runs(Kernel::Attention, &device)
        && (!mode::precision_is_half() || mode::takes_wgsl(&device))
        && match mode::takes_wgsl(&device) {
            true => HEAD_DIMS.contains(&(qkv.dims()[2] / 3 / num_heads)),
            false => segments.is_none(),
        }
}

use launches::AttentionOps;

mod launches {
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
    use burn::backend::tensor::{FloatTensor, IntTensor};
    use burn::backend::{Autodiff, Backend, backend_extension};

    use super::mode;
    use crate::kernels::kept::Kept;

    /// Attention as operations of burn's backends; [`super::attention`] is their door. The second output of the
    /// forward operations is the log of the softmax's denominator, `[B, heads, N]`.
    #[backend_extension(Autodiff, Cube: cfg(feature = "wgpu"), Flex: cfg(feature = "flex"))]
    pub(crate) trait AttentionOps: Backend {
        /// See [`super::attention`].
        fn fused_attention(qkv: FloatTensor<Self>, heads: u32) -> (FloatTensor<Self>, FloatTensor<Self>);
        /// The same within blocks.
        fn fused_attention_packed(
            qkv: FloatTensor<Self>,
            ranges: IntTensor<Self>,
            heads: u32,
        ) -> (FloatTensor<Self>, FloatTensor<Self>);
        /// The gradient of `qkv`; `half` as for the product.
        fn fused_attention_backward(
            qkv: FloatTensor<Self>,
            out: FloatTensor<Self>,
            lse: FloatTensor<Self>,
            d_out: FloatTensor<Self>,
            heads: u32,
            half: bool,
        ) -> FloatTensor<Self>;
        /// The same within blocks.
        fn fused_attention_backward_packed(
            qkv: FloatTensor<Self>,
            out: FloatTensor<Self>,
            lse: FloatTensor<Self>,
            d_out: FloatTensor<Self>,
            ranges: IntTensor<Self>,
            heads: u32,
        ) -> FloatTensor<Self>;
        /// See [`super::attention_probs`].
        fn fused_attention_probs(qkv: FloatTensor<Self>, heads: u32, first: u32, count: u32) -> FloatTensor<Self>;
        /// The same within blocks.
        fn fused_attention_probs_packed(
            qkv: FloatTensor<Self>,
            ranges: IntTensor<Self>,
            heads: u32,
            first: u32,
            count: u32,
        ) -> FloatTensor<Self>;
    }

    #[cfg(feature = "wgpu")]
    mod wgsl {
        use burn::backend::tensor::{FloatTensor, IntTensor};
        use burn::backend::wgpu::{CubeBackend, CubeTensor, into_contiguous};
        use lab_shaders::{self as shaders, Shader, attention_probs};

        use super::AttentionOps;
        use crate::device::mode;
        use crate::kernels::launch::{Groups, MAX_GROUPS, dims, empty, launch, launch_elements};
        use crate::kernels::matmul::launches::{Epilogue, View, product_of};

        /// The variant of a kernel for a head dim.
        fn pick(variants: [&'static Shader; 6], head_dim: usize) -> &'static Shader {
            let index = super::super::HEAD_DIMS.iter().position(|&dim| dim == head_dim);
            variants[index.expect("the door lets only these through")]
        }

        macro_rules! variants {
            ($($name:ident),*) => { [$(&shaders::$name),*] };
        }

        fn forward(qkv: CubeTensor, ranges: Option<CubeTensor>, heads: u32) -> (CubeTensor, CubeTensor) {
            let (qkv, ranges) = (into_contiguous(qkv), ranges.map(into_contiguous));
            let [b, n, width] = dims(&qkv);
            let head_dim = width / 3 / heads as usize;
            let (out, lse) = (empty(&qkv, [b, n, width / 3]), empty(&qkv, [b, heads as usize, n]));
            let params = shaders::attention::Params {
                batch: b as u32,
                tokens: n as u32,
                heads,
                packed: u32::from(ranges.is_some()),
                scale: (head_dim as f32).powf(-0.5),
            };
            let shader = pick(
                variants!(ATTENTION_16, ATTENTION_32, ATTENTION_64, ATTENTION_80, ATTENTION_96, ATTENTION_128),
                head_dim,
            );
            let ranges = ranges.as_ref().unwrap_or(&qkv);
            launch_elements(shader, &[&qkv, ranges, &out, &lse], &params.words(), b * n * heads as usize);
            (out, lse)
        }

        fn backward(
            [qkv, out, lse, d_out]: [CubeTensor; 4],
            ranges: Option<CubeTensor>,
            heads: u32,
            half: bool,
        ) -> CubeTensor {
            let [qkv, out, lse, d_out] = [qkv, out, lse, d_out].map(into_contiguous);
            let ranges = ranges.map(into_contiguous);
            let [b, n, width] = dims(&qkv);
            let head_dim = width / 3 / heads as usize;
            // A software adapter has no registers to run out of, and its products know no workgroup memory.
            if ranges.is_none() && !mode::software_adapter() {
                return backward_by_products([qkv, out, lse, d_out], heads as usize, half);
            }
            let (d_qkv, delta) = (empty(&qkv, [b, n, width]), empty(&qkv, [b, heads as usize, n]));
            let params = shaders::attention_backward_q::Params {
                batch: b as u32,
                tokens: n as u32,
                heads,
                packed: u32::from(ranges.is_some()),
                scale: (head_dim as f32).powf(-0.5),
            };
            let ranges = ranges.as_ref().unwrap_or(&qkv);
            let elements = b * n * heads as usize;
            let shader = pick(
                variants!(
                    ATTENTION_BACKWARD_Q_16,
                    ATTENTION_BACKWARD_Q_32,
                    ATTENTION_BACKWARD_Q_64,
                    ATTENTION_BACKWARD_Q_80,
                    ATTENTION_BACKWARD_Q_96,
                    ATTENTION_BACKWARD_Q_128
                ),
                head_dim,
            );
            launch_elements(shader, &[&qkv, ranges, &out, &lse, &d_out, &d_qkv, &delta], &params.words(), elements);
            let shader = pick(
                variants!(
                    ATTENTION_BACKWARD_KV_16,
                    ATTENTION_BACKWARD_KV_32,
                    ATTENTION_BACKWARD_KV_64,
                    ATTENTION_BACKWARD_KV_80,
                    ATTENTION_BACKWARD_KV_96,
                    ATTENTION_BACKWARD_KV_128
                ),
                head_dim,
            );
            launch_elements(shader, &[&qkv, ranges, &lse, &delta, &d_out, &d_qkv], &params.words(), elements);
            d_qkv
        }

        /// Bytes of the probabilities that are held at once, and again of their gradients: half of what every device binds.
        const ROOM: usize = 64 << 20;

        /// Where queries (part 0), keys (1) or values (2) of some heads lie in `[B, N, 3, H, head_dim]`.
        fn part_of(
            qkv: &CubeTensor,
            part: usize,
            [heads, head_dim]: [usize; 2],
            [batch, head]: [usize; 2],
        ) -> View<'_> {
            let [_, n, width] = dims(qkv);
            let offset = batch * n * width + (part * heads + head) * head_dim;
            View { tensor: qkv, offset, strides: [n * width, head_dim, width, 1] }
        }

        /// The gradient by five products, some heads at a time: an invocation a key would need four times the head dim in
        /// registers, which a GPU has not got (an H200: 59 ms where the products in tensor operations took 18).
        fn backward_by_products([qkv, out, lse, d_out]: [CubeTensor; 4], heads: usize, half: bool) -> CubeTensor {
            let [b, n, width] = dims(&qkv);
            let head_dim = width / 3 / heads;
            let sizes = [heads, head_dim];
            let d_qkv = empty(&qkv, [b, n, width]);
            let most = (ROOM / (4 * n * n)).clamp(1, MAX_GROUPS);
            let (batches, some_heads) = if most >= heads { (most / heads, heads) } else { (1, most) };
            for first_batch in (0..b).step_by(batches) {
                for first_head in (0..heads).step_by(some_heads) {
                    let (batches, some_heads) = (batches.min(b - first_batch), some_heads.min(heads - first_head));
                    let (count, first) = ([batches, some_heads], [first_batch, first_head]);
                    let part = |part| part_of(&qkv, part, sizes, first);
                    let gradient_of = |part| part_of(&d_qkv, part, sizes, first);
                    let offset = (first_batch * n * heads + first_head) * head_dim;
                    let strides = [n * heads * head_dim, head_dim, heads * head_dim, 1];
                    let d_output = View { tensor: &d_out, offset, strides };
                    let (scores, d_scores) =
                        (empty(&qkv, [batches, some_heads, n, n]), empty(&qkv, [batches, some_heads, n, n]));
                    let [scores_view, d_scores_view] =
                        [&scores, &d_scores].map(|tensor| View::contiguous(tensor, some_heads, n, n));
                    let to_scores = [n, head_dim, n];
                    product_of(count, to_scores, part(0), part(1).transposed(), half, Epilogue::None, scores_view);
                    product_of(count, to_scores, d_output, part(2).transposed(), half, Epilogue::None, d_scores_view);
                    let rows = batches * some_heads * n;
                    let params = shaders::attention_backward_scores::Params {
                        rows: rows as u32,
                        tokens: n as u32,
                        heads: heads as u32,
                        some_heads: some_heads as u32,
                        head_dim: head_dim as u32,
                        first_batch: first_batch as u32,
                        first_head: first_head as u32,
                        scale: (head_dim as f32).powf(-0.5),
                    };
                    let buffers = [&scores, &d_scores, &lse, &out, &d_out];
                    launch(&shaders::ATTENTION_BACKWARD_SCORES, &buffers, &params.words(), Groups::Line(rows));
                    let to_gradient = [n, n, head_dim];
                    let gradient = |part: usize, a: View<'_>, b: View<'_>| {
                        product_of(count, to_gradient, a, b, half, Epilogue::None, gradient_of(part));
                    };
                    gradient(0, d_scores_view, part(1));
                    gradient(1, d_scores_view.transposed(), part(0));
                    gradient(2, scores_view.transposed(), d_output);
                }
            }
            d_qkv
        }

        fn probabilities(
            qkv: CubeTensor,
            ranges: Option<CubeTensor>,
            heads: u32,
            first: u32,
            count: u32,
        ) -> CubeTensor {
            let (qkv, ranges) = (into_contiguous(qkv), ranges.map(into_contiguous));
            let [b, n, width] = dims(&qkv);
            let head_dim = width / 3 / heads as usize;
            let probs = empty(&qkv, [b, heads as usize, count as usize, n]);
            let params = attention_probs::Params {
                batch: b as u32,
                tokens: n as u32,
                heads,
                packed: u32::from(ranges.is_some()),
                scale: (head_dim as f32).powf(-0.5),
                first_query: first,
                queries: count,
            };
            let shader = pick(
                variants!(
                    ATTENTION_PROBS_16,
                    ATTENTION_PROBS_32,
                    ATTENTION_PROBS_64,
                    ATTENTION_PROBS_80,
                    ATTENTION_PROBS_96,
                    ATTENTION_PROBS_128
                ),
                head_dim,
            );
            let ranges = ranges.as_ref().unwrap_or(&qkv);
            launch_elements(shader, &[&qkv, ranges, &probs], &params.words(), b * heads as usize * count as usize);
            probs
        }

        impl AttentionOps for CubeBackend {
            fn fused_attention(qkv: FloatTensor<Self>, heads: u32) -> (FloatTensor<Self>, FloatTensor<Self>) {
                forward(qkv, None, heads)
            }

            fn fused_attention_packed(
                qkv: FloatTensor<Self>,
                ranges: IntTensor<Self>,
                heads: u32,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                forward(qkv, Some(ranges), heads)
            }

            fn fused_attention_backward(
                qkv: FloatTensor<Self>,
                out: FloatTensor<Self>,
                lse: FloatTensor<Self>,
                d_out: FloatTensor<Self>,
                heads: u32,
                half: bool,
            ) -> FloatTensor<Self> {
                backward([qkv, out, lse, d_out], None, heads, half)
            }

            fn fused_attention_backward_packed(
                qkv: FloatTensor<Self>,
                out: FloatTensor<Self>,
                lse: FloatTensor<Self>,
                d_out: FloatTensor<Self>,
                ranges: IntTensor<Self>,
                heads: u32,
            ) -> FloatTensor<Self> {
                backward([qkv, out, lse, d_out], Some(ranges), heads, false)
            }

            fn fused_attention_probs(qkv: FloatTensor<Self>, heads: u32, first: u32, count: u32) -> FloatTensor<Self> {
                probabilities(qkv, None, heads, first, count)
            }

            fn fused_attention_probs_packed(
                qkv: FloatTensor<Self>,
                ranges: IntTensor<Self>,
                heads: u32,
                first: u32,
                count: u32,
            ) -> FloatTensor<Self> {
                probabilities(qkv, Some(ranges), heads, first, count)
            }
        }
    }

    #[cfg(feature = "flex")]
    mod loops;

    #[derive(Debug)]
    struct AttentionBackward;

    impl<B: AttentionOps> Backward<B, 1> for AttentionBackward {
        type State = (Kept<B>, Kept<B>, FloatTensor<B>, Option<IntTensor<B>>, u32, bool);

        fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
            let (qkv, out, lse, ranges, heads, half) = ops.state;
            let (qkv, out) = (qkv.take(checkpointer), out.take(checkpointer));
            unary::<B, _>(ops.parents, ops.node, grads, |d_out| match ranges {
                Some(ranges) => B::fused_attention_backward_packed(qkv, out, lse, d_out, ranges, heads),
                None => B::fused_attention_backward(qkv, out, lse, d_out, heads, half),
            });
        }
    }

    /// The forward pass below autodiff.
    fn below<B: AttentionOps>(
        qkv: FloatTensor<B>,
        ranges: Option<IntTensor<B>>,
        heads: u32,
    ) -> (FloatTensor<B>, FloatTensor<B>) {
        match ranges {
            Some(ranges) => B::fused_attention_packed(qkv, ranges, heads),
            None => B::fused_attention(qkv, heads),
        }
    }

    /// The output, and the log of the softmax's denominator.
    type Attended<B> = (FloatTensor<B>, FloatTensor<B>);

    /// The forward pass that remembers what the backward pass needs. The denominator carries no gradient.
    fn tracked<B: AttentionOps, C: CheckpointStrategy>(
        qkv: FloatTensor<Autodiff<B, C>>,
        ranges: Option<IntTensor<B>>,
        heads: u32,
    ) -> Attended<Autodiff<B, C>> {
        let constant = |lse: FloatTensor<B>| <Autodiff<B, C> as burn::backend::AutodiffBackend>::from_inner(lse);
        match AttentionBackward.prepare::<C>([qkv.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let keeps_half = mode::keeps_half();
                let kept = Kept::of(&qkv, keeps_half, &mut prep);
                let (out, lse) = below::<B>(qkv.into_primitive(), ranges.clone(), heads);
                let out_kept = Kept::own(out.clone(), keeps_half);
                let state = (kept, out_kept, lse.clone(), ranges, heads, mode::precision_is_half());
                (prep.finish(state, out), constant(lse))
            }
            OpsKind::UnTracked(prep) => {
                let (out, lse) = below::<B>(qkv.into_primitive(), ranges, heads);
                (prep.finish(out), constant(lse))
            }
        }
    }

    impl<B: AttentionOps, C: CheckpointStrategy> AttentionOps for Autodiff<B, C> {
        fn fused_attention(qkv: FloatTensor<Self>, heads: u32) -> (FloatTensor<Self>, FloatTensor<Self>) {
            tracked::<B, C>(qkv, None, heads)
        }

        fn fused_attention_packed(
            qkv: FloatTensor<Self>,
            ranges: IntTensor<Self>,
            heads: u32,
        ) -> (FloatTensor<Self>, FloatTensor<Self>) {
            tracked::<B, C>(qkv, Some(ranges), heads)
        }

        fn fused_attention_backward(
            _qkv: FloatTensor<Self>,
            _out: FloatTensor<Self>,
            _lse: FloatTensor<Self>,
            _d_out: FloatTensor<Self>,
            _heads: u32,
            _half: bool,
        ) -> FloatTensor<Self> {
            unreachable!("the backward pass runs below autodiff")
        }

        fn fused_attention_backward_packed(
            _qkv: FloatTensor<Self>,
            _out: FloatTensor<Self>,
            _lse: FloatTensor<Self>,
            _d_out: FloatTensor<Self>,
            _ranges: IntTensor<Self>,
            _heads: u32,
        ) -> FloatTensor<Self> {
            unreachable!("the backward pass runs below autodiff")
        }

        fn fused_attention_probs(_qkv: FloatTensor<Self>, _heads: u32, _first: u32, _count: u32) -> FloatTensor<Self> {
            unreachable!("the door sends probabilities with gradients to the reference")
        }

        fn fused_attention_probs_packed(
            _qkv: FloatTensor<Self>,
            _ranges: IntTensor<Self>,
            _heads: u32,
            _first: u32,
            _count: u32,
        ) -> FloatTensor<Self> {
            unreachable!("the door sends probabilities with gradients to the reference")
        }
    }
}
