//! The report of an import: how every tensor of a weight file was used.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

use super::{file::Format, printable::printable};

/// How one tensor of a file was used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// Used as the network's tensor of this name.
    Taken(String),
    /// Not used, because the options drop this name.
    Dropped(String),
    /// The network's tensor of this name has another shape: found and expected.
    Misshapen {
        /// The network's name.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape in the network.
        expected: Vec<usize>,
    },
    /// Not used, because it does not lie under the network's prefix; with the module that it belongs to.
    Outside(String),
    /// It lies under the network's prefix, the network has no such tensor, and the options do not drop it.
    LeftOver,
}

impl Fate {
    fn dropped_by(&self) -> Option<&str> {
        if let Self::Dropped(by) = self { Some(by) } else { None }
    }

    fn outside_of(&self) -> Option<&str> {
        if let Self::Outside(module) = self { Some(module) } else { None }
    }
}

/// Another place of a file where the whole network is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Prefix of its names.
    pub prefix: String,
    /// Whether it has the same numbers.
    pub same: bool,
}

/// How every tensor of a weight file was used, and which tensors the network lacks.
///
/// `{}` prints a summary, `{:#}` every tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// Prefix removed from the names, `state_dict.module.encoder_q.` or nothing.
    pub prefix: String,
    /// Other places where the whole network is found. The one that was trained is taken, not its average, by the words in
    /// the prefix.
    pub others: Vec<Other>,
    /// Every tensor of the file, in its order.
    pub tensors: Vec<(String, Fate)>,
    /// Tensors of the network that the file lacks.
    pub missing: Vec<String>,
    /// Tensors of the network that the file lacks, as the options allow.
    pub allowed_missing: Vec<String>,
    /// Names and classes of pickled objects in which tensors are hidden; they are not read.
    pub objects: Vec<(String, String)>,
    /// A description of the file, in case it is the wrong one.
    pub looks_like: String,
}

impl Report {
    /// Whether nothing is missing, left over or misshapen.
    pub fn is_complete(&self) -> bool {
        let fits = |fate: &Fate| matches!(fate, Fate::Taken(_) | Fate::Dropped(_) | Fate::Outside(_));
        self.missing.is_empty() && self.tensors.iter().all(|(_, fate)| fits(fate))
    }

    /// Number of tensors taken.
    pub fn taken(&self) -> usize {
        self.tensors.iter().filter(|(_, fate)| matches!(fate, Fate::Taken(_))).count()
    }

    /// Names of the tensors left over.
    pub fn left_over(&self) -> impl Iterator<Item = &str> {
        self.tensors.iter().filter(|(_, fate)| *fate == Fate::LeftOver).map(|(name, _)| name.as_str())
    }

    /// Names which, dropped, would make the import complete: modules beside the network's own. `None` where something is
    /// missing, or is left over within the network, which is then another network.
    pub fn droppable(&self) -> Option<Vec<String>> {
        let module = |name: &str| {
            let name = name.strip_prefix(&self.prefix).unwrap_or(name);
            name.split('.').next().unwrap_or(name).to_owned()
        };
        let misshapen = self.tensors.iter().any(|(_, fate)| matches!(fate, Fate::Misshapen { .. }));
        let taken = self.tensors.iter().filter(|(_, fate)| matches!(fate, Fate::Taken(_)));
        let own: BTreeSet<String> = taken.map(|(name, _)| module(name)).collect();
        let left_over: BTreeSet<String> = self.left_over().map(module).collect();
        let other = misshapen || !self.missing.is_empty() || left_over.is_empty() || !own.is_disjoint(&left_over);
        (!other).then(|| left_over.into_iter().collect())
    }

    fn count<'r>(&'r self, of: fn(&'r Fate) -> Option<&'r str>) -> BTreeMap<&'r str, usize> {
        let mut counts = BTreeMap::new();
        for name in self.tensors.iter().filter_map(|(_, fate)| of(fate)) {
            *counts.entry(name).or_default() += 1;
        }
        counts
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            for (name, fate) in &self.tensors {
                let shown = printable(name);
                match fate {
                    Fate::Taken(as_name) if *as_name == name[self.prefix.len().min(name.len())..] => {
                        writeln!(f, "  taken      {shown}")?;
                    }
                    Fate::Taken(as_name) => writeln!(f, "  taken      {shown} as {as_name}")?,
                    Fate::Dropped(by) => writeln!(f, "  dropped    {shown} (named: {})", printable(by))?,
                    Fate::Outside(module) => writeln!(f, "  outside    {shown} (of {})", printable(module))?,
                    Fate::Misshapen { found, expected, .. } => {
                        writeln!(f, "  misshapen  {shown}: found {found:?}, expected {expected:?}")?;
                    }
                    Fate::LeftOver => writeln!(f, "  left over  {shown}")?,
                }
            }
            for name in &self.missing {
                writeln!(f, "  missing    {name}")?;
            }
            for name in &self.allowed_missing {
                writeln!(f, "  missing    {name} (allowed)")?;
            }
        }
        let path = self.path.display().to_string();
        write!(f, "{} ({}): {} tensors taken", printable(&path), self.format, self.taken())?;
        if !self.prefix.is_empty() {
            write!(f, " from under {:?}", printable(&self.prefix))?;
        }
        for (by, count) in self.count(Fate::dropped_by) {
            write!(f, ", {count} dropped as {:?}", printable(by))?;
        }
        let outside = self.count(Fate::outside_of);
        let tensors = outside.values().sum();
        let outside: Vec<_> = outside.into_iter().map(|(of, count)| format!("{count} of {}", printable(of))).collect();
        list(f, tensors, "outside of it", outside.iter().map(String::as_str))?;
        list(f, self.missing.len(), "missing", self.missing.iter().map(String::as_str))?;
        list(f, self.allowed_missing.len(), "missing as allowed", self.allowed_missing.iter().map(String::as_str))?;
        let left_over: Vec<_> = self.left_over().map(|name| printable(name).into_owned()).collect();
        list(f, left_over.len(), "left over", left_over.iter().map(String::as_str))?;
        let misshapen = self.tensors.iter().filter_map(|(name, fate)| match fate {
            Fate::Misshapen { found, expected, .. } => {
                Some(format!("{} (found {found:?}, expected {expected:?})", printable(name)))
            }
            _ => None,
        });
        let misshapen: Vec<String> = misshapen.collect();
        list(f, misshapen.len(), "of another shape", misshapen.iter().map(String::as_str))?;
        for Other { prefix, same } in &self.others {
            let numbers = if *same { "the same numbers" } else { "other numbers" };
            write!(f, "; not taken: the network under {:?}, with {numbers}", printable(prefix))?;
        }
        if !self.missing.is_empty() {
            for (name, class) in self.objects.iter().take(3) {
                write!(f, "; not read: {}, a pickled {}", printable(name), printable(class))?;
            }
        }
        if !self.is_complete() {
            write!(f, "; the file looks like {}", self.looks_like)?;
        }
        Ok(())
    }
}

/// `, 130 missing (a, b, c, ...)`: how many tensors, and their names, or those of their modules.
fn list<'a>(
    f: &mut fmt::Formatter<'_>,
    tensors: usize,
    what: &str,
    names: impl Iterator<Item = &'a str>,
) -> fmt::Result {
    const SHOWN: usize = 4;
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return Ok(());
    }
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    write!(f, ", {tensors} {what} ({}{more})", names[..names.len().min(SHOWN)].join(", "))
}
