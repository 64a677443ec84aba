//! The logs of a run: `metrics.jsonl` and `tb/` for programs, `train.log` for people.

use std::{
    collections::HashSet,
    path::Path,
    time::{Duration, Instant},
};

use cxr_data::Radiograph;
use moco_core::{EpochReport, Observer, Position, Request, StepMetrics};

use crate::{
    error::{Error, Result},
    files::RunFolder,
    pretrain::{
        PretrainSettings, Speed, TensorBoard, TrainingWatch,
        log::{MetricsLog, TrainLog},
    },
};

/// Time between two lines about steps if `print_freq` is 0.
const EVERY: Duration = Duration::from_secs(60);

/// Logs every step and epoch, then passes it on to the watcher. Requests the checkpoints of `checkpoints.every_steps`.
pub(crate) struct RunLog<'a> {
    metrics: MetricsLog,
    text: TrainLog,
    board: TensorBoard,
    watch: &'a mut dyn TrainingWatch,
    speed: Speed,
    total: u64,
    every_steps: u64,
    print_freq: u64,
    /// Whether a checkpoint was asked for and is not written yet.
    due: bool,
    said: Instant,
    /// Remarks of the run doctor that were already printed in full.
    remarks: HashSet<String>,
    fault: Option<Error>,
}

impl<'a> RunLog<'a> {
    /// Opens the logs of a run of `total` steps that is at `position`.
    pub(crate) fn open(
        folder: &RunFolder,
        (position, total): (&Position, u64),
        settings: &PretrainSettings,
        watch: &'a mut dyn TrainingWatch,
    ) -> Result<Self> {
        let (metrics, fault) = MetricsLog::open(folder, position)?;
        let mut text = TrainLog::open(folder)?;
        if let Some(fault) = fault {
            watch.note(&fault);
            text.line(&format!("note: {fault}"))?;
        }
        Ok(Self {
            metrics,
            text,
            board: TensorBoard::create(&folder.join("tb"), position.step)?,
            watch,
            speed: Speed::new(settings.train.batch_size * settings.train.accumulate),
            total,
            every_steps: settings.checkpoints.every_steps,
            print_freq: settings.print_freq,
            due: false,
            said: Instant::now(),
            remarks: HashSet::new(),
            fault: None,
        })
    }

    /// Writes a line to `train.log` only; the watcher has already received it.
    pub(crate) fn note(&mut self, text: &str) -> Result<()> {
        self.text.line(text)
    }

    /// Writes the contact sheet of the first views as a file and to TensorBoard.
    pub(crate) fn views(&mut self, folder: &RunFolder, sheet: &Radiograph) -> Result<()> {
        let path = folder.join("tb").join("views.png");
        sheet.write_png(&path)?;
        let png = std::fs::read(&path).map_err(Error::io(&path))?;
        self.board.image(0, "views/query_and_key", (sheet.width(), sheet.height()), &png)?;
        self.board.flush()
    }

