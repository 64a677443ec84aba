//! Train or eval, said by the caller.

/// How normalisation layers behave in a forward pass.
///
/// Burn's own layer decides by the device being an autodiff one; contrastive learning needs the key encoder to use batch
/// statistics *without* a tape, so here the caller says what it wants.
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
