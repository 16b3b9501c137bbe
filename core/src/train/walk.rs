//! Every learnable tensor of a net by its name, as flat numbers: for the optimiser, the teacher and the checkpoint.
//!
//! Names are paths of fields, `backbone.blocks.3.attn.qkv.weight`. A weight that a device's binding cannot hold whole
//! lies in pieces `….weight.0`, `….weight.1`; a single piece goes without its number.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};

use crate::models::net::Net;

/// A tensor of a net.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its path.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers, `[n]`, without a graph.
    pub values: Tensor<1>,
    /// Whether it learns.
    pub learns: bool,
}

/// All tensors of a net, in the order of its fields.
pub fn tensors(net: &Net) -> Vec<Named> {
    let mut visitor = Collect::default();
    net.visit(&mut visitor);
    visitor.found
}

/// The gradients of the tensors that have one: name and numbers `[n]`, in the order of the net's fields.
pub fn gradients(net: &Net, gradients: &mut Gradients) -> Vec<(String, Tensor<1>)> {
    let mut visitor = CollectGradients { path: Path::default(), gradients, found: Vec::new() };
    net.visit(&mut visitor);
    visitor.found
}

/// The net with new numbers: `change` gets each tensor's name and numbers `[n]`, and returns as many.
pub fn change(net: Net, change: &mut dyn FnMut(&str, Tensor<1>) -> Tensor<1>) -> Net {
    net.map(&mut Change { path: Path::default(), change })
}

/// Where a walk stands.
#[derive(Debug, Default)]
struct Path(Vec<String>);

impl Path {
    fn name(&self) -> String {
        let name = self.0.join(".");
        // Pieces of a weight; one piece is the rule.
        name.strip_suffix(".weight.0").map_or(name.clone(), |stem| format!("{stem}.weight"))
    }
}

#[derive(Default)]
struct Collect {
    path: Path,
    found: Vec<Named>,
}

/// Without a graph, `[n]`.
fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let tensor = if tensor.is_autodiff() { tensor.inner() } else { tensor };
    let count = tensor.shape().num_elements();
    tensor.reshape([count])
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.0.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        self.found.push(Named {
            name: self.path.name(),
            shape: tensor.dims().to_vec(),
            learns: tensor.is_require_grad(),
            values: flat(tensor),
        });
    }
}

struct CollectGradients<'a> {
    path: Path,
    gradients: &'a mut Gradients,
    found: Vec<(String, Tensor<1>)>,
}

impl ModuleVisitor for CollectGradients<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.0.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad_remove(self.gradients) {
            self.found.push((self.path.name(), flat(gradient)));
        }
    }
}

struct Change<'a> {
    path: Path,
    change: &'a mut dyn FnMut(&str, Tensor<1>) -> Tensor<1>,
}

impl ModuleMapper for Change<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.0.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.0.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let (shape, learns) = (tensor.shape(), tensor.is_require_grad());
        let strategy = tensor.gradient_checkpointing_strategy();
        let values: Tensor<D> = (self.change)(&self.path.name(), flat(tensor)).reshape(shape);
        let values = match strategy {
            Some(strategy) => {
                Tensor::from_inner(values).with_gradient_checkpointing_strategy(strategy).set_require_grad(learns)
            }
            None => values,
        };
        Param::from_mapped_value(id, values, mapper)
    }
}
