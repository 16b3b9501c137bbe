//! A pickle reader that executes nothing.
//!
//! A pickle is a program for a stack machine, and Python's machine may call any function that the program names:
//! loading an unknown `.pth` in Python can run anything. This machine knows the opcodes that `torch.save` writes
//! and calls nothing. It notes which function *would* be called; a handful of names (`OrderedDict`, the rebuilders of
//! plain tensors, the storage classes) are read as the data they stand for, every other object stays inert.
//!
//! Nodes live in an arena and refer to each other by number: hostile nesting cannot overflow the call stack,
//! and memory is proportional to the length of the pickle.
//! Opcodes: Python's `Lib/pickletools.py`, protocols 2 to 5.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::tensor::Dtype;
use crate::error::FormatError;

/// Number of a node.
pub(crate) type Id = usize;

/// Most nodes that one pickle may make, and most entries of its stack and memo; a 7B model with its optimiser's state needs some 50 000.
const MAX_NODES: usize = 1 << 20;

/// Most dimensions of a tensor.
const MAX_RANK: usize = 16;
/// Longest name of a module or class, in bytes.
const MAX_LINE: usize = 1024;

/// A value, or what stands for one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Rc<str>),
    /// An integer beyond 64 bits, in little-endian two's complement.
    Long(Vec<u8>),
    /// Bytes, whose content no checkpoint of ours needs.
    Bytes,
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function by name; never looked up.
    Global(Rc<str>),
    Storage(Storage),
    Tensor(Tensor),
    /// A tensor built by a function that we do not follow.
    UnsupportedTensor {
        function: Rc<str>,
    },
    /// Anything else; `class` is its class or the function that would have made it.
    Object {
        class: Rc<str>,
    },
}

/// A typed stretch of a file, named by PyTorch's key for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Storage {
    pub key: Rc<str>,
    /// The class, such as `torch.FloatStorage`.
    pub class: Rc<str>,
    /// `None` for an untyped storage, whose elements are bytes, and for types we do not read.
    pub dtype: Option<Dtype>,
    /// Number of elements.
    pub elements: u64,
}

/// A view of a storage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    pub storage: Id,
    /// Element type that overrides the storage's.
    pub dtype: Option<Dtype>,
    /// In elements.
    pub offset: u64,
    pub shape: Vec<u64>,
    /// In elements.
    pub strides: Vec<u64>,
}

/// What one pickle described.
pub(crate) struct Pickle {
    pub nodes: Vec<Node>,
    pub root: Id,
    /// Bytes up to and with the STOP.
    pub len: usize,
}

/// Why reading stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The bytes end before the pickle does; more of them may help.
    NeedsMore,
    Error(FormatError),
}

/// Reads one pickle from the start of `bytes`; `file` is for messages.
pub(crate) fn read(bytes: &[u8], file: &str) -> Result<Pickle, Stop> {
    let mut machine = Machine {
        bytes,
        file,
        at: 0,
        opcode_at: 0,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        copied: 0,
    };
    machine.run()
}

type Step<T> = Result<T, Stop>;

struct Machine<'a> {
    bytes: &'a [u8],
    file: &'a str,
    at: usize,
    opcode_at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
    /// Entries copied out of one container into another, against pickles that copy without end.
    copied: usize,
}

