//! The time of a step on the CPU by operation, and the rate of its convolutions beside the machine's.

use std::{collections::BTreeSet, time::Instant};

use backbones::cpu_times::{ConvShape, CpuTimes, Part, Tally};
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;
use serde::Serialize;

/// Side of the matrices whose product gives the peak: larger than every cache.
const SIDE: usize = 2048;
/// Bytes copied for the rate of the memory: with their copy larger than the caches of most machines, and less than a step needs.
const COPIED: usize = 1 << 26;
/// Products and copies, of which the fastest counts.
const TRIES: usize = 5;

/// Milliseconds of a step by operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operations {
    /// Each part that occurred, in the order of [`Part::ALL`].
    pub parts: Vec<PartTime>,
    /// What is in no part, median over the steps: activations, additions, averages over positions, upload, book-keeping.
    pub rest_ms: f64,
    /// GFLOP/s of a product of two large matrices, the fastest of five, on the same threads and before the steps.
    pub peak_gflops: f64,
    /// GB/s, read and written, of copying 67 MB, the fastest of five, on the same threads and before the steps: what an update
    /// of all weights cannot exceed by much.
    pub copy_gbs: f64,
    /// Each shape of convolution, forward, dX and dW, largest share of the step first.
    pub convolutions: Vec<ConvRate>,
}

/// One part of a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PartTime {
    /// The part.
    pub part: Part,
    /// Median milliseconds a step.
    pub ms: f64,
    /// Percent of the median step.
    pub percent: f64,
    /// Operations a step.
    pub calls: u64,
    /// Work over time in all steps: GFLOP/s of convolutions, GB/s of other parts; `None` where work is not known.
    pub rate: Option<f64>,
}

/// One direction of all convolutions of a shape.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ConvRate {
    /// Forward, dX or dW.
    pub part: Part,
    /// The sizes.
    pub shape: ConvShape,
    /// Such convolutions a step.
    pub calls: u64,
    /// Median milliseconds a step.
    pub ms: f64,
    /// GFLOP/s at this time.
    pub gflops: f64,
    /// Percent of the peak.
    pub percent_of_peak: f64,
}

impl Operations {
    /// From the milliseconds of some steps and what was measured in each.
    pub(super) fn of(step_ms: &[f64], steps: &[CpuTimes], machine: Machine) -> Self {
        let step = median(step_ms.to_vec());
        let Machine { peak_gflops, copy_gbs } = machine;
        let n = steps.len().max(1) as u64;
        let parts = Part::ALL.into_iter().filter_map(|part| {
            let all = Series::of(steps.iter().map(|times| times.parts.get(&part)))?;
            let rate = (all.work > 0).then(|| all.work as f64 / all.seconds / 1e9);
            Some(PartTime {
                part,
                ms: all.median_ms,
                percent: 100.0 * all.median_ms / step,
                calls: all.calls / n,
                rate,
            })
        });
        let known = |times: &CpuTimes| 1e3 * times.parts.values().map(|tally| tally.seconds).sum::<f64>();
        let rest = step_ms.iter().zip(steps).map(|(ms, times)| ms - known(times)).collect();
        let shapes: BTreeSet<_> = steps.iter().flat_map(|times| times.convolutions.keys().copied()).collect();
        let convolutions = shapes.into_iter().filter_map(|(part, shape)| {
            let all = Series::of(steps.iter().map(|times| times.convolutions.get(&(part, shape))))?;
            let gflops = all.work as f64 / n as f64 / all.median_ms / 1e6;
            let percent_of_peak = 100.0 * gflops / peak_gflops;
            Some(ConvRate { part, shape, calls: all.calls / n, ms: all.median_ms, gflops, percent_of_peak })
        });
        let mut convolutions: Vec<ConvRate> = convolutions.collect();
        convolutions.sort_by(|a, b| b.ms.total_cmp(&a.ms));
        Self { parts: parts.collect(), rest_ms: median(rest), peak_gflops, copy_gbs, convolutions }
    }
}

