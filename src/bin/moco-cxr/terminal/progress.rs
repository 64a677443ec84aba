//! The progress of a pretraining: a bar on a terminal, plain lines otherwise.

use std::time::{Duration, Instant};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use moco_cxr::{
    TrainingWatch, Watch,
    moco_core::{EpochReport, Observer, Request, StepMetrics},
    pretrain::Speed,
};

use super::{interrupt::Interrupt, watch::Terminal};
use crate::terminal::print::{errln, escaped};

/// Prints to standard error, so that results on standard output can be piped.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Passes over the images before the first step.
    passes: Terminal,
    quiet: bool,
    /// Whether lines about steps were asked for; otherwise the bar replaces them.
    lines: bool,
    speed: Speed,
    interrupt: Interrupt,
    /// When the run must have ended, and how long its longest step took.
    limit: Option<Limit>,
    announced: bool,
    /// The report of the last epoch.
    pub(crate) last: Option<EpochReport>,
}

impl Progress {
    /// `end`: when the run must have ended.
    pub(crate) fn new(
        quiet: bool,
        lines: bool,
        images_per_step: usize,
        interrupt: Interrupt,
        end: Option<Instant>,
    ) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        // The bar disappears at the end, also with an error; the lines of the epochs stay.
        let bar = ProgressBar::with_draw_target(None, target).with_finish(ProgressFinish::AndClear);
        Self {
            bar,
            passes: Terminal::new(quiet),
            quiet,
            lines,
            speed: Speed::new(images_per_step),
            interrupt,
            limit: end.map(Limit::new),
            announced: false,
            last: None,
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn print(&self, text: &str) {
        if self.quiet {
            return;
        }
        if self.bar.is_hidden() {
            errln!("{text}");
        } else {
            self.bar.println(wrapped(&escaped(text), width()));
        }
    }

    /// Stops after this step if a signal asked for it, or the next one might end too late.
    fn request(&mut self) -> Request {
        let over = self.limit.as_mut().is_some_and(|limit| limit.is_over(Instant::now()));
        let reason = match (self.interrupt.is_asked(), over) {
            (true, _) => "interrupted: writing a checkpoint; a second Ctrl-C stops at once, without one",
            (false, true) => "the time of --max-time is over: writing a checkpoint",
            (false, false) => return Request::Continue,
        };
        if !std::mem::replace(&mut self.announced, true) {
            self.print(reason);
        }
        Request::Stop
    }
}

/// A time by which a run must have ended.
struct Limit {
    end: Instant,
    last: Instant,
    longest: Duration,
}

impl Limit {
    fn new(end: Instant) -> Self {
        Self { end, last: Instant::now(), longest: Duration::ZERO }
    }

    /// Whether a step as long as the longest so far, and a checkpoint for which as much time is left, would end too late.
    fn is_over(&mut self, now: Instant) -> bool {
        self.longest = self.longest.max(now - self.last);
        self.last = now;
        now + 2 * self.longest >= self.end
    }
}

impl Watch for Progress {
    fn note(&self, text: &str) {
        self.print(&format!("note: {text}"));
    }

    fn line(&self, text: &str) {
        // The bar already shows what the lines about steps say.
        if self.lines || self.bar.is_hidden() || !text.starts_with("step ") {
            self.print(text);
        }
    }

    fn progress(&self, done: u64, total: u64) {
        self.passes.progress(done, total);
    }
}

impl TrainingWatch for Progress {
    fn start(&mut self, done: u64, total: u64) {
        self.interrupt.begin();
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.bar.reset_eta();
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}{prefix}, {eta} left\n{msg}") {
            self.bar.set_style(style);
        }
    }
}

impl Observer for Progress {
    fn on_step(&mut self, metrics: &StepMetrics) -> Request {
        self.speed.add(metrics);
        if !self.bar.is_hidden() {
            let [rate, below] = beside_and_below(metrics, &self.speed, width());
            self.bar.set_prefix(rate);
            self.bar.set_message(below);
        }
        self.bar.set_position(metrics.step);
        self.request()
    }

    fn on_epoch(&mut self, report: &EpochReport) -> Request {
        self.last = Some(report.clone());
        self.request()
    }
}

/// Number of columns of the terminal that can be used.
fn width() -> usize {
    // The last column stays free, because some terminals wrap a line that fills it.
    Term::stderr().size_checked().map_or(80, |(_, columns)| usize::from(columns)).saturating_sub(1)
}

