//! Signals: the first one asks for a checkpoint and the end of the run, the second one ends the program at once.
//!
//! Ctrl-C (SIGINT); SIGTERM, which schedulers send before they kill a process; SIGUSR1, which they send on request some time
//! before a job's time is over (`sbatch --signal=USR1@120`); SIGHUP, when a terminal closes, unless `nohup` has it ignored.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// Exit status of an interrupted program, by the convention of shells: 128 + SIGINT.
pub(crate) const STATUS: u8 = 130;

/// Whether the program was asked to stop.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt {
    asked: Arc<AtomicBool>,
    at_once: Arc<AtomicBool>,
}

impl Interrupt {
    /// Starts listening. Until [`Self::begin`] there is nothing to save, and the first signal ends the program.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let (asked, at_once) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        for signal in [SIGINT, SIGTERM].into_iter().chain(others()) {
            // The order matters: only the second signal finds the flag that the first one set.
            flag::register_conditional_shutdown(signal, STATUS.into(), Arc::clone(&at_once))?;
            flag::register(signal, Arc::clone(&asked))?;
            flag::register(signal, Arc::clone(&at_once))?;
        }
        Ok(Self { asked, at_once })
    }

    /// Nobody listens: the first signal ends the program at any time, as it does without this.
    pub(crate) fn ends_at_once() -> Self {
        Self { asked: Arc::default(), at_once: Arc::default() }
    }

    /// From now on the first signal only asks to stop, so that the step is finished and a checkpoint written.
    pub(crate) fn begin(&self) {
        self.at_once.store(false, Ordering::SeqCst);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Signals that only Unix has.
#[cfg(unix)]
fn others() -> Vec<i32> {
    use signal_hook::consts::{SIGHUP, SIGUSR1};

    // Bit n - 1 of SigIgn is signal n. Where it cannot be read, SIGHUP is left as it is.
    let ignored = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    let hang_up = ignored.filter(|mask| mask & (1 << (SIGHUP - 1)) == 0).map(|_| SIGHUP);
    hang_up.into_iter().chain([SIGUSR1]).collect()
}

#[cfg(not(unix))]
fn others() -> Vec<i32> {
    Vec::new()
}
