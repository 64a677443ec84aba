//! The kernels that a step launches on a GPU, by part of the step, and the device's time in each.

use backbones::Network;
use moco_core::HostBatch;
use serde::Serialize;

use crate::{
    check::{phase::Phase, step::Stepper},
    error::Result,
};

/// What was seen of a kernel in a part of the step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelUse {
    /// Part of the step.
    pub phase: Phase,
    /// Name of the kernel, with the types that it was made for.
    pub kernel: String,
    /// Launches in the step.
    pub launches: u64,
    /// Milliseconds of the device in all of them together, in another step; `None` where the device has no timer.
    pub device_ms: Option<f64>,
}

/// Counts the launches of one step, and times those of the next.
#[cfg(feature = "cube")]
pub(super) fn trace(stepper: &mut Stepper<Network>, batch: &HostBatch) -> Result<Vec<KernelUse>> {
    observer::trace(stepper, batch)
}

/// Without a GPU backend nothing is launched.
#[cfg(not(feature = "cube"))]
pub(super) fn trace(_: &mut Stepper<Network>, _: &HostBatch) -> Result<Vec<KernelUse>> {
    Ok(Vec::new())
}

#[cfg(feature = "cube")]
mod observer {
    use std::{
        collections::BTreeMap,
        sync::{
            Arc, Mutex, MutexGuard, PoisonError,
            atomic::{AtomicUsize, Ordering::Relaxed},
        },
    };

    use burn::cubecl::{
        config::{TypeNameFormatLevel, type_name_format},
        future::block_on,
        logging::{LaunchObservation, LaunchObserver, ProfileDuration, TimingMethod, TimingRequest},
    };

    use super::*;
    use crate::check::{phase::by_phase, step::wait};

    pub(super) fn trace(stepper: &mut Stepper<Network>, batch: &HostBatch) -> Result<Vec<KernelUse>> {
        let counted = Arc::new(Seen::new(TimingRequest::None));
        counted.watch(stepper, batch)?;
        let timed = Arc::new(Seen::new(TimingRequest::Deferred));
        timed.watch(stepper, batch)?;
        let mut seconds = timed.seconds();
        let counts = lock(&counted.counts);
        let uses = counts.iter().map(|(&(phase, kernel), &launches)| KernelUse {
            phase: Phase::ALL[phase],
            kernel: type_name_format(kernel, TypeNameFormatLevel::Balanced),
            launches,
            device_ms: seconds.remove(&(phase, kernel)).map(|seconds| 1e3 * seconds),
        });
        Ok(uses.collect())
    }

    /// What an observer notes, by part of the step and kernel.
    struct Seen {
        timing: TimingRequest,
        phase: AtomicUsize,
        counts: Mutex<BTreeMap<(usize, &'static str), u64>>,
        times: Mutex<Vec<((usize, &'static str), ProfileDuration)>>,
    }

    impl Seen {
        fn new(timing: TimingRequest) -> Self {
            Self { timing, phase: AtomicUsize::new(0), counts: Mutex::default(), times: Mutex::default() }
        }

        fn watch(self: &Arc<Self>, stepper: &mut Stepper<Network>, batch: &HostBatch) -> Result<()> {
            let observed: Arc<Self> = self.clone();
            let observation = LaunchObservation::new(observed);
            by_phase(stepper, batch.clone(), 0, |phase, _| {
                self.phase.store(phase as usize + 1, Relaxed);
                Ok(())
            })?;
            drop(observation);
            wait(&stepper.device)
        }

        fn seconds(&self) -> BTreeMap<(usize, &'static str), f64> {
            let mut all = BTreeMap::new();
            for (key, profile) in lock(&self.times).drain(..) {
                // Another method than the device's own timer is the time of the thread that launched.
                if profile.timing_method() == TimingMethod::Device
                    && let Some(ticks) = block_on(profile.resolve())
                {
                    *all.entry(key).or_default() += ticks.duration().as_secs_f64();
                }
            }
            all
        }
    }

    impl LaunchObserver for Seen {
        fn launched(&self, kernel: &'static str) {
            *lock(&self.counts).entry((self.phase.load(Relaxed), kernel)).or_default() += 1;
        }

        fn timing(&self) -> TimingRequest {
            self.timing
        }

        fn profiled(&self, kernel: &'static str, profile: ProfileDuration) {
            lock(&self.times).push(((self.phase.load(Relaxed), kernel), profile));
        }
    }

    fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
