//! References of a pickle to data outside of it.

use std::collections::HashMap;

use super::value::{Id, Object, Storage, StridedTensor, Value, Values};
use crate::weights::dtype::Dtype;

/// The meaning of a pickle's persistent ids.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Persistent<'a, 'f> {
    /// Nothing: this pickle must not contain any.
    Nothing,
    /// `("storage", class, key, location, length[, view])`, the zip and the legacy form.
    Storages,
    /// The number of a tensor, the tar form.
    Tensors(&'a HashMap<String, StridedTensor<'f>>),
}

impl<'f> Persistent<'_, 'f> {
    /// The storage or tensor with the id `key`.
    pub(super) fn resolve(self, values: &Values<'f>, key: Id) -> Result<Value<'f>, String> {
        match self {
            Persistent::Nothing => Err("refers to data outside, expected none here".to_owned()),
            Persistent::Storages => storage(values, key),
            Persistent::Tensors(tensors) => match *values.get(key) {
                Value::Text(key) if tensors.contains_key(key) => Ok(Value::Named(key)),
                Value::Text(key) => Err(format!("refers to tensor {key:.64}, which the file does not hold")),
                _ => Err("refers to a tensor by something that is not text".to_owned()),
            },
        }
    }
}

/// A storage, or an object if its numbers are of a kind that is not read.
fn storage<'f>(values: &Values<'f>, key: Id) -> Result<Value<'f>, String> {
    let Value::Tuple(items) = values.get(key) else {
        return Err("refers to outside data by something that is not a tuple".to_owned());
    };
    let [kind, class, key, _location, length, rest @ ..] = &items[..] else {
        return Err(format!("refers to outside data by {} values, expected 5 or 6", items.len()));
    };
    let (Some("storage"), Value::Global(module, name)) = (values.text(*kind), values.get(*class)) else {
        return Err("refers to outside data that is not a storage".to_owned());
    };
    let known = matches!(values.text(*module), Some("torch" | "torch.cuda"));
    let dtype = values.text(*name).filter(|_| known).and_then(Dtype::of_storage);
    let Some(dtype) = dtype else {
        return Ok(Value::Object(Box::new(Object { class: Some(*class), parts: Vec::new(), entries: Vec::new() })));
    };
    let (Some(key), Some(length)) = (values.text(*key), values.size(*length)) else {
        return Err("a storage without key or length".to_owned());
    };
    let view = rest.first().map(|&view| values.get(view));
    let start = match view {
        None | Some(Value::None) => 0,
        Some(Value::Tuple(view)) if view.len() == 3 => {
            values.size(view[1]).ok_or("a view of a storage without its start")?
        }
        Some(_) => return Err("a view of a storage that is not described by three values".to_owned()),
    };
    Ok(Value::Storage(Box::new(Storage { key: key.into(), dtype, length, start })))
}