/// The speed, for the line of the bar, and two lines below it of at most `width` columns: the loss, and how the time is
/// spent. Parts that do not fit are left out, those that take the least time first.
fn beside_and_below(metrics: &StepMetrics, speed: &Speed, width: usize) -> [String; 2] {
    let m = &metrics.measures;
    // There is no loss while a masked queue is still empty.
    let learning = match m.gradient_norm {
        Some(_) => {
            let loss = format!("epoch {}: loss {:.3}", metrics.epoch, m.loss);
            let beside_chance = format!("{loss} (chance {:.3})", metrics.chance);
            vec![format!("{beside_chance}, top-1 {:.0} %", m.top1 * 100.0), beside_chance, loss]
        }
        None => vec![format!("epoch {}: no negatives yet", metrics.epoch)],
    };
    let learning = learning.into_iter().find(|line| line.len() <= width).unwrap_or_default();
    let mut shares: Vec<(&str, f64)> = speed.shares().into_iter().filter(|(_, share)| *share >= 0.005).collect();
    let time = |shares: &[(&str, f64)]| {
        let parts: Vec<String> = shares.iter().map(|(name, share)| format!("{name} {:.0} %", share * 100.0)).collect();
        format!("time: {}", parts.join(", "))
    };
    while shares.len() > 1 && time(&shares).len() > width {
        let least = (0..shares.len()).min_by(|&a, &b| shares[a].1.total_cmp(&shares[b].1)).unwrap_or_default();
        shares.remove(least);
    }
    let rate = speed.images_per_s();
    let digits = usize::from(rate < 10.0);
    [format!(", {rate:.digits$} images/s"), format!("{learning}\n{}", time(&shares))]
}

/// Wraps a text between words into lines of at most `width` columns; continuation lines are indented.
fn wrapped(text: &str, width: usize) -> String {
    const INDENT: &str = "    ";
    let mut lines = Vec::new();
    for long in text.lines() {
        let mut line = String::new();
        // Leading spaces belong to the first word.
        let begin = long.len() - long.trim_start().len();
        let first = long[begin..].find(' ').map_or(long.len(), |end| begin + end);
        for word in std::iter::once(&long[..first]).chain(long[first..].split_whitespace()) {
            let columns = console::measure_text_width(&line) + 1 + console::measure_text_width(word);
            if !line.is_empty() && columns > width {
                lines.push(std::mem::replace(&mut line, format!("{INDENT}{word}")));
                continue;
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn step(gradient_norm: Option<f64>) -> StepMetrics {
        let measures = serde_json::json!({
            "step": 1, "epoch": 199, "batch": 1, "lr": 0.1, "chance": 11.0904, "data_s": 0.1, "step_s": 0.9, "loss": 10.1234,
            "top1": 1.0, "top5": 1.0, "positive": 0.0, "negative": 0.0, "gradient_norm": gradient_norm,
            "times": { "upload_s": 0.1, "forward_s": 0.3, "backward_s": 0.3, "wait_s": 0.05, "update_s": 0.15 },
        });
        serde_json::from_value(measures).unwrap()
    }

    #[test]
    fn what_stands_below_the_bar_fits_into_the_terminal_and_leaves_out_the_least() {
        let metrics = step(Some(1.0));
        let mut speed = Speed::new(32);
        speed.add(&metrics);
        let below = |width| beside_and_below(&metrics, &speed, width)[1].clone();
        assert_eq!(
            below(79),
            "epoch 199: loss 10.123 (chance 11.090), top-1 100 %\n\
             time: data 10 %, upload 10 %, forward 30 %, backward 30 %, wait 5 %, update 15 %"
                .replace(", wait 5 %", "")
        );
        for width in 30..100 {
            let text = below(width);
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.len(), 2, "two lines, so that the bar does not jump: {text}");
            assert!(lines.iter().all(|line| line.len() <= width), "{width}: {text}");
            assert!(lines[0].contains("loss 10.123"), "{text}");
        }
        let first = step(None);
        assert!(beside_and_below(&first, &speed, 79)[1].starts_with("epoch 199: no negatives yet\n"));
    }

    #[test]
    fn long_lines_are_broken_between_words_and_lose_none() {
        let text =
            "epoch 0: loss 3.9850 (chance 3.9503), top-1 0.034, top-5 0.120\n  the loss stays at its chance level";
        let broken = wrapped(text, 30);
        assert!(broken.lines().all(|line| line.len() <= 30), "{broken}");
        assert!(broken.contains("\n  the loss stays"), "what is set in stays so: {broken}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&broken), words(text));
        assert_eq!(wrapped(text, 200), text);
        // A word that does not fit stays whole, so that a path can be copied.
        assert!(
            wrapped("see /a/very/long/path/that/is/longer/than/that", 20)
                .contains("/a/very/long/path/that/is/longer/than/that")
        );
    }
}
