//! The stack machine: opcodes, stack, marks and memo, each of them limited.

use std::collections::BTreeMap;

use super::{Id, MAX_LINE, MAX_NODES, Node, Pickle, Stop};
use crate::error::FormatError;

pub(super) type Step<T> = Result<T, Stop>;

pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    file: &'a str,
    at: usize,
    opcode_at: usize,
    pub(super) nodes: Vec<Node>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
    /// Entries copied out of one container into another, against pickles that copy without end.
    pub(super) copied: usize,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8], file: &'a str) -> Self {
        Self {
            bytes,
            file,
            at: 0,
            opcode_at: 0,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: BTreeMap::new(),
            copied: 0,
        }
    }

    pub(super) fn run(mut self) -> Step<Pickle> {
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

    pub(super) fn new_node(&mut self, node: Node) -> Step<Id> {
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

    pub(super) fn broken(&self, what: &'static str) -> Stop {
        Stop::Error(FormatError::BrokenPickle { file: self.file.to_owned(), at: self.opcode_at, what })
    }

    pub(super) fn too_many(&self, what: &'static str) -> Stop {
        Stop::Error(FormatError::PickleLimit { file: self.file.to_owned(), what, limit: MAX_NODES as u64 })
    }
}
