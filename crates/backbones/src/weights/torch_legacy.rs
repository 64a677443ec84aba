//! The legacy format of `torch.save` (PyTorch 0.1.10 to 1.5, later on request): a magic number, a version, facts about
//! the machine, the object and the list of storage keys, each a pickle, and then the numbers of each storage in that
//! order.

use std::{collections::HashMap, ops::Range};

use super::{
    file::Contents,
    flatten::{Held, flatten},
    pickle::{Bytes, Fault, Id, Persistent, Value, Values, load},
};

/// The magic number as pickled, after the two bytes of the pickle protocol.
const MAGIC: &[u8] = &[0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
const VERSION: i64 = 1001;

pub(super) fn is(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x80) && bytes.get(2..).is_some_and(|rest| rest.starts_with(MAGIC))
}

pub(super) fn read(file: &[u8]) -> Result<Contents, Fault> {
    let mut bytes = Bytes::new(file, 2 + MAGIC.len(), file.len());
    let (position, values, version) = plain(&mut bytes)?;
    if !matches!(values.get(version), Value::Int(VERSION)) {
        return Err(Fault { position, problem: format!("unknown version of the legacy form, expected {VERSION}") });
    }
    let (position, values, facts) = plain(&mut bytes)?;
    if !little_endian(&values, facts) {
        return Err(Fault { position, problem: "numbers not declared little-endian".to_owned() });
    }

    let position = bytes.position();
    let mut values = Values::default();
    let root = load(&mut bytes, Persistent::Storages, &mut values)?;
    let (keys_position, keys, list) = plain(&mut bytes)?;
    let Value::List(list) = keys.get(list) else {
        return Err(Fault { position: keys_position, problem: "no list of storages behind the object".to_owned() });
    };
    let sizes = values.storages();
    let mut data = HashMap::new();
    for &key in list.as_slice() {
        let Some(key) = keys.text(key) else {
            return bytes.fault("a storage whose key is no text");
        };
        let Some(&size) = sizes.get(key) else {
            return bytes.fault(format!("storage {key:.64} that no tensor of the file uses"));
        };
        data.insert(key.to_owned(), storage(&mut bytes, size)?);
    }
    if !bytes.is_empty() {
        return bytes.fault("more bytes than the storages need");
    }
    flatten(&values, root, position, &Held { storages: data, tensors: HashMap::new() })
}

/// Position, values and result of a pickle that refers to nothing outside of it.
fn plain<'f>(bytes: &mut Bytes<'f>) -> Result<(usize, Values<'f>, Id), Fault> {
    let (position, mut values) = (bytes.position(), Values::default());
    load(bytes, Persistent::Nothing, &mut values).map(|root| (position, values, root))
}

fn little_endian(values: &Values<'_>, facts: Id) -> bool {
    let Value::Dict(facts) = values.get(facts) else { return false };
    facts.as_slice().iter().any(|&(key, value)| {
        values.text(key) == Some("little_endian") && matches!(values.get(value), Value::Bool(true))
    })
}

/// A count, then as many numbers of `size` bytes.
pub(super) fn storage(bytes: &mut Bytes<'_>, size: usize) -> Result<Range<usize>, Fault> {
    let count = bytes.size()?;
    let Some(length) = count.checked_mul(size) else {
        return bytes.fault(format!("a storage of {count} numbers"));
    };
    let start = bytes.position();
    bytes.take(length)?;
    Ok(start..start + length)
}
