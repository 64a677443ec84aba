//! The comparison as a readable table.

use eval::Table;

use super::Reproduced;

/// The paper's numbers, ours, and whether ours lie in the paper's intervals; missing numbers with the reason.
pub fn reproduction_table(cells: &[Reproduced]) -> Table {
    let mut table = Table::new(["model", "task", "labels", "paper", "ours", "draws", "inside", "why not"]);
    for cell in cells {
        let [value, lower, upper] = cell.paper;
        let draws = |draws: usize| {
            if draws == cell.paper_draws { draws.to_string() } else { format!("{draws} of {}", cell.paper_draws) }
        };
        table.push([
            cell.what.clone(),
            cell.task.clone(),
            format!("{} %", (cell.fraction * 1e4).round() / 1e2),
            format!("{value:.3} ({lower:.3}, {upper:.3})"),
            cell.ours.as_ref().map_or("-".to_owned(), ToString::to_string),
            cell.draws.map_or(String::new(), draws),
            cell.inside.map_or("-", |inside| if inside { "yes" } else { "no" }).to_owned(),
            cell.missing.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// Initial weights and conditions of our numbers, one line per model and per set of conditions. Empty without results.
pub fn reproduction_conditions(cells: &[Reproduced]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |line: String| {
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    let unknown = "not recorded";
    for cell in cells.iter().filter(|cell| cell.ours.is_some()) {
        for model in &cell.models {
            add(format!("{}: weights {}", model.folder, model.weights.as_deref().unwrap_or(unknown)));
        }
    }
    for (cell, ours) in cells.iter().filter_map(|cell| Some((cell, cell.ours.as_ref()?))) {
        let said = |field: &Option<String>| field.clone().unwrap_or_else(|| unknown.to_owned());
        let protocol = match cell.models.len() {
            1 => format!("protocol {}; ", said(&cell.stamp.protocol)),
            _ => String::new(), // listed with the single models, or deliberately different
        };
        let patients = cell.stamp.patients.as_deref().unwrap_or(unknown);
        let pretraining = cell.stamp.pretraining.as_deref().unwrap_or(unknown);
        let (policy, split, rows) = (said(&cell.stamp.label_policy), said(&cell.stamp.split), said(&cell.stamp.rows));
        add(format!(
            "{}: {protocol}labels {policy}; {split}; rows {rows}; patients {patients}; pretraining images {pretraining}; interval {} over {}",
            cell.what,
            format!("{:?}", ours.method).to_lowercase(),
            ours.holds()
        ));
    }
    lines
}
