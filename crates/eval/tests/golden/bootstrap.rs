//! Interval rules on the index vectors that NumPy used.

use eval::{Bootstrap, Cohort, Metric, Resamples, Rule, Unit};
use serde_json::Value;

use super::{assert_close, inputs, numbers, stats};

struct Case {
    cohort: Cohort,
    first: Vec<Vec<f64>>,
    second: Vec<Vec<f64>>,
    by_row: Resamples,
    by_patient: Resamples,
}

fn case(value: &Value) -> Case {
    let field = |name: &str| value[name].as_u64().unwrap() as usize;
    let (k, n, replicates) = (field("case") as u64, field("n"), field("replicates"));
    let (labels, patients) = inputs::labels_and_patients(k, n);
    let first = inputs::draws(k, &labels, 10, field("draws"), 0.5);
    let second = inputs::draws(k, &labels, 30, field("draws"), 0.3);
    Case {
        cohort: Cohort::new(labels, &patients).unwrap(),
        first,
        second,
        by_row: Resamples::Given(inputs::resamples(k, replicates, n)),
        by_patient: Resamples::Given(inputs::resamples(k + 1000, replicates, field("patients"))),
    }
}

fn triple(interval: &eval::Interval) -> [f64; 3] {
    [interval.estimate, interval.lower, interval.upper]
}

fn all_cases() -> Vec<Value> {
    let stats = stats();
    let mut cases = stats["bootstrap"].as_array().unwrap().clone();
    cases.push(stats["bootstrap_40"].clone());
    cases
}

#[test]
fn the_papers_rule_equals_its_transcription_exactly() {
    for value in all_cases() {
        let case = case(&value);
        let paper = Bootstrap::paper(0);
        let ours = paper.interval_with(&case.cohort, &case.first, Metric::Auroc, &case.by_row).unwrap();
        assert_eq!(triple(&ours).as_slice(), numbers(&value["paper"]));
        let ours = paper.paired_with(&case.cohort, &case.first, &case.second, Metric::Auroc, &case.by_row).unwrap();
        assert_eq!(triple(&ours).as_slice(), numbers(&value["paper_paired"]));
    }
}

#[test]
fn the_papers_rule_on_scikit_learns_auroc_gives_the_same_printed_numbers() {
    for value in all_cases() {
        let case = case(&value);
        let ours = Bootstrap::paper(0).interval_with(&case.cohort, &case.first, Metric::Auroc, &case.by_row).unwrap();
        for (ours, sklearn) in triple(&ours).into_iter().zip(numbers(&value["paper_sklearn"])) {
            // scikit-learn integrates trapezoids in f64; a mean of 8 AUROCs in [0, 1] is good to a few ulps.
            assert_close("paper's rule", ours, sklearn, 1e-15 * 8.0);
            assert_eq!(format!("{ours:.3}"), format!("{sklearn:.3}"));
        }
    }
}

#[test]
fn clustered_rules_equal_their_transcriptions() {
    for value in all_cases() {
        let case = case(&value);
        assert_eq!(case.cohort.patient_count() as u64, value["patients"].as_u64().unwrap());
        // Percentile: np.quantile interpolates with another expression (last bit). BCa: SciPy's and statrs's normal
        // quantiles agree to 1e-15 relative, times the spacing of the replicates (below 0.01).
        for (rule, name, tolerance) in [(Rule::Percentile, "percentile", 2e-16), (Rule::Bca, "bca", 1e-13)] {
            let settings = Bootstrap { rule, unit: Unit::Patient, ..Bootstrap::default() };
            let ours = settings.interval_with(&case.cohort, &case.first, Metric::Auroc, &case.by_patient).unwrap();
            for (ours, reference) in triple(&ours).into_iter().zip(numbers(&value[name])) {
                assert_close(name, ours, reference, tolerance);
            }
        }
    }
}
