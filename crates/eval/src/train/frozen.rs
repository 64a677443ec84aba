//! The check that a frozen network stayed frozen.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};

use backbones::{TensorKind, state_dict};
use burn::module::Module;

use crate::error::{Error, Result};

/// The tensors that may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayMove {
    /// None, as for features in eval mode.
    Nothing,
    /// Only running statistics: weights frozen, batch normalisation in train mode, as MoCo-CXR's linear evaluation runs.
    RunningStatistics,
}

/// 64-bit hashes of all tensors of a module at one time.
///
/// A probe of a network that changed does not measure the network that was pretrained. The usual cause is batch
/// normalisation left in train mode (as in the paper's own code, see `docs/deviations.md`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen(BTreeMap<String, u64>);

impl Frozen {
    /// Reads the module as it is now.
    ///
    /// # Errors
    /// When the device fails.
    pub fn of<M: Module>(module: &M) -> Result<Self> {
        Ok(Self(state_dict(module)?.into_iter().map(|(name, data)| (name, print(data.as_bytes()))).collect()))
    }

    /// Compares with the module as it is now, bit by bit.
    ///
    /// # Errors
    /// [`Error::Moved`] names the tensors that changed and should not have.
    pub fn check<M: Module>(&self, module: &M, may_move: MayMove) -> Result<()> {
        let now = Self::of(module)?;
        let allowed = |name: &str| may_move == MayMove::RunningStatistics && TensorKind::of(name) == TensorKind::Buffer;
        let names: std::collections::BTreeSet<&String> = self.0.keys().chain(now.0.keys()).collect();
        let moved = names.into_iter().filter(|&name| self.0.get(name) != now.0.get(name) && !allowed(name));
        let moved: Vec<String> = moved.cloned().collect();
        if moved.is_empty() { Ok(()) } else { Err(Error::Moved { tensors: moved }) }
    }
}

/// The hash of a tensor's bytes.
fn print(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
