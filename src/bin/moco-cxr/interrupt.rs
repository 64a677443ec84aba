//! Ctrl-C: the first one asks for a checkpoint and the end of the run, the second one ends the program at once. What a
//! scheduler sends before it kills (SIGTERM) counts as Ctrl-C.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// Exit status of a program that was interrupted, as shells count it: 128 + SIGINT.
pub(crate) const STATUS: u8 = 130;

/// Whether somebody asked to stop.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt {
    asked: Arc<AtomicBool>,
    at_once: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens from now on. Before [`Self::begin`] there is nothing to save, and the program ends at once.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let (asked, at_once) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the second signal finds what the first one set.
            flag::register_conditional_shutdown(signal, STATUS.into(), Arc::clone(&at_once))?;
            flag::register(signal, Arc::clone(&asked))?;
            flag::register(signal, Arc::clone(&at_once))?;
        }
        Ok(Self { asked, at_once })
    }

    /// From here on a step is worth finishing.
    pub(crate) fn begin(&self) {
        self.at_once.store(false, Ordering::SeqCst);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}
