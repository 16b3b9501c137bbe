//! Losses, heads, the optimiser's step and stochastic depth against PyTorch: `golden/losses/io.safetensors`; and what
//! must hold of them without it.

use std::collections::BTreeMap;

use burn::module::Param;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use lab_core::formats::Checkpoint;
use lab_core::kernels::adamw::{self, adamw};
use lab_core::kernels::ema::ema;
use lab_core::kernels::linear::Activation;
use lab_core::layers::drop_path::{DropPath, Subset};
use lab_core::layers::linear::Linear;
use lab_core::losses::dino::{cross_entropy, dino_loss};
use lab_core::losses::ibot::ibot_loss;
use lab_core::losses::koleo::koleo;
use lab_core::losses::sinkhorn_knopp::sinkhorn_knopp;
use lab_core::losses::softmax_centering::{next_center, teacher_probs};
use lab_core::models::config::Ffn;
use lab_core::models::dino_head::{DinoHead, DinoHeadConfig};
use lab_core::models::names::Recipe;
use lab_core::models::parameters::Parameters;
use lab_core::rng::Rng;
use lab_tests::{assert_close, cpu, golden, golden_tensor, gpu, random, values};

// f32 against float64: sums of up to 64 terms, exponentials of arguments up to 80.
const TOLERANCE: f32 = 1e-4;
// Gradients pass through twice as many operations.
const OF_GRADIENTS: f32 = 1e-3;

const STUDENT_TEMP: f64 = 0.1;
const TEACHER_TEMP: f64 = 0.05;

/// With the CPU's references and with the GPU's kernels.
fn on_each_device(check: impl Fn(&Device, &Golden)) {
    let stored = Golden(golden("losses/io.safetensors"));
    check(&cpu(), &stored);
    let gpu = gpu();
    check(&gpu.device, &stored);
}

struct Golden(Checkpoint);

impl Golden {
    fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let (shape, values) = golden_tensor(&self.0, name);
        let shape: [usize; D] = shape.try_into().unwrap_or_else(|shape| panic!("{name}: {shape:?}"));
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// A tensor that wants a gradient.
    fn leaf<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        self.tensor::<D>(name, device).require_grad()
    }

    #[track_caller]
    fn same<const D: usize>(&self, name: &str, found: Tensor<D>) {
        let (shape, expected) = golden_tensor(&self.0, name);
        assert_eq!(shape, found.dims(), "{name}");
        assert_close(name, &values(found), &expected, TOLERANCE, TOLERANCE);
    }

    /// Within a thousandth of the largest of the expected numbers.
    #[track_caller]
    fn same_gradient<const D: usize>(&self, name: &str, found: Tensor<D>) {
        let (shape, expected) = golden_tensor(&self.0, name);
        assert_eq!(shape, found.dims(), "{name}");
        let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        assert_close(name, &values(found), &expected, OF_GRADIENTS * largest, OF_GRADIENTS);
    }
}

fn grad<const D: usize>(leaf: &Tensor<D>, gradients: &Gradients) -> Tensor<D> {
    leaf.grad(gradients).expect("tracked")
}

// ---- against PyTorch ----------------------------------------------------------------------------------------------

#[test]
fn targets_of_the_teacher() {
    on_each_device(|device, stored| {
        let logits = stored.tensor::<2>("targets.logits", device);
        let center = stored.tensor::<2>("targets.center", device);
        stored.same("targets.centred", teacher_probs(logits.clone(), center.clone(), TEACHER_TEMP));
        let center = next_center(center, logits.clone().mean_dim(0), 0.9);
        stored.same("targets.center.1", center.clone());
        stored.same("targets.center.2", next_center(center, (logits.clone() * 2.0).mean_dim(0), 0.9));
        stored.same("targets.sinkhorn.0.05", sinkhorn_knopp(logits.clone(), 0.05, 3));
        stored.same("targets.sinkhorn.0.07.one", sinkhorn_knopp(logits, 0.07, 1));
    });
}

