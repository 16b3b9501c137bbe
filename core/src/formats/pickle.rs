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

mod machine;
mod torch;

use std::rc::Rc;

use machine::Machine;

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
    Machine::new(bytes, file).run()
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
