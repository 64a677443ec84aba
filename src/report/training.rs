//! `metrics.jsonl`: loss and accuracy, the measures of the run doctor, histograms of similarities.

use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

use eval::chart::{Axis, Chart, escape, signed, whole};
use moco_core::{EpochReport, Similarities};
use serde_json::Value;

use super::{
    definitions::{term, term_as},
    page::{Fact, Section, command, figure, figures},
};
use crate::files::{LogLines, Watch, log};

/// Most points of a curve by step.
const POINTS: usize = 300;
/// Most epochs whose similarities are shown.
const HISTOGRAMS: usize = 6;

/// The log of a pretraining. Numbers that are missing or not finite are NaN and left out of the charts.
#[derive(Debug, Default)]
pub(super) struct Training {
    steps: Vec<Step>,
    epochs: Vec<Epoch>,
    /// Numbers of the steps that have a line.
    logged: BTreeSet<u64>,
    /// Lines that cannot be read.
    broken: usize,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    step: f64,
    loss: f64,
    chance: f64,
    lr: f64,
    gradient: f64,
    data_s: f64,
    step_s: f64,
}

#[derive(Debug)]
struct Epoch {
    /// Counted from 1.
    number: f64,
    values: Value,
    similarities: Option<Similarities>,
    diagnoses: Vec<String>,
}

impl Epoch {
    fn get(&self, name: &str) -> f64 {
        number(&self.values, name)
    }
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or(f64::NAN)
}

/// The step of the newest checkpoint, 0 if there is none.
fn newest_checkpoint(run: &Path) -> u64 {
    let entries = fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    let step = |name: &str| name.strip_prefix("step-")?.parse().ok();
    entries.filter_map(|entry| step(entry.file_name().to_str()?)).max().unwrap_or(0)
}

impl Training {
    /// Reads the log of a run; empty if there is none. `watch` is told of steps that it should have: those up to the newest
    /// checkpoint, before which every line is written.
    pub(super) fn read(run: &Path, watch: &dyn Watch) -> Self {
        // Before the log, which a running training goes on to write.
        let newest = newest_checkpoint(run);
        let bytes = log(&run.join("metrics.jsonl")).unwrap_or_default();
        let training = Self::parse(&bytes);
        let missing = newest.saturating_sub(training.logged.range(..=newest).count() as u64);
        if missing > 0 {
            watch.note(&format!(
                "metrics.jsonl: {missing} of {newest} steps up to the newest checkpoint are missing, since the file ends too early \
                 or was changed"
            ));
        }
        training
    }

    /// Parses a log. A line that cannot be read, such as the last one of a run that was killed, or that is not what was written,
    /// is counted and skipped.
    pub(super) fn parse(log: &[u8]) -> Self {
        let mut training = Self::default();
        for line in LogLines::new(log).filter(|line| !line.bytes.trim_ascii().is_empty()) {
            let Some(value) = line.value else {
                training.broken += 1;
                continue;
            };
            if value["split"] == "train" {
                training.logged.extend(value["step"].as_u64().filter(|&step| step > 0));
            }
            let get = |name| number(&value, name);
            match value["split"].as_str() {
                // The first step with a masked queue has no loss, as the queue is empty.
                Some("train") if value["gradient_norm"].is_null() => {}
                Some("train") => training.steps.push(Step {
                    step: get("step"),
                    loss: get("loss"),
                    chance: get("chance"),
                    lr: get("lr"),
                    gradient: get("gradient_norm"),
                    data_s: get("data_s"),
                    step_s: get("step_s"),
                }),
                Some("epoch") => training.epochs.push(Epoch {
                    number: get("epoch") + 1.0,
                    similarities: serde_json::from_value(value["similarities"].clone()).ok(),
                    diagnoses: serde_json::from_value::<EpochReport>(value.clone())
                        .map(|report| report.diagnoses.iter().map(ToString::to_string).collect())
                        .unwrap_or_default(),
                    values: value,
                }),
                _ => {}
            }
        }
        training
    }

