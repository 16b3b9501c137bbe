//! The few names that stand for data: PyTorch's rebuilders and storages, and `OrderedDict`.

use super::machine::{Machine, Step};
use super::{Id, MAX_NODES, MAX_RANK, Node, Storage, Tensor};
use crate::formats::tensor::Dtype;

impl Machine<'_> {
    /// What calling `callable` stands for.
    pub(super) fn reduce(&mut self, callable: Id, arguments: Id) -> Step<Id> {
        let Node::Global(function) = &self.nodes[callable] else {
            return self.new_node(Node::Object { class: "an object that is no function".into() });
        };
        let function = function.clone();
        let Node::Tuple(arguments) = &self.nodes[arguments] else {
            return Err(self.broken("a call whose arguments are no tuple"));
        };
        // No function that we follow looks beyond its seventh.
        let arguments: Vec<Id> = arguments.iter().take(8).copied().collect();
        let node = match (&*function, arguments.as_slice()) {
            ("torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor", a) if a.len() >= 4 => {
                self.tensor(a, None)?
            }
            // (storage, offset, size, stride, requires_grad, hooks, dtype, …): the storage is untyped.
            ("torch._utils._rebuild_tensor_v3", a) if a.len() >= 7 => match &self.nodes[a[6]] {
                Node::Global(name) => match dtype_of_global(name) {
                    Some(dtype) => self.tensor(a, Some(dtype))?,
                    None => Node::UnsupportedTensor { function: format!("{function} for {name}").into() },
                },
                _ => return Err(self.broken("a tensor whose type is not named")),
            },
            ("torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state", &[data, ..]) => {
                return Ok(data);
            }
            // A subclass of Tensor: (function, class, arguments, state).
            ("torch._tensor._rebuild_from_type_v2", &[inner, _class, arguments, ..]) => {
                // One level only: its own function inside itself would recurse as deep as the pickle wishes.
                return match &self.nodes[inner] {
                    Node::Global(name) if *name != function => self.reduce(inner, arguments),
                    _ => self.new_node(Node::UnsupportedTensor { function }),
                };
            }
            ("collections.OrderedDict", []) => Node::Dict(Vec::new()),
            ("collections.OrderedDict", &[items]) => self.ordered_dict(items)?,
            ("torch.Size", &[items]) => return Ok(items),
            (name, _) if name.starts_with("torch._utils._rebuild_") => Node::UnsupportedTensor { function },
            _ => Node::Object { class: function },
        };
        self.new_node(node)
    }

    /// `OrderedDict([[key, value], …])`, as Python 2 wrote it.
    fn ordered_dict(&mut self, items: Id) -> Step<Node> {
        let (Node::List(items) | Node::Tuple(items)) = &self.nodes[items] else {
            return Err(self.broken("an OrderedDict of something that is no list"));
        };
        self.copied += items.len();
        if self.copied > MAX_NODES {
            return Err(self.too_many("copied entries"));
        }
        let pair = |&id: &Id| match &self.nodes[id] {
            Node::List(pair) | Node::Tuple(pair) if pair.len() == 2 => Some((pair[0], pair[1])),
            _ => None,
        };
        let pairs: Option<Vec<_>> = items.iter().map(pair).collect();
        pairs.map(Node::Dict).ok_or_else(|| self.broken("an OrderedDict of something that is no pair"))
    }

    /// `(storage, offset, size, stride, …)`.
    fn tensor(&self, arguments: &[Id], dtype: Option<Dtype>) -> Step<Node> {
        let storage = arguments[0];
        if !matches!(self.nodes[storage], Node::Storage(_)) {
            return Err(self.broken("a tensor without a storage"));
        }
        let offset = self.count(arguments[1])?;
        let (shape, strides) = (self.counts(arguments[2])?, self.counts(arguments[3])?);
        if shape.len() != strides.len() {
            return Err(self.broken("a tensor whose shape and strides do not fit"));
        }
        Ok(Node::Tensor(Tensor { storage, dtype, offset, shape, strides }))
    }

    /// `('storage', class, key, location, number of elements[, view])`.
    pub(super) fn storage(&self, id: Id) -> Step<Storage> {
        let malformed = || self.broken("a persistent id that is no storage");
        let Node::Tuple(parts) = &self.nodes[id] else {
            return Err(malformed());
        };
        let &[tag, class, key, _location, elements, ref view @ ..] = parts.as_slice() else {
            return Err(malformed());
        };
        if !view.iter().all(|&id| self.nodes[id] == Node::None) {
            return Err(self.broken("a storage that is a view of another, as PyTorch before 0.4 wrote"));
        }
        let (Node::Str(tag), Node::Global(class), Node::Str(key)) =
            (&self.nodes[tag], &self.nodes[class], &self.nodes[key])
        else {
            return Err(malformed());
        };
        if &**tag != "storage" {
            return Err(malformed());
        }
        let dtype = dtype_of_storage(class);
        Ok(Storage { key: key.clone(), class: class.clone(), dtype, elements: self.count(elements)? })
    }

    fn count(&self, id: Id) -> Step<u64> {
        match self.nodes[id] {
            Node::Int(value) => u64::try_from(value).map_err(|_| self.broken("a size or stride below zero")),
            _ => Err(self.broken("a size or stride that is no integer")),
        }
    }

    fn counts(&self, id: Id) -> Step<Vec<u64>> {
        match &self.nodes[id] {
            Node::Tuple(items) | Node::List(items) if items.len() > MAX_RANK => {
                Err(self.broken("a tensor of too many dimensions"))
            }
            Node::Tuple(items) | Node::List(items) => items.iter().map(|&id| self.count(id)).collect(),
            _ => Err(self.broken("a shape that is no tuple")),
        }
    }
}

fn dtype_of_storage(class: &str) -> Option<Dtype> {
    Some(match class {
        "torch.DoubleStorage" => Dtype::F64,
        "torch.FloatStorage" => Dtype::F32,
        "torch.HalfStorage" => Dtype::F16,
        "torch.BFloat16Storage" => Dtype::BF16,
        "torch.LongStorage" => Dtype::I64,
        "torch.IntStorage" => Dtype::I32,
        "torch.ShortStorage" => Dtype::I16,
        "torch.CharStorage" => Dtype::I8,
        "torch.ByteStorage" => Dtype::U8,
        "torch.BoolStorage" => Dtype::Bool,
        _ => return None,
    })
}

fn dtype_of_global(name: &str) -> Option<Dtype> {
    Some(match name {
        "torch.float64" => Dtype::F64,
        "torch.float32" => Dtype::F32,
        "torch.float16" => Dtype::F16,
        "torch.bfloat16" => Dtype::BF16,
        "torch.int64" => Dtype::I64,
        "torch.int32" => Dtype::I32,
        "torch.int16" => Dtype::I16,
        "torch.int8" => Dtype::I8,
        "torch.uint64" => Dtype::U64,
        "torch.uint32" => Dtype::U32,
        "torch.uint16" => Dtype::U16,
        "torch.uint8" => Dtype::U8,
        "torch.bool" => Dtype::Bool,
        _ => return None,
    })
}
