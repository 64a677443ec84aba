//! Chest X-ray data sets: loaders, label policies, splits, leak checks, and batches of augmented views on the host.

mod audit;
mod batches;
mod cache;
pub mod decode;
mod error;
mod inventory;
mod labels;
mod leak;
mod limits;
mod loaders;
mod looks;
mod manifest;
mod nearest;
mod ordered;
mod pairs;
mod phash;
mod pixel_hash;
mod prescan;
pub mod preview;
mod radiograph;
mod scan;
pub mod seed;
mod source;
pub mod splits;
mod stamp;
pub mod synth;
mod views;
mod vocabulary;

pub use audit::{AuditReport, audit, audit_with, label_policies};
pub use batches::{BatchLoader, BatchOptions, Batches, PairBatch, PlaneBatch, Replaced, Share, ViewBatch};
pub use cache::{CacheOptions, CacheReport, ImageCache, join_caches};
pub use error::{Error, Result};
pub use inventory::{Account, LeftOut};
pub use labels::{LabelCounts, LabelPolicy, NotMentioned, PolicyResult, TargetCounts, Uncertain, Views};
pub use leak::{LeakReport, Role, Subset, check_files, check_leaks, check_leaks_with, check_patients, check_scanned};
pub use loaders::{
    Column, Columns, Dataset, Folder, LoadOptions, OnBad, Part, load, load_opened, load_together, load_with,
    open_together,
};
pub use looks::Remark;
pub use manifest::{Manifest, Record};
pub use nearest::{did_you_mean, nearest_name};
pub use pairs::{PairSampling, SameGroup, SameImage};
pub use pixel_hash::PixelHash;
pub use prescan::{Prescan, prescan, prescan_with};
pub use radiograph::{Level, Pixels, Radiograph};
pub use scan::ScanStore;
pub use source::{Files, ImageSource, MemoryCache, SelectedRows};
pub use stamp::FileState;
pub use tables::{Label, Projection, Sex, View};
pub use views::{
    Clahe, Crop, Operation, Rect, Sampling, ViewConfig, ViewMap, ViewParams, clahe, prepare, render, render_with,
};

/// Parts of [`AuditReport`], [`LeakReport`] and [`PolicyResult`].
pub mod report {
    pub use crate::audit::{Duplicates, LooksAudit, PolicyAudit, SubsetAudit};
    pub use crate::labels::TaskCounts;
    pub use crate::leak::{ImageRef, NearDuplicate, SharedPatients, Unreadable};
}
