//! Chest X-ray data: an image on disk becomes two augmented views on the host.

pub mod decode;
mod error;
mod labels;
mod leak;
mod loaders;
mod manifest;
mod phash;
mod radiograph;
pub mod seed;
pub mod synth;

pub use error::{Error, Result};
pub use labels::{LabelCounts, LabelPolicy, NotMentioned, PolicyResult, TargetCounts, TaskCounts, Uncertain, Views};
pub use leak::{
    ImageRef, LeakReport, NearDuplicate, Role, SharedPatients, Subset, Unreadable, check_leaks, check_leaks_with, check_patients,
};
pub use loaders::{Dataset, LoadOptions, OnBad, Part, load, load_with};
pub use manifest::{Label, Manifest, Projection, Record, Sex, View};
pub use radiograph::{Pixels, Radiograph};
