//! The training loop: epochs over a source of batches.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use backbones::Backbone;
use serde::{Deserialize, Serialize};

use crate::{
    Batch, BatchSource, Best, BoxError, Checkpoints, EpochReport, EpochSums, Error, Found, Measures, Moco, Observer,
    OnlineProbe, Optimizer, Request, Result, Shares, Similarities, Step, StepMetrics, StepTimes, TrainConfig,
    metrics::{Laps, Pending},
};

/// Where a run is. Part of every checkpoint: a field that is added has a serde default that means what this crate did
/// before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Position {
    /// Optimizer steps done.
    pub step: u64,
    /// Current epoch, from 0.
    pub epoch: u64,
    /// Batches of that epoch done.
    pub batch: usize,
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All epochs are done.
    Finished,
    /// An observer asked to stop.
    Stopped,
}

/// A pretraining run: model, optimizer and position.
///
/// With [`Self::checkpoints`] set, one is written after every epoch and whenever the observer asks.
///
/// Of a run on several ranks ([`TrainConfig::init_among`]) each has a trainer. Rank 0 alone needs checkpoints and a probe; what
/// it has resumed or imported the others get from it when the run begins. A request of any rank's observer is one of all.
#[derive(Debug)]
pub struct Trainer<B: Backbone> {
    /// The model.
    pub moco: Moco<B>,
    /// Its optimizer.
    pub optimizer: Optimizer,
    /// Folder of checkpoints; without it none are written.
    pub checkpoints: Option<Checkpoints>,
    /// A labelled set to score during training.
    pub probe: Option<OnlineProbe>,
    /// Steps launched before the loss of the oldest is read. 0 reads each immediately; 1 or 2 let a GPU compute while
    /// the next batch is fetched and uploaded. The results are the same. A loss that is not finite is found that many
    /// steps later, but before any checkpoint is written. With a `clip_norm` every step is read immediately.
    pub in_flight: usize,
    /// Whether a checkpoint of another number of groups may be gone on with, as where the number of ranks asks for it. Keys and
    /// queries are then normalised over parts of another size from here on.
    pub regroup: bool,
    pub(crate) config: TrainConfig,
    pub(crate) position: Position,
    pub(crate) sums: EpochSums,
    pub(crate) best: Option<Best>,
    landed: Option<Instant>,
}

impl<B: Backbone> Trainer<B> {
    pub(crate) fn new(config: TrainConfig, moco: Moco<B>) -> Self {
        Self {
            moco,
            optimizer: config.optimizer.init(),
            checkpoints: None,
            probe: None,
            config,
            position: Position::default(),
            sums: EpochSums::default(),
            best: None,
            in_flight: 0,
            regroup: false,
            landed: None,
        }
    }

    /// The configuration of the run.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// The position of the run.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Best result of the online probe so far.
    pub fn best(&self) -> Option<Best> {
        self.best
    }

