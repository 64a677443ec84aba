//! References of a pickle to data outside of it.

use std::collections::HashMap;

use super::value::{Id, Storage, StridedTensor, Value, Values};
use crate::weights::dtype::Dtype;

/// Longest name that is copied; recalling a longer one many times could fill the memory.
pub(super) const LONGEST_NAME: usize = 256;

/// The meaning of a pickle's persistent ids.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Persistent<'a> {
    /// Nothing: this pickle must not contain any.
    Nothing,
    /// `("storage", class, key, location, length[, view])`, the zip and the legacy form.
    Storages,
    /// The number of a tensor, the tar form.
    Tensors(&'a HashMap<String, StridedTensor>),
}

impl Persistent<'_> {
    /// The storage or tensor with the id `key`.
    pub(super) fn resolve(self, values: &Values, key: Id) -> Result<Value, String> {
        match self {
            Persistent::Nothing => Err("refers to data outside, expected none here".to_owned()),
            Persistent::Storages => storage(values, key).map(Value::Storage),
            Persistent::Tensors(tensors) => match values.get(key) {
                Value::Text(key) => match tensors.get(key) {
                    Some(tensor) => Ok(Value::Tensor(tensor.clone())),
                    None => Err(format!("refers to tensor {key:.64}, which the file does not hold")),
                },
                _ => Err("refers to a tensor by something that is not text".to_owned()),
            },
        }
    }
}

fn storage(values: &Values, key: Id) -> Result<Storage, String> {
    let Value::Tuple(items) = values.get(key) else {
        return Err("refers to outside data by something that is not a tuple".to_owned());
    };
    let [kind, class, key, _location, length, rest @ ..] = items.as_slice() else {
        return Err(format!("refers to outside data by {} values, expected 5 or 6", items.len()));
    };
    let (Some("storage"), Value::Global(class)) = (values.text(*kind), values.get(*class)) else {
        return Err("refers to outside data that is not a storage".to_owned());
    };
    let name = class.strip_prefix("torch ").or(class.strip_prefix("torch.cuda ")).unwrap_or_default();
    let dtype = Dtype::of_storage(name).ok_or_else(|| format!("numbers of unknown kind: {class}"))?;
    let (Some(key), Some(length)) = (values.text(*key), values.size(*length)) else {
        return Err("a storage without key or length".to_owned());
    };
    if key.len() > LONGEST_NAME {
        return Err(format!("a storage whose key has {} bytes", key.len()));
    }
    let view = rest.first().map(|&view| values.get(view));
    let start = match view {
        None | Some(Value::None) => 0,
        Some(Value::Tuple(view)) if view.len() == 3 => {
            values.size(view[1]).ok_or("a view of a storage without its start")?
        }
        Some(_) => return Err("a view of a storage that is not described by three values".to_owned()),
    };
    Ok(Storage { key: key.to_owned(), dtype, length, start })
}