impl Machine<'_> {
    fn run(&mut self) -> Step<Pickle> {
        loop {
            self.opcode_at = self.at;
            let [opcode] = self.take()?;
            match opcode {
                // Structure: protocol, frames, end.
                0x80 => drop(self.take::<1>()?),
                0x95 => drop(self.take::<8>()?),
                b'.' => {
                    let root = self.pop()?;
                    let nodes = std::mem::take(&mut self.nodes);
                    return Ok(Pickle { nodes, root, len: self.at });
                }
                // Plain values.
                b'N' => self.push(Node::None)?,
                0x88 => self.push(Node::Bool(true))?,
                0x89 => self.push(Node::Bool(false))?,
                b'J' => {
                    let value = i32::from_le_bytes(self.take()?);
                    self.push(Node::Int(value.into()))?;
                }
                b'K' => {
                    let [value] = self.take()?;
                    self.push(Node::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.take()?);
                    self.push(Node::Int(value.into()))?;
                }
                0x8a => {
                    let [len] = self.take()?;
                    self.long(len.into())?;
                }
                0x8b => {
                    let len = u32::from_le_bytes(self.take()?);
                    self.long(len.into())?;
                }
                b'G' => {
                    let value = f64::from_be_bytes(self.take()?);
                    self.push(Node::Float(value))?;
                }
                // Text and bytes. Python 2's strings ('T', 'U') are read as text where they are.
                b'X' | b'T' => {
                    let len = u32::from_le_bytes(self.take()?);
                    self.text(len.into())?;
                }
                0x8c | b'U' => {
                    let [len] = self.take()?;
                    self.text(len.into())?;
                }
                0x8d => {
                    let len = u64::from_le_bytes(self.take()?);
                    self.text(len)?;
                }
                b'B' => {
                    let len = u32::from_le_bytes(self.take()?);
                    self.skip_bytes(len.into())?;
                }
                b'C' => {
                    let [len] = self.take()?;
                    self.skip_bytes(len.into())?;
                }
                0x8e | 0x96 => {
                    let len = u64::from_le_bytes(self.take()?);
                    self.skip_bytes(len)?;
                }
                // Containers.
                b'(' => {
                    if self.marks.len() >= MAX_NODES {
                        return Err(self.too_many("marks"));
                    }
                    self.marks.push(self.stack.len());
                }
                b'0' => drop(self.pop()?),
                b'1' => drop(self.pop_mark()?),
                b'}' => self.push(Node::Dict(Vec::new()))?,
                b']' | 0x8f => self.push(Node::List(Vec::new()))?,
                b')' => self.push(Node::Tuple(Vec::new()))?,
                b't' => {
                    let items = self.pop_mark()?;
                    self.push(Node::Tuple(items))?;
                }
                0x85..=0x87 => {
                    let count = usize::from(opcode - 0x84);
                    let start = self.floor(count)?;
                    let items = self.stack.split_off(start);
                    self.push(Node::Tuple(items))?;
                }
                b'l' | 0x91 => {
                    let items = self.pop_mark()?;
                    self.push(Node::List(items))?;
                }
                b'd' => {
                    let items = self.pop_mark()?;
                    let pairs = self.pairs(&items)?;
                    self.push(Node::Dict(pairs))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' | 0x90 => {
                    let items = self.pop_mark()?;
                    self.append(items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items(&[key, value])?;
                }
                b'u' => {
                    let items = self.pop_mark()?;
                    self.set_items(&items)?;
                }
                // The memo.
                b'q' => {
                    let [key] = self.take()?;
                    self.put(key.into())?;
                }
                b'r' => {
                    let key = u32::from_le_bytes(self.take()?);
                    self.put(key)?;
                }
                0x94 => {
                    let key = u32::try_from(self.memo.len()).map_err(|_| self.broken("a memo without end"))?;
                    self.put(key)?;
                }
                b'h' => {
                    let [key] = self.take()?;
                    self.get(key.into())?;
                }
                b'j' => {
                    let key = u32::from_le_bytes(self.take()?);
                    self.get(key)?;
                }
                // Names, and what Python would call.
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(Node::Global(format!("{module}.{name}").into()))?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Node::Str(module), Node::Str(name)) = (&self.nodes[module], &self.nodes[name]) else {
                        return Err(self.broken("a global whose name is not text"));
                    };
                    if module.len() + name.len() > MAX_LINE {
                        return Err(self.broken("a name that does not end"));
                    }
                    let global = format!("{module}.{name}").into();
                    self.push(Node::Global(global))?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(id)?;
                    self.push(Node::Storage(storage))?;
                }
                b'R' | 0x81 => {
                    let (arguments, callable) = (self.pop()?, self.pop()?);
                    let made = self.reduce(callable, arguments)?;
                    self.stack.push(made);
                }
                0x92 => {
                    let (_keywords, arguments, callable) = (self.pop()?, self.pop()?, self.pop()?);
                    let made = self.reduce(callable, arguments)?;
                    self.stack.push(made);
                }
                // State for the object below it: attributes, which no tensor's place depends on.
                b'b' => {
                    self.pop()?;
                    self.top()?;
                }
                _ => {
                    return Err(Stop::Error(FormatError::UnknownOpcode {
                        file: self.file.to_owned(),
                        at: self.opcode_at,
                        opcode,
                    }));
                }
            }
        }
    }

    /// What calling `callable` stands for.
    fn reduce(&mut self, callable: Id, arguments: Id) -> Step<Id> {
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
    fn storage(&self, id: Id) -> Step<Storage> {
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

    fn long(&mut self, len: u64) -> Step<()> {
        let bytes = self.slice(len)?;
        let node = if bytes.len() > 8 {
            Node::Long(bytes.to_vec())
        } else {
            let negative = bytes.last().is_some_and(|&byte| byte & 0x80 != 0);
            let mut wide = [if negative { 0xff } else { 0 }; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            Node::Int(i64::from_le_bytes(wide))
        };
        self.push(node)
    }

    fn text(&mut self, len: u64) -> Step<()> {
        let bytes = self.slice(len)?;
        // Python 2's strings may be bytes of any kind (numpy scalars in `args`): these stay opaque.
        let node = std::str::from_utf8(bytes).map_or(Node::Bytes, |text| Node::Str(text.into()));
        self.push(node)
    }

    fn skip_bytes(&mut self, len: u64) -> Step<()> {
        self.slice(len)?;
        self.push(Node::Bytes)
    }

    fn append(&mut self, items: Vec<Id>) -> Step<()> {
        let list = self.top()?;
        match &mut self.nodes[list] {
            Node::List(list) => list.extend(items),
            // An inert object that takes items, such as a deque.
            Node::Object { .. } => {}
            _ => return Err(self.broken("items for something that is no list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Step<()> {
        let pairs = self.pairs(items)?;
        let dict = self.top()?;
        match &mut self.nodes[dict] {
            Node::Dict(dict) => dict.extend(pairs),
            // An inert object that takes items, such as a defaultdict.
            Node::Object { .. } => {}
            _ => return Err(self.broken("keys for something that is no dictionary")),
        }
        Ok(())
    }

    fn pairs(&self, items: &[Id]) -> Step<Vec<(Id, Id)>> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.broken("a key without a value"));
        }
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }

    fn put(&mut self, key: u32) -> Step<()> {
        let top = self.top()?;
        if self.memo.len() >= MAX_NODES {
            return Err(self.too_many("memo entries"));
        }
        self.memo.insert(key, top);
        Ok(())
    }

    fn get(&mut self, key: u32) -> Step<()> {
        let id = self.memo.get(&key).copied().ok_or_else(|| self.broken("a memo entry that was never put"))?;
        self.stack.push(id);
        self.limit_stack()
    }

    fn push(&mut self, node: Node) -> Step<()> {
        let id = self.new_node(node)?;
        self.stack.push(id);
        Ok(())
    }

    fn new_node(&mut self, node: Node) -> Step<Id> {
        if self.nodes.len() >= MAX_NODES {
            return Err(self.too_many("values"));
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    fn limit_stack(&self) -> Step<()> {
        if self.stack.len() > MAX_NODES { Err(self.too_many("values on the stack")) } else { Ok(()) }
    }

    /// Position on the stack of the last `count` values, none of which lies below the last mark.
    fn floor(&self, count: usize) -> Step<usize> {
        let lowest = self.marks.last().copied().unwrap_or(0);
        let start = self.stack.len().checked_sub(count).filter(|&start| start >= lowest);
        start.ok_or_else(|| self.broken("a value is taken from an empty stack"))
    }

    fn pop(&mut self) -> Step<Id> {
        self.floor(1)?;
        self.stack.pop().ok_or_else(|| self.broken("a value is taken from an empty stack"))
    }

    fn top(&self) -> Step<Id> {
        Ok(self.stack[self.floor(1)?])
    }

    fn pop_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| self.broken("a mark is taken where there is none"))?;
        Ok(self.stack.split_off(mark))
    }

    fn take<const N: usize>(&mut self) -> Step<[u8; N]> {
        let chunk = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let chunk = *chunk.ok_or(Stop::NeedsMore)?;
        self.at += N;
        Ok(chunk)
    }

    fn slice(&mut self, len: u64) -> Step<&[u8]> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        let slice = end.and_then(|end| self.bytes.get(self.at..end)).ok_or(Stop::NeedsMore)?;
        self.at += slice.len();
        Ok(slice)
    }

    /// Text up to a line feed.
    fn line(&mut self) -> Step<String> {
        let rest = &self.bytes[self.at..];
        let window = &rest[..rest.len().min(MAX_LINE)];
        let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
            return Err(if window.len() == MAX_LINE {
                self.broken("a name that does not end")
            } else {
                Stop::NeedsMore
            });
        };
        let text = std::str::from_utf8(&window[..end]).map_err(|_| self.broken("a name that is not UTF-8"))?;
        self.at += end + 1;
        Ok(text.to_owned())
    }

    fn broken(&self, what: &'static str) -> Stop {
        Stop::Error(FormatError::BrokenPickle { file: self.file.to_owned(), at: self.opcode_at, what })
    }

    fn too_many(&self, what: &'static str) -> Stop {
        Stop::Error(FormatError::PickleLimit { file: self.file.to_owned(), what, limit: MAX_NODES as u64 })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn root(bytes: &[u8]) -> Node {
        let pickle = read(bytes, "m.pth").unwrap_or_else(|_| panic!("{bytes:?} is a good pickle"));
        pickle.nodes[pickle.root].clone()
    }

    fn refuse(bytes: &[u8]) -> FormatError {
        match read(bytes, "m.pth") {
            Err(Stop::Error(error)) => error,
            Err(Stop::NeedsMore) => panic!("{bytes:?} is whole"),
            Ok(_) => panic!("{bytes:?} is hostile"),
        }
    }

    #[test]
    fn reads_plain_values() {
        assert_eq!(root(b"\x80\x02N."), Node::None);
        assert_eq!(root(b"K\x07."), Node::Int(7));
        assert_eq!(root(b"J\xff\xff\xff\xff."), Node::Int(-1));
        assert_eq!(root(b"\x8a\x00."), Node::Int(0));
        assert_eq!(root(b"\x8a\x02\x00\xff."), Node::Int(-256));
        assert_eq!(root(b"\x8a\x02\xff\x00."), Node::Int(255));
        assert_eq!(root(b"\x8a\x09\x01\x02\x03\x04\x05\x06\x07\x08\x09."), Node::Long(vec![1, 2, 3, 4, 5, 6, 7, 8, 9]));
        assert_eq!(root(b"G\x3f\xf8\x00\x00\x00\x00\x00\x00."), Node::Float(1.5));
        assert_eq!(root(b"X\x02\x00\x00\x00ab."), Node::Str("ab".into()));
        assert_eq!(root(b"U\x01\xff."), Node::Bytes);
        assert_eq!(root(b"K\x01K\x02\x86."), Node::Tuple(vec![0, 1]));
        assert_eq!(root(b"}q\x00(K\x01K\x02u."), Node::Dict(vec![(1, 2)]));
        assert_eq!(root(b"](K\x01K\x02e."), Node::List(vec![1, 2]));
        // Protocol 4: frame, memoize, stack global.
        assert_eq!(
            root(b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94\x8c\x01b\x93."),
            Node::Global("a.b".into())
        );
    }

    #[test]
    fn a_call_is_noted_and_not_made() {
        let system = b"cos\nsystem\nX\x04\x00\x00\x00exit\x85R.";
        assert_eq!(root(system), Node::Object { class: "os.system".into() });
        let built = b"c__builtin__\neval\nU\x011\x85R}b.";
        assert_eq!(root(built), Node::Object { class: "__builtin__.eval".into() });
        let sparse = b"ctorch._utils\n_rebuild_sparse_tensor\n)R.";
        assert!(matches!(root(sparse), Node::UnsupportedTensor { .. }));
        assert_eq!(root(b"ccollections\nOrderedDict\n)R."), Node::Dict(vec![]));
        assert_eq!(root(b"ccollections\nOrderedDict\n]]K\x01aK\x02aa\x85R."), Node::Dict(vec![(3, 4)]));
    }

    #[test]
    fn broken_programs_are_typed_errors() {
        for bytes in [
            &b"."[..],
            b"(.",
            b"0.",
            b"1.",
            b"t.",
            b"K\x01(0.",
            b"K\x01(\x85.",
            b"a.",
            b"K\x01K\x01a.",
            b"}(K\x01u.",
            b"}K\x01(K\x01su.",
            b"h\x00.",
            b"b.",
            b"K\x01Q.",
            b"K\x01K\x01\x93.",
            b"cos\nsystem\nK\x01R.",
            b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x01K\x01K\x01tR.",
            b"\x80\x02c\xff\xfe\nx\n.",
        ] {
            assert!(matches!(refuse(bytes), FormatError::BrokenPickle { .. }), "{bytes:?}");
        }
        // DUP, INST, OBJ and the registry of extensions.
        for opcode in *b"2io\x82" {
            assert!(matches!(refuse(&[b'N', opcode, b'.']), FormatError::UnknownOpcode { .. }), "{opcode}");
        }
        assert!(matches!(refuse(&[b'c'; 2000]), FormatError::BrokenPickle { .. }));
    }

    #[test]
    fn a_cut_pickle_asks_for_more() {
        let whole =
            b"\x80\x02}q\x00(X\x02\x00\x00\x00abccollections\nOrderedDict\n)RG\x3f\xf8\x00\x00\x00\x00\x00\x00K\x01u.";
        assert!(matches!(root(whole), Node::Dict(pairs) if pairs.len() == 2));
        for len in 0..whole.len() {
            assert!(matches!(read(&whole[..len], "m"), Err(Stop::NeedsMore)), "cut to {len}");
        }
        assert!(matches!(read(b"X\xff\xff\xff\xffab.", "m"), Err(Stop::NeedsMore)));
        assert!(matches!(read(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffab.", "m"), Err(Stop::NeedsMore)));
    }

    #[test]
    fn deep_nesting_and_floods_do_no_harm() {
        // A million tuples, each inside the next: dropping it recursively would overflow the stack.
        let mut deep = vec![b')'];
        deep.resize(1_000_001, 0x85);
        deep.push(b'.');
        assert!(matches!(root(&deep), Node::Tuple(_)));
        let mut flood = vec![b')'; MAX_NODES + 1];
        flood.push(b'.');
        assert!(matches!(refuse(&flood), FormatError::PickleLimit { what: "values", .. }));
        let mut gets = vec![b')', b'q', 0];
        gets.extend([b'h', 0].repeat(MAX_NODES + 1));
        assert!(matches!(refuse(&gets), FormatError::PickleLimit { .. }));
        // A rebuilder inside itself.
        let own = b"ctorch._tensor\n_rebuild_from_type_v2\nq\x00(h\x00NNNtR.";
        assert!(matches!(root(own), Node::UnsupportedTensor { .. }));
    }
}
