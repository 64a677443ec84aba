//! Whether a 95 % interval holds the truth 95 times in 100, on patients whose images are alike.
//!
//! 2,000 simulated test sets of 200 patients for each prevalence; the AUROC is known because the scores are binormal.
//! `cargo run --release -p moco-cxr-eval --no-default-features --example coverage` prints the numbers of
//! `docs/results/statistics.md`.

#![allow(clippy::print_stdout)]

#[path = "../examples/simulation/mod.rs"]
mod simulation;

use simulation::{Coverage, coverage};

const SIMULATIONS: usize = 2000;

fn check(prevalence: f64) {
    // 400 replicates, fewer than the example's: enough for the 2.5 % quantiles, and the test stays within seconds.
    let Coverage { clustered, unclustered, .. } = coverage(prevalence, SIMULATIONS, 400, 1);
    println!("prevalence {prevalence}: clustered {clustered:.4}, unclustered {unclustered:.4}");
    // 93 to 97 %; the standard error of a coverage of 95 % over 2,000 simulations is 0.5 %.
    assert!((0.93..=0.97).contains(&clustered), "clustered interval covers {clustered}");
    // Images of a patient correlate at 0.7: ignoring it costs far more than the simulation's error.
    assert!(unclustered < 0.90, "unclustered interval covers {unclustered}");
}

#[test]
fn clustered_intervals_cover_at_prevalence_one_fifth() {
    check(0.2);
}

#[test]
fn clustered_intervals_cover_at_prevalence_one_half() {
    check(0.5);
}