    /// Writes the last line of the run and closes the logs.
    ///
    /// # Errors
    /// The first error of writing a log, also of one during the run.
    pub(crate) fn close(mut self, end: &str) -> Result<()> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        self.text.line(end)?;
        self.board.flush()
    }

    fn line(&mut self, text: &str) -> Result<()> {
        self.said = Instant::now();
        self.text.line(text)?;
        self.watch.line(text);
        Ok(())
    }

    fn step(&mut self, metrics: &StepMetrics) -> Result<()> {
        self.metrics.write("train", metrics)?;
        self.speed.add(metrics);
        let m = &metrics.measures;
        let mut scalars = vec![("train/learning_rate", metrics.lr), ("speed/images_per_s", self.speed.images_per_s())];
        // While a masked queue is empty there are no negatives, and so no loss.
        if let Some(norm) = m.gradient_norm {
            scalars.extend([
                ("train/loss", m.loss),
                ("train/chance", metrics.chance),
                ("train/top1", m.top1),
                ("train/top5", m.top5),
                ("train/similarity_positive", m.positive),
                ("train/similarity_negative", m.negative),
                ("train/gradient_norm", norm),
            ]);
            let ages = [("train/similarity_young", m.young), ("train/similarity_old", m.old)];
            scalars.extend(ages.into_iter().filter_map(|(tag, value)| Some((tag, value?))));
        }
        let shares = self.speed.shares().map(|(name, share)| (format!("speed/share_{name}"), share));
        scalars.extend(shares.iter().map(|(tag, share)| (tag.as_str(), *share)));
        self.board.scalars(metrics.step, &scalars)?;
        self.board.flush()?; // after every step, so that a running TensorBoard follows
        let due = match self.print_freq {
            0 => self.said.elapsed() >= EVERY,
            steps => metrics.step.is_multiple_of(steps),
        };
        if due {
            let text = format!(
                "step {}/{}: loss {:.4} (chance {:.4}), top-1 {:.3}, lr {:.2e}, {}",
                metrics.step, self.total, m.loss, metrics.chance, m.top1, metrics.lr, self.speed
            );
            self.line(&text)?;
        }
        Ok(())
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<()> {
        self.metrics.write("epoch", report)?;
        let mut scalars = vec![
            ("epoch/loss", report.loss),
            ("epoch/loss_over_chance", report.loss / report.chance.max(f64::MIN_POSITIVE)),
            ("epoch/top1", report.top1),
            ("epoch/alignment", report.alignment),
            ("epoch/uniformity", report.uniformity),
            ("epoch/effective_rank", report.effective_rank),
            ("epoch/embedding_deviation", report.feature_std),
            ("epoch/queue_age", report.queue_age),
        ];
        scalars.extend(report.probe.map(|probe| ("epoch/probe_auc", probe.auc)));
        self.board.scalars(report.step, &scalars)?;
        self.board.histogram(report.step, "embedding/coordinates", (-4.0, 4.0), &report.coordinates)?;
        self.board.flush()?;
        let text = report.line();
        let (first, remarks) = text.split_once('\n').unwrap_or((&text, ""));
        let mut said = first.to_owned();
        // Each remark in full only once: repeated every epoch it would bury the numbers.
        let (new, old): (Vec<&str>, Vec<&str>) =
            remarks.lines().partition(|remark| self.remarks.insert((*remark).to_owned()));
        if !old.is_empty() {
            said.push_str(&format!(" [{} as before]", if old.len() == 1 { "remark" } else { "remarks" }));
        }
        new.iter().for_each(|remark| said.push_str(&format!("\n{remark}")));
        self.line(&said)
    }

    /// A checkpoint comes after the steps that are still on the device, whose lines are to be on the disk before it, too: a log
    /// that ends before a checkpoint was damaged.
    fn before_checkpoint(&mut self, request: Request) -> Request {
        self.due |= request >= Request::Checkpoint;
        let synced = if self.due { self.metrics.sync() } else { Ok(()) };
        self.keep(synced, request)
    }

    /// Keeps the first error, which ends the run.
    fn keep(&mut self, written: Result<()>, request: Request) -> Request {
        match written {
            Ok(()) => request,
            Err(fault) => {
                self.fault.get_or_insert(fault);
                Request::Stop
            }
        }
    }
}

impl Observer for RunLog<'_> {
    fn on_step(&mut self, metrics: &StepMetrics) -> Request {
        let due = self.every_steps > 0 && metrics.step.is_multiple_of(self.every_steps);
        let own = if due { Request::Checkpoint } else { Request::Continue };
        let written = self.step(metrics);
        let request = self.keep(written, own).max(self.watch.on_step(metrics));
        self.before_checkpoint(request)
    }

    fn on_epoch(&mut self, report: &EpochReport) -> Request {
        let written = self.epoch(report);
        let request = self.keep(written, Request::Checkpoint).max(self.watch.on_epoch(report));
        self.before_checkpoint(request)
    }

    fn on_checkpoint(&mut self, path: &Path) {
        self.due = false;
        let written = self.text.line(&format!("checkpoint {}", path.display()));
        self.keep(written, Request::Continue);
        self.watch.on_checkpoint(path);
    }
}
