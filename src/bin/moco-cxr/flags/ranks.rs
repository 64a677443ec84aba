//! Commands that several processes do together, as ranks (docs/scale.md).

use std::{thread::sleep, time::Duration};

use clap::Args;
use moco_cxr::{
    DeviceChoice,
    ranks::{Launch, Ranks},
};

use super::{device::DeviceArguments, output::OutputArguments, time::Time};
use crate::{Fault, terminal::print::errln};

/// When a rank that works apart from the others is given up.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct SignArguments {
    /// Of several processes (mpirun, srun): end all when one of them has given no sign of life for this long. A batch of images
    /// is one, and each regression of a linear head.
    #[arg(long, value_name = "TIME", default_value = "30m")]
    rank_timeout: Time,
}

impl SignArguments {
    pub(crate) fn deadline(self) -> Duration {
        self.rank_timeout.0
    }
}

/// Does the work of a command as one of the ranks that were started together, or alone. An error of one rank ends all.
pub(crate) fn together<T>(deadline: Duration, work: impl FnOnce(&Ranks) -> Result<T, Fault>) -> Result<T, Fault> {
    let ranks = Ranks::join(deadline, |reason| {
        errln!("rank {}: {reason}", Launch::of_this_process().rank);
    })?;
    let result = work(&ranks);
    if let (Err(fault), true) = (&result, ranks.size() > 1) {
        if !ranks.is_first() {
            // What is wrong on all ranks is told by the first.
            sleep(Duration::from_secs(1));
        }
        ranks.together().abort(&format!("error: {fault}"));
    }
    result
}

/// Gives a rank its device, instead of `setting` where none is named. Only the first rank says what it does.
pub(crate) fn as_rank(
    ranks: &Ranks,
    setting: DeviceChoice,
    device: &mut DeviceArguments,
    output: &mut OutputArguments,
) {
    if ranks.size() > 1 {
        device.device = Some(device.device.unwrap_or(setting).for_process(ranks.launch().local_rank));
    }
    if !ranks.is_first() {
        output.hush();
    }
}