    /// Loss and top-1 at the end, for the head of the page.
    pub(super) fn facts(&self) -> Vec<Fact> {
        let Some(last) = self.epochs.last() else { return Vec::new() };
        let (loss, chance, top1) = (last.get("loss"), last.get("chance"), last.get("top1"));
        vec![
            Fact {
                name: format!("Pretraining {}", term("loss")),
                value: format!("{loss:.2}"),
                detail: format!("nats in epoch {}; {} gives {chance:.2}", last.number, term("guessing")),
            },
            Fact {
                name: format!("{} accuracy", term_as("top-1", "Top-1")),
                value: format!("{:.1} %", 100.0 * top1),
                detail: format!("of queries match their own key among {}", whole(chance.exp())),
            },
        ]
    }

    /// The section of loss, accuracy and the run doctor.
    pub(super) fn section(&self) -> Section {
        let lead = format!(
            "{} by step, beside the loss of {}; accuracy and the measures of the run doctor by epoch. In long runs a point is the \
             mean of neighbouring steps, and the band reaches from their lowest to their highest value.",
            term_as("loss", "Loss"),
            term("guessing")
        );
        let missing = format!("{} writes metrics.jsonl.", command("moco-cxr pretrain --data DIR --out RUN"));
        let body = if self.steps.len() < 2 { Err(missing) } else { Ok(self.body()) };
        Section { id: "pretraining", title: "Pretraining", lead, body }
    }

    fn body(&self) -> String {
        let mut charts = vec![self.loss()];
        if !self.epochs.is_empty() {
            charts.extend([self.accuracy(), self.similarity(), self.spread(), self.rank()]);
        }
        charts.extend([self.rate(), self.gradient()]);
        let mut html = self.diagnoses();
        html.push_str(&figures("grid", charts));
        html.push_str(&self.speed());
        if self.broken > 0 {
            let _ = write!(
                html,
                "<p class=\"note\">{} line(s) of metrics.jsonl could not be read and were left out.</p>",
                self.broken
            );
        }
        html
    }

    fn diagnoses(&self) -> String {
        let Some(last) = self.epochs.last() else { return String::new() };
        let found: Vec<String> = self
            .epochs
            .iter()
            .flat_map(|epoch| epoch.diagnoses.iter().map(move |text| (epoch.number, text)))
            .fold(Vec::<(f64, &String)>::new(), |mut seen, (number, text)| {
                if !seen.iter().any(|(_, known)| *known == text) {
                    seen.push((number, text));
                }
                seen
            })
            .into_iter()
            .map(|(number, text)| format!("<li>From epoch {number}: {}.</li>", escape(text)))
            .collect();
        let epochs = format!("{} {}", last.number, if last.number == 1.0 { "epoch" } else { "epochs" });
        let (loss, guessing) = (last.get("loss"), last.get("chance"));
        if found.is_empty() && loss >= guessing {
            return format!(
                "<p class=\"verdict\">The loss after {epochs}, {loss:.2}, is not below that of guessing, {guessing:.2}: nothing \
                 was learned. The run doctor, which judges longer runs, found nothing else.</p>"
            );
        }
        if found.is_empty() {
            return format!("<p class=\"verdict good\">The run doctor found nothing wrong in {epochs}.</p>");
        }
        format!("<div class=\"verdict\"><p>The run doctor found:</p><ul>{}</ul></div>", found.concat())
    }

    /// Steps in windows: the mean step, and the mean, lowest and highest value of each.
    fn windows(&self, of: impl Fn(&Step) -> f64) -> Vec<(f64, f64, f64, f64)> {
        let window = self.steps.len().div_ceil(POINTS).max(1);
        let part = |part: &[Step]| {
            let values = part.iter().map(&of).filter(|v| v.is_finite());
            let mean = values.clone().sum::<f64>() / values.clone().count().max(1) as f64;
            let step = part.iter().map(|s| s.step).sum::<f64>() / part.len() as f64;
            (step, mean, values.clone().fold(mean, f64::min), values.fold(mean, f64::max))
        };
        self.steps.chunks(window).map(part).collect()
    }

    fn steps_axis(&self) -> Axis {
        Axis::up_to("optimiser step", self.steps.last().map_or(1.0, |s| s.step))
    }

    fn step_chart(&self, axis: &str, from_zero: bool, of: impl Fn(&Step) -> f64, description: &str) -> (Chart, Line) {
        let windows = self.windows(of);
        let y = Axis::around(axis, windows.iter().flat_map(|w| [w.2, w.3]), from_zero);
        let mut chart = Chart::new(self.steps_axis(), y, description);
        chart.band(&windows.iter().map(|w| (w.0, w.2, w.3)).collect::<Vec<_>>(), 1);
        let line: Line = windows.iter().map(|w| (w.0, w.1)).collect();
        (chart, line)
    }