#[test]
fn dino_over_all_pairs_of_crops() {
    on_each_device(|device, stored| {
        let device = device.clone().autodiff();
        let teacher = stored.tensor::<2>("dino.teacher", &device);
        let global = stored.leaf::<2>("dino.student_global", &device);
        let local = stored.leaf::<2>("dino.student_local", &device);
        let terms = dino_loss(global.clone(), Some(local.clone()), teacher.clone(), 4, STUDENT_TEMP);
        stored.same("dino.global", terms.global.clone());
        stored.same("dino.local", terms.local.clone());
        let gradients = (terms.global + terms.local).backward();
        stored.same_gradient("dino.grad_global", grad(&global, &gradients));
        stored.same_gradient("dino.grad_local", grad(&local, &gradients));

        let terms = dino_loss(global.clone(), None, teacher, 4, STUDENT_TEMP);
        assert_eq!(values(terms.local.clone()), [0.0]);
        stored.same("dino_two.global", terms.global.clone());
        let gradients = (terms.global + terms.local).backward();
        stored.same_gradient("dino_two.grad_global", grad(&global, &gradients));
    });
}

#[test]
fn ibot_over_all_crops() {
    on_each_device(|device, stored| {
        // The teacher without autodiff: a constant beside the student.
        let teacher = stored.tensor::<2>("ibot.teacher", device);
        let weights = stored.tensor::<1>("ibot.weights", device);
        let student = stored.leaf::<2>("ibot.student", &device.clone().autodiff());
        let loss = ibot_loss(student.clone(), teacher, weights, 6, STUDENT_TEMP);
        stored.same("ibot.loss", loss.clone());
        stored.same_gradient("ibot.grad_student", grad(&student, &loss.backward()));
    });
}

#[test]
fn koleo_reaches_both_neighbours() {
    on_each_device(|device, stored| {
        let device = device.clone().autodiff();
        for name in ["koleo", "koleo_two"] {
            let x = stored.leaf::<2>(&format!("{name}.x"), &device);
            let loss = koleo(x.clone());
            stored.same(&format!("{name}.loss"), loss.clone());
            stored.same_gradient(&format!("{name}.grad_x"), grad(&x, &loss.backward()));
        }
        stored.same("koleo_twice.loss", koleo(stored.tensor("koleo_twice.x", &device)));
    });
}

#[test]
fn gradients_with_recomputation_are_the_same() {
    on_each_device(|device, stored| {
        // Constants stay without autodiff: `Tensor::from_inner` would give them another strategy than the student's.
        let tracked = device.clone().autodiff().gradient_checkpointing();
        let global = stored.leaf::<2>("dino.student_global", &tracked);
        let local = stored.leaf::<2>("dino.student_local", &tracked);
        let teacher = stored.tensor::<2>("dino.teacher", device);
        let terms = dino_loss(global.clone(), Some(local.clone()), teacher, 4, STUDENT_TEMP);
        let gradients = (terms.global + terms.local).backward();
        stored.same_gradient("dino.grad_global", grad(&global, &gradients));
        stored.same_gradient("dino.grad_local", grad(&local, &gradients));
        let x = stored.leaf::<2>("koleo.x", &tracked);
        stored.same_gradient("koleo.grad_x", grad(&x, &koleo(x.clone()).backward()));
        let head = head(stored, "head3", 3, &tracked);
        let x = stored.leaf::<2>("head3.x", &tracked);
        let gradients = (head.forward(x.clone()) * stored.tensor("head3.grad_out", device)).sum().backward();
        stored.same_gradient("head3.grad_x", grad(&x, &gradients));
    });
}

fn head(stored: &Golden, case: &str, nlayers: usize, device: &Device) -> DinoHead {
    let config = DinoHeadConfig {
        in_dim: 24,
        hidden_dim: 40,
        bottleneck_dim: 16,
        n_prototypes: 52,
        nlayers,
        norm_last_layer: false,
    };
    let recipes = recipes(stored, case);
    let mut silent = |_: u64, _: u64, _: &str| {};
    let mut parameters = Parameters::from_checkpoint(&stored.0, &recipes, device, false, 0, &mut silent);
    pollster::block_on(DinoHead::build(case, &config, &mut parameters)).expect("the golden holds a whole head")
}

