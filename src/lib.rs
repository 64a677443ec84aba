//! Self-supervised pretraining on chest X-rays in pure Rust: momentum contrast (MoCo v2) as adapted by MoCo-CXR
//! ([arXiv:2010.05352](https://arxiv.org/abs/2010.05352)), with data loading, evaluation and reports.
//!
//! # The path of an image
//! ```text
//! file -> cxr_data::Record -> Radiograph -> two views -> host batch (u8)
//!      -> device -> moco_core: encoder_q, encoder_k, queue, loss -> checkpoint -> backbones: weights
//!      -> features -> eval: linear probe -> scores -> AUROC with interval -> table, report
//! ```
//! Each of [`cxr_data`] (no Burn), [`backbones`], [`moco_core`] and [`eval`] (its statistics need no Burn) can be used
//! alone. This crate combines them: [`pretrain()`] trains weights, and a [`Study`] evaluates weights on labelled images.
//! The modules are layers, each built on those before it: [`files`], [`device`], [`data`], [`weights`], [`mod@pretrain`],
//! [`check`], [`study`], [`report`], [`reproduce`] and [`quickstart`]. The [`prelude`] has the names that most programs need.
//!
//! # I have a folder of radiographs
//! [`pretrain()`] reads it in any supported layout ([`cxr_data::Dataset`]) and writes a [`RunFolder`] with weights for
//! PyTorch and for [`Weights`]. This example takes hours, so it is not run here; `examples/pretrain_folder.rs` is a small
//! one.
//!
//! ```no_run
//! use moco_cxr::prelude::*;
//!
//! let mut settings = PretrainSettings::named("small", "my-radiographs")?.with_set("views.size=224")?;
//! settings.train.epochs = 50;
//! let run = pretrain(&settings, "runs/first".as_ref(), Existing::Refuse, &mut ())?;
//! println!("weights in {}", run.folder.join("export").display());
//! # Ok::<(), moco_cxr::Error>(())
//! ```
//!
//! # I have labels and want results
//! A [`Study`] opens images, weights, labels and protocol together. It refuses data with a patient or an image in two parts,
//! and weights that were pretrained on test images. Results record the conditions they were computed under, and are not
//! compared with results under other conditions. Not run here; `examples/linear_probe.rs` is a small one.
//!
//! ```no_run
//! use moco_cxr::prelude::*;
//!
//! let watch = |text: &str| eprintln!("{text}"); // or `()`
//! let mut protocol = Protocol::default();
//! protocol.fractions = vec![0.01, 0.1, 1.0];
//! let study = Study::open(
//!     &Sources::new("CheXpert-v1.0-small"),
//!     &Weights::new("runs/first"),
//!     &Labels::new(["Pleural Effusion"]),
//!     &protocol,
//!     &watch,
//! )?;
//! let found = study.linear(Baseline::Random)?;
//! found.write("runs/first/eval")?;
//! println!("{}", found.outcome().table().to_markdown());
//! # Ok::<(), moco_cxr::Error>(())
//! ```
//!
//! # I have a PyTorch checkpoint
//! [`backbones::import`] reads torchvision's files, checkpoints of MoCo and MoCo-CXR, and safetensors. It is strict: missing
//! or unexpected tensors are an error that lists them. This example writes its own file in place of a `.pth`.
//!
//! ```
//! use moco_cxr::{backbones::{ImportOptions, WeightFile, import, safetensors_bytes, state_dict}, prelude::*};
//!
//! let device = Device::flex();
//! let folder = std::env::temp_dir().join(format!("moco-cxr-doc-{}", std::process::id()));
//! std::fs::create_dir_all(&folder)?;
//! let path = folder.join("resnet18.safetensors"); // or resnet18-f37072fd.pth, checkpoint_0019.pth.tar, ...
//! # let weights = state_dict(&NetworkConfig::new(Arch::ResNet18).init(7, &device))?;
//! # std::fs::write(&path, safetensors_bytes(&weights, 0)?)?;
//!
//! let network = NetworkConfig::new(Arch::ResNet18).init(0, &device);
//! let (mut network, report) = import(&WeightFile::open(&path)?, network, &ImportOptions::backbone(Arch::ResNet18))?;
//! assert!(report.is_complete());
//!
//! let images = Tensor::<4>::ones([2, 1, 64, 64], &device); // grey values from 0 to 1
//! assert_eq!(network.features(images, Mode::Eval).dims(), [2, 512]);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # I only want AUC with intervals
//! [`eval`] alone is enough (`moco-cxr-eval` without its feature `train` builds without Burn). The bootstrap resamples
//! patients, because images of one patient are not independent. `examples/score_csv.rs` reads a file.
//!
//! ```
//! use moco_cxr::eval::{Bootstrap, Cohort, Metric};
//!
//! let labels = vec![true, false, true, false, true, false];
//! let scores = [vec![0.9, 0.2, 0.6, 0.7, 0.8, 0.1]];
//! let cohort = Cohort::new(labels, &["p1", "p1", "p2", "p3", "p3", "p4"])?;
//! let auc = Bootstrap::default().interval(&cohort, &scores, Metric::Auroc)?;
//! assert_eq!((auc.estimate, auc.patients), (8.0 / 9.0, 4));
//! assert!(auc.lower < auc.estimate && auc.estimate <= auc.upper);
//! # Ok::<(), moco_cxr::eval::Error>(())
//! ```
//!
//! # I have my own backbone
//! Any Burn module that implements [`Backbone`](backbones::Backbone) can be pretrained by a [`moco_core::Trainer`], on the
//! same views ([`LoaderSource`]) or on any other batches. This example takes two steps on a few synthetic images.
//!
//! ```
//! use moco_cxr::{
//!     LoaderSource,
//!     backbones::{BatchNorm, Conv2d, Initializer},
//!     burn::{self, module::Module, tensor::activation::relu},
//!     cxr_data::{BatchLoader, BatchOptions, load, synth},
//!     prelude::*,
//! };
//!
//! #[derive(Module, Debug)]
//! struct Tiny { conv: Conv2d, norm: BatchNorm }
//!
//! impl Backbone for Tiny {
//!     fn feature_dim(&self) -> usize { 8 }
//!     fn features(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
//!         let x = relu(self.norm.forward(self.conv.forward(images), mode)); // [B, 8, H, W]
//!         x.mean_dims(&[2, 3]).reshape([-1, 8])                             // [B, 8]
//!     }
//! }
//!
//! let folder = std::env::temp_dir().join(format!("moco-cxr-own-{}", std::process::id()));
//! let few = synth::SynthConfig { train_patients: 12, valid_patients: 0, test_patients: 0, size: 48, ..Default::default() };
//! synth::write(&few, &folder)?;
//! let images = load(&folder, Dataset::Auto, Part::Train)?;
//! let options = BatchOptions { batch_size: 4, workers: 1, ..Default::default() };
//! let mut source = LoaderSource(BatchLoader::new(&images, ViewConfig::small(32), options)?);
//!
//! let mut init = Initializer::new(0, &Device::flex());
//! let mut config = PretrainSettings::named("small", &folder)?.train;
//! (config.epochs, config.batch_size, config.moco.queue_size) = (1, 4, 16);
//! let mut trainer = config.init(Tiny { conv: init.conv2d(1, 8, 3, 2, 1), norm: init.batch_norm(8) })?;
//! trainer.run(&mut source, &mut ())?;
//! let pretrained: Tiny = trainer.moco.encoder_q.backbone;
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//! `cli` and `flex` (the CPU backend) are on by default. For the library alone: `default-features = false, features =
//! ["flex"]`. `hub` (off) downloads published weights, see [`weights::fetch_weights`]; `mpi` (off) joins several processes to one
//! [pretraining](pretrain::pretrain_among).
//! Burn's `simd` and `rayon` are always on: without them its CPU backend is scalar and single-threaded.

#![recursion_limit = "256"] // for Burn's GPU backends

pub use backbones;
pub use burn;
pub use cxr_data;
pub use eval;
pub use moco_core;

pub mod check;
pub mod data;
pub mod device;
mod error;
pub mod files;
pub mod prelude;
pub mod pretrain;
pub mod quickstart;
pub mod ranks;
pub mod report;
pub mod reproduce;
pub mod shards;
pub mod study;
pub mod weights;

pub use data::{Labels, Sources, ValidFrom};
pub use device::DeviceChoice;
pub use error::{Error, Result};
pub use files::{Existing, RunFolder, Watch};
pub use pretrain::{LoaderSource, PretrainSettings, Pretrained, TrainingWatch, pretrain};
pub use quickstart::Quickstart;
pub use ranks::Ranks;
pub use report::{Report, ReportOptions};
pub use study::{Baseline, FineTuneSettings, Protocol, Scoring, Study};
pub use weights::{LoadedNetwork, Weights, load_run, load_weights};
