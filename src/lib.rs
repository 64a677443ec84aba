//! Self-supervised pretraining on chest X-rays in pure Rust: momentum contrast (MoCo v2) as MoCo-CXR
//! ([arXiv:2010.05352](https://arxiv.org/abs/2010.05352)) adapted it, and everything around it.
//!
//! # The way of an image
//! ```text
//! file -> cxr_data::Record -> Radiograph -> two views -> host batch (u8)
//!      -> device -> moco_core: encoder_q, encoder_k, queue, loss -> checkpoint -> backbones: weights
//!      -> features -> eval: linear probe -> scores -> AUROC with interval -> table, report
//! ```
//! Each arrow is a crate of its own, re-exported here, that can be used alone: [`cxr_data`] (no Burn), [`backbones`],
//! [`moco_core`] and [`eval`] (its statistics need no Burn). What stands in this crate puts them together: [`pretrain`],
//! the pieces of a linear probe ([`Labelled`], [`fit_draws`], [`evaluate_fraction`]), the folder of a run
//! ([`RunFolder`]) and its [`Report`].
//!
//! # One example
//! A synthetic set, a network pretrained on it for one tiny epoch, and its features:
//!
//! ```no_run
//! use moco_cxr::{Existing, PretrainSettings, cxr_data::synth, pretrain};
//!
//! synth::write(&synth::SynthConfig::default(), "synth".as_ref())?;
//! let mut settings = PretrainSettings::named("small", "synth")?.with_set("views.size=64")?;
//! settings.train.epochs = 1;
//! let run = pretrain(&settings, "run".as_ref(), Existing::Refuse, &mut ())?;
//! println!("weights in {}", run.folder.join("export").display());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//! `cli` and `flex` (the CPU) are on. A library user who wants less: `default-features = false, features = ["flex"]`.
//! Burn's `simd` and `rayon` are always on: without them its CPU backend runs scalar and on one thread.

#![recursion_limit = "256"] // for Burn's GPU backends

pub use backbones;
pub use burn;
pub use cxr_data;
pub use eval;
pub use moco_core;

mod bench;
mod device;
mod draws;
mod embed;
mod error;
mod estimate;
mod finetune;
mod images;
mod knn;
mod labelled;
mod layers;
mod linear;
mod nearest;
mod new_folder;
mod outcome;
mod parity;
mod parts;
mod predict;
pub mod prelude;
mod preprocessing;
mod pretrain;
mod preview;
mod probe;
mod report;
mod run_folder;
mod run_log;
mod settings;
mod speed;
mod tensorboard;
mod train_log;
mod weights;

pub use bench::{Phases, StepBench, StepReport};
pub use device::{Adapter, Backend, BackendReport, DeviceChoice, devices, guard, keep_kernels, kernel_folder};
pub use draws::{LabelDraw, label_draws, plain_draws};
pub use embed::embed;
pub use error::{Error, Result};
pub use finetune::{CheckpointChoice, FineTuneOutcome, FineTuneSettings, Measurement, TrainingRun, fine_tune};
pub use knn::knn;
pub use labelled::{Labelled, adapt_statistics};
pub use linear::{Arm, linear};
pub use outcome::Outcome;
pub use parity::{Difference, ParityBatch, ParityReport, parity, self_test};
pub use parts::{LinearData, LoadedPart, Parts, ValidFrom, check_against_pretraining};
pub use predict::{Scorer, load_images};
pub use preprocessing::AskedPreprocessing;
pub use estimate::{MemoryEstimate, StepEstimate};
pub use images::build_cache;
pub use pretrain::{Pretrained, Watch, pretrain};
pub use preview::preview;
pub use probe::{
    ArmLogits, FractionResult, ProbeSettings, TaskResult, evaluate_fraction, evaluate_scores, fit_draws, fit_probe,
    scores,
};
pub use report::{Report, ReportOptions, results_table};
pub use run_folder::{Existing, MetricsLog, RunFolder};
pub use settings::{CheckpointSettings, DataSettings, KeyFrom, PretrainSettings};
pub use weights::{LoadedNetwork, load_run, load_weights};
pub use speed::Speed;
pub use tensorboard::TensorBoard;
