//! Results by label fraction: the numbers of the bootstrap itself, and the file format.
#![allow(clippy::unwrap_used)]

use eval::{
    Bootstrap, Cohort, Evaluation, FractionResult, Metric, Row, Rule, Scores, Stamp, TaskResult, TaskScores, Undefined,
};
use ndarray::Array2;

const TASKS: [&str; 3] = ["Edema", "Cardiomegaly", "Fracture"];

/// One label draw of a model: 90 rows of 30 patients, scores that follow the labels with this strength. With `masked`,
/// the first task lacks the labels of two patients.
fn draw(strength: f64, step: usize, masked: bool) -> Scores {
    let rows = (0..90).map(|row| Row {
        path: format!("{row}.png"),
        patient: (row / 3).to_string(),
        study: row.to_string(),
        ..Row::default()
    });
    let positive = |row: usize, task: usize| (row * (task + 2)).is_multiple_of(5) || row % 7 == task;
    let labels = Array2::from_shape_fn((90, 3), |(row, task)| match (masked, task, row) {
        (true, 0, 0..6) => f64::NAN,
        _ => f64::from(u8::from(positive(row, task))),
    });
    let scores = Array2::from_shape_fn((90, 3), |(row, task)| {
        ((row + task) * step % 89) as f64 / 89.0 + if positive(row, task) { strength } else { 0.0 }
    });
    Scores::new(TASKS.map(str::to_owned).to_vec(), rows.collect(), labels, scores).unwrap()
}

fn arms(masked: bool) -> (Vec<Scores>, Vec<Scores>) {
    (vec![draw(0.5, 17, masked), draw(0.4, 23, masked)], vec![draw(0.2, 31, masked), draw(0.1, 37, masked)])
}

fn columns(arm: &[Scores]) -> Vec<(Cohort, Vec<Vec<f64>>)> {
    TASKS.iter().map(|task| Scores::cohort_of_draws(arm, task).unwrap()).collect()
}

fn evaluated(bootstrap: &Bootstrap, model: &[Scores]) -> eval::Results {
    Evaluation { bootstrap: bootstrap.clone(), ..Evaluation::default() }.run(model, Stamp::default()).unwrap()
}

#[test]
fn every_interval_equals_that_of_the_bootstrap_alone() {
    for rule in [Rule::Percentile, Rule::Bca, Rule::Paper] {
        for masked in [false, true] {
            let bootstrap = Bootstrap { rule, replicates: 200, seed: 3, ..Bootstrap::default() };
            let (model, baseline) = arms(masked);
            let results = evaluated(&bootstrap, &model);
            let found = FractionResult::new(0.1, 12.5, &results, &model, Some(&baseline)).unwrap();
            assert_eq!((found.fraction, found.draws, found.images), (0.1, 2, 12.5));
            let (first, second) = (columns(&model), columns(&baseline));
            for (place, task) in TASKS.iter().enumerate() {
                let (cohort, ours) = &first[place];
                let theirs = &second[place].1;
                let result = &found.tasks[place];
                assert_eq!(result.task, *task);
                assert_eq!(result.auroc, bootstrap.interval(cohort, ours, Metric::Auroc).unwrap());
                assert_eq!(result.baseline, Some(bootstrap.interval(cohort, theirs, Metric::Auroc).unwrap()));
                assert_eq!(result.difference, Some(bootstrap.paired(cohort, ours, theirs, Metric::Auroc).unwrap()));
            }
            // The mean needs the same rows in every task and has a percentile interval only.
            if masked || rule != Rule::Percentile {
                assert_eq!(found.tasks.len(), 3);
                continue;
            }
            let both: Vec<TaskScores<'_>> =
                (0..3).map(|i| TaskScores { cohort: &first[i].0, first: &first[i].1, second: &second[i].1 }).collect();
            let swapped: Vec<TaskScores<'_>> =
                (0..3).map(|i| TaskScores { cohort: &first[i].0, first: &second[i].1, second: &first[i].1 }).collect();
            let mean = &found.tasks[3];
            assert_eq!(mean.task, "mean");
            assert_eq!(mean.auroc, bootstrap.mean_over_tasks(&both, Metric::Auroc).unwrap());
            assert_eq!(mean.baseline, Some(bootstrap.mean_over_tasks(&swapped, Metric::Auroc).unwrap()));
            assert_eq!(mean.difference, Some(bootstrap.paired_mean_over_tasks(&both, Metric::Auroc).unwrap()));
        }
    }
}

