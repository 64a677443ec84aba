//! Reads the pickles of `torch.save` without executing anything in them.
//!
//! Python's pickle is a program for a small stack machine that may call any function. This machine makes containers,
//! numbers, strings and tensors; whatever else is called becomes an [`Object`] that holds what was given to it, and nothing
//! is called. Values are kept in one list and refer to each other by place, so that sharing and deep nesting are harmless.
//! An instruction adds at most some thirty times its own bytes, and the commonest ones (empty lists, small numbers) a
//! few, so that memory stays in proportion to the file.
//!
//! Source: the opcode table of CPython's `Lib/pickletools.py` and the classes of `torch/_utils.py`.

mod bytes;
mod calls;
mod literals;
mod machine;
mod persistent;
mod value;

pub(super) use bytes::{Bytes, Fault};
pub(super) use machine::load;
pub(super) use persistent::Persistent;
pub(super) use value::{Id, Object, Storage, StridedTensor, Value, Values};
