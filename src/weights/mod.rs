//! Loading and exporting weights.
//!
//! Every command that takes weights (`pretrain --init`, `linear --weights`, ...) loads them with [`Weights`], or with
//! `initial` if the settings define the network; both parse the request in `source`. `cache` finds published weights, and
//! only [`fetch_weights`] downloads them.

mod advice;
mod cache;
mod convert;
mod declared;
#[cfg(feature = "hub")]
mod download;
mod fetch;
mod folder;
mod import_settings;
mod load;
mod open;
mod preprocessing;
mod request;
mod source;

pub use convert::{Imported, export_weights, import_weights};
pub use fetch::{Fetching, fetch_weights};
pub(crate) use folder::EXPORT;
pub use import_settings::ImportSettings;
pub use load::{LoadedNetwork, load_run, load_weights};
pub(crate) use load::{initial, weight_file_of};
pub use request::Weights;
