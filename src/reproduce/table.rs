//! The table as text for people.

use eval::Table;

use super::Reproduced;

/// The paper, ours, and whether ours is inside; missing cells with their reason.
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

/// What ours was made from and how: a line for each model and each set of conditions. Empty where there is none of ours.
pub fn reproduction_conditions(cells: &[Reproduced]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |line: String| {
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    let unknown = "not written down";
    for cell in cells.iter().filter(|cell| cell.ours.is_some()) {
        for model in &cell.models {
            add(format!("{}: weights {}", model.folder, model.weights.as_deref().unwrap_or(unknown)));
        }
    }
    for (cell, ours) in cells.iter().filter_map(|cell| Some((cell, cell.ours.as_ref()?))) {
        let said = |field: &Option<String>| field.clone().unwrap_or_else(|| unknown.to_owned());
        let protocol = match cell.models.len() {
            1 => format!("protocol {}; ", said(&cell.stamp.protocol)),
            _ => String::new(), // said where its models stand alone, or differing on purpose
        };
        let patients = cell.stamp.patients.as_deref().unwrap_or(unknown);
        let pretraining = cell.stamp.pretraining.as_deref().unwrap_or(unknown);
        let (policy, split, rows) = (said(&cell.stamp.label_policy), said(&cell.stamp.split), said(&cell.stamp.rows));
        add(format!(
            "{}: {protocol}labels {policy}; {split}; rows {rows}; patients {patients}; pretraining images {pretraining}; interval {}",
            cell.what,
            format!("{:?}", ours.method).to_lowercase()
        ));
    }
    lines
}
