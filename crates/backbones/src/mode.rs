//! Train or eval mode, chosen by the caller.

/// How normalisation layers behave in a forward pass.
///
/// Burn's own layer uses batch statistics if its device is an autodiff one. The key encoder of contrastive learning
/// needs batch statistics *without* a tape, so here the caller chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics; running statistics are updated.
    Train {
        /// Number of equal parts of the batch that are normalised separately, as on that many devices
        /// (`1` is ordinary batch normalisation). Must divide the batch size.
        groups: usize,
    },
    /// Running statistics; nothing is updated.
    Eval,
}

impl Mode {
    /// Ordinary training: statistics over the whole batch.
    pub const TRAIN: Mode = Mode::Train { groups: 1 };
}
