//! `results.json` and `comparison.json`.

use std::hint::black_box;

use eval::{Comparisons, Results, read_stamp_beside};

use super::files::{folder, write};
use crate::Outcome;

pub(crate) fn run(bytes: &[u8]) -> Outcome {
    let path = folder("results").join("results.json");
    write(&path, bytes);
    black_box(read_stamp_beside(&path).is_ok());
    let comparisons = Comparisons::read_json(&path);
    let results = Results::read_json(&path);
    if let Ok(results) = &results {
        black_box(results.table().to_markdown());
    }
    match (results, comparisons) {
        (Err(fault), Err(_)) => Err(fault.to_string()),
        _ => Ok(()),
    }
}
