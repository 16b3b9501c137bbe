//! Losses, heads, the optimiser's step and stochastic depth against PyTorch: `golden/losses/io.safetensors`; and what
//! must hold of them without it.

use std::collections::BTreeMap;

use burn::module::Param;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use lab_core::formats::Checkpoint;
use lab_core::kernels::adamw::{self, adamw};
use lab_core::kernels::ema::ema;
use lab_core::layers::drop_path::{DropPath, Subset};
use lab_core::losses::dino::{cross_entropy, dino_loss};
use lab_core::losses::ibot::ibot_loss;
use lab_core::losses::koleo::koleo;
use lab_core::losses::sinkhorn_knopp::sinkhorn_knopp;
use lab_core::losses::softmax_centering::{next_center, teacher_probs};
use lab_core::models::config::Ffn;
use lab_core::models::dino_head::{DinoHead, DinoHeadConfig};
use lab_core::models::keys::Recipe;
use lab_core::models::parameters::{Init, Parameters};
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
    let names = stored.0.entries().map(|entry| entry.name.clone());
    let of_case = names.filter(|name| name.starts_with(&format!("{case}.")));
    of_case.map(|name| (name.clone(), Recipe { parts: vec![(name, None)] })).collect()
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
        let same = |name: &str, found: Tensor<1>| {
            assert_close(name, &values(found), &golden_tensor(&stored.0, name).1, 1e-9, 1e-6);
        };
        same("adamw.m.3", m);
        same("adamw.v.3", v);
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
