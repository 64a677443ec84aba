//! Words for parts, in the spellings of folders, files and columns.

use super::Part;
use crate::vocabulary;

/// Words that may stand beside that of a part: `train_images`, `validation set`, `TrainingData`.
const BESIDE: [&str; 16] = [
    "set", "sets", "image", "images", "img", "imgs", "data", "dataset", "split", "part", "folder", "files", "cxr",
    "xray", "xrays", "labels",
];

/// The part that a word means: `training`, `val`, `validate`, `TEST`, `test_images`, `trainset` and so on.
pub(crate) fn part(word: &str) -> Option<Part> {
    let lower = word.trim().to_lowercase();
    let tokens = lower.split(|c: char| !c.is_alphanumeric()).filter(|token| !token.is_empty());
    let mut parts = tokens.filter(|token| !BESIDE.contains(token)).map(|token| {
        let stem = ["set", "data", "images"].into_iter().find_map(|end| token.strip_suffix(end)).unwrap_or(token);
        match stem {
            "train" | "training" | "trn" => Some(Part::Train),
            "val" | "valid" | "validation" | "validate" | "dev" => Some(Part::Valid),
            "test" | "testing" | "tst" => Some(Part::Test),
            _ => None,
        }
    });
    let found = parts.next()??;
    parts.next().is_none().then_some(found)
}

/// Names of columns that say to which part a row belongs, without case and punctuation.
pub(crate) const SPLIT: [&str; 7] = ["split", "subset", "partition", "set", "phase", "datasetsplit", "part"];

/// Lower case, letters and digits only.
pub(crate) fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether two words name the same finding, in whatever spelling.
pub(crate) fn same_finding(one: &str, other: &str) -> bool {
    vocabulary::same(&plain(one), &plain(other))
}

/// Each finding once, in its first spelling.
pub(crate) fn one_spelling(words: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for word in words {
        if !kept.iter().any(|known| same_finding(known, &word)) {
            kept.push(word);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_many_spellings() {
        for (word, expected) in [
            ("Train ", Some(Part::Train)),
            ("train_images", Some(Part::Train)),
            ("TrainingData", Some(Part::Train)),
            ("validation set", Some(Part::Valid)),
            ("dev", Some(Part::Valid)),
            ("testset", Some(Part::Test)),
            ("test-labels", Some(Part::Test)),
            ("trainer", None),
            ("train_val", None),
            ("train2", None),
            ("train_1", None),
            ("images", None),
            ("", None),
        ] {
            assert_eq!(part(word), expected, "{word}");
        }
    }
}