/// Every tensor of a case by its own name.
fn recipes(stored: &Golden, case: &str) -> BTreeMap<String, Recipe> {
    let of_case = stored.0.names().filter(|name| name.starts_with(&format!("{case}.")));
    of_case.map(|name| (name.to_owned(), Recipe { parts: vec![(name.to_owned(), None)] })).collect()
}

/// The one piece of a weight.
fn whole(pieces: &[Param<Tensor<2>>]) -> Tensor<2> {
    assert_eq!(pieces.len(), 1);
    pieces[0].val()
}

#[test]
fn heads_of_three_two_and_one_layers() {
    on_each_device(|device, stored| {
        let device = device.clone().autodiff();
        for layers in [3, 2, 1] {
            let case = format!("head{layers}");
            let head = head(stored, &case, layers, &device);
            let x = stored.leaf::<2>(&format!("{case}.x"), &device);
            let y = head.forward(x.clone());
            stored.same(&format!("{case}.y"), y.clone());
            let gradients = (y * stored.tensor(&format!("{case}.grad_out"), &device)).sum().backward();
            stored.same_gradient(&format!("{case}.grad_x"), grad(&x, &gradients));
            for (index, layer) in head.mlp.iter().enumerate() {
                let name = if layers == 1 { "mlp".to_owned() } else { format!("mlp.{}", 2 * index) };
                stored.same_gradient(&format!("{case}.grad_{name}.weight"), grad(&whole(&layer.weight), &gradients));
                stored.same_gradient(&format!("{case}.grad_{name}.bias"), grad(&layer.bias.val(), &gradients));
            }
            let last = &head.last_layer;
            for (name, tensor) in [("weight_g", last.weight_g.val()), ("weight_v", last.weight_v.val())] {
                stored.same_gradient(&format!("{case}.grad_last_layer.{name}"), grad(&tensor, &gradients));
            }
        }
    });
}

#[test]
fn adamw_as_pytorch_steps() {
    on_each_device(|device, stored| {
        let mut param = stored.tensor::<1>("adamw.0", device);
        let (mut m, mut v) = (param.zeros_like(), param.zeros_like());
        for (index, (lr, weight_decay, grad_scale)) in
            [(1e-2, 0.04, 1.0), (5e-3, 0.2, 1.0), (2e-2, 0.4, 0.25)].into_iter().enumerate()
        {
            let step = index as u64 + 1;
            let settings = adamw::Step { lr, weight_decay, beta1: 0.9, beta2: 0.999, eps: 1e-8, step, grad_scale };
            (param, m, v) = adamw(param, stored.tensor(&format!("adamw.grad.{step}"), device), m, v, settings);
            // The same operations in the same precision: a few units in the last digit.
            let (_, expected) = golden_tensor(&stored.0, &format!("adamw.{step}"));
            assert_close(&format!("adamw.{step}"), &values(param.clone()), &expected, 1e-6, 1e-6);
        }
        // First moments are what is left of terms of size 0.1 to 1, whose rounding is 6e-8; second ones only grow.
        for (name, found, atol) in [("adamw.m.3", m, 1e-7), ("adamw.v.3", v, 0.0)] {
            assert_close(name, &values(found), &golden_tensor(&stored.0, name).1, atol, 1e-6);
        }
    });
}

#[test]
fn the_teacher_follows() {
    on_each_device(|device, stored| {
        let teacher = stored.tensor::<1>("ema.teacher", device);
        let teacher = ema(teacher, stored.tensor("ema.student.1", device), 0.992);
        stored.same("ema.1", teacher.clone());
        stored.same("ema.2", ema(teacher, stored.tensor("ema.student.2", device), 0.9999));
    });
}

