//! The values of a pickle.

use std::collections::HashMap;

use crate::weights::dtype::Dtype;

/// Position of a value in [`Values`].
pub(crate) type Id = usize;

/// One value; containers hold positions of others.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, `module name`; never called.
    Global(String),
    Storage(Storage),
    Tensor(StridedTensor),
    /// Harmless and not needed here: big integers, byte strings, numpy scalars, namespaces.
    Opaque,
}

/// A one-dimensional array in the file that tensors are views of.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    pub(crate) key: String,
    pub(crate) dtype: Dtype,
    /// Number of elements.
    pub(crate) length: usize,
    /// First element of the part (only the tar format has such views).
    pub(crate) start: usize,
}

/// A tensor as PyTorch saves it.
#[derive(Debug, Clone)]
pub(crate) struct StridedTensor {
    pub(crate) storage: Storage,
    /// Elements from the start of the storage.
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) stride: Vec<usize>,
}

/// All values of a pickle.
#[derive(Debug, Default)]
pub(crate) struct Values(Vec<Value>);

impl Values {
    pub(crate) fn add(&mut self, value: Value) -> Id {
        self.0.push(value);
        self.0.len() - 1
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, id: Id) -> &Value {
        &self.0[id]
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> &mut Value {
        &mut self.0[id]
    }

    pub(crate) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An integer that can be a size, an offset or a stride.
    pub(crate) fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Value::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        }
    }

    pub(crate) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) => items.iter().map(|&i| self.size(i)).collect(),
            _ => None,
        }
    }

    /// Bytes per element of each storage that the pickle refers to, by key.
    pub(crate) fn storages(&self) -> HashMap<&str, usize> {
        self.0
            .iter()
            .filter_map(|value| match value {
                Value::Storage(storage) => Some((storage.key.as_str(), storage.dtype.size())),
                _ => None,
            })
            .collect()
    }
}
