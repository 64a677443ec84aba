//! Reads the pickles of `torch.save` without executing anything in them.
//!
//! Python's pickle is a program for a small stack machine that may call any function. This machine knows containers,
//! numbers, strings and tensors; a call of anything else is an error that names it. Values are kept in one list and
//! refer to each other by position, so that sharing and deep nesting are harmless. Every instruction adds a bounded
//! amount to the size of its own bytes, so memory stays in proportion to the file.
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
pub(super) use value::{Id, Storage, StridedTensor, Value, Values};
