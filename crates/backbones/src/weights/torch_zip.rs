//! The zip format of `torch.save`: `NAME/data.pkl` and the numbers of each storage, uncompressed, in `NAME/data/KEY`.

use std::{collections::HashMap, ops::Range};

use super::{
    file::{Contents, PickledModel},
    flatten::{Held, flatten},
    pickle::{Bytes, Fault, Persistent, Values, load},
    zip,
};

pub(super) fn read(bytes: &[u8]) -> Result<Contents, Fault> {
    let entries = zip::entries(bytes)?;
    let start = |problem: &str| Fault { position: 0, problem: problem.to_owned() };
    if entries.iter().any(|(name, _)| name.ends_with("/constants.pkl")) {
        return Ok(Contents { model: Some(PickledModel::TorchScript), ..Contents::default() });
    }
    let Some((name, pickle)) = entries.iter().find(|(name, _)| name.ends_with("/data.pkl")) else {
        return Err(start("a zip archive without data.pkl, expected one of torch.save"));
    };
    let folder = name.strip_suffix("data.pkl").unwrap_or_default();
    let inside =
        |file: &str| entries.iter().find(|(n, _)| n.strip_prefix(folder) == Some(file)).map(|(_, r)| r.clone());
    if let Some(order) = inside("byteorder")
        && &bytes[order.clone()] != b"little"
    {
        return Err(Fault { position: order.start, problem: "big-endian numbers, expected little-endian".to_owned() });
    }
    let prefix = format!("{folder}data/");
    let data: HashMap<String, Range<usize>> =
        entries.iter().filter_map(|(n, range)| Some((n.strip_prefix(&prefix)?.to_owned(), range.clone()))).collect();
    let mut values = Values::default();
    let root = load(&mut Bytes::new(bytes, pickle.start, pickle.end), Persistent::Storages, &mut values)?;
    flatten(&values, root, pickle.start, &Held { storages: data, tensors: HashMap::new() })
}
