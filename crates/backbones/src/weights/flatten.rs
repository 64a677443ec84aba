//! Flattens the nested containers of a pickle to tensors by name, each checked against the file.

use std::{collections::HashMap, ops::Range};

use super::{
    file::{Contents, Scalar, TensorInfo},
    pickle::{Fault, Id, Storage, StridedTensor, Value, Values},
};

/// Deepest nesting of containers allowed; real checkpoints need only a few levels.
const DEEPEST: usize = 12;

/// All tensors and scalars below `root`; `data` gives the bytes of the file that hold each storage.
pub(super) fn flatten(
    values: &Values,
    root: Id,
    position: usize,
    data: &HashMap<String, Range<usize>>,
) -> Result<Contents, Fault> {
    let fault = |problem: String| Fault { position, problem };
    match values.get(root) {
        Value::Dict(_) | Value::List(_) | Value::Tuple(_) | Value::Tensor(_) => {}
        _ => {
            return Err(fault(
                "holds no tensors but a single plain value, expected a dictionary of tensors".to_owned(),
            ));
        }
    }
    let mut walk = Walk {
        values,
        data,
        contents: Contents::default(),
        steps: 4 * values.len() + 64,
        letters: 64 * values.len() + 4096,
    };
    walk.visit(root, String::new(), 0).map_err(fault)?;
    Ok(walk.contents)
}

struct Walk<'a> {
    values: &'a Values,
    data: &'a HashMap<String, Range<usize>>,
    contents: Contents,
    /// Entries that may still be visited. Containers may be shared, so lists of lists of the same list grow
    /// exponentially.
    steps: usize,
    /// Bytes of names that may still be made, because long keys of long lists multiply.
    letters: usize,
}

impl Walk<'_> {
    fn visit(&mut self, id: Id, name: String, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("containers nested more than {DEEPEST} deep, at {name}"));
        }
        self.steps = self.steps.checked_sub(1).ok_or("containers that hold each other over and over")?;
        self.letters = self.letters.checked_sub(name.len()).ok_or("names far longer than a network's")?;
        let values = self.values;
        let join = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        match values.get(id) {
            Value::Dict(entries) => {
                for &(key, value) in entries {
                    let key = match values.get(key) {
                        Value::Text(key) => key.clone(),
                        Value::Int(key) => key.to_string(),
                        _ => continue, // such entries are not weights
                    };
                    if key.len() > 512 {
                        return Err(format!("a key of {} bytes", key.len()));
                    }
                    self.visit(value, join(&key), depth + 1)?;
                }
            }
            Value::List(items) | Value::Tuple(items) => {
                for (i, &item) in items.iter().enumerate() {
                    self.visit(item, join(&i.to_string()), depth + 1)?;
                }
            }
            Value::Tensor(tensor) => {
                let info = self.locate(tensor, &name).map_err(|problem| format!("tensor {name:?}: {problem}"))?;
                self.contents.tensors.push(info);
            }
            Value::Bool(value) => self.contents.scalars.push((name, Scalar::Bool(*value))),
            Value::Int(value) => self.contents.scalars.push((name, Scalar::Int(*value))),
            Value::Float(value) => self.contents.scalars.push((name, Scalar::Float(*value))),
            Value::Text(value) if value.len() <= 512 => {
                self.contents.scalars.push((name, Scalar::Text(value.clone())));
            }
            Value::None | Value::Text(_) | Value::Global(_) | Value::Storage(_) | Value::Opaque => {}
        }
        Ok(())
    }

    fn locate(&self, tensor: &StridedTensor, name: &str) -> Result<TensorInfo, String> {
        let StridedTensor { storage, offset, shape, stride } = tensor;
        let Storage { key, dtype, length, start } = storage;
        let size = dtype.size();
        let data = self.data.get(key).ok_or_else(|| format!("its numbers (storage {key}) are not in the file"))?;
        let first = start.checked_add(*offset);
        let needed = numbers(shape, stride).and_then(|n| n.checked_add(first?));
        let held = data.len() / size;
        // A shape may not ask for more numbers than there are, even where strides of 0 repeat them.
        let count = shape.iter().try_fold(1_usize, |n, &s| n.checked_mul(s));
        match (first, needed, count) {
            (Some(first), Some(needed), Some(count)) if needed <= held && count <= held => Ok(TensorInfo {
                name: name.to_owned(),
                dtype: *dtype,
                shape: shape.clone(),
                stride: stride.clone(),
                start: data.start + first * size,
            }),
            _ => Err(format!(
                "shape {shape:?} with strides {stride:?} from {offset} does not fit into its {held} numbers \
                 (storage {key}, declared with {length})"
            )),
        }
    }
}

/// One more than the position of the last number; 0 for an empty tensor.
fn numbers(shape: &[usize], stride: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().zip(stride).try_fold(1_usize, |n, (&size, &step)| n.checked_add((size - 1).checked_mul(step)?))
}
