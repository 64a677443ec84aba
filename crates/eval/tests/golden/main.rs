//! Statistics against scikit-learn, NumPy transcriptions, and DeLong's definition, algorithm and results as published.
//!
//! Made by `python golden/generate.py stats asah` (`golden/make_stats.py`, `make_asah.py`); inputs that a formula makes are
//! not stored.
#![allow(clippy::unwrap_used)]

mod bootstrap;
mod delong;
mod inputs;
mod points;
mod sklearn;

/// Asserts |a - b| <= tolerance and says what differed.
fn assert_close(what: &str, ours: f64, reference: f64, tolerance: f64) {
    assert!((ours - reference).abs() <= tolerance, "{what}: {ours} and {reference} differ by {:e}", ours - reference);
}

fn stats() -> serde_json::Value {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/stats/stats.json"));
    serde_json::from_str(text).unwrap()
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}
