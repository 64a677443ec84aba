//! AUROC by the fraction of the labels used: a chart and a table.

use eval::chart::{Axis, Chart, escape, whole};

use super::{
    definitions::term,
    evaluation::Evaluations,
    page::{DataTable, Fact, Section, auroc_heading, figure, figures, interval},
};
use eval::{FractionResult, TaskResult};

impl Evaluations {
    /// AUROC with the largest fraction of labels, for the head of the page.
    pub(super) fn fact(&self) -> Option<Fact> {
        let (kind, results) = self.fractions.first()?;
        let most = results.iter().max_by(|a, b| a.fraction.total_cmp(&b.fraction))?;
        let task = most.tasks.iter().find(|t| t.task == "mean").or_else(|| most.tasks.first())?;
        let what =
            if task.task == "mean" { format!("mean of {} findings", most.tasks.len() - 1) } else { escape(&task.task) };
        Some(Fact {
            name: format!("{}, {}", term("AUROC"), escape(kind)),
            value: format!("{:.3}", task.auroc.estimate),
            detail: format!(
                "{:.3} to {:.3}; {what}, {} of labels",
                task.auroc.limits().0,
                task.auroc.limits().1,
                percent(most.fraction)
            ),
        })
    }

    /// The section of the page.
    pub(super) fn fractions_section(&self) -> Section {
        let lead = format!(
            "{} by the share of training patients whose labels were used. Error bars show the {}. With several label draws, \
             the value is their mean, and the interval also holds other draws from the same training patients.",
            term("AUROC"),
            term("95 % interval")
        );
        let body = if self.fractions.is_empty() { Err(Self::missing()) } else { Ok(self.fractions_body()) };
        Section { id: "fractions", title: "Results by label fraction", lead, body }
    }

    fn fractions_body(&self) -> String {
        let several = self.fractions.len() > 1;
        let one = |(source, results): &(String, Vec<FractionResult>)| {
            let heading = if several { format!("<h3>{}</h3>", escape(source)) } else { String::new() };
            let charts = tasks(results).map(|task| chart(task, results));
            let charts = if results.len() > 1 { figures("grid small", charts) } else { String::new() };
            format!("{heading}{charts}{}", table(results))
        };
        self.fractions.iter().map(one).collect()
    }
}

fn tasks(results: &[FractionResult]) -> impl Iterator<Item = &str> {
    results.first().into_iter().flat_map(|r| r.tasks.iter().map(|t| t.task.as_str()))
}

fn of<'a>(result: &'a FractionResult, task: &str) -> Option<&'a TaskResult> {
    result.tasks.iter().find(|t| t.task == task)
}

/// `10 %`, `0.1 %`.
fn percent(fraction: f64) -> String {
    format!("{} %", (fraction * 1e6).round() / 1e4)
}

fn chart(task: &str, results: &[FractionResult]) -> String {
    let mut results: Vec<&FractionResult> = results.iter().collect();
    results.sort_by(|a, b| a.fraction.total_cmp(&b.fraction));
    let found: Vec<(f64, &TaskResult)> =
        results.iter().zip(0..).filter_map(|(r, i)| Some((f64::from(i), of(r, task)?))).collect();
    let all = found.iter().flat_map(|(_, t)| std::iter::once(&t.auroc).chain(t.baseline.as_ref()));
    let y = Axis::around("AUROC", all.flat_map(|i| <[f64; 2]>::from(i.limits())).chain([0.5]), false);
    let x = Axis::named("labels used", results.iter().map(|r| percent(r.fraction)));
    let paired = found.iter().any(|(_, t)| t.baseline.is_some());
    let labels: &[&str] = if paired { &["pretrained", "random"] } else { &[] };
    let title = if task == "mean" { "Mean of the findings" } else { task };
    let mut chart = Chart::sized(320.0, 260.0, x, y, format!("AUROC by label fraction, {title}")).with_room_for(labels);
    // Slightly apart, so that the error bars do not hide each other.
    let arms: [(&str, f64, usize); 2] = [("random", 0.06, 2), ("pretrained", -0.06, 1)];
    for (name, shift, series) in arms {
        let interval = |t: &'_ TaskResult| if series == 1 { Some(t.auroc.clone()) } else { t.baseline.clone() };
        let points: Vec<(f64, eval::Interval)> =
            found.iter().filter_map(|(x, t)| Some((x + if paired { shift } else { 0.0 }, interval(t)?))).collect();
        let line: Vec<(f64, f64)> = points.iter().map(|(x, i)| (*x, i.estimate)).collect();
        for (x, i) in &points {
            chart.interval(*x, i.limits(), series);
        }
        if !line.is_empty() {
            chart.line(&line, series);
            if paired {
                chart.end_label(name, &line, series);
            }
        }
    }
    chart.reference(&[(-0.4, 0.5), (results.len() as f64 - 0.6, 0.5)]);
    figure(&escape(title), &chart.finish(), "")
}

fn table(results: &[FractionResult]) -> String {
    let paired = results.iter().flat_map(|r| &r.tasks).any(|t| t.difference.is_some());
    let mut table = DataTable::new("AUROC by label fraction").text("labels").text("finding").numbers(&auroc_heading());
    if paired {
        table = table.numbers("random network").numbers("difference, paired");
    }
    table = table.numbers("images").numbers("draws");
    for FractionResult { fraction, images, draws, tasks } in results {
        for TaskResult { task, auroc, baseline, difference } in tasks {
            let mut row = vec![percent(*fraction), escape(task), interval(auroc)];
            if paired {
                let cell = |i: &Option<eval::Interval>| i.as_ref().map_or_else(|| "–".to_owned(), interval);
                row.extend([cell(baseline), cell(difference)]);
            }
            row.extend([whole(*images), draws.to_string()]);
            table.push(row);
        }
    }
    table.to_html()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_written_without_rounding_noise() {
        assert_eq!([0.001, 0.01, 0.1, 1.0].map(percent), ["0.1 %", "1 %", "10 %", "100 %"]);
    }
}
