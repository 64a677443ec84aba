//! Results by label fraction for the terminal.

use eval::{Interval, Table};

use eval::{FractionResult, TaskResult};

/// The results as a table with one row per fraction and task.
pub fn results_table(results: &[FractionResult]) -> Table {
    let paired = results.iter().flat_map(|r| &r.tasks).any(|t| t.difference.is_some());
    let columns =
        ["labels", "images", "draws", "task", "AUROC (95 % interval)", "random network", "difference, paired"];
    let mut table = Table::new(columns.into_iter().take(if paired { 7 } else { 5 }));
    let cell = |interval: Option<&Interval>| interval.map_or_else(|| "-".to_owned(), ToString::to_string);
    for FractionResult { fraction, images, draws, tasks } in results {
        for TaskResult { task, auroc, baseline, difference } in tasks {
            table.push([
                format!("{} %", fraction * 100.0),
                format!("{images:.0}"),
                draws.to_string(),
                task.clone(),
                auroc.to_string(),
                cell(baseline.as_ref()),
                cell(difference.as_ref()),
            ]);
        }
    }
    table
}
