//! Chest X-ray data: an image on disk becomes two augmented views on the host.

mod audit;
mod batches;
mod cache;
pub mod decode;
mod error;
mod labels;
mod leak;
mod loaders;
mod manifest;
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

pub use audit::{AuditReport, Duplicates, PolicyAudit, SubsetAudit, audit, audit_with, label_policies};
pub use batches::{BatchLoader, BatchOptions, Batches, PairBatch, PlaneBatch, ViewBatch};
pub use cache::{CacheOptions, CacheReport, ImageCache};
pub use error::{Error, Result};
pub use labels::{LabelCounts, LabelPolicy, NotMentioned, PolicyResult, TargetCounts, TaskCounts, Uncertain, Views};
pub use leak::{
    ImageRef, LeakReport, NearDuplicate, Role, SharedPatients, Subset, Unreadable, check_files, check_leaks,
    check_leaks_with, check_patients, check_scanned,
};
pub use loaders::{Dataset, LoadOptions, OnBad, Part, load, load_with};
pub use manifest::{Label, Manifest, Projection, Record, Sex, View};
pub use pairs::{PairSampling, SameGroup, SameImage};
pub use pixel_hash::PixelHash;
pub use prescan::{Prescan, prescan, prescan_with};
pub use radiograph::{Level, Pixels, Radiograph};
pub use source::{Files, ImageSource, MemoryCache, SelectedRows};
pub use views::{
    Clahe, Crop, Operation, Rect, Sampling, ViewConfig, ViewMap, ViewParams, clahe, prepare, render, render_with,
};