    fn loss(&self) -> String {
        let (mut loss, mut chance) = (self.windows(|s| s.loss), self.windows(|s| s.chance));
        // While a masked queue fills, the loss grows with the number of keys, which would hide everything after.
        let full = chance.iter().map(|w| w.1).fold(0.0, f64::max);
        let begin = chance.iter().position(|w| w.1 >= 0.98 * full).unwrap_or(0);
        (loss, chance) = (loss.split_off(begin), chance.split_off(begin));
        let y =
            Axis::around("loss, nats", loss.iter().flat_map(|w| [w.2, w.3]).chain(chance.iter().map(|w| w.1)), false);
        let mut chart = Chart::new(self.steps_axis(), y, "Loss by optimiser step, and the loss of guessing")
            .with_room_for(&["guessing"]);
        let line = |windows: &[(f64, f64, f64, f64)]| windows.iter().map(|w| (w.0, w.1)).collect::<Line>();
        chart.reference(&line(&chance));
        chart.band(&loss.iter().map(|w| (w.0, w.2, w.3)).collect::<Vec<_>>(), 1);
        chart.line(&line(&loss), 1);
        chart.end_label("guessing", &line(&chance), 0);
        chart.end_label("loss", &line(&loss), 1);
        let from = if begin > 0 { ", shown from where the queue is nearly full" } else { "" };
        let note = format!("InfoNCE{from}; below the loss of {}, the network has learned something.", term("guessing"));
        figure("Loss", &chart.finish(), &note)
    }

    /// A chart by epoch. `curves`: name, key in the log, and factor of each.
    fn by_epoch(&self, axis: &str, from_zero: bool, curves: &[(&str, &str, f64)], description: &str) -> Chart {
        let lines: Vec<Line> = curves
            .iter()
            .map(|(_, key, factor)| self.epochs.iter().map(|e| (e.number, e.get(key) * factor)).collect())
            .collect();
        let y = Axis::around(axis, lines.iter().flatten().map(|p| p.1), from_zero);
        let last = self.epochs.last().map_or(1.0, |e| e.number);
        let mut x = Axis::with_ticks("epoch", 0.0, last, 6);
        x.ticks.retain(|(value, _)| value.fract() == 0.0 && (1.0..=last).contains(value));
        x.ticks.iter_mut().for_each(|(value, text)| *text = whole(*value));
        (x.low, x.high) = if last > 1.0 { (1.0, last) } else { (0.5, 1.5) };
        let names: Vec<&str> = curves.iter().map(|c| c.0).collect();
        let mut chart = Chart::new(x, y, description).with_room_for(&names);
        for (i, line) in lines.iter().enumerate() {
            chart.line(line, i + 1);
            if curves.len() > 1 {
                chart.end_label(curves[i].0, line, i + 1);
            }
        }
        chart
    }

    fn accuracy(&self) -> String {
        let curves = [("top-1", "top1", 100.0), ("top-5", "top5", 100.0)];
        let chart = self.by_epoch("queries, %", true, &curves, "Top-1 and top-5 accuracy by epoch, in per cent");
        figure(
            "Accuracy of the pretext task",
            &chart.finish(),
            &format!("{} and top-5, mean over each epoch.", term_as("top-1", "Top-1")),
        )
    }

    fn similarity(&self) -> String {
        let curves = [("positive", "positive", 1.0), ("negative", "negative", 1.0)];
        let chart = self.by_epoch("cosine", true, &curves, "Mean similarity of positive and negative pairs by epoch");
        figure(
            "Similarity",
            &chart.finish(),
            &format!("Mean {} of pairs; the gap between the two shows what was learned.", term("similarity")),
        )
    }

    fn spread(&self) -> String {
        let curves = [("alignment", "alignment", 1.0), ("uniformity", "uniformity", 1.0)];
        let chart = self.by_epoch("no unit", true, &curves, "Alignment and uniformity by epoch");
        let note = format!(
            "{} (0 to 4) and {} (0 or less); for both, lower is better.",
            term_as("alignment", "Alignment"),
            term("uniformity")
        );
        figure("Alignment and uniformity", &chart.finish(), &note)
    }

