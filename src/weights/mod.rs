//! Loading and exporting weights.
//!
//! Every command that takes weights (`pretrain --init`, `linear --weights`, ...) loads them with [`Weights`], or with
//! `initial` if the settings define the network; both parse the request in `source`. `cache` finds published weights, and
//! only [`fetch_weights`] downloads them.

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
