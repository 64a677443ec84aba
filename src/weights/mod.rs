//! Weights a network begins with, and those a run leaves.
//!
//! Whatever takes weights (`pretrain --init`, `linear --weights`, ...) comes through [`load_weights`] or, where the
//! settings say what network it is, through `initial`; both ask `source` what the words mean. Published weights are looked
//! for in `cache`, and downloaded only by [`fetch_weights`].

mod cache;
mod classifier;
mod convert;
#[cfg(feature = "hub")]
mod download;
mod export;
mod fetch;
mod folder;
mod load;
mod preprocessing;
mod source;

pub(crate) use cache::folder as cache_folder;
pub(crate) use classifier::classifier_info;
pub use convert::{ImportSettings, export_weights, import_weights};
pub(crate) use export::export;
pub use fetch::{Fetching, fetch_weights};
pub(crate) use folder::EXPORT;
pub use load::{LoadedNetwork, load_run, load_weights};
pub(crate) use load::{initial, weight_file_of};
pub use preprocessing::AskedPreprocessing;
