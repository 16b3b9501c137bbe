//! The loss on class tokens: the student's crops against the teacher's global crops.
//!
//! Caron et al., arXiv 2104.14294, equation 3; dinov2: loss/dino_clstoken_loss.py and train/ssl_meta_arch.py. A crop is
//! never compared with itself. Rows are crop-major: all images of the first crop, then all of the second.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

/// The two terms of the loss, `[1]` each; their sum is the objective.
#[derive(Debug, Clone)]
pub struct DinoTerms {
    /// Local crops against both global crops; zero without local crops.
    pub local: Tensor<1>,
    /// Each global crop against the other one.
    pub global: Tensor<1>,
}

/// `-mean over b of sum over k of t[b, k] * log softmax(s[b] / temp)[k]`, `[1]`: both `[B, K]`.
pub fn cross_entropy(student_logits: Tensor<2>, teacher_probs: Tensor<2>, student_temp: f64) -> Tensor<1> {
    -similarity_rows(student_logits, teacher_probs, student_temp).mean_dim(0).reshape([1])
}

/// `sum over k of t[b, k] * log softmax(s[b] / temp)[k]` of each row, `[B, 1]`: both `[B, K]`.
pub(super) fn similarity_rows(student_logits: Tensor<2>, teacher_probs: Tensor<2>, student_temp: f64) -> Tensor<2> {
    let (student, teacher) = (student_logits.dims(), teacher_probs.dims());
    assert!(student == teacher, "student {student:?}, teacher {teacher:?}");
    (teacher_probs * log_softmax(student_logits / student_temp, 1)).sum_dim(1)
}

/// The loss of a batch of B images with two global and n local crops: student logits `[2B, K]` and `[nB, K]`, teacher
/// probabilities `[2B, K]`, in the same order of crops as the student's (they are swapped here).
///
/// Both terms are divided by the number of compared pairs, 2 + 2n. Without local crops DINOv2's code divides by 3
/// instead of 2, since it counts at least one local pair (`max(n_local_crops * n_global_crops, 1)`); here it is 2, as
/// in DINO's.
pub fn dino_loss(
    student_global: Tensor<2>,
    student_local: Option<Tensor<2>>,
    teacher_probs: Tensor<2>,
    batch: usize,
    student_temp: f64,
) -> DinoTerms {
    let [rows, prototypes] = teacher_probs.dims();
    assert!(rows == 2 * batch, "{rows} rows of the teacher for {batch} images");
    let crop = |index: usize| teacher_probs.clone().narrow(0, index * batch, batch);
    let (first, second) = (crop(0), crop(1));
    let locals = student_local.as_ref().map_or(0, |local| local.dims()[0] / batch);
    let pairs = (2 + 2 * locals) as f64;
    let swapped = Tensor::cat(vec![second.clone(), first.clone()], 0);
    let local = match student_local {
        Some(student) => {
            assert!(student.dims()[0] == locals * batch, "local crops {:?} of {batch} images", student.dims());
            // Both teachers at once: the loss is linear in them.
            let both = (first + second).unsqueeze::<3>().repeat_dim(0, locals).reshape([locals * batch, prototypes]);
            cross_entropy(student, both, student_temp) * (locals as f64 / pairs)
        }
        None => Tensor::zeros([1], &student_global.device()),
    };
    // The mean over 2B rows is half the sum of the two pairs.
    let global = cross_entropy(student_global, swapped, student_temp) * (2.0 / pairs);
    DinoTerms { local, global }
}
