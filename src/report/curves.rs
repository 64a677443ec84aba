//! ROC curves with their bootstrap bands, and reliability diagrams, one per task.

use eval::{
    Metric,
    chart::{Axis, Chart, escape, whole},
    expected_calibration_error, reliability, roc_curve,
};

use super::{
    definitions::term,
    evaluation::{Evaluations, TaskScores},
    page::{Section, figure, figures},
};
use crate::error::Result;

/// Specificities at which the band is computed.
const BAND_POINTS: usize = 101;
/// Bins of the reliability diagram.
const BINS: usize = 10;
/// Most points of a drawn curve; a screen cannot show more.
const POINTS: usize = 400;

impl Evaluations {
    /// The section of ROC curves.
    pub(super) fn roc_section(&self) -> Section {
        let lead = format!(
            "Sensitivity against 1 − specificity on the evaluated rows. At each specificity, the band contains 95 % of {} \
             bootstrap curves (patients resampled). The diagonal is chance.",
            whole(self.bootstrap.replicates as f64)
        );
        let body = self.each(|task| self.roc(task));
        Section { id: "roc", title: "ROC curves", lead, body }
    }

    /// The section of reliability diagrams.
    pub(super) fn reliability_section(&self) -> Section {
        let lead = "Observed share of positives against predicted probability, in ten bins. The area of a dot is the bin's share of \
             the rows; the error bar is Wilson's 95 % interval, which takes rows as independent. On the diagonal the predicted \
             probabilities are right. Scores outside 0 to 1 are taken as logits and passed through the logistic function.";
        let body = self.each(|task| self.reliability(task));
        Section { id: "reliability", title: "Reliability", lead: lead.to_owned(), body }
    }

    fn each(&self, draw: impl Fn(&TaskScores) -> Result<String>) -> std::result::Result<String, String> {
        if self.tasks.is_empty() {
            return Err(Self::missing());
        }
        let several = self.tasks.iter().any(|task| task.source != self.tasks[0].source);
        let one = |task: &TaskScores| {
            let from =
                if several { format!(" <span class=\"from\">{}</span>", escape(&task.source)) } else { String::new() };
            let name = format!("{}{from}", escape(&task.task));
            match draw(task) {
                Ok(parts) => parts.replacen("{name}", &name, 1),
                Err(fault) => figure(&name, "", &format!("Not defined: {}.", escape(&fault.to_string()))),
            }
        };
        let mut conditions: Vec<&str> =
            self.tasks.iter().map(|t| t.conditions.as_str()).filter(|c| !c.is_empty()).collect();
        conditions.dedup();
        let note: String =
            conditions.iter().map(|c| format!("<p class=\"note\">Conditions: {}.</p>", escape(c))).collect();
        Ok(figures("grid", self.tasks.iter().map(one)) + &note)
    }

    fn roc(&self, task: &TaskScores) -> Result<String> {
        let (cohort, scores) = task.scores.cohort(0)?;
        let curve = thinned(roc_curve(cohort.labels(), &scores)?);
        let band = self.bootstrap.roc_band(&cohort, &scores, BAND_POINTS)?;
        let area = self.bootstrap.interval(&cohort, &[scores], Metric::Auroc)?;
        let description = format!("ROC curve of {}, AUROC {area:.3}", task.task);
        let mut chart = square("1 − specificity", "sensitivity", description);
        chart.reference(&[(0.0, 0.0), (1.0, 1.0)]);
        chart.band(&band.iter().map(|p| (p.false_positive_rate, p.lower, p.upper)).collect::<Vec<_>>(), 1);
        chart.line(&curve, 1);
        chart.label(&format!("AUROC {:.3}", area.estimate), (0.97, 0.15), "end", 1);
        chart.label(&format!("({:.3} to {:.3})", area.lower, area.upper), (0.97, 0.085), "end", 1);
        let note = format!(
            "{} rows, {} positive, {} patients.",
            whole(area.n as f64),
            whole(area.positives as f64),
            whole(area.patients as f64)
        );
        Ok(figure("{name}", &chart.finish(), &note))
    }

    fn reliability(&self, task: &TaskScores) -> Result<String> {
        let (cohort, scores) = task.scores.cohort(0)?;
        let probabilities: Vec<f64> = scores.iter().map(|&score| task.probability(score)).collect();
        let bins = reliability(cohort.labels(), &probabilities, BINS)?;
        let error = expected_calibration_error(cohort.labels(), &probabilities, BINS)?;
        let rows = cohort.len() as f64;
        let description = format!("Reliability diagram of {}, expected calibration error {error:.3}", task.task);
        let mut chart = square("mean predicted probability", "observed share of positives", description);
        chart.reference(&[(0.0, 0.0), (1.0, 1.0)]);
        for bin in &bins {
            chart.interval(bin.mean_score, wilson(bin.positive_share, bin.rows as f64), 1);
        }
        let points: Vec<(f64, f64)> = bins.iter().map(|bin| (bin.mean_score, bin.positive_share)).collect();
        for (point, bin) in points.into_iter().zip(&bins) {
            chart.dot(point, 2.5 + 8.0 * (bin.rows as f64 / rows).sqrt(), 1);
        }
        let brier = self.bootstrap.interval(&cohort, &[probabilities], Metric::Brier)?;
        let note = format!(
            "{} {error:.3}; {} {:.3} ({:.3} to {:.3}).",
            term("ECE"),
            term("Brier score"),
            brier.estimate,
            brier.lower,
            brier.upper
        );
        Ok(figure("{name}", &chart.finish(), &note))
    }
}

fn square(x: &str, y: &str, description: String) -> Chart {
    Chart::sized(400.0, 392.0, Axis::unit(x), Axis::unit(y), description)
}

/// At most [`POINTS`] of the points, the first and the last among them.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= POINTS {
        return points;
    }
    let last = points.len() - 1;
    (0..POINTS).map(|i| points[i * last / (POINTS - 1)]).collect()
}

/// Wilson's 95 % score interval of a share of `n` independent rows (Wilson 1927, doi:10.1080/01621459.1927.10502953).
fn wilson(share: f64, n: f64) -> (f64, f64) {
    let z = 1.959_963_984_540_054_f64;
    let centre = (share + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilsons_interval_is_the_known_one() {
        // statsmodels.stats.proportion.proportion_confint(8, 20, method="wilson")
        let (lower, upper) = wilson(0.4, 20.0);
        assert!((lower - 0.218_800).abs() < 1e-5 && (upper - 0.613_421).abs() < 1e-5, "{lower} {upper}");
        assert_eq!(wilson(0.0, 5.0).0, 0.0);
        assert_eq!(wilson(1.0, 5.0).1, 1.0);
    }

    #[test]
    fn thinning_keeps_both_ends() {
        let points: Vec<(f64, f64)> = (0..=2000).map(|i| (f64::from(i), 0.0)).collect();
        let thin = thinned(points);
        assert_eq!((thin.len(), thin[0].0, thin[POINTS - 1].0), (POINTS, 0.0, 2000.0));
    }
}
