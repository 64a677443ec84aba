//! Chest X-ray data sets: loaders, label policies, splits, leak checks, and batches of augmented views on the host.

mod audit;
mod batches;
mod cache;
pub mod decode;
mod error;
mod labels;
mod leak;
mod loaders;
mod manifest;
mod nearest;
mod ordered;
mod pairs;
mod phash;
mod pixel_hash;
mod prescan;
pub mod preview;
mod radiograph;
pub mod seed;
mod source;
pub mod splits;
pub mod synth;
mod views;

pub use audit::{AuditReport, audit, label_policies};
pub use batches::{BatchLoader, BatchOptions, Batches, PairBatch, PlaneBatch, ViewBatch};
pub use cache::{CacheOptions, CacheReport, ImageCache};
pub use error::{Error, Result};
pub use labels::{LabelCounts, LabelPolicy, NotMentioned, PolicyResult, TargetCounts, Uncertain, Views};
pub use leak::{LeakReport, Role, Subset, check_files, check_leaks, check_leaks_with, check_patients, check_scanned};
pub use loaders::{Dataset, LoadOptions, OnBad, Part, load, load_with};
pub use manifest::{Label, Manifest, Projection, Record, Sex, View};
pub use nearest::{did_you_mean, nearest_name};
pub use pairs::{PairSampling, SameGroup, SameImage};
pub use pixel_hash::PixelHash;
pub use prescan::{Prescan, prescan, prescan_with};
pub use radiograph::{Level, Pixels, Radiograph};
pub use source::{Files, ImageSource, MemoryCache, SelectedRows};
pub use views::{
    Clahe, Crop, Operation, Rect, Sampling, ViewConfig, ViewMap, ViewParams, clahe, prepare, render, render_with,
};

/// Parts of [`AuditReport`], [`LeakReport`] and [`PolicyResult`].
pub mod report {
    pub use crate::audit::{Duplicates, PolicyAudit, SubsetAudit};
    pub use crate::labels::TaskCounts;
    pub use crate::leak::{ImageRef, NearDuplicate, SharedPatients, Unreadable};
}
