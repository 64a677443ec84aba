//! The value of `--shard`.

use std::{fmt, ops::Range, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// One of several equal parts of a command's work, such as `3/16`: the third of sixteen, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    number: usize,
    of: usize,
}

impl Shard {
    /// Number of this part, from 1.
    #[must_use]
    pub fn number(self) -> usize {
        self.number
    }

    /// Number of parts.
    #[must_use]
    pub fn of(self) -> usize {
        self.of
    }

    /// Places of this part among `n`, which are worked on in batches: whole batches, the same ones as without shards. There may
    /// be none.
    #[must_use]
    pub fn range(self, n: usize, batch_size: usize) -> Range<usize> {
        let batches = n.div_ceil(batch_size.max(1));
        let at = |number: usize| (batches * number / self.of * batch_size).min(n);
        at(self.number - 1)..at(self.number)
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fault = || Error::Setting {
            key: "shard".into(),
            found: format!("{text:?}"),
            expected: "NUMBER/SHARDS with a number from 1, such as 3/16 for the third of sixteen".into(),
        };
        let (number, of) = text.split_once('/').ok_or_else(fault)?;
        let (number, of) = (number.trim().parse().map_err(|_| fault())?, of.trim().parse().map_err(|_| fault())?);
        // So that products with numbers of images stay in range.
        if (1..=of).contains(&number) && of <= 1 << 20 { Ok(Self { number, of }) } else { Err(fault()) }
    }
}

impl TryFrom<String> for Shard {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_disjoint_and_all_there_is_in_whole_batches() {
        for (n, batch, of) in [(1000, 64, 16), (63, 64, 3), (0, 64, 2), (64, 1, 64), (101, 7, 5), (10, 3, 40)] {
            let mut next = 0;
            for number in 1..=of {
                let range = Shard { number, of }.range(n, batch);
                assert_eq!(range.start, next);
                assert!(range.start.is_multiple_of(batch) || range.is_empty());
                next = range.end;
            }
            assert_eq!(next, n);
        }
    }

    #[test]
    fn what_is_no_shard_is_refused_with_an_example() {
        for text in ["0/4", "5/4", "3", "a/b", "1/0", "", "-1/2", "1/9999999"] {
            let fault = text.parse::<Shard>().unwrap_err().to_string();
            assert!(fault.contains("3/16"), "{fault}");
        }
        assert_eq!("3/16".parse::<Shard>().unwrap().to_string(), "3/16");
    }
}
