//! A trainer on each of several ranks: they begin equal, stop together, and stay equal.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use backbones::Backbone;

use super::collective::{Collective, numbers};
use crate::{Error, Request, Result, RunState, TrainConfig, Trainer, config::check};

impl TrainConfig {
    /// As [`Self::init`], for one of several ranks. `batch_size` stays the size of the whole batch, of which each rank encodes an
    /// equal part, and `groups` the number of its groups, of which each rank has as many.
    ///
    /// # Errors
    /// As [`Self::init`], and when the number of ranks divides either of them not.
    pub fn init_among<B: Backbone>(&self, backbone: B, ranks: Arc<dyn Collective>) -> Result<Trainer<B>> {
        let n = ranks.size();
        check(self.batch_size.is_multiple_of(n), "batch_size", self.batch_size, "a multiple of the number of ranks")?;
        check(
            self.moco.groups.is_multiple_of(n),
            "moco.groups",
            self.moco.groups,
            "a multiple of the number of ranks",
        )?;
        let mut trainer = self.init(backbone)?;
        trainer.moco.ranks = ranks;
        Ok(trainer)
    }
}

impl<B: Backbone> Trainer<B> {
    /// The ranks of the run.
    pub(crate) fn ranks(&self) -> &Arc<dyn Collective> {
        &self.moco.ranks
    }

    /// Gives all ranks the state of rank 0, and checks that they have it.
    pub(crate) fn begin_equal(&mut self) -> Result<()> {
        let ranks = Arc::clone(self.ranks());
        if ranks.size() == 1 {
            return Ok(());
        }
        let own = if ranks.rank() == 0 { packed(&self.state()?)? } else { Vec::new() };
        let first = ranks.broadcast(own, "the state at the beginning")?;
        if ranks.rank() > 0 {
            self.resume(&unpacked(&first)?)?;
        }
        self.check_equal()
    }

    /// The strongest request of all ranks.
    pub(crate) fn agree(&self, own: Request) -> Result<Request> {
        let all = [Request::Continue, Request::Checkpoint, Request::Stop];
        let asked = self.ranks().gather(&[own as u8], "whether to go on")?;
        Ok(asked.into_iter().filter_map(|request| all.get(usize::from(request)).copied()).fold(own, Request::max))
    }

    /// Ranks compute the same update from the same gradients, so that their states stay equal, unless their processors round
    /// differently: then this is an error, before anything is saved.
    pub(crate) fn check_equal(&self) -> Result<()> {
        let ranks = self.ranks();
        if ranks.size() == 1 {
            return Ok(());
        }
        let mut state = self.state()?;
        state.best = None; // known to rank 0 alone
        let hash = blake3::hash(&packed(&state)?);
        let all = ranks.gather(hash.as_bytes(), "the check that all ranks are equal")?;
        let other = all.chunks_exact(blake3::OUT_LEN).position(|found| found != &all[..blake3::OUT_LEN]);
        let Some(other) = other else { return Ok(()) };
        Err(Error::Ranks {
            what: "the check that all ranks are equal",
            reason: format!(
                "after step {}, rank {other} has other weights, optimiser state or keys than rank 0. Expected the same program \
                 on processors of one kind: those with other instructions round differently",
                self.position().step
            ),
        })
    }
}

/// The files of a checkpoint one after the other, each with its length before it.
fn packed(state: &RunState) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for file in state.to_files()?.into_values() {
        bytes.extend_from_slice(&(file.len() as u64).to_ne_bytes());
        bytes.extend(file);
    }
    Ok(bytes)
}

fn unpacked(mut bytes: &[u8]) -> Result<RunState> {
    let mut files = BTreeMap::new();
    for name in RunState::FILES {
        let cut = |n: usize, bytes: &[u8]| bytes.len() < n;
        let lost = || Error::Ranks { what: "the state at the beginning", reason: "a part of it is missing".into() };
        if cut(8, bytes) {
            return Err(lost());
        }
        let (length, rest) = bytes.split_at(8);
        let length = numbers::<u64>(length)[0] as usize;
        if cut(length, rest) {
            return Err(lost());
        }
        let (file, rest) = rest.split_at(length);
        files.insert(name.to_owned(), file.to_vec());
        bytes = rest;
    }
    RunState::from_files(&files, Path::new("rank 0"))
}
