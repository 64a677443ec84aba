//! Finds the networks of a file: sets of tensors whose names end as the network's do, after one prefix.
//!
//! Nothing is asked of the words in the prefix, except where several networks are found. Then that which was trained is
//! taken before its average, as MoCo's query encoder before its key encoder.

use std::collections::{BTreeMap, HashMap};

use super::{
    file::{TensorInfo, WeightFile},
    fit::ImportOptions,
    names,
};
use crate::{Error, Result};

/// Where a network lies in a file.
#[derive(Debug, Clone)]
pub(super) struct Place<'f> {
    /// What stands before its names, with the dot; may be empty.
    pub(super) prefix: &'f str,
    /// The tensors found, by the network's names; those of another shape are among them.
    pub(super) found: BTreeMap<String, &'f TensorInfo>,
    /// How many of them have the shape of the network's.
    fitting: usize,
    /// Place in the file of the first of them.
    first: usize,
}

/// All places where at least one of the `expected` tensors is found, in the order of the file.
pub(super) fn places<'f>(file: &'f WeightFile, expected: &[(String, Vec<usize>)]) -> Vec<Place<'f>> {
    let shapes: HashMap<&str, &[usize]> = expected.iter().map(|(name, shape)| (name.as_str(), &shape[..])).collect();
    let mut places: HashMap<&str, Place<'f>> = HashMap::new();
    for (first, info) in file.tensors().iter().enumerate() {
        for (prefix, inner) in endings(&info.name) {
            for (rank, name) in names::spellings(inner).enumerate() {
                let Some(&shape) = shapes.get(name.as_str()) else { continue };
                let new = || Place { prefix, found: BTreeMap::new(), fitting: 0, first };
                let place = places.entry(prefix).or_insert_with(new);
                let fits = info.shape == shape;
                // The name itself goes before another that stands for it, and the first of two.
                let earlier = place.found.get(&name).is_some_and(|other| rank > 0 || other.name == info.name);
                if !earlier {
                    if let Some(other) = place.found.insert(name, info) {
                        place.fitting -= usize::from(other.shape == shape);
                    }
                    place.fitting += usize::from(fits);
                }
                break;
            }
        }
    }
    let mut places: Vec<_> = places.into_values().collect();
    places.sort_by_key(|place| (place.first, place.prefix.len()));
    places
}

/// A dotted name divided at each of its parts: `("", "a.b")` and `("a.", "b")`.
pub(super) fn endings(name: &str) -> impl Iterator<Item = (&str, &str)> {
    std::iter::once(0).chain(name.match_indices('.').map(|(at, _)| at + 1)).map(|at| name.split_at(at))
}

impl Place<'_> {
    /// Whether nothing of the network is missing but what may be.
    pub(super) fn is_whole(&self, expected: &[(String, Vec<usize>)], options: &ImportOptions) -> bool {
        self.fitting == self.found.len()
            && expected.iter().all(|(name, _)| self.found.contains_key(name) || options.may_lack(name))
    }

    /// How many of the network's tensors it has, with their shapes.
    pub(super) fn fitting(&self) -> usize {
        self.fitting
    }

    /// Lower is taken first: the network that was trained, one of which nothing is said, an average, one to be dropped.
    fn rank(&self, options: &ImportOptions) -> u8 {
        let dropped = options.drop.iter().any(|name| has_part(self.prefix, name));
        match (names::is_trained(self.prefix), names::is_average(self.prefix)) {
            _ if dropped => 3,
            (true, _) => 0,
            (_, false) => 1,
            (_, true) => 2,
        }
    }

    /// Whether another network of the file has the same numbers.
    pub(super) fn equals(&self, other: &Self, file: &WeightFile) -> bool {
        self.found.len() == other.found.len()
            && self.found.iter().all(|(name, info)| {
                other
                    .found
                    .get(name)
                    .is_some_and(|other| info.start == other.start || file.tensor(info) == file.tensor(other))
            })
    }
}

/// Whether the options ask for this prefix.
fn asked(prefix: &str, options: &ImportOptions) -> bool {
    let below = |name: &str| prefix.strip_prefix(name).is_some_and(|rest| name.is_empty() || rest.starts_with('.'));
    let ends = |name: &str| {
        let (whole, name) = (prefix.trim_end_matches('.'), name.trim_end_matches('.'));
        whole == name || !name.is_empty() && whole.strip_suffix(name).is_some_and(|before| before.ends_with('.'))
    };
    options.dictionary.as_deref().is_none_or(|name| below(name.trim_end_matches('.')))
        && options.prefix.as_deref().is_none_or(ends)
}

/// Whether some successive parts of a dotted prefix are `name`.
fn has_part(prefix: &str, name: &str) -> bool {
    endings(prefix)
        .any(|(_, rest)| rest.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// A network among several of a file, by its place in the list of them.
pub(super) struct Choice {
    pub(super) taken: usize,
    /// The other whole networks, and whether they have the same numbers.
    pub(super) others: Vec<(usize, bool)>,
}

/// Chooses among places that hold a whole network; `what` names the network of a place, in case of an error.
///
/// # Errors
/// None is where the options ask for it; or several are as good and have other numbers.
pub(super) fn choose(
    file: &WeightFile,
    whole: &[Place<'_>],
    options: &ImportOptions,
    what: impl Fn(usize) -> String,
) -> Result<Option<Choice>> {
    let listed = |of: &[usize]| of.iter().map(|&at| (whole[at].prefix.to_owned(), what(at))).collect::<Vec<_>>();
    let all: Vec<usize> = (0..whole.len()).collect();
    let meant: Vec<usize> = all.iter().copied().filter(|&at| asked(whole[at].prefix, options)).collect();
    if meant.is_empty() {
        let words = [&options.dictionary, &options.prefix];
        let asked = words.iter().filter_map(|word| word.as_deref()).collect::<Vec<_>>().join(" and ");
        if asked.is_empty() || whole.is_empty() {
            return Ok(None);
        }
        return Err(Error::NoSuchPlace { path: file.path().to_owned(), asked, networks: listed(&all) });
    }
    // A prefix that is meant to the letter goes before one that only ends so.
    let exact = |at: &usize| {
        options.prefix.as_deref().is_some_and(|p| whole[*at].prefix.trim_end_matches('.') == p.trim_end_matches('.'))
    };
    let rank = |at: &usize| (!exact(at), whole[*at].rank(options));
    let best = meant.iter().map(rank).min();
    let best: Vec<usize> = meant.iter().copied().filter(|at| Some(rank(at)) == best).collect();
    let taken = best[0];
    let same = |at: usize| what(at) == what(taken) && whole[at].equals(&whole[taken], file);
    if best.iter().any(|&at| !same(at)) {
        return Err(Error::Ambiguous { path: file.path().to_owned(), networks: listed(&best) });
    }
    let others = all.into_iter().filter(|&at| at != taken).map(|at| (at, same(at))).collect();
    Ok(Some(Choice { taken, others }))
}

/// The place with the most of a network, where none holds the whole.
pub(super) fn closest<'p, 'f>(places: &'p [Place<'f>], options: &ImportOptions) -> Option<&'p Place<'f>> {
    let meant = places.iter().filter(|place| asked(place.prefix, options));
    meant.min_by_key(|place| {
        (std::cmp::Reverse(place.fitting), std::cmp::Reverse(place.found.len()), place.rank(options), place.first)
    })
}
