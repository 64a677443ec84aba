//! Simulated test sets with a known AUROC and patients with several, correlated images.
//!
//! Binormal: image j of patient i scores mu y_i + sqrt(rho) b_i + sqrt(1 - rho) e_ij with standard normal b and e, so a
//! positive image beats a negative one of another patient with probability Phi(mu / sqrt 2), whatever rho. A patient has
//! one to five images and one label.
#![allow(dead_code, unreachable_pub)] // shared by a test and an example, which use different parts

use eval::{Bootstrap, Cohort, Interval, Metric, Rule, Unit, delong};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

pub const PATIENTS: usize = 200;
/// Correlation of two images of a patient, given its label.
pub const CORRELATION: f64 = 0.7;
/// Distance of the classes: an AUROC of about 0.8.
pub const SEPARATION: f64 = 1.19;
/// Phi(1.19 / sqrt 2), from scipy.stats.norm.cdf.
pub const TRUE_AUROC: f64 = 0.7999540371673164;

/// Shares of simulations whose interval holds the true AUROC.
pub struct Coverage {
    pub clustered: f64,
    pub clustered_bca: f64,
    pub clustered_delong: f64,
    pub unclustered: f64,
    pub unclustered_delong: f64,
    /// Mean width of the clustered and of the unclustered percentile interval.
    pub widths: (f64, f64),
}

pub fn coverage(prevalence: f64, simulations: usize, replicates: usize, seed: u64) -> Coverage {
    let settings = |rule, unit| Bootstrap { rule, unit, replicates, ..Bootstrap::default() };
    let intervals: Vec<[Interval; 5]> = (0..simulations)
        .into_par_iter()
        .map(|simulation| {
            let (cohort, scores) = test_set(prevalence, seed, simulation as u64);
            let draws = [scores];
            let of = |rule, unit| settings(rule, unit).interval(&cohort, &draws, Metric::Auroc).expect("both classes");
            let normal = |unit| delong(&cohort, &draws, unit, 0.95).expect("both classes");
            [
                of(Rule::Percentile, Unit::Patient),
                of(Rule::Bca, Unit::Patient),
                normal(Unit::Patient),
                of(Rule::Percentile, Unit::Row),
                normal(Unit::Row),
            ]
        })
        .collect();
    let share = |which: usize| {
        let holding = intervals.iter().filter(|intervals| intervals[which].contains(TRUE_AUROC)).count();
        holding as f64 / simulations as f64
    };
    let width = |which: usize| {
        intervals.iter().map(|intervals| intervals[which].upper - intervals[which].lower).sum::<f64>()
            / simulations as f64
    };
    Coverage {
        clustered: share(0),
        clustered_bca: share(1),
        clustered_delong: share(2),
        unclustered: share(3),
        unclustered_delong: share(4),
        widths: (width(0), width(3)),
    }
}

/// Standard deviation over label draws of the distance of the classes, and the true mean AUROC over draws: with
/// mu + s z for a standard normal z it is Phi(mu / sqrt(2 + s^2)), from scipy.stats.norm.cdf(1.19 / 2.36 ** 0.5).
pub const DRAW_SPREAD: f64 = 0.6;
pub const TRUE_MEAN_AUROC: f64 = 0.7807190703177973;

/// Shares of simulations whose interval holds the true mean AUROC over label draws: patients alone, patients and draws; and
/// how wide the second is, on average, to the first.
pub fn coverage_of_draws(draws: usize, simulations: usize, replicates: usize, seed: u64) -> (f64, f64, f64) {
    let settings = Bootstrap { replicates, ..Bootstrap::default() };
    let intervals: Vec<Interval> = (0..simulations)
        .into_par_iter()
        .map(|simulation| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(simulation as u64);
            let labels: Vec<bool> = (0..PATIENTS).map(|patient| patient % 5 < 2).collect();
            // The heads of all draws see the same images, whose noise they have half in common.
            let common: Vec<f64> = labels.iter().map(|_| normal(&mut rng)).collect();
            let of_draw = |rng: &mut ChaCha8Rng| -> Vec<f64> {
                let separation = SEPARATION + DRAW_SPREAD * normal(rng);
                let own = labels.iter().map(|_| normal(rng)).collect::<Vec<_>>();
                let noise = common.iter().zip(own).map(|(common, own)| (common + own) / 2.0_f64.sqrt());
                labels.iter().zip(noise).map(|(&label, noise)| if label { separation + noise } else { noise }).collect()
            };
            let scores: Vec<Vec<f64>> = (0..draws).map(|_| of_draw(&mut rng)).collect();
            let cohort = Cohort::independent(labels).expect("few rows");
            settings.interval(&cohort, &scores, Metric::Auroc).expect("both classes")
        })
        .collect();
    let of = |limits: &dyn Fn(&Interval) -> (f64, f64)| {
        let inside = intervals.iter().map(limits).filter(|(lower, upper)| (*lower..=*upper).contains(&TRUE_MEAN_AUROC));
        let width = intervals.iter().map(limits).map(|(lower, upper)| upper - lower).sum::<f64>();
        (inside.count() as f64 / simulations as f64, width)
    };
    let (patients, narrow) = of(&|interval| (interval.lower, interval.upper));
    let (both, wide) = of(&Interval::limits);
    (patients, both, wide / narrow)
}

fn test_set(prevalence: f64, seed: u64, simulation: u64) -> (Cohort, Vec<f64>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(simulation);
    let (mut labels, mut patients, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    for patient in 0..PATIENTS {
        let positive = uniform(&mut rng) < prevalence;
        let images = 1 + (uniform(&mut rng) * 5.0) as usize;
        let shared = if positive { SEPARATION } else { 0.0 } + CORRELATION.sqrt() * normal(&mut rng);
        for _ in 0..images {
            labels.push(positive);
            patients.push(patient);
            scores.push(shared + (1.0 - CORRELATION).sqrt() * normal(&mut rng));
        }
    }
    (Cohort::new(labels, &patients).expect("one patient a row"), scores)
}

/// In [0, 1).
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * 2.0_f64.powi(-53)
}

/// Box and Muller.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - uniform(rng)).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(rng)).cos()
}
