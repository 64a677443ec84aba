//! What became of every file below a folder.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Examples that are kept of a reason.
const EXAMPLES: usize = 3;

/// What became of every file below the folder of a data set: taken as an image, read as a table, or left out for a reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Images that are rows of the set.
    pub images: usize,
    /// Tables and lists that were read, relative to the folder.
    pub tables: Vec<String>,
    /// What was left out, by reason; those that a user should look at first.
    pub left_out: Vec<LeftOut>,
}

/// Files left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What they are and why they are left out.
    pub reason: String,
    /// How many; a folder that is passed over as a whole counts once.
    pub files: usize,
    /// The first of them, relative to the folder.
    pub examples: Vec<String>,
    /// Whether it should be looked at: images or tables that were meant to be used may be among them.
    pub warning: bool,
}

impl Account {
    /// Adds a file that is left out.
    pub(crate) fn leave_out(&mut self, warning: bool, reason: &str, file: &str) {
        let found = self.left_out.iter_mut().find(|left| left.reason == reason);
        let left = match found {
            Some(left) => left,
            None => {
                self.left_out.push(LeftOut { reason: reason.into(), files: 0, examples: Vec::new(), warning });
                let last = self.left_out.len() - 1;
                &mut self.left_out[last]
            }
        };
        left.files += 1;
        if left.examples.len() < EXAMPLES {
            left.examples.push(file.into());
        }
    }

    /// Number of files and passed-over folders in all.
    pub fn files(&self) -> usize {
        self.images + self.tables.len() + self.left_out.iter().map(|left| left.files).sum::<usize>()
    }

    /// What was left out and should be looked at.
    pub fn warnings(&self) -> impl Iterator<Item = &LeftOut> {
        self.left_out.iter().filter(|left| left.warning)
    }

    /// Warnings first; each group in the order in which its first file was met.
    pub(crate) fn sorted(mut self) -> Self {
        self.left_out.sort_by_key(|left| !left.warning);
        self
    }

    /// The account of several folders, each file with the name of its folder before it.
    pub(crate) fn joined<'a>(accounts: impl IntoIterator<Item = (&'a str, &'a Account)>) -> Self {
        let mut all = Self::default();
        for (name, account) in accounts {
            let below = |file: &String| format!("{name}/{file}");
            all.images += account.images;
            all.tables.extend(account.tables.iter().map(below));
            for left in &account.left_out {
                match all.left_out.iter_mut().find(|known| known.reason == left.reason) {
                    Some(known) => {
                        known.files += left.files;
                        known.examples.extend(left.examples.iter().map(below));
                        known.examples.truncate(EXAMPLES);
                    }
                    None => all
                        .left_out
                        .push(LeftOut { examples: left.examples.iter().map(below).collect(), ..left.clone() }),
                }
            }
        }
        all.sorted()
    }
}

/// `3 images of kinds that are not read (gif): a.gif, b.gif, ...`
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.files > self.examples.len() { ", ..." } else { "" };
        write!(f, "{} {}: {}{more}", self.files, self.reason, self.examples.join(", "))
    }
}
