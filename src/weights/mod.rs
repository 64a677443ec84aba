//! Weights a network begins with, and those a run leaves.
//!
//! Whatever takes weights (`pretrain --init`, `linear --weights`, ...) comes through [`Weights`] or, where the
//! settings say what network it is, through `initial`; both ask `source` what the words mean. Published weights are looked
//! for in `cache`, and downloaded only by [`fetch_weights`].

mod cache;
mod convert;
#[cfg(feature = "hub")]
mod download;
mod fetch;
mod folder;
mod load;
mod request;
mod source;

pub use convert::{ImportSettings, export_weights, import_weights};
pub use fetch::{Fetching, fetch_weights};
pub(crate) use folder::EXPORT;
pub use load::{LoadedNetwork, load_run, load_weights};
pub(crate) use load::{initial, weight_file_of};
pub use request::Weights;
