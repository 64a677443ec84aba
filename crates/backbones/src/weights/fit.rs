//! Matches the tensors of a file with those of a network, by name and shape, before any is read.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    file::{TensorInfo, WeightFile},
    inspect,
    places::{choose, closest, endings, places},
    report::{Fate, Other, Report},
};
use crate::{Arch, Error, Result};

/// Counters of training steps, which no forward pass uses; many files lack them. Only these are dropped without an
/// option.
const COUNTER: &str = "num_batches_tracked";

/// Which network of a file is meant, and allowed differences between it and the network. A name stands for all tensors
/// whose names begin with it: `fc` for `fc.weight` and `fc.0.bias`, under any prefix (`module.encoder_q.fc.0.bias`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// What stands before the network's names in the file, or the last parts of it. Default: wherever all of its names are
    /// found; of several networks that which was trained, not its average.
    pub prefix: Option<String>,
    /// The dictionary of the file in which the network lies, by its key: `state_dict_ema`. Default: any.
    pub dictionary: Option<String>,
    /// Tensors of the file to drop.
    pub drop: Vec<String>,
    /// Tensors of the network that the file may lack.
    pub allow_missing: Vec<String>,
}

impl ImportOptions {
    /// Every tensor beside the network's own must be used, and none may be missing.
    pub fn strict() -> Self {
        Self::default()
    }

    /// For a backbone without its classifier: drops the classifier or projection head of this architecture, the queue of a
    /// MoCo checkpoint, and the thresholds that torchxrayvision keeps beside its networks.
    pub fn backbone(arch: Arch) -> Self {
        let drop = [arch.head_name(), "encoder_k", "queue", "queue_ptr", "optimizer", "op_threshs"];
        Self { drop: drop.map(str::to_owned).to_vec(), ..Self::default() }
    }

    pub(super) fn may_lack(&self, name: &str) -> bool {
        self.allow_missing.iter().any(|allowed| begins(name, allowed))
    }
}

/// The file's tensor for each expected name (torchvision's names and their shapes), and the report, whether or not all
/// fit.
///
/// # Errors
/// Several networks of the file are as good, or none lies where the options ask for it.
fn match_names<'f>(
    file: &'f WeightFile,
    expected: &[(String, Vec<usize>)],
    options: &ImportOptions,
) -> Result<(BTreeMap<String, &'f TensorInfo>, Report)> {
    let found = places(file, expected);
    let whole: Vec<_> = found.iter().filter(|place| place.is_whole(expected, options)).cloned().collect();
    let choice = choose(file, &whole, options, |_| "the network".to_owned())?;
    let (place, others) = match &choice {
        Some(choice) => (Some(&whole[choice.taken]), &choice.others[..]),
        None => (closest(&found, options), &[][..]),
    };
    let prefix = place.map_or("", |place| place.prefix);
    let others = others.iter().map(|&(at, same)| Other { prefix: whole[at].prefix.to_owned(), same }).collect();
    let shapes: BTreeMap<&str, &Vec<usize>> = expected.iter().map(|(name, shape)| (name.as_str(), shape)).collect();
    let names: BTreeMap<&str, &str> = place
        .into_iter()
        .flat_map(|place| &place.found)
        .map(|(name, info)| (info.name.as_str(), name.as_str()))
        .collect();
    let fate = |info: &TensorInfo| {
        if let Some(name) = names.get(info.name.as_str()) {
            let expected = shapes[name];
            let name = (*name).to_owned();
            if info.shape == *expected {
                return Fate::Taken(name);
            }
            return Fate::Misshapen { name, found: info.shape.clone(), expected: expected.clone() };
        }
        if info.name.rsplit('.').next() == Some(COUNTER) && info.name.starts_with(prefix) {
            return Fate::Dropped(COUNTER.to_owned());
        }
        let named = |name: &&String| endings(&info.name).any(|(_, inner)| begins(inner, name));
        match options.drop.iter().find(named) {
            Some(name) if info.name.starts_with(prefix) => Fate::Dropped(name.clone()),
            _ if !info.name.starts_with(prefix) => Fate::Outside(outside(&info.name, prefix).to_owned()),
            _ => Fate::LeftOver,
        }
    };
    let tensors: Vec<_> = file.tensors().iter().map(|info| (info.name.clone(), fate(info))).collect();
    let present: BTreeSet<&str> = names.values().copied().collect();
    let absent = expected.iter().map(|(name, _)| name).filter(|name| !present.contains(name.as_str()));
    let (allowed_missing, missing) = absent.cloned().partition(|name| options.may_lack(name));
    let report = Report {
        path: file.path().to_owned(),
        format: file.format(),
        prefix: prefix.to_owned(),
        others,
        tensors,
        missing,
        allowed_missing,
        objects: file.objects().to_vec(),
        looks_like: String::new(),
    };
    Ok((place.map(|place| place.found.clone()).unwrap_or_default(), report))
}

/// The file's tensor for each expected name.
///
/// # Errors
/// The report, unless it is complete; or as [`match_names`].
pub(crate) fn fit<'f>(
    file: &'f WeightFile,
    expected: &[(String, Vec<usize>)],
    options: &ImportOptions,
) -> Result<(BTreeMap<String, &'f TensorInfo>, Report)> {
    let (taken, mut report) = match_names(file, expected, options)?;
    report.looks_like = inspect::looks_like(file);
    if report.is_complete() { Ok((taken, report)) } else { Err(Error::Import(Box::new(report))) }
}

/// The module of a tensor that lies outside of a prefix: the parts that both begin with, and one more.
fn outside<'n>(name: &'n str, prefix: &str) -> &'n str {
    let common = endings(name).map(|(start, _)| start).filter(|start| prefix.starts_with(start)).map(str::len).max();
    let common = common.unwrap_or(0);
    name[common..].find('.').map_or(name, |dot| &name[..common + dot])
}

/// Whether `part` is the whole `name`, or its beginning up to a dot.
fn begins(name: &str, part: &str) -> bool {
    name.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_is_named_by_its_module() {
        assert_eq!(outside("state_dict.head.weight", "state_dict.net."), "state_dict.head");
        assert_eq!(outside("state_dict.network.0.weight", "state_dict.net."), "state_dict.network");
        assert_eq!(outside("optimizer_states.0.state.0.exp_avg", "state_dict.net."), "optimizer_states");
        assert_eq!(outside("epoch", "state_dict.net."), "epoch");
    }
}