#[test]
fn a_block_whose_branches_skip_samples() {
    on_each_device(|device, stored| {
        let device = device.clone().autodiff();
        for case in ["drop_path", "drop_path_one"] {
            let recipes = recipes(stored, case);
            let mut silent = |_: u64, _: u64, _: &str| {};
            let mut parameters = Parameters::from_checkpoint(&stored.0, &recipes, &device, false, 0, &mut silent);
            let ffn = Ffn::Mlp { hidden: 48, activation: Activation::Gelu };
            let block = pollster::block_on(parameters.block(case, 32, 2, ffn, true, 1e-6)).expect("a whole block");
            let subset = |branch: &str| {
                let (_, ids) = golden_tensor(&stored.0, &format!("{case}.subset.{branch}"));
                Subset::new(&ids.iter().map(|&id| id as usize).collect::<Vec<_>>(), 5, &device)
            };
            let drop = DropPath { attn: subset("attn"), mlp: subset("mlp") };
            let x = stored.leaf::<3>(&format!("{case}.x"), &device);
            let y = block.forward_train(x.clone(), None, Some(&drop));
            stored.same(&format!("{case}.y"), y.clone());
            let gradients = (y * stored.tensor(&format!("{case}.grad_out"), &device)).sum().backward();
            stored.same_gradient(&format!("{case}.grad_x"), grad(&x, &gradients));
            for (name, layer) in [
                ("attn.qkv", &block.attn.qkv),
                ("attn.proj", &block.attn.proj),
                ("mlp.fc1", &block.mlp.fc1),
                ("mlp.fc2", &block.mlp.fc2),
            ] {
                stored.same_gradient(&format!("{case}.grad_{name}.weight"), grad(&whole(&layer.weight), &gradients));
                stored.same_gradient(&format!("{case}.grad_{name}.bias"), grad(&layer.bias.val(), &gradients));
            }
            for (name, scale) in [("ls1", &block.ls1), ("ls2", &block.ls2)] {
                let gamma = scale.as_ref().expect("the golden has LayerScale").val();
                stored.same_gradient(&format!("{case}.grad_{name}.gamma"), grad(&gamma, &gradients));
            }
            for (name, norm) in [("norm1", &block.norm1), ("norm2", &block.norm2)] {
                stored.same_gradient(&format!("{case}.grad_{name}.weight"), grad(&norm.weight.val(), &gradients));
                stored.same_gradient(&format!("{case}.grad_{name}.bias"), grad(&norm.bias.val(), &gradients));
            }
        }
    });
}

// ---- what must hold -----------------------------------------------------------------------------------------------

#[test]
fn sinkhorn_and_knopp_share_out() {
    on_each_device(|device, _| {
        let (samples, prototypes) = (24, 8);
        let logits = random::<2>([samples, prototypes], 5, device);
        let q = sinkhorn_knopp(logits.clone(), 0.5, 3);
        // The last normalisation is that of the samples.
        let rows = values(q.clone().sum_dim(1));
        assert_close("samples", &rows, &[1.0; 24], 1e-5, 0.0);
        let share = samples as f32 / prototypes as f32;
        let spread = |q: Tensor<2>| {
            let columns = values(q.sum_dim(0));
            columns.iter().fold(0.0f32, |worst, column| worst.max((column - share).abs()))
        };
        let (once, thrice) = (spread(sinkhorn_knopp(logits.clone(), 0.5, 1)), spread(q));
        let many = spread(sinkhorn_knopp(logits, 0.5, 100));
        assert!(thrice < once / 2.0, "each round balances the prototypes: {once}, then {thrice}");
        assert!(many < 1e-3 * share, "and in the end they are balanced: {many}");
    });
}

#[test]
fn sinkhorn_and_knopp_bear_large_logits() {
    on_each_device(|device, _| {
        // exp(40 / 0.04) is far beyond f32; one prototype lies as far below zero.
        let logits = random::<2>([6, 5], 5, device) * 0.5 + 40.0;
        let low = random::<2>([6, 1], 6, device) * 0.5 - 40.0;
        let q = values(sinkhorn_knopp(Tensor::cat(vec![logits, low], 1), 0.04, 3));
        let rows: Vec<f32> = q.chunks(6).map(|row| row.iter().sum()).collect();
        assert_close("samples", &rows, &[1.0; 6], 1e-5, 0.0);
    });
}