    fn rank(&self) -> String {
        let curves = [("rank", "effective_rank", 1.0)];
        let chart = self.by_epoch("directions", true, &curves, "Effective rank of the keys by epoch");
        let deviation = self.epochs.last().map_or(f64::NAN, |e| e.get("feature_std"));
        let note = format!(
            "{} of the newest keys; their {} was {deviation:.3} at the end.",
            term_as("effective rank", "Effective rank"),
            term("key deviation")
        );
        figure("Effective rank", &chart.finish(), &note)
    }

    fn rate(&self) -> String {
        let (mut chart, line) = self.step_chart("learning rate", true, |s| s.lr, "Learning rate by optimiser step");
        chart.line(&line, 1);
        figure("Learning rate", &chart.finish(), "As set by the schedule.")
    }

    fn gradient(&self) -> String {
        let (mut chart, line) = self.step_chart("norm", true, |s| s.gradient, "Norm of the gradient by optimiser step");
        chart.line(&line, 1);
        let note = format!(
            "{}; peaks that persist call for a lower learning rate or for clipping.",
            term_as("gradient norm", "Gradient norm")
        );
        figure("Gradient", &chart.finish(), &note)
    }

    fn speed(&self) -> String {
        let sum = |of: fn(&Step) -> f64| self.steps.iter().map(of).filter(|v| v.is_finite()).sum::<f64>();
        let (data, step) = (sum(|s| s.data_s), sum(|s| s.step_s));
        if data + step <= 0.0 {
            return String::new();
        }
        let each = (data + step) / self.steps.len() as f64;
        format!(
            "<p class=\"note\">{} steps of {each:.2} s on average, {:.0} % of it spent waiting for images.</p>",
            whole(self.steps.len() as f64),
            100.0 * data / (data + step)
        )
    }

    /// The section of similarities of positive and negative pairs by epoch.
    pub(super) fn similarities(&self) -> Section {
        let lead = format!(
            "{} of positive and negative pairs in the last batch of an epoch, in per cent of each kind. The further the two \
             distributions move apart, the better images are told apart; both at 1 is a collapse.",
            term_as("similarity", "Similarities")
        );
        let known: Vec<(&Epoch, &Similarities)> =
            self.epochs.iter().filter_map(|e| Some((e, e.similarities.as_ref()?))).collect();
        let missing = format!("This version of {} logs them at the end of every epoch.", command("moco-cxr pretrain"));
        let charts = spread_over(known.len(), HISTOGRAMS).map(|i| histogram(known[i].0.number, known[i].1));
        let body = if known.is_empty() { Err(missing) } else { Ok(figures("grid small", charts)) };
        Section { id: "similarities", title: "Similarities", lead, body }
    }
}

type Line = Vec<(f64, f64)>;

/// Up to `most` indices below `count`, evenly spread, the first and the last among them.
fn spread_over(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let shown = count.min(most);
    (0..shown).map(move |i| if shown < 2 { 0 } else { i * (count - 1) / (shown - 1) })
}

