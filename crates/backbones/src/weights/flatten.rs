//! Flattens the nested containers of a pickle to tensors by name, each checked against the file.

use std::{collections::HashMap, ops::Range};

use super::{
    file::{Contents, PickledModel, Scalar, TensorInfo},
    pickle::{Fault, Id, Object, Storage, StridedTensor, Value, Values},
};

/// Deepest nesting of containers allowed; real checkpoints need a few levels.
const DEEPEST: usize = 32;
/// Numbers and texts that are kept. An optimiser has a few thousand; the rest of a longer list is counted.
const SCALARS: usize = 1 << 16;
/// Objects with tensors that are listed.
const OBJECTS: usize = 64;

/// What the file holds outside of its pickle.
pub(super) struct Held<'f> {
    /// The bytes of the file that hold each storage.
    pub(super) storages: HashMap<String, Range<usize>>,
    /// The tensors of the tar form, by key.
    pub(super) tensors: HashMap<String, StridedTensor<'f>>,
}

/// All tensors and scalars below `root`, the result of the pickle at `position`.
pub(super) fn flatten(values: &Values<'_>, root: Id, position: usize, held: &Held<'_>) -> Result<Contents, Fault> {
    let fault = |problem: String| Fault { position, problem };
    match values.get(root) {
        Value::Dict(_) | Value::List(_) | Value::Tuple(_) | Value::Tensor(_) | Value::Named(_) => {}
        Value::Object(object) if !object.entries.is_empty() => {}
        Value::Object(object) => {
            return Ok(Contents { model: Some(PickledModel::Class(class(values, object))), ..Contents::default() });
        }
        _ => {
            return Err(fault(
                "holds no tensors but a single plain value, expected a dictionary of tensors".to_owned(),
            ));
        }
    }
    let mut walk = Walk {
        values,
        held,
        contents: Contents::default(),
        name: String::new(),
        steps: 4 * values.instructions + 64,
        letters: 16 * values.instructions + (4 << 20),
        search: 4 * values.instructions + 64,
        unread: Vec::new(),
    };
    walk.visit(root, 0).map_err(fault)?;
    let Walk { mut contents, unread, .. } = walk;
    if contents.tensors.is_empty() && contents.objects.is_empty() {
        contents.objects = unread;
    }
    Ok(contents)
}

fn class(values: &Values<'_>, object: &Object) -> String {
    object.class.and_then(|class| values.global(class)).unwrap_or_else(|| "an unnamed class".to_owned())
}

struct Walk<'a, 'f> {
    values: &'a Values<'f>,
    held: &'a Held<'f>,
    contents: Contents,
    /// Keys on the way to the value that is visited.
    name: String,
    /// Entries that may still be visited. Containers may be shared, so lists of lists of the same list grow
    /// exponentially.
    steps: usize,
    /// Bytes of names that may still be made, because long keys of long lists multiply.
    letters: usize,
    /// Values in objects that may still be looked at.
    search: usize,
    /// Names and classes of the first objects, for a file that has nothing else.
    unread: Vec<(String, String)>,
}

