//! Words for parts, in the spellings of folders, files and columns.

use super::Part;

/// The part that a word means: `training`, `val`, `validate`, `TEST` and so on.
pub(crate) fn part(word: &str) -> Option<Part> {
    match word.trim().to_lowercase().as_str() {
        "train" | "training" | "trn" => Some(Part::Train),
        "val" | "valid" | "validation" | "validate" | "dev" => Some(Part::Valid),
        "test" | "testing" | "tst" => Some(Part::Test),
        _ => None,
    }
}

/// Names of columns that say to which part a row belongs, without case and punctuation.
pub(crate) const SPLIT: [&str; 7] = ["split", "subset", "partition", "set", "phase", "datasetsplit", "part"];

/// Lower case, letters and digits only.
pub(crate) fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
