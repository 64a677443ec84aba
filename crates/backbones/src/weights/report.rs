//! The report of an import: how every tensor of a weight file was used.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use super::file::Format;

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
    /// The network has no such tensor, and the options do not drop it.
    LeftOver,
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
    /// Every tensor of the file, in its order.
    pub tensors: Vec<(String, Fate)>,
    /// Tensors of the network that the file lacks.
    pub missing: Vec<String>,
    /// Tensors of the network that the file lacks, as the options allow.
    pub allowed_missing: Vec<String>,
    /// A description of the file, in case it is the wrong one.
    pub looks_like: String,
}

impl Report {
    /// Whether nothing is missing, left over or misshapen.
    pub fn is_complete(&self) -> bool {
        let fits = |fate: &Fate| matches!(fate, Fate::Taken(_) | Fate::Dropped(_));
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

    fn dropped(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for (_, fate) in &self.tensors {
            if let Fate::Dropped(by) = fate {
                *counts.entry(by.as_str()).or_default() += 1;
            }
        }
        counts
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            for (name, fate) in &self.tensors {
                match fate {
                    Fate::Taken(as_name) if *as_name == name[self.prefix.len().min(name.len())..] => {
                        writeln!(f, "  taken      {name}")?;
                    }
                    Fate::Taken(as_name) => writeln!(f, "  taken      {name} as {as_name}")?,
                    Fate::Dropped(by) => writeln!(f, "  dropped    {name} (named: {by})")?,
                    Fate::Misshapen { found, expected, .. } => {
                        writeln!(f, "  misshapen  {name}: found {found:?}, expected {expected:?}")?;
                    }
                    Fate::LeftOver => writeln!(f, "  left over  {name}")?,
                }
            }
            for name in &self.missing {
                writeln!(f, "  missing    {name}")?;
            }
            for name in &self.allowed_missing {
                writeln!(f, "  missing    {name} (allowed)")?;
            }
        }
        write!(f, "{} ({}): {} tensors taken", self.path.display(), self.format, self.taken())?;
        if !self.prefix.is_empty() {
            write!(f, " from under {:?}", self.prefix)?;
        }
        for (by, count) in self.dropped() {
            write!(f, ", {count} dropped as {by:?}")?;
        }
        list(f, "missing", self.missing.iter().map(String::as_str))?;
        list(f, "missing as allowed", self.allowed_missing.iter().map(String::as_str))?;
        list(f, "left over", self.left_over())?;
        let misshapen = self.tensors.iter().filter_map(|(name, fate)| match fate {
            Fate::Misshapen { found, expected, .. } => Some(format!("{name} (found {found:?}, expected {expected:?})")),
            _ => None,
        });
        let misshapen: Vec<String> = misshapen.collect();
        list(f, "of another shape", misshapen.iter().map(String::as_str))?;
        if !self.is_complete() {
            write!(f, "; the file looks like {}", self.looks_like)?;
        }
        Ok(())
    }
}

/// `, 130 missing (a, b, c, ...)`
fn list<'a>(f: &mut fmt::Formatter<'_>, what: &str, names: impl Iterator<Item = &'a str>) -> fmt::Result {
    const SHOWN: usize = 4;
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return Ok(());
    }
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    write!(f, ", {} {what} ({}{more})", names.len(), names[..names.len().min(SHOWN)].join(", "))
}