#[test]
fn a_loss_of_equal_logits_is_the_logarithm_of_the_prototypes() {
    on_each_device(|device, _| {
        let (batch, prototypes, locals) = (3, 32, 8);
        let flat = |rows: usize| Tensor::<2>::ones([rows, prototypes], device);
        let teacher = teacher_probs(random([2 * batch, prototypes], 1, device), flat(1), TEACHER_TEMP);
        let terms = dino_loss(flat(2 * batch), Some(flat(locals * batch)), teacher, batch, STUDENT_TEMP);
        // 16 and 2 of the 18 pairs, as the first losses that DINOv2 logs.
        let ln_k = (prototypes as f32).ln();
        assert_close("local", &values(terms.local), &[16.0 / 18.0 * ln_k], 0.0, 1e-5);
        assert_close("global", &values(terms.global), &[2.0 / 18.0 * ln_k], 0.0, 1e-5);
    });
}

#[test]
fn a_cross_entropy_with_oneself_is_the_entropy() {
    on_each_device(|device, _| {
        let logits = random::<2>([5, 40], 1, device);
        let probs = teacher_probs(logits.clone(), Tensor::zeros([1, 40], device), STUDENT_TEMP);
        let host = values(probs.clone());
        let entropy = -host.iter().map(|p| p * p.ln()).sum::<f32>() / 5.0;
        assert_close("entropy", &values(cross_entropy(logits, probs, STUDENT_TEMP)), &[entropy], 0.0, 1e-4);
    });
}

#[test]
fn rows_of_zeros_have_gradients() {
    on_each_device(|device, stored| {
        let device = device.clone().autodiff();
        let x = Tensor::<2>::from_data([[0.0, 0.0], [1.0, 2.0], [-3.0, 1.0]], &device).require_grad();
        let loss = koleo(x.clone());
        assert!(values(loss.clone())[0].is_finite());
        assert!(values(grad(&x, &loss.backward())).iter().all(|value| value.is_finite()));

        let head = head(stored, "head1", 1, &device);
        // A single layer without bias maps zeros to zeros.
        let head = DinoHead {
            mlp: vec![Linear {
                weight: head.mlp[0].weight.clone(),
                bias: Param::from_tensor(Tensor::zeros([16], &device)),
            }],
            last_layer: head.last_layer,
        };
        let x = Tensor::<2>::zeros([2, 24], &device).require_grad();
        let y = head.forward(x.clone());
        assert_eq!(values(y.clone()), vec![0.0; 104]);
        let gradients = y.sum().backward();
        assert!(values(grad(&x, &gradients)).iter().all(|value| value.is_finite()));
    });
}

#[test]
fn an_opposite_row_is_a_neighbour_and_oneself_is_not() {
    on_each_device(|device, _| {
        let x = Tensor::<2>::from_data([[3.0, 4.0], [-3.0, -4.0]], device);
        // Two unit vectors, two apart.
        assert_close("koleo", &values(koleo(x)), &[-(2.0f32.ln())], 1e-6, 0.0);
    });
}

#[test]
fn a_head_has_the_sizes_of_its_configuration() {
    let device = cpu().autodiff();
    let build = |nlayers: usize, norm_last_layer: bool| {
        let config = DinoHeadConfig {
            in_dim: 64,
            hidden_dim: 96,
            bottleneck_dim: 25,
            n_prototypes: 400,
            nlayers,
            norm_last_layer,
        };
        let mut silent = |_: u64, _: u64, _: &str| {};
        let mut parameters = Parameters::from_seed(7, &device, &mut silent);
        pollster::block_on(DinoHead::build("dino_head", &config, &mut parameters)).expect("a seed has all")
    };
    let shapes = |head: &DinoHead| head.mlp.iter().map(|layer| whole(&layer.weight).dims()).collect::<Vec<_>>();
    assert_eq!(shapes(&build(4, false)), [[96, 64], [96, 96], [96, 96], [25, 96]]);
    assert_eq!(shapes(&build(1, false)), [[25, 64]]);
    let learns = |head: DinoHead| [head.last_layer.weight_g, head.last_layer.weight_v].map(|w| w.is_require_grad());
    assert_eq!(learns(build(3, false)), [true, true]);
    assert_eq!(learns(build(3, true)), [false, true], "DINO's prototypes keep their length");
}

