//! The few calls whose results are needed. No other is made: its result stands for what it would be.

use super::value::{Id, Items, Object, Value, Values};

/// The result of calling `function` with the tuple `arguments`. It copies nothing large, because a few bytes of the
/// pickle can repeat a call many times.
pub(super) fn call(values: &mut Values<'_>, function: Id, arguments: Id) -> Result<Id, String> {
    let name = values.global(function).unwrap_or_default();
    let arguments_of = match values.get(arguments) {
        Value::Tuple(items) => &items[..],
        _ => &[],
    };
    let object = Object { class: Some(function), parts: vec![arguments], entries: Vec::new() };
    match (name.as_str(), arguments_of) {
        ("collections.OrderedDict", []) | ("collections.defaultdict" | "collections.Counter", _) => Ok(Id::NEW_DICT),
        ("collections.OrderedDict", &[items]) => ordered_dict(values, items),
        ("torch.Size", &[sizes]) => match values.get(sizes) {
            Value::Tuple(_) => Ok(sizes),
            _ => Err("a shape that is not a tuple".to_owned()),
        },
        ("torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor", &[storage, offset, shape, stride, ..]) => {
            let tensor = tensor(values, [storage, offset, shape, stride])?;
            Ok(values.add(tensor.unwrap_or(Value::Object(Box::new(object)))))
        }
        (
            "torch._utils._rebuild_parameter"
            | "torch._utils._rebuild_parameter_with_state"
            | "torch.nn.parameter.Parameter"
            | "torch.nn.parameter.Buffer",
            &[data, ..],
        ) if matches!(values.get(data), Value::Tensor(_) | Value::Named(_)) => Ok(data),
        // A subclass of the tensor: the function that makes the tensor, the subclass, and the function's arguments.
        ("torch._tensor._rebuild_from_type_v2" | "torch._tensor._rebuild_from_type", &[function, _, arguments, ..])
            if values.global(function).is_some_and(|name| name.starts_with("torch._utils._rebuild_")) =>
        {
            call(values, function, arguments)
        }
        _ => Ok(values.add(Value::Object(Box::new(object)))),
    }
}

/// From a list of pairs, as Python 2 pickled it. The list is consumed.
fn ordered_dict(values: &mut Values<'_>, items: Id) -> Result<Id, String> {
    let wrong = || "an ordered dictionary that is not made from a list of pairs".to_owned();
    let items = values.settled(items);
    let Value::List(items) = values.get_mut(items) else { return Err(wrong()) };
    let items = std::mem::replace(items, Items::NONE);
    let pair = |&item: &Id| {
        let pair = match values.get(item) {
            Value::List(pair) => pair.as_slice(),
            Value::Tuple(pair) => &pair[..],
            _ => return Err(wrong()),
        };
        match pair {
            [key, value] => Ok((*key, *value)),
            _ => Err(wrong()),
        }
    };
    let pairs = items.as_slice().iter().map(pair).collect::<Result<_, _>>()?;
    Ok(values.add(Value::Dict(Items::new(pairs))))
}

/// `None` if its numbers are of a kind that is not read.
fn tensor<'f>(values: &Values<'f>, parts: [Id; 4]) -> Result<Option<Value<'f>>, String> {
    let [storage, offset, shape, stride] = parts;
    match values.get(storage) {
        Value::Storage(_) => {}
        Value::Object(_) => return Ok(None),
        _ => return Err("a tensor without numbers behind it".to_owned()),
    }
    let (Some(_), Some(shape), Some(stride)) = (values.size(offset), values.sizes(shape), values.sizes(stride)) else {
        return Err("a tensor whose offset, shape or stride are not numbers of at least 0".to_owned());
    };
    if shape.len() != stride.len() || shape.len() > 16 {
        return Err(format!("a tensor of {} dimensions with {} strides", shape.len(), stride.len()));
    }
    Ok(Some(Value::Tensor(parts)))
}
