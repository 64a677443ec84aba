//! Where the time of a training step on the CPU goes, by operation: wall time, calls and work.
//!
//! Off until [`record`] switches it on; a timer then costs one relaxed atomic load. Only the thread that calls an operation
//! measures, while its kernels run on all threads, so times of different parts add up to wall time. A timer within another
//! one is taken out of the other.
//!
//! ```
//! use backbones::cpu_times::{self, Part};
//!
//! cpu_times::record(true);
//! drop(cpu_times::time(Part::Pooling).work(1024));
//! let tally = cpu_times::take().parts[&Part::Pooling];
//! assert_eq!((tally.calls, tally.work), (1, 1024));
//! ```

use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

/// A kind of work in a training step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Part {
    /// Convolutions, forward, of both encoders.
    ConvForward,
    /// Gradients of the inputs of convolutions.
    ConvInputGrad,
    /// Gradients of the weights of convolutions.
    ConvWeightGrad,
    /// Batch normalisation, with the rectifier and the residual addition where they are fused with it, both ways.
    Norm,
    /// Maximum and average pooling, both ways.
    Pooling,
    /// Joining feature maps, both ways.
    Concatenation,
    /// Norm of the gradient.
    GradientNorm,
    /// The optimiser's step.
    Optimizer,
    /// The moving average of the key encoder.
    Average,
    /// The queue, the loss, and the backward pass up to the network's first timed operation (loss and projection head).
    Loss,
}

impl Part {
    /// All parts, in the order in which they are printed.
    pub const ALL: [Self; 10] = [
        Self::ConvForward,
        Self::ConvInputGrad,
        Self::ConvWeightGrad,
        Self::Norm,
        Self::Pooling,
        Self::Concatenation,
        Self::GradientNorm,
        Self::Optimizer,
        Self::Average,
        Self::Loss,
    ];

    /// In words, for a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConvForward => "convolution, forward",
            Self::ConvInputGrad => "convolution, dX",
            Self::ConvWeightGrad => "convolution, dW",
            Self::Norm => "normalisation",
            Self::Pooling => "pooling",
            Self::Concatenation => "concatenation",
            Self::GradientNorm => "gradient norm",
            Self::Optimizer => "optimiser",
            Self::Average => "average",
            Self::Loss => "queue and loss",
        }
    }
}

/// The sizes of a convolution over a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ConvShape {
    /// Images.
    pub batch: usize,
    /// Input channels.
    pub input: usize,
    /// Height and width of the input.
    pub side: [usize; 2],
    /// Output channels.
    pub output: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Stride, the same in both directions.
    pub stride: usize,
    /// Height and width of the output.
    pub out_side: [usize; 2],
}

impl ConvShape {
    /// Floating-point operations of one pass (forward, dX or dW): two for each product, those with the border included.
    pub fn flops(&self) -> u64 {
        let pair = |[a, b]: [usize; 2]| a as u64 * b as u64;
        2 * pair([self.batch, self.output]) * self.input as u64 * pair(self.kernel) * pair(self.out_side)
    }
}

/// What was measured of a part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Operations.
    pub calls: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Floating-point operations of convolutions, otherwise bytes moved; 0 where it was not told.
    pub work: u64,
}

impl Tally {
    fn add(&mut self, seconds: f64, work: u64) {
        self.calls += 1;
        self.seconds += seconds;
        self.work += work;
    }
}

/// Everything measured since the last [`take`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CpuTimes {
    /// By part.
    pub parts: BTreeMap<Part, Tally>,
    /// Convolutions by part and shape; these times are also in `parts`.
    pub convolutions: BTreeMap<(Part, ConvShape), Tally>,
}

static ON: AtomicBool = AtomicBool::new(false);
static TIMES: Mutex<CpuTimes> = Mutex::new(CpuTimes { parts: BTreeMap::new(), convolutions: BTreeMap::new() });

thread_local! {
    /// Time of the timers within the one that runs.
    static INNER: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    /// A span that the next timer ends.
    static OPEN: Cell<Option<(Part, Instant)>> = const { Cell::new(None) };
}

/// Switches the measurement on or off, for the whole process. Off at the start of a program.
pub fn record(on: bool) {
    ON.store(on, Relaxed);
}

/// What was measured since the last call; starts again from nothing.
pub fn take() -> CpuTimes {
    std::mem::take(&mut *times())
}

/// Times an operation until the result is dropped.
pub fn time(part: Part) -> Timer {
    start(part, || None)
}

/// Times a convolution until the result is dropped.
pub fn time_conv(part: Part, shape: impl FnOnce() -> ConvShape) -> Timer {
    start(part, || Some(shape()))
}

/// Times from now until the next timer of this thread begins, or until the result is dropped: for what is called by
/// others, such as the first operations of a backward pass.
pub fn time_until_next(part: Part) -> Span {
    if ON.load(Relaxed) {
        OPEN.set(Some((part, Instant::now())));
    }
    Span(())
}

fn start(part: Part, shape: impl FnOnce() -> Option<ConvShape>) -> Timer {
    if !ON.load(Relaxed) {
        return Timer(None);
    }
    end_span();
    let shape = shape();
    let work = shape.map_or(0, |shape| shape.flops());
    let outer = INNER.replace(Duration::ZERO);
    Timer(Some(Running { part, shape, work, outer, start: Instant::now() }))
}

fn end_span() {
    if let Some((part, start)) = OPEN.take() {
        let all = start.elapsed();
        INNER.set(INNER.get() + all);
        times().parts.entry(part).or_default().add(all.as_secs_f64(), 0);
    }
}

fn times() -> MutexGuard<'static, CpuTimes> {
    TIMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A measurement that ends when it is dropped.
#[derive(Debug)]
#[must_use = "a timer that is dropped at once measures nothing"]
pub struct Timer(Option<Running>);

#[derive(Debug)]
struct Running {
    part: Part,
    shape: Option<ConvShape>,
    work: u64,
    start: Instant,
    /// What timers before this one took of the timer around it.
    outer: Duration,
}

impl Timer {
    /// Tells how many bytes the operation moves (or its floating-point operations, for a convolution).
    pub fn work(mut self, work: usize) -> Self {
        if let Some(running) = &mut self.0 {
            running.work = work as u64;
        }
        self
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let Some(Running { part, shape, work, start, outer }) = self.0.take() else { return };
        let all = start.elapsed();
        let own = all.saturating_sub(INNER.replace(outer + all)).as_secs_f64();
        let mut times = times();
        times.parts.entry(part).or_default().add(own, work);
        if let Some(shape) = shape {
            times.convolutions.entry((part, shape)).or_default().add(own, work);
        }
    }
}

/// A measurement that ends when the next one begins, or when it is dropped.
#[derive(Debug)]
#[must_use = "a span that is dropped at once measures nothing"]
pub struct Span(());

impl Drop for Span {
    fn drop(&mut self) {
        end_span();
    }
}
