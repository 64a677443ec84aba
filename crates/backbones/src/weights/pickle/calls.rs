//! The few calls that a file of tensors contains.

use super::value::{Id, StridedTensor, Value, Values};

/// Calls whose result is harmless and not needed for weights.
const OPAQUE: [&str; 15] = [
    "__builtin__ set",
    "builtins set",
    "__builtin__ object",
    "builtins object",
    "_codecs encode",
    "argparse Namespace",
    "collections Counter",
    "collections defaultdict",
    "copy_reg _reconstructor",
    "copyreg _reconstructor",
    "numpy dtype",
    "numpy.core.multiarray scalar",
    "numpy._core.multiarray scalar",
    "torch device",
    "pathlib PosixPath",
];

/// The result of calling `function` with the tuple `arguments`. It copies nothing large, because a few bytes of the
/// pickle can repeat a call many times.
pub(super) fn call(values: &mut Values, function: Id, arguments: Id) -> Result<Id, String> {
    let Value::Global(name) = values.get(function) else {
        return Err("calls something that is not a function".to_owned());
    };
    let Value::Tuple(arguments) = values.get(arguments) else {
        return Err(format!("calls {} without a tuple of arguments", readable(name)));
    };
    match (name.as_str(), arguments.as_slice()) {
        ("collections OrderedDict", []) => Ok(values.add(Value::Dict(Vec::new()))),
        ("collections OrderedDict", &[items]) => ordered_dict(values, items),
        ("torch Size", &[sizes]) => match values.get(sizes) {
            Value::Tuple(_) => Ok(sizes),
            _ => Err("a shape that is not a tuple".to_owned()),
        },
        ("torch._utils _rebuild_tensor_v2" | "torch._utils _rebuild_tensor", &[storage, offset, shape, stride, ..]) => {
            let tensor = tensor(values, storage, offset, shape, stride)?;
            Ok(values.add(Value::Tensor(tensor)))
        }
        ("torch._utils _rebuild_parameter" | "torch.nn.parameter Parameter", &[data, ..]) => match values.get(data) {
            Value::Tensor(_) => Ok(data),
            _ => Err("a parameter that is not a tensor".to_owned()),
        },
        (name, _) if OPAQUE.contains(&name) => Ok(values.add(Value::Opaque)),
        (name, _) => Err(format!(
            "asks to call {}; expected tensors, numbers, texts and their containers only (not a whole pickled model; \
             nothing was executed)",
            readable(name)
        )),
    }
}

fn readable(global: &str) -> String {
    global.replacen(' ', ".", 1)
}

/// From a list of pairs, as Python 2 pickled it. The list is consumed.
fn ordered_dict(values: &mut Values, items: Id) -> Result<Id, String> {
    let wrong = || "an ordered dictionary that is not made from a list of pairs".to_owned();
    let Value::List(items) = values.get_mut(items) else { return Err(wrong()) };
    let items = std::mem::take(items);
    let pair = |&item: &Id| match values.get(item) {
        Value::List(pair) | Value::Tuple(pair) => match pair.as_slice() {
            [key, value] => Ok((*key, *value)),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    };
    let pairs = items.iter().map(pair).collect::<Result<_, _>>()?;
    Ok(values.add(Value::Dict(pairs)))
}

fn tensor(values: &Values, storage: Id, offset: Id, shape: Id, stride: Id) -> Result<StridedTensor, String> {
    let Value::Storage(storage) = values.get(storage) else {
        return Err("a tensor without numbers behind it".to_owned());
    };
    let (Some(offset), Some(shape), Some(stride)) = (values.size(offset), values.sizes(shape), values.sizes(stride))
    else {
        return Err("a tensor whose offset, shape or stride are not numbers of at least 0".to_owned());
    };
    if shape.len() != stride.len() || shape.len() > 16 {
        return Err(format!("a tensor of {} dimensions with {} strides", shape.len(), stride.len()));
    }
    Ok(StridedTensor { storage: storage.clone(), offset, shape, stride })
}