#[test]
fn subsets_hold_the_exact_number_of_samples() {
    let device = cpu();
    let mut stream = Rng::new(1).stream("drop_path", 0);
    for (batch, rate, samples) in [(64, 0.3, 44), (5, 0.3, 3), (2, 0.9, 1), (1, 0.5, 1), (4, 0.0, 4)] {
        assert_eq!(Subset::draw(batch, rate, &mut stream, &device).samples(), samples, "{batch} {rate}");
    }
    assert!(DropPath::draw(8, 0.0, &mut stream, &device).is_none());

    // Each sample takes a branch as often as another, and in the mean the branch counts once.
    let (batch, draws) = (6, 3000);
    let x = Tensor::<3>::zeros([batch, 1, 1], &device);
    let mut sum = x.clone();
    for _ in 0..draws {
        sum = sum + Subset::draw(batch, 0.5, &mut stream, &device).add(x.clone(), |x| x + 1.0);
    }
    let means = values(sum / draws as f64);
    // 2 with probability a half: a deviation of 1 over the root of 3000, five of which are allowed.
    assert_close("means", &means, &[1.0; 6], 5.0 / (draws as f32).sqrt(), 0.0);
}

/// The gradient of `loss` at `x` against central differences, along a random direction.
#[track_caller]
fn along_a_direction<const D: usize>(what: &str, shape: [usize; D], loss: impl Fn(Tensor<D>) -> Tensor<1>) {
    let device = cpu().autodiff();
    let (x, direction) = (random::<D>(shape, 21, &device), random::<D>(shape, 22, &device));
    let leaf = x.clone().require_grad();
    let slope = (grad(&leaf, &loss(leaf.clone()).backward()) * direction.clone().inner()).sum();
    let step = 1e-2;
    let at = |share: f64| values(loss(x.clone() + direction.clone() * share))[0];
    let differences = (at(step) - at(-step)) / (2.0 * step as f32);
    // The third derivative times step²/6, and a loss known to 1e-6 over 2 step.
    assert_close(what, &[differences], &values(slope), 2e-3, 1e-2);
}

#[test]
fn gradients_follow_the_losses() {
    let device = cpu();
    let teacher = |rows| teacher_probs(random([rows, 12], 3, &device), Tensor::zeros([1, 12], &device), 0.5);
    // The temperature of 1 keeps third derivatives small.
    along_a_direction("cross entropy", [5, 12], |x| cross_entropy(x, teacher(5), 1.0));
    along_a_direction("global crops", [6, 12], |x| dino_loss(x, None, teacher(6), 3, 1.0).global);
    let global = random::<2>([6, 12], 4, &device);
    along_a_direction("local crops", [9, 12], |x| {
        dino_loss(global.clone().autodiff(), Some(x), teacher(6), 3, 1.0).local
    });
    let weights = Tensor::<1>::from_data([1.0, 0.5, 0.5, 0.25], &device);
    along_a_direction("masked patches", [4, 12], |x| ibot_loss(x, teacher(4), weights.clone(), 4, 1.0));
    along_a_direction("koleo", [6, 16], koleo);
    let subset = Subset::new(&[1, 2], 4, &device);
    along_a_direction("stochastic depth", [4, 2, 3], |x| {
        let y = subset.add(x, |x| x.clone() * x * 0.1);
        let flat: Tensor<1> = y.flatten(0, 2);
        (flat.clone() * flat).sum()
    });
}