    /// Resumes from the newest complete checkpoint in [`Self::checkpoints`], if there is one. The result lists newer
    /// ones that cannot be used.
    ///
    /// # Errors
    /// As [`Self::resume`].
    pub fn resume_newest(&mut self) -> Result<Found> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(Found { newest: None, ignored: Vec::new() }) };
        let found = checkpoints.find()?;
        if let Some(state) = &found.newest {
            self.resume(state)?;
        }
        Ok(found)
    }

    /// Trains from [`Self::position`] to the end of the last epoch, or until the observer asks to stop.
    ///
    /// # Errors
    /// An error of the data, the device or the disk, or [`Error::NonFinite`]; earlier checkpoints are kept. A folder
    /// with checkpoints of another run is refused before the first step.
    pub fn run(&mut self, source: &mut dyn BatchSource, observer: &mut dyn Observer) -> Result<End> {
        let batches = source.batches_per_epoch();
        if batches == 0 || self.position.batch > batches {
            let found = format!("a source of {batches} batches an epoch");
            return Err(Error::Batch { found, expected: format!("at least {}", self.position.batch.max(1)) });
        }
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.refuse_foreign(self.position.step)?;
        }
        self.begin_equal()?;
        while self.position.epoch < self.config.epochs {
            let mut request = self.steps(source, batches, observer)?;
            if self.position.batch == batches {
                let report = self.finish_epoch(batches)?;
                let asked = self.agree(observer.on_epoch(&report))?;
                request = request.max(asked).max(Request::Checkpoint);
            }
            if request >= Request::Checkpoint {
                self.save(observer)?;
            }
            if request == Request::Stop {
                return Ok(End::Stopped);
            }
        }
        Ok(End::Finished)
    }

    /// Runs steps to the end of the epoch, or until the observer asks to stop.
    fn steps(&mut self, source: &mut dyn BatchSource, batches: usize, observer: &mut dyn Observer) -> Result<Request> {
        let ranks = Arc::clone(self.ranks());
        let shares = (ranks.size() > 1).then(|| {
            let Position { step, batch, .. } = self.position;
            Shares::new((ranks.rank(), ranks.size()), &self.config, (batch, step))
        });
        let expected = shares.as_ref().map_or(self.config.batch_size, Shares::len);
        let mut stream = match shares {
            None => source.epoch(self.position.epoch, self.position.batch),
            Some(shares) => source.shared(self.position.epoch, self.position.batch, shares),
        };
        let mut flying = VecDeque::new();
        while self.position.batch < batches {
            let start = Instant::now();
            let group = self.next_batches(&mut stream, batches)?;
            let step = self.step((group, expected), batches, start.elapsed().as_secs_f64())?;
            flying.push_back(step);
            let last = self.position.batch == batches;
            let mut request = Request::Continue;
            while flying.len() > if last || request > Request::Continue { 0 } else { self.in_flight } {
                // Never empty here.
                let Some(step) = flying.pop_front() else { break };
                let metrics = self.land(step)?;
                request = request.max(self.agree(observer.on_step(&metrics))?);
            }
            if request == Request::Stop || last {
                return Ok(request);
            }
            if request == Request::Checkpoint {
                self.save(observer)?;
            }
        }
        Ok(Request::Continue)
    }

    /// The batches of one optimizer step.
    fn next_batches(&self, stream: &mut BatchStream<'_>, batches: usize) -> Result<Vec<Batch>> {
        let Position { epoch, batch, .. } = self.position;
        let last = (batch + self.config.accumulate).min(batches);
        let next = |number| match stream.next() {
            Some(Ok(found)) => Ok(found),
            Some(Err(source)) => Err(Error::Source { epoch, batch: number, source }),
            None => Err(Error::SourceEnded { epoch, found: number, expected: batches }),
        };
        (batch..last).map(next).collect()
    }

    /// `expected`: images of each of the batches.
    fn step(&mut self, (group, expected): (Vec<Batch>, usize), batches: usize, data_s: f64) -> Result<Flying> {
        let start = Instant::now();
        let TrainConfig { batch_size, accumulate, clip_norm, epochs, .. } = self.config;
        let index = self.position.step;
        let per_epoch = batches.div_ceil(accumulate);
        let lr = self.config.schedule.lr_at(index, per_epoch, epochs);
        let done = index as f64 / (per_epoch as u64 * epochs) as f64;
        let device = self.moco.device();
        let taken = group.len();
        let views = group.into_iter().map(|batch| batch.into_device(expected, &device)).collect::<Result<_>>()?;
        let upload_s = start.elapsed().as_secs_f64();
        let negatives = self.moco.negatives(batch_size);
        let update = Step { index, lr, done, clip_norm };
        // Gradients that go to other ranks have been waited for in any case.
        let measured = if self.in_flight == 0 || clip_norm.is_some() || self.ranks().size() > 1 {
            Measured::Read(self.moco.step(views, &mut self.optimizer, &update)?)
        } else {
            Measured::Pending(self.moco.launch(views, &mut self.optimizer, &update)?)
        };
        self.position.step += 1;
        self.position.batch += taken;
        Ok(Flying {
            measured,
            position: self.position,
            lr,
            momentum: self.config.moco.momentum_at(done),
            chance: (1.0 + negatives as f64).ln(),
            data_s,
            start,
            times: StepTimes { upload_s, ..self.moco.times() },
        })
    }

    /// Reads the measurements of a step.
    fn land(&mut self, flying: Flying) -> Result<StepMetrics> {
        let Flying { measured, position, lr, momentum, chance, data_s, start, mut times } = flying;
        let measures = match measured {
            Measured::Read(measures) => measures,
            Measured::Pending(pending) => {
                let mut clock = Laps::start();
                let measures = pending.read()?;
                times.wait_s += clock.lap();
                measures
            }
        };
        // A step launched before the previous one was read overlaps with it; its time starts when that one was read.
        let begun = self.landed.map_or(start, |landed| landed.max(start));
        let step_s = begun.elapsed().as_secs_f64();
        self.landed = Some(Instant::now());
        let Position { step, epoch, batch } = position;
        let metrics = StepMetrics { step, epoch, batch, lr, measures, momentum, chance, data_s, step_s, times };
        self.sums.add(&metrics);
        Ok(metrics)
    }

    /// The report of a finished epoch; moves the position to the beginning of the next.
    fn finish_epoch(&mut self, batches: usize) -> Result<EpochReport> {
        let Position { step, epoch, .. } = self.position;
        let images = batches * self.config.batch_size;
        let settings = (self.moco.config(), images);
        let mut report =
            EpochReport::new((epoch, step), &self.sums, &self.moco.queue, settings, self.is_judged(epoch))?;
        let similarities = self.moco.similarities.take().map(Similarities::read).transpose()?;
        report.similarities = similarities.map(|found| found.of_all(&**self.ranks())).transpose()?;
        if let Some(probe) = self.probe.as_ref().filter(|probe| probe.is_due(epoch)) {
            let result = probe.look(&self.moco.encoder_q, &self.moco.device())?;
            if self.best.is_none_or(|best| result.auc > best.auc) {
                self.best = Some(Best { auc: result.auc, step });
            }
            report.probe = Some(result);
        }
        self.sums = self.sums.next();
        self.position = Position { step, epoch: epoch + 1, batch: 0 };
        Ok(report)
    }

    /// Whether queries that do not find their keys are a problem. It is not during warm-up, when rates are small, nor in the first
    /// epoch after it.
    fn is_judged(&self, epoch: u64) -> bool {
        let warmup = self.config.schedule.warmup(self.config.epochs);
        warmup == 0.0 || epoch as f64 >= warmup + 1.0
    }

    fn save(&self, observer: &mut dyn Observer) -> Result<()> {
        self.check_equal()?;
        if let Some(checkpoints) = &self.checkpoints {
            let path = checkpoints.save(&self.state()?)?;
            observer.on_checkpoint(&path);
        }
        Ok(())
    }
}

/// A step whose measurements may still be on the device.
struct Flying {
    measured: Measured,
    /// Position after it.
    position: Position,
    lr: f64,
    momentum: f64,
    chance: f64,
    data_s: f64,
    start: Instant,
    times: StepTimes,
}

#[allow(clippy::large_enum_variant)] // a handful of them at a time
enum Measured {
    Read(Measures),
    Pending(Pending),
}

type BatchStream<'a> = Box<dyn Iterator<Item = std::result::Result<Batch, BoxError>> + 'a>;
