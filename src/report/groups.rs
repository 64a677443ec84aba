//! AUROC by subgroup: sex, age, projection, view.

use eval::{Evaluation, Metric, ResultRow, Subgroup, chart::escape, subgroups};

use super::{
    definitions::term,
    evaluation::{Evaluations, TaskScores},
    page::{DataTable, Section, interval},
};

const DIVISIONS: [(Subgroup, &str); 4] = [
    (Subgroup::Sex, "sex"),
    (Subgroup::AgeBand, "age, years"),
    (Subgroup::Projection, "projection"),
    (Subgroup::View, "view"),
];

impl Evaluations {
    /// The section of the page.
    pub(super) fn groups_section(&self) -> Section {
        let lead = format!(
            "{} with its {} in each group of rows; below it, the number of positive rows out of all. With many groups, some \
             differ by chance alone, and small groups have wide intervals.",
            term("AUROC"),
            term("95 % interval")
        );
        let body = if self.tasks.is_empty() { Err(Self::missing()) } else { self.groups_body() };
        Section { id: "subgroups", title: "Subgroups", lead, body }
    }

    fn groups_body(&self) -> Result<String, String> {
        let mut html = String::new();
        let mut sources: Vec<&str> = self.tasks.iter().map(|t| t.source.as_str()).collect();
        sources.dedup();
        for source in &sources {
            let tasks: Vec<&TaskScores> = self.tasks.iter().filter(|t| t.source == *source).collect();
            let caption =
                if sources.len() > 1 { format!("AUROC by subgroup, {source}") } else { "AUROC by subgroup".to_owned() };
            let mut table = DataTable::new(&caption).text("group");
            for task in &tasks {
                table = table.numbers(&escape(&task.task));
            }
            let mut any = false;
            for (by, name) in DIVISIONS {
                let columns: Vec<Vec<ResultRow>> = tasks.iter().map(|task| self.of(task, by)).collect();
                let values = values(&columns);
                // A single group, known or not, is no division.
                if values.len() < 2 {
                    continue;
                }
                any = true;
                for value in values {
                    let cell = |rows: &Vec<ResultRow>| cell(rows.iter().find(|row| is(row, &value)));
                    let head = format!("<span class=\"over\">{name}</span> {}", escape(&value));
                    table.push(std::iter::once(head).chain(columns.iter().map(cell)));
                }
            }
            if any {
                html.push_str(&table.to_html());
            }
        }
        if html.is_empty() {
            let missing =
                "The predictions have no sex, age, projection or view column with at least two different values.";
            return Err(missing.to_owned());
        }
        Ok(html)
    }

    fn of(&self, task: &TaskScores, by: Subgroup) -> Vec<ResultRow> {
        let evaluation = Evaluation {
            metrics: vec![Metric::Auroc],
            bootstrap: self.bootstrap.clone(),
            delong: false,
            calibration_bins: None,
        };
        // The settings were checked before; a group without an AUROC is a row with the reason.
        subgroups(&evaluation, std::slice::from_ref(&task.scores), by).unwrap_or_default()
    }
}

fn is(row: &ResultRow, value: &str) -> bool {
    row.group.as_ref().is_some_and(|group| group.value == value)
}

/// Values of all columns, in the order in which they first appear.
fn values(columns: &[Vec<ResultRow>]) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for group in columns.iter().flatten().filter_map(|row| row.group.as_ref()) {
        if !values.contains(&group.value) {
            values.push(group.value.clone());
        }
    }
    values
}

fn cell(row: Option<&ResultRow>) -> String {
    let Some(row) = row else { return "–".to_owned() };
    let counts = format!("<span class=\"under\">{} of {}</span>", row.positives, row.n);
    match (&row.interval, &row.undefined) {
        (Some(found), _) => format!("{}{counts}", interval(found)),
        (None, reason) => {
            let reason = reason.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("<span title=\"{}\">not defined</span>{counts}", escape(&reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::evaluation::tests::predictions, *};
    use eval::{Bootstrap, read_predictions};

    #[test]
    fn columns_with_one_value_are_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("predictions.csv");
        std::fs::write(&file, predictions(60, "Edema")).expect("written");
        let scores = read_predictions(&file).expect("scores");
        let task = TaskScores { source: "eval".into(), task: "Edema".into(), scores, conditions: String::new() };
        let bootstrap = Bootstrap { replicates: 50, ..Bootstrap::default() };
        let found = Evaluations { fractions: Vec::new(), tasks: vec![task], bootstrap };
        let html = found.groups_section().body.expect("a body");
        assert!(html.contains("Female") && html.contains("18-39") && html.contains("10 of 30"), "{html}");
        assert!(!html.contains("projection</span>") && !html.contains("view</span>"), "{html}");
    }
}
