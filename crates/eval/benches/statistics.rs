//! The bootstrap beside scikit-learn's loop, in the same run on the same data.
//!
//! MOCO_CXR_PYTHON=python3 cargo bench -p moco-cxr-eval --no-default-features --bench statistics
//!
//! The Python needs scikit-learn and SciPy; without it only our times are printed.
#![allow(clippy::print_stdout, clippy::unwrap_used, unreachable_pub, dead_code)]

#[path = "../tests/golden/inputs.rs"]
mod inputs;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use eval::{Bootstrap, Cohort, Evaluation, Metric, Row, Scores, Stamp, Table, Unit};
use ndarray::Array2;

const WORKLOADS: [&str; 2] = ["500 paired replicates x 5 draws x n = 500", "100 replicates x 14 tasks x n = 25,000"];
const TASKS: usize = 14;
const ROWS: usize = 25_000;

fn main() {
    let (paired_auroc, paired) = paired();
    let (tasks_auroc, tasks) = many_tasks();
    let ours = [times(&*paired), times(&*tasks)];
    let theirs = scikit_learn(&[paired_auroc, tasks_auroc]);

    let mut table = Table::new(["workload", "scikit-learn", "ours, 1 thread", "ratio", "ours, all threads", "ratio"]);
    for (row, workload) in WORKLOADS.iter().enumerate() {
        let (one, all) = ours[row];
        let seconds = theirs.as_ref().map(|theirs| theirs[row]);
        let show = |value: f64| if value < 0.1 { format!("{:.2} ms", value * 1e3) } else { format!("{value:.2} s") };
        let ratio = |ours: f64| seconds.map_or("-".to_owned(), |theirs| format!("{:.0}x", theirs / ours));
        let theirs = seconds.map_or("-".to_owned(), show);
        table.push([(*workload).to_owned(), theirs, show(one), ratio(one), show(all), ratio(all)]);
    }
    println!("{} threads\n\n{}", rayon::current_num_threads(), table.to_markdown());
}

/// Seconds of the fastest of nine runs on one thread and on all: the run that other programs disturbed least.
fn times(work: &(dyn Fn() + Sync)) -> (f64, f64) {
    let fastest = || {
        work(); // warm caches and the thread pool
        let seconds = (0..9).map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        });
        seconds.fold(f64::INFINITY, f64::min)
    };
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    (one.install(fastest), fastest())
}

fn model(case: u64, labels: &[bool], stream: u64, strength: f64) -> Vec<f64> {
    let u = inputs::uniform(case, stream, labels.len());
    let shift = |label: bool| if label { strength } else { 0.0 };
    u.iter().zip(labels).map(|(u, label)| ((u + shift(*label)) * 4096.0).floor() / 4096.0).collect()
}

fn labels(case: u64, n: usize, prevalence: f64) -> Vec<bool> {
    inputs::uniform(case, 1, n).into_iter().map(|u| u < prevalence).collect()
}

/// The paper's comparison of two models; sorting the scores is part of the work. With the first AUROC as a check.
fn paired() -> (f64, Box<dyn Fn() + Sync>) {
    let truth = labels(7000, 500, 0.3);
    let draws = |first_stream: u64, strength: f64| -> Vec<Vec<f64>> {
        (0..5).map(|draw| model(7000, &truth, first_stream + draw, strength)).collect()
    };
    let (first, second) = (draws(10, 0.5), draws(30, 0.3));
    let auroc = eval::auroc(&truth, &first[0], None).unwrap();
    let cohort = Cohort::independent(truth).unwrap();
    let work = move || {
        std::hint::black_box(Bootstrap::paper(0).paired(&cohort, &first, &second, Metric::Auroc).unwrap());
    };
    (auroc, Box::new(work))
}

/// Fourteen tasks with row-wise percentile intervals, as scikit-learn's side does them.
fn many_tasks() -> (f64, Box<dyn Fn() + Sync>) {
    let truth: Vec<Vec<bool>> = (0..TASKS).map(|t| labels(7100 + t as u64, ROWS, 0.1 + 0.02 * t as f64)).collect();
    let scored: Vec<Vec<f64>> = (0..TASKS).map(|t| model(7100 + t as u64, &truth[t], 10, 0.4)).collect();
    let auroc = eval::auroc(&truth[0], &scored[0], None).unwrap();
    let rows = (0..ROWS).map(|row| Row {
        path: row.to_string(),
        patient: row.to_string(),
        study: row.to_string(),
        ..Row::default()
    });
    let names = (0..TASKS).map(|task| task.to_string()).collect();
    let label = Array2::from_shape_fn((ROWS, TASKS), |(row, task)| f64::from(u8::from(truth[task][row])));
    let score = Array2::from_shape_fn((ROWS, TASKS), |(row, task)| scored[task][row]);
    let scores = [Scores::new(names, rows.collect(), label, score).unwrap()];
    let bootstrap = Bootstrap { unit: Unit::Row, replicates: 100, ..Bootstrap::default() };
    let evaluation = Evaluation { metrics: vec![Metric::Auroc], bootstrap, ..Evaluation::default() };
    let work = move || {
        std::hint::black_box(evaluation.run(&scores, Stamp::default()).unwrap());
    };
    (auroc, Box::new(work))
}

/// Seconds of the same workloads with scikit-learn, after a check that the data are the same.
fn scikit_learn(aurocs: &[f64]) -> Option<Vec<f64>> {
    let python = std::env::var("MOCO_CXR_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/statistics_sklearn.py");
    let output = Command::new(&python).arg(script).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        println!("{python} has no scikit-learn (set MOCO_CXR_PYTHON): only our times follow");
        return None;
    };
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("scikit-learn beside it: {}", report["versions"]);
    let numbers = |name: &str| -> Vec<f64> {
        report[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    for (ours, theirs) in aurocs.iter().zip(numbers("first_auroc")) {
        assert!((ours - theirs).abs() < 1e-12, "the two sides do not have the same data: {ours} and {theirs}");
    }
    Some(numbers("seconds"))
}