/// The tallies of one operation in all steps.
struct Series {
    median_ms: f64,
    calls: u64,
    seconds: f64,
    work: u64,
}

impl Series {
    /// `None` if it never occurred.
    fn of<'a>(steps: impl Iterator<Item = Option<&'a Tally>>) -> Option<Self> {
        let tallies: Vec<Tally> = steps.map(|tally| tally.copied().unwrap_or_default()).collect();
        let calls = tallies.iter().map(|tally| tally.calls).sum();
        (calls > 0).then(|| Self {
            median_ms: median(tallies.iter().map(|tally| 1e3 * tally.seconds).collect()),
            calls,
            seconds: tallies.iter().map(|tally| tally.seconds).sum(),
            work: tallies.iter().map(|tally| tally.work).sum(),
        })
    }
}

/// The middle value, or the mean of the two in the middle; 0 without any.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n => (values[(n - 1) / 2] + values[n / 2]) / 2.0,
    }
}

/// What the machine can do at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    peak_gflops: f64,
    copy_gbs: f64,
}

impl Machine {
    /// A product of two large matrices in f32, and a copy of much memory, on all threads.
    pub(super) fn measure(device: &Device) -> Self {
        let matrix = Tensor::<2>::full([SIDE, SIDE], 0.5, device);
        let product = fastest(|| drop(matrix.clone().matmul(matrix.clone())));
        let (from, mut to) = (vec![1u8; COPIED], vec![0u8; COPIED]);
        let copy = fastest(|| {
            to.par_chunks_mut(1 << 20).zip(from.par_chunks(1 << 20)).for_each(|(to, from)| to.copy_from_slice(from));
        });
        Self { peak_gflops: 2.0 * (SIDE as f64).powi(3) / product / 1e9, copy_gbs: 2.0 * COPIED as f64 / copy / 1e9 }
    }
}

/// Seconds of the fastest of some tries.
fn fastest(mut f: impl FnMut()) -> f64 {
    let seconds = (0..TRIES).map(|_| {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_rest_are_medians_of_the_same_steps() {
        let shape = ConvShape {
            batch: 1,
            input: 10,
            side: [100, 100],
            output: 50,
            kernel: [1, 1],
            stride: 1,
            out_side: [100, 100],
        };
        assert_eq!(shape.flops(), 10_000_000);
        let step = |conv: f64, norm: f64| {
            let tally = |seconds, work| Tally { calls: 2, seconds, work };
            let mut times = CpuTimes::default();
            times.parts.insert(Part::ConvForward, tally(conv, 20_000_000));
            times.convolutions.insert((Part::ConvForward, shape), tally(conv, 20_000_000));
            times.parts.insert(Part::Norm, tally(norm, 0));
            times
        };
        // The second step is slow, by its convolution.
        let steps = [step(0.010, 0.004), step(0.050, 0.005), step(0.012, 0.003)];
        let found = Operations::of(&[20.0, 60.0, 21.0], &steps, Machine { peak_gflops: 100.0, copy_gbs: 10.0 });
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let [conv, norm] = found.parts[..] else { panic!("{found:?}") };
        assert_eq!((conv.part, conv.calls, norm.part, norm.calls), (Part::ConvForward, 2, Part::Norm, 2));
        assert!(close(conv.ms, 12.0) && close(norm.ms, 4.0) && close(found.rest_ms, 6.0), "{found:?}");
        assert!(close(conv.percent, 100.0 * 12.0 / 21.0), "{conv:?}");
        assert!(close(conv.rate.unwrap_or_default(), 0.06 / 0.072) && norm.rate.is_none(), "{conv:?}");
        let [rate] = found.convolutions[..] else { panic!("{found:?}") };
        // 20 MFLOP in 12 ms.
        assert!(close(rate.gflops, 20.0 / 12.0) && close(rate.percent_of_peak, 20.0 / 12.0), "{rate:?}");
    }
}
