//! How many passes cuDNN was asked for, lest a fallback to other kernels goes unseen.

use std::sync::{Mutex, PoisonError};

static TALLY: Mutex<Tally> = Mutex::new(Tally { passes: 0, elsewhere: 0, reason: None });

#[derive(Debug, Default)]
struct Tally {
    passes: u64,
    elsewhere: u64,
    reason: Option<String>,
}

impl Tally {
    fn add(&mut self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.passes += 1,
            Err(reason) => {
                self.elsewhere += 1;
                self.reason.get_or_insert(reason);
            }
        }
    }
}

/// Counts a pass: one that cuDNN was asked for, or why it was not.
pub(super) fn count(outcome: Result<(), String>) {
    TALLY.lock().unwrap_or_else(PoisonError::into_inner).add(outcome);
}

/// Passes of convolutions on CUDA devices since the program started: how many cuDNN was asked for, how many went through this
/// project's own kernels, and why the first of these did.
pub fn cudnn_passes() -> (u64, u64, Option<String>) {
    let tally = TALLY.lock().unwrap_or_else(PoisonError::into_inner);
    (tally.passes, tally.elsewhere, tally.reason.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_counted_and_the_first_reason_is_kept() {
        let mut tally = Tally::default();
        for outcome in [Ok(()), Err("first".to_owned()), Err("second".to_owned()), Ok(()), Ok(())] {
            tally.add(outcome);
        }
        assert_eq!((tally.passes, tally.elsewhere, tally.reason.as_deref()), (3, 2, Some("first")));
    }
}