fn histogram(epoch: f64, similarities: &Similarities) -> String {
    let shares = |counts: &[u64]| {
        let total = counts.iter().sum::<u64>().max(1) as f64;
        counts.iter().map(|&c| 100.0 * c as f64 / total).collect::<Vec<_>>()
    };
    let (positive, negative) = (shares(&similarities.positive), shares(&similarities.negative));
    let width = 2.0 / positive.len().max(1) as f64;
    let x = Axis::with_ticks("cosine similarity", -1.0, 1.0, 4);
    let top = positive.iter().chain(&negative).copied().fold(0.0, f64::max);
    let y = Axis::with_ticks("pairs, %", 0.0, 1.4 * top, 3); // room for the names above the bars
    let high = y.high;
    let description = format!("Histogram of similarities in epoch {epoch}");
    let mut chart = Chart::sized(320.0, 200.0, x, y, description);
    chart.bars(-1.0, width, &negative, 2);
    chart.bars(-1.0, width, &positive, 1);
    for (name, shares, series) in [("negative", &negative, 2), ("positive", &positive, 1)] {
        let mean: f64 = shares.iter().enumerate().map(|(i, s)| s / 100.0 * (-1.0 + width * (i as f64 + 0.5))).sum();
        let y = if series == 1 { 0.96 } else { 0.82 } * high;
        let text = signed(&format!("{name}, mean {mean:.2}"));
        chart.label(&text, (-0.97, y), "start", series);
    }
    figure(&format!("Epoch {epoch}"), &chart.finish(), "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Notes;

    /// A log of `steps` steps, as `pretrain` writes it.
    pub(crate) fn log(steps: usize) -> String {
        let mut text = String::from(
            "{\"split\":\"train\",\"step\":1,\"epoch\":0,\"loss\":0.0,\"chance\":0.0,\"lr\":1e-4,\"gradient_norm\":null}\n",
        );
        for step in 2..=steps {
            let _ = writeln!(
                text,
                "{{\"split\":\"train\",\"step\":{step},\"epoch\":0,\"loss\":{},\"chance\":6.9,\"lr\":1e-4,\
                 \"gradient_norm\":1.5,\"data_s\":0.1,\"step_s\":0.3}}",
                6.9 - step as f64 / steps as f64
            );
        }
        text
    }

    #[test]
    fn a_log_that_was_cut_is_read_up_to_the_cut() {
        let training = Training::parse(format!("{}{{\"split\":\"tr", log(10)).as_bytes());
        assert_eq!((training.steps.len(), training.broken), (9, 1));
        let html = training.section().body.expect("a body");
        assert!(html.contains("1 line(s) of metrics.jsonl could not be read"), "{html}");
        assert!(html.contains("25 % of it spent waiting"), "{html}");
    }

    #[test]
    fn a_log_that_ends_before_the_newest_checkpoint_is_said() {
        let run = tempfile::tempdir().expect("a folder");
        for (checkpoints, said) in
            [(&[][..], 0), (&["step-00000007", "step-00000010", "latest"], 0), (&["step-00000012"], 1)]
        {
            for name in checkpoints {
                fs::create_dir_all(run.path().join("checkpoints").join(name)).expect("a folder");
            }
            fs::write(run.path().join("metrics.jsonl"), log(10)).expect("a file");
            let notes = Notes::new(&());
            Training::read(run.path(), &notes);
            let texts = notes.texts();
            assert!(texts.len() == said && texts.iter().all(|text| text.contains("2 of 12 steps")), "{texts:?}");
        }
    }

    #[test]
    fn a_loss_that_is_not_below_guessing_is_no_good_verdict() {
        let verdict = |loss: f64| {
            let epoch = format!(
                "{{\"split\":\"epoch\",\"epoch\":1,\"step\":10,\"loss\":{loss},\"chance\":3.87,\"diagnoses\":[]}}\n"
            );
            Training::parse(format!("{}{epoch}", log(10)).as_bytes()).diagnoses()
        };
        assert!(verdict(3.2).contains("verdict good") && verdict(3.2).contains("nothing wrong in 2 epochs"));
        assert!(!verdict(4.1).contains("good") && verdict(4.1).contains("4.10, is not below that of guessing, 3.87"));
    }

    #[test]
    fn thousands_of_steps_are_thinned_with_their_range_kept() {
        let mut training = Training::parse(log(5000).as_bytes());
        training.steps[2500].loss = 9.0;
        let windows = training.windows(|s| s.loss);
        assert!(windows.len() <= POINTS, "{}", windows.len());
        assert_eq!(windows.iter().map(|w| w.3).fold(0.0, f64::max), 9.0, "the peak is in the band");
    }

    #[test]
    fn values_that_are_not_finite_break_nothing() {
        let mut training = Training::parse(log(50).as_bytes());
        training.steps.iter_mut().for_each(|s| s.gradient = f64::NAN);
        let html = training.section().body.expect("a body");
        assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
    }

    #[test]
    fn nothing_logged_names_the_command() {
        let missing = Training::default().section().body.expect_err("no body");
        assert!(missing.contains("moco-cxr pretrain"), "{missing}");
        assert!(Training::parse(log(20).as_bytes()).similarities().body.is_err());
    }

    #[test]
    fn the_first_and_the_last_epoch_are_among_those_shown() {
        assert_eq!(spread_over(20, 6).collect::<Vec<_>>(), [0, 3, 7, 11, 15, 19]);
        assert_eq!(spread_over(1, 6).collect::<Vec<_>>(), [0]);
        assert_eq!(spread_over(0, 6).count(), 0);
    }
}