#[test]
fn without_a_baseline_there_is_no_difference_and_one_task_has_no_mean() {
    let bootstrap = Bootstrap { replicates: 100, ..Bootstrap::default() };
    let (model, _) = arms(false);
    let found = FractionResult::new(1.0, 90.0, &evaluated(&bootstrap, &model), &model, None).unwrap();
    assert!(found.tasks.len() == 4 && found.tasks.iter().all(|t| t.baseline.is_none() && t.difference.is_none()));
    let one: Vec<Scores> = model.iter().map(|draw| draw.select_tasks(&["Edema"]).unwrap()).collect();
    let found = FractionResult::new(1.0, 90.0, &evaluated(&bootstrap, &one), &one, None).unwrap();
    assert_eq!(found.tasks.len(), 1);
    // The keys of `linear.json` and their order.
    let json = serde_json::to_string(&found).unwrap();
    assert!(
        json.starts_with(r#"{"fraction":1.0,"draws":2,"images":90.0,"tasks":[{"task":"Edema","auroc":{"#),
        "{json}"
    );
    assert!(json.ends_with(r#""baseline":null,"difference":null}]}"#), "{json}");
    assert_eq!(serde_json::from_str::<FractionResult>(&json).unwrap(), found);
}

#[test]
fn the_table_says_what_its_intervals_hold() {
    let bootstrap = Bootstrap { replicates: 100, ..Bootstrap::default() };
    let (model, baseline) = arms(false);
    let two = FractionResult::new(0.1, 12.5, &evaluated(&bootstrap, &model), &model, Some(&baseline)).unwrap();
    let one = FractionResult::new(1.0, 90.0, &evaluated(&bootstrap, &model[..1]), &model[..1], Some(&baseline[..1]));
    let table = FractionResult::table(&[two.clone(), one.unwrap()]);
    assert_eq!(table.columns().last().unwrap(), "interval holds");
    let [first, mean, last] = [0, 3, 7].map(|row| table.rows()[row].last().unwrap());
    assert_eq!([first, mean, last], ["patients and 2 draws", "patients and 2 draws", "patients"]);
    // What is printed is the wider pair of limits; the difference of a draw is paired.
    let TaskResult { auroc, difference, .. } = &two.tasks[0];
    let (lower, upper) = auroc.limits();
    assert!(lower < auroc.lower && upper > auroc.upper);
    assert_eq!(table.rows()[0][4], format!("{:.3} ({lower:.3}, {upper:.3})", auroc.estimate));
    let of = |draw: &Scores, rows: &str| {
        evaluated(&bootstrap, std::slice::from_ref(draw)).of_task(rows).rows[0].interval.clone()
    };
    let value = |draw: &Scores| of(draw, "Edema").unwrap().estimate;
    let paired = [0, 1].map(|draw| value(&model[draw]) - value(&baseline[draw]));
    let spread = (paired[0] - paired[1]).abs() / 2.0_f64.sqrt(); // the deviation of two numbers
    assert!((difference.as_ref().unwrap().with_draws.as_ref().unwrap().between_draws - spread).abs() < 1e-12);
    // The paper's intervals stay the paper's.
    let paper = Bootstrap { replicates: 100, ..Bootstrap::paper(0) };
    let found = FractionResult::new(0.1, 12.5, &evaluated(&paper, &model), &model, None).unwrap();
    assert!(found.tasks.iter().all(|task| task.auroc.with_draws.is_none()));
}

#[test]
fn an_undefined_auroc_names_its_task() {
    let bootstrap = Bootstrap { replicates: 100, ..Bootstrap::default() };
    let scores = draw(0.5, 17, false);
    let mut labels = scores.labels().to_owned();
    labels.column_mut(1).fill(0.0);
    let tasks = scores.tasks().to_vec();
    let model = [Scores::new(tasks, scores.rows().to_vec(), labels, scores.scores().to_owned()).unwrap()];
    let error = FractionResult::new(1.0, 90.0, &evaluated(&bootstrap, &model), &model, None).unwrap_err();
    assert_eq!(error.undefined_reason(), Some(&Undefined::NoPositives { negatives: 90 }));
    assert!(error.to_string().starts_with("AUROC of Cardiomegaly is undefined: no positive rows"), "{error}");
    let only_auprc = Evaluation { metrics: vec![Metric::Auprc], bootstrap, ..Evaluation::default() };
    let results = only_auprc.run(&model, Stamp::default()).unwrap();
    let error = FractionResult::new(1.0, 90.0, &results, &model, None).unwrap_err().to_string();
    assert!(error.contains("no AUROC of task \"Edema\""), "{error}");
}

#[test]
fn the_results_of_a_task_are_those_of_its_scores_alone() {
    let bootstrap = Bootstrap { replicates: 100, ..Bootstrap::default() };
    let (model, _) = arms(true);
    let all = evaluated(&bootstrap, &model);
    for task in TASKS {
        let alone: Vec<Scores> = model.iter().map(|draw| draw.select_tasks(&[task]).unwrap()).collect();
        assert_eq!(all.of_task(task), evaluated(&bootstrap, &alone));
    }
}
