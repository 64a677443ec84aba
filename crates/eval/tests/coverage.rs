//! Whether a 95 % interval holds the truth 95 times in 100, on patients whose images are alike.
//!
//! 2,000 simulated test sets of 200 patients for each prevalence; the AUROC is known because the scores are binormal.
//! `cargo run --release -p moco-cxr-eval --no-default-features --example coverage` prints the numbers of
//! `docs/results/statistics.md`.

#![allow(clippy::print_stdout)]

#[path = "../examples/simulation/mod.rs"]
mod simulation;

use simulation::{Coverage, coverage, coverage_of_draws};

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

/// The interval of a mean over five label draws, for other patients and other draws. Draws differ here as they do at 1 % of the
/// labels, by a deviation of about 0.1 in AUROC.
#[test]
fn only_the_limits_with_draws_hold_other_draws() {
    for draws in [3, 5] {
        let (patients, both, wider) = coverage_of_draws(draws, 1000, 200, 2);
        println!("{draws} draws: patients {patients:.4}, patients and draws {both:.4}, {wider:.2} times as wide");
        // The standard error of a coverage of 95 % over 1,000 simulations is 0.7 %; limits that are combined of two at 95 % are
        // a little wide where both sources count.
        assert!((0.93..=0.985).contains(&both), "{draws} draws: limits with draws cover {both}");
        assert!(patients < 0.80, "{draws} draws: limits without draws cover {patients}");
    }
}
