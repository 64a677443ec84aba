//! The values of a pickle.

use std::{borrow::Cow, collections::HashMap};

use crate::weights::dtype::Dtype;

/// A value, by its place in [`Values`] or, for the commonest ones, by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id(u32);

/// One value; containers hold the ids of others, texts lie in the file.
#[derive(Debug, Clone)]
pub(crate) enum Value<'f> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'f str),
    Tuple(Box<[Id]>),
    List(Items<Id>),
    Dict(Items<(Id, Id)>),
    /// A class or function, by module and name; never called.
    Global(Id, Id),
    Storage(Box<Storage<'f>>),
    /// Storage, offset, shape and stride of a tensor, as PyTorch pickles them.
    Tensor([Id; 4]),
    /// A tensor of the tar form, by its key.
    Named(&'f str),
    /// What an unknown class or function would make.
    Object(Box<Object>),
    /// Harmless and not needed here: big integers, byte strings.
    Opaque,
}

/// The entries of a list or dictionary; an empty one needs no memory of its own.
#[derive(Debug, Clone)]
#[allow(clippy::box_collection)] // a pointer instead of three words: a file may have millions of empty ones
pub(crate) struct Items<T>(Option<Box<Vec<T>>>);

impl<T> Items<T> {
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn new(items: Vec<T>) -> Self {
        Self((!items.is_empty()).then(|| Box::new(items)))
    }

    pub(crate) fn extend(&mut self, items: impl IntoIterator<Item = T>) {
        self.0.get_or_insert_default().extend(items);
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        self.0.as_ref().map_or(&[], |items| items.as_slice())
    }
}

/// The result of a call that this machine does not make.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// What was to be called, if it has a name.
    pub(crate) class: Option<Id>,
    /// Arguments and states.
    pub(crate) parts: Vec<Id>,
    /// Entries that were set as in a dictionary.
    pub(crate) entries: Vec<(Id, Id)>,
}

/// A one-dimensional array in the file that tensors are views of.
#[derive(Debug, Clone)]
pub(crate) struct Storage<'f> {
    pub(crate) key: Cow<'f, str>,
    pub(crate) dtype: Dtype,
    /// Number of elements.
    pub(crate) length: usize,
    /// First element of the part (only the tar format has such views).
    pub(crate) start: usize,
}

/// A tensor as PyTorch saves it.
#[derive(Debug, Clone)]
pub(crate) struct StridedTensor<'f> {
    pub(crate) storage: Storage<'f>,
    /// Elements from the start of the storage.
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) stride: Vec<usize>,
}

/// All values of a pickle.
#[derive(Debug)]
pub(crate) struct Values<'f> {
    all: Vec<Value<'f>>,
    /// Instructions that made them.
    pub(crate) instructions: usize,
}

impl Id {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const FALSE: Self = Self(1);
    pub(crate) const TRUE: Self = Self(2);
    pub(crate) const EMPTY_TUPLE: Self = Self(3);
    /// An empty list that nothing else refers to; it becomes a value of its own once something does.
    pub(crate) const NEW_LIST: Self = Self(4);
    /// The same for a dictionary.
    pub(crate) const NEW_DICT: Self = Self(5);
    /// Small integers follow.
    const ZERO: u32 = 6;

    pub(crate) const fn small(value: u8) -> Self {
        Self(Self::ZERO + value as u32)
    }
}

impl Default for Values<'_> {
    fn default() -> Self {
        let constants = [
            Value::None,
            Value::Bool(false),
            Value::Bool(true),
            Value::Tuple(Box::default()),
            Value::List(Items::NONE),
            Value::Dict(Items::NONE),
        ];
        let all = constants.into_iter().chain((0..=u8::MAX).map(|n| Value::Int(n.into()))).collect();
        Self { all, instructions: 0 }
    }
}

impl<'f> Values<'f> {
    pub(crate) fn add(&mut self, value: Value<'f>) -> Id {
        match &value {
            Value::None => Id::NONE,
            Value::Bool(false) => Id::FALSE,
            Value::Bool(true) => Id::TRUE,
            Value::Tuple(items) if items.is_empty() => Id::EMPTY_TUPLE,
            Value::Int(n) if u8::try_from(*n).is_ok() => Id::small(*n as u8),
            _ => self.fresh(value),
        }
    }

    fn fresh(&mut self, value: Value<'f>) -> Id {
        // A pickle of 2^32 values has more bytes than the memory that holds it.
        let id = Id(u32::try_from(self.all.len()).unwrap_or(Id::NONE.0));
        self.all.push(value);
        id
    }

    /// A value that may be changed or referred to twice, in place of an empty container that is not one yet.
    pub(crate) fn settled(&mut self, id: Id) -> Id {
        match id {
            Id::NEW_LIST => self.fresh(Value::List(Items::NONE)),
            Id::NEW_DICT => self.fresh(Value::Dict(Items::NONE)),
            id => id,
        }
    }

    pub(crate) fn get(&self, id: Id) -> &Value<'f> {
        &self.all[id.0 as usize]
    }

    /// Of a [`Self::settled`] id.
    pub(crate) fn get_mut(&mut self, id: Id) -> &mut Value<'f> {
        &mut self.all[id.0 as usize]
    }

    pub(crate) fn text(&self, id: Id) -> Option<&'f str> {
        match *self.get(id) {
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
        let items = match self.get(id) {
            Value::Tuple(items) => &items[..],
            Value::List(items) => items.as_slice(),
            _ => return None,
        };
        items.iter().map(|&i| self.size(i)).collect()
    }

    /// The name of a class or function, `module.name`.
    pub(crate) fn global(&self, id: Id) -> Option<String> {
        let Value::Global(module, name) = *self.get(id) else { return None };
        Some(format!("{}.{}", self.text(module)?, self.text(name)?))
    }

    /// Bytes per element of each storage that the pickle refers to, by key.
    pub(crate) fn storages(&self) -> HashMap<&str, usize> {
        self.all
            .iter()
            .filter_map(|value| match value {
                Value::Storage(storage) => Some((storage.key.as_ref(), storage.dtype.size())),
                _ => None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the bounds in this module's documentation rest on.
    #[test]
    fn a_value_is_small() {
        assert!(size_of::<Value<'_>>() <= 24, "{} bytes", size_of::<Value<'_>>());
    }
}
