//! Matches the tensors of a file with those of a network, by name and shape, before any is read.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    file::{TensorInfo, WeightFile},
    inspect, names,
    report::{Fate, Report},
};
use crate::{Arch, Error, Result};

/// Counters of training steps, which no forward pass uses; many files lack them. Only these are dropped without an
/// option.
const COUNTER: &str = "num_batches_tracked";

/// Allowed differences between a file and a network. A name stands for all tensors whose names begin with it: `fc` for
/// `fc.weight` and `fc.0.bias`, under any prefix (`module.encoder_q.fc.0.bias`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Tensors of the file to drop.
    pub drop: Vec<String>,
    /// Tensors of the network that the file may lack.
    pub allow_missing: Vec<String>,
}

impl ImportOptions {
    /// Every tensor must be used, and none may be missing.
    pub fn strict() -> Self {
        Self::default()
    }

    /// For a backbone without its classifier: drops the classifier or projection head of this architecture, and the key
    /// encoder, queue and optimiser of a MoCo checkpoint.
    pub fn backbone(arch: Arch) -> Self {
        let drop = [arch.head_name(), "encoder_k", "queue", "queue_ptr", "optimizer"];
        Self { drop: drop.map(str::to_owned).to_vec(), allow_missing: Vec::new() }
    }
}

/// The file's tensor for each expected name (torchvision's names and their shapes), and the report, whether or not all
/// fit.
pub(super) fn match_names<'f>(
    file: &'f WeightFile,
    expected: &[(String, Vec<usize>)],
    options: &ImportOptions,
) -> (BTreeMap<String, &'f TensorInfo>, Report) {
    let shapes: BTreeMap<&str, &Vec<usize>> = expected.iter().map(|(name, shape)| (name.as_str(), shape)).collect();
    let known: BTreeSet<&str> = shapes.keys().copied().collect();
    let prefix = names::prefix(file.tensors().iter().map(|t| t.name.as_str()), &known);
    let mut taken: BTreeMap<String, &TensorInfo> = BTreeMap::new();
    let fate = |info: &'f TensorInfo, taken: &mut BTreeMap<String, &'f TensorInfo>| {
        let wanted = info.name.strip_prefix(prefix).and_then(|name| names::expected_name(name, &known));
        if let Some(name) = wanted.filter(|name| !taken.contains_key(name)) {
            let expected = shapes[name.as_str()];
            if info.shape != *expected {
                return Fate::Misshapen { name, found: info.shape.clone(), expected: expected.clone() };
            }
            taken.insert(name.clone(), info);
            return Fate::Taken(name);
        }
        if info.name.rsplit('.').next() == Some(COUNTER) {
            return Fate::Dropped(COUNTER.to_owned());
        }
        match options.drop.iter().find(|name| names::unwrapped(&info.name).any(|inner| begins(inner, name))) {
            Some(name) => Fate::Dropped(name.clone()),
            None => Fate::LeftOver,
        }
    };
    let tensors: Vec<_> = file.tensors().iter().map(|info| (info.name.clone(), fate(info, &mut taken))).collect();
    let misshapen = |name: &str| tensors.iter().any(|(_, f)| matches!(f, Fate::Misshapen { name: n, .. } if n == name));
    let absent = expected.iter().map(|(name, _)| name).filter(|name| !taken.contains_key(*name) && !misshapen(name));
    let (allowed_missing, missing) =
        absent.cloned().partition(|name| options.allow_missing.iter().any(|allowed| begins(name, allowed)));
    let report = Report {
        path: file.path().to_owned(),
        format: file.format(),
        prefix: prefix.to_owned(),
        tensors,
        missing,
        allowed_missing,
        looks_like: String::new(),
    };
    (taken, report)
}

/// The file's tensor for each expected name.
///
/// # Errors
/// The report, unless it is complete.
pub(crate) fn fit<'f>(
    file: &'f WeightFile,
    expected: &[(String, Vec<usize>)],
    options: &ImportOptions,
) -> Result<(BTreeMap<String, &'f TensorInfo>, Report)> {
    let (taken, mut report) = match_names(file, expected, options);
    report.looks_like = inspect::looks_like(file);
    if report.is_complete() { Ok((taken, report)) } else { Err(Error::Import(Box::new(report))) }
}

/// Whether `part` is the whole `name`, or its beginning up to a dot.
fn begins(name: &str, part: &str) -> bool {
    name.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
