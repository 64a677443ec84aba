//! Signals. In a pretraining the first one asks for a checkpoint and the end of the run, and the second one ends the program at
//! once; any other command ends at the first, and takes away what it has begun.
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

/// From now on a signal that ends the program first takes away what the command has begun: locks, and what is not complete. A second
/// one ends it at once.
///
/// # Errors
/// When the system refuses.
#[cfg(unix)]
pub(crate) fn clears_up() -> std::io::Result<()> {
    use signal_hook::{
        consts::{SIGHUP, SIGUSR1},
        iterator::Signals,
        low_level::{emulate_default_handler, exit},
    };

    let begun = Arc::new(AtomicBool::new(false));
    let signals: Vec<i32> =
        [SIGINT, SIGTERM, SIGHUP, SIGUSR1].into_iter().filter(|&signal| !is_ignored(signal)).collect();
    for &signal in &signals {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&begun))?;
    }
    let mut signals = Signals::new(signals)?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            begun.store(true, Ordering::SeqCst);
            moco_cxr::files::abandon();
            // As if nobody had listened; but the first process of a container cannot be ended so.
            if std::process::id() != 1 {
                let _ = emulate_default_handler(signal);
            }
            exit(128 + signal);
        }
    })?;
    Ok(())
}

/// Elsewhere the next command clears up.
#[cfg(not(unix))]
pub(crate) fn clears_up() -> std::io::Result<()> {
    Ok(())
}

/// Signals that only Unix has.
#[cfg(unix)]
fn others() -> Vec<i32> {
    use signal_hook::consts::{SIGHUP, SIGUSR1};

    Some(SIGHUP).filter(|&signal| !is_ignored(signal)).into_iter().chain([SIGUSR1]).collect()
}

/// Whether whoever started the program has it ignore a signal, as `nohup` does, and shells for jobs in the background. Where that cannot
/// be read, only SIGHUP is left as it is.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    // Bit n - 1 of SigIgn is signal n.
    let mask = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    mask.map_or(signal == signal_hook::consts::SIGHUP, |mask| mask & (1 << (signal - 1)) != 0)
}

#[cfg(not(unix))]
fn others() -> Vec<i32> {
    Vec::new()
}
