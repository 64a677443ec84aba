//! The format of `torch.save` before PyTorch 0.1.10 (2017): a tar archive of `storages`, `tensors` and `pickle`.
//!
//! `storages`: a count, then per storage a pickled (key, location, class) and its numbers, then a pickled list of views;
//! `tensors`: a count, then per tensor a pickled (key, storage, class) and shape, strides and offset as 64-bit numbers;
//! `pickle`: the object, which refers to tensors by their keys.

use std::{collections::HashMap, ops::Range};

use super::{
    dtype::Dtype,
    file::Contents,
    flatten::{Held, flatten},
    pickle::{Bytes, Fault, Id, Persistent, Storage, StridedTensor, Value, Values, load},
    torch_legacy::storage,
};

const BLOCK: usize = 512;

pub(super) fn is(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

pub(super) fn read(file: &[u8]) -> Result<Contents, Fault> {
    let members = members(file)?;
    let member = |name: &str| match members.get(name) {
        Some(range) => Ok(Bytes::new(file, range.start, range.end)),
        None => {
            Err(Fault { position: 0, problem: format!("a tar archive without {name:?}, expected one of torch.save") })
        }
    };
    let (storages, data) = read_storages(&mut member("storages")?)?;
    let tensors = read_tensors(&mut member("tensors")?, &storages)?;
    let mut pickle = member("pickle")?;
    let position = pickle.position();
    let mut values = Values::default();
    let root = load(&mut pickle, Persistent::Tensors(&tensors), &mut values)?;
    flatten(&values, root, position, &Held { storages: data, tensors })
}

/// The archive's files: a header block (name at 0, size in octal digits at 124), then the content, padded to blocks.
fn members(file: &[u8]) -> Result<HashMap<String, Range<usize>>, Fault> {
    let mut members = HashMap::new();
    let mut bytes = Bytes::new(file, 0, file.len());
    while !bytes.is_empty() {
        let position = bytes.position();
        let header = bytes.take(BLOCK)?;
        if header.iter().all(|&b| b == 0) {
            break;
        }
        // The checksum field itself counts as spaces.
        let sum: u64 =
            header.iter().enumerate().map(|(i, &b)| u64::from(if (148..156).contains(&i) { b' ' } else { b })).sum();
        if octal(&header[148..156]) != Some(sum) {
            return Err(Fault { position, problem: "a tar header that does not match its checksum".to_owned() });
        }
        let Some(size) = octal(&header[124..136]).and_then(|s| usize::try_from(s).ok()) else {
            return Err(Fault { position, problem: "a tar header without a size".to_owned() });
        };
        let name = header[..100].split(|&b| b == 0).next().unwrap_or_default();
        let start = bytes.position();
        bytes.take(size)?;
        members.insert(String::from_utf8_lossy(name).trim_start_matches("./").to_owned(), start..start + size);
        bytes.take((BLOCK - size % BLOCK) % BLOCK)?;
    }
    Ok(members)
}

fn octal(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    u64::from_str_radix(text.trim_matches([' ', '\0']), 8).ok()
}

fn pickled<'f>(bytes: &mut Bytes<'f>) -> Result<(Values<'f>, Id), Fault> {
    let mut values = Values::default();
    let root = load(bytes, Persistent::Nothing, &mut values)?;
    Ok((values, root))
}

fn count(bytes: &mut Bytes<'_>) -> Result<usize, Fault> {
    let position = bytes.position();
    let (values, root) = pickled(bytes)?;
    values.size(root).ok_or_else(|| Fault { position, problem: "no count here".to_owned() })
}

/// Keys are numbers; they are kept as text, as the pickle refers to them.
fn key(values: &Values<'_>, id: Id) -> Option<String> {
    match values.get(id) {
        Value::Int(key) => Some(key.to_string()),
        Value::Text(key) if key.len() <= 64 => Some((*key).to_owned()),
        _ => None,
    }
}

type Ranges = HashMap<String, Range<usize>>;

fn read_storages<'f>(bytes: &mut Bytes<'f>) -> Result<(HashMap<String, Storage<'f>>, Ranges), Fault> {
    let (mut storages, mut data) = (HashMap::new(), HashMap::new());
    for _ in 0..count(bytes)? {
        let position = bytes.position();
        let (values, root) = pickled(bytes)?;
        let described = match values.get(root) {
            Value::Tuple(items) if items.len() == 3 => match values.get(items[2]) {
                Value::Global(module, name) => {
                    let known = matches!(values.text(*module), Some("torch" | "torch.cuda"));
                    let dtype = values.text(*name).filter(|_| known).and_then(Dtype::of_storage);
                    key(&values, items[0]).zip(dtype)
                }
                _ => None,
            },
            _ => None,
        };
        let Some((key, dtype)) = described else {
            return Err(Fault { position, problem: "a storage without key and known class".to_owned() });
        };
        let range = storage(bytes, dtype.size())?;
        let length = range.len() / dtype.size();
        storages.insert(key.clone(), Storage { key: key.clone().into(), dtype, length, start: 0 });
        data.insert(key, range);
    }
    read_views(bytes, &mut storages)?;
    Ok((storages, data))
}

/// Storages that are parts of others: (key, key of the whole, first element, number of elements).
fn read_views<'f>(bytes: &mut Bytes<'f>, storages: &mut HashMap<String, Storage<'f>>) -> Result<(), Fault> {
    let position = bytes.position();
    let wrong = || Fault { position, problem: "no list of storage views here".to_owned() };
    let (values, root) = pickled(bytes)?;
    let Value::List(views) = values.get(root) else { return Err(wrong()) };
    for &view in views.as_slice() {
        let Value::Tuple(view) = values.get(view) else { return Err(wrong()) };
        let &[view, whole, start, length] = &view[..] else { return Err(wrong()) };
        let whole = key(&values, whole).and_then(|whole| storages.get(&whole)).cloned();
        match (key(&values, view), whole, values.size(start), values.size(length)) {
            (Some(view), Some(whole), Some(start), Some(length)) => {
                storages.insert(view, Storage { start, length, ..whole });
            }
            _ => return Err(wrong()),
        }
    }
    Ok(())
}

fn read_tensors<'f>(
    bytes: &mut Bytes<'f>,
    storages: &HashMap<String, Storage<'f>>,
) -> Result<HashMap<String, StridedTensor<'f>>, Fault> {
    let mut tensors = HashMap::new();
    for _ in 0..count(bytes)? {
        let position = bytes.position();
        let (values, root) = pickled(bytes)?;
        let described = match values.get(root) {
            Value::Tuple(items) if items.len() == 3 => {
                key(&values, items[0]).zip(key(&values, items[1]).and_then(|k| storages.get(&k)))
            }
            _ => None,
        };
        let Some((key, storage)) = described else {
            return Err(Fault { position, problem: "a tensor without key and known storage".to_owned() });
        };
        let dimensions = bytes.u32()?;
        bytes.u32()?; // the count was meant to have 64 bits
        if dimensions > 16 {
            return bytes.fault(format!("a tensor of {dimensions} dimensions"));
        }
        let shape = (0..dimensions).map(|_| bytes.size()).collect::<Result<_, _>>()?;
        let stride = (0..dimensions).map(|_| bytes.size()).collect::<Result<_, _>>()?;
        let offset = bytes.size()?;
        tensors.insert(key, StridedTensor { storage: storage.clone(), offset, shape, stride });
    }
    Ok(tensors)
}