impl Walk<'_, '_> {
    fn visit(&mut self, id: Id, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("containers nested more than {DEEPEST} deep, at {:.64}", self.name));
        }
        self.steps = self.steps.checked_sub(1).ok_or("containers that hold each other over and over")?;
        let (values, held) = (self.values, self.held);
        match values.get(id) {
            Value::Dict(entries) => self.entries(entries.as_slice(), depth)?,
            Value::List(items) => self.items(items.as_slice(), depth)?,
            Value::Tuple(items) => self.items(items, depth)?,
            &Value::Tensor([storage, offset, shape, stride]) => {
                let (Value::Storage(storage), Some(offset), Some(shape), Some(stride)) =
                    (values.get(storage), values.size(offset), values.sizes(shape), values.sizes(stride))
                else {
                    return Err(format!("tensor {:?} changed after it was made", self.name));
                };
                self.tensor(&StridedTensor { storage: (**storage).clone(), offset, shape, stride })?;
            }
            Value::Named(key) => {
                if let Some(tensor) = held.tensors.get(*key) {
                    self.tensor(tensor)?;
                }
            }
            Value::Object(object) => self.object(object, depth)?,
            Value::Bool(value) => self.scalar(Scalar::Bool(*value))?,
            Value::Int(value) => self.scalar(Scalar::Int(*value))?,
            Value::Float(value) => self.scalar(Scalar::Float(*value))?,
            Value::Text(value) if value.len() <= 512 => self.scalar(Scalar::Text((*value).to_owned()))?,
            Value::None | Value::Text(_) | Value::Global(..) | Value::Storage(_) | Value::Opaque => {}
        }
        Ok(())
    }

    fn entries(&mut self, entries: &[(Id, Id)], depth: usize) -> Result<(), String> {
        for &(key, value) in entries {
            match self.values.get(key) {
                Value::Text(key) if key.len() > 512 => return Err(format!("a key of {} bytes", key.len())),
                Value::Text(key) => self.below(key, value, depth)?,
                Value::Int(key) => self.below(&key.to_string(), value, depth)?,
                _ => {} // such entries are not weights
            }
        }
        Ok(())
    }

    fn items(&mut self, items: &[Id], depth: usize) -> Result<(), String> {
        let mut numbered = items.iter().enumerate();
        numbered.try_for_each(|(i, &item)| self.below(&i.to_string(), item, depth))
    }

    fn below(&mut self, key: &str, value: Id, depth: usize) -> Result<(), String> {
        let length = self.name.len();
        if length > 0 {
            self.name.push('.');
        }
        self.name.push_str(key);
        let visited = self.visit(value, depth + 1);
        self.name.truncate(length);
        visited
    }

    /// One that is filled like a dictionary is read as one, and so are the settings of a command line. Any other is not
    /// read, but it is told of if tensors are hidden in it.
    fn object(&mut self, object: &Object, depth: usize) -> Result<(), String> {
        self.entries(&object.entries, depth)?;
        let class = class(self.values, object);
        if matches!(class.as_str(), "argparse.Namespace" | "types.SimpleNamespace") {
            for &state in &object.parts {
                if let Value::Dict(entries) = self.values.get(state) {
                    self.entries(entries.as_slice(), depth)?;
                }
            }
        } else if self.contents.objects.len() < OBJECTS && self.hides_tensors(object) {
            let name = self.owned_name()?;
            self.contents.objects.push((name, class));
        } else if self.contents.tensors.is_empty() && self.unread.len() < 4 {
            let name = self.owned_name()?;
            self.unread.push((name, class));
        }
        Ok(())
    }

    /// Whether a tensor is among the arguments and states of an object, or of one in it.
    fn hides_tensors(&mut self, object: &Object) -> bool {
        let mut left = object.parts.clone();
        while let Some(id) = left.pop() {
            // Objects may hold each other.
            if self.search == 0 || left.len() > self.search {
                return false;
            }
            self.search -= 1;
            match self.values.get(id) {
                Value::Tensor(_) | Value::Named(_) | Value::Storage(_) => return true,
                Value::Dict(entries) => left.extend(entries.as_slice().iter().map(|(_, value)| value)),
                Value::List(items) => left.extend(items.as_slice()),
                Value::Tuple(items) => left.extend(items.iter()),
                Value::Object(object) => left.extend(object.parts.iter().chain(object.entries.iter().map(|(_, v)| v))),
                _ => {}
            }
        }
        false
    }

    fn scalar(&mut self, value: Scalar) -> Result<(), String> {
        if self.contents.scalars.len() == SCALARS {
            self.contents.more_scalars += 1;
            return Ok(());
        }
        let name = self.owned_name()?;
        self.contents.scalars.push((name, value));
        Ok(())
    }

    fn tensor(&mut self, tensor: &StridedTensor<'_>) -> Result<(), String> {
        let name = self.owned_name()?;
        let info =
            locate(tensor, &name, &self.held.storages).map_err(|problem| format!("tensor {name:?}: {problem}"))?;
        self.contents.tensors.push(info);
        Ok(())
    }

    fn owned_name(&mut self) -> Result<String, String> {
        self.letters = self.letters.checked_sub(self.name.len()).ok_or("names far longer than a network's")?;
        Ok(self.name.clone())
    }
}

fn locate(
    tensor: &StridedTensor<'_>,
    name: &str,
    storages: &HashMap<String, Range<usize>>,
) -> Result<TensorInfo, String> {
    let StridedTensor { storage, offset, shape, stride } = tensor;
    let Storage { key, dtype, length, start } = storage;
    let size = dtype.size();
    let data =
        storages.get(key.as_ref()).ok_or_else(|| format!("its numbers (storage {key:.64}) are not in the file"))?;
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
             (storage {key:.64}, declared with {length})"
        )),
    }
}

/// One more than the position of the last number; 0 for an empty tensor.
fn numbers(shape: &[usize], stride: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().zip(stride).try_fold(1_usize, |n, (&size, &step)| n.checked_add((size - 1).checked_mul(step)?))
}
