//! Weights a network begins with, and those a run leaves.
//!
//! Whatever takes weights (`pretrain --init`, `linear --weights`, ...) comes through [`load_weights`] or, where the
//! settings say what network it is, through `initial`; both ask [`source`] what the words mean.

mod export;
mod folder;
mod load;
mod source;

pub(crate) use export::export;
pub(crate) use load::initial;
pub use load::{LoadedNetwork, load_run, load_weights};
