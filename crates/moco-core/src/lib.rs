//! Momentum contrast (MoCo v1, arXiv:1911.05722, and v2, arXiv:2003.04297) over any backbone, on [Burn](burn).
//!
//! Two views of an image are encoded: the query by `encoder_q`, which is trained, and the key by `encoder_k`, its
//! moving average. The query has to pick its key out of the keys of past batches, which are kept in a queue.
//!
//! # A tour
//! - [`MocoConfig`] -> `init` -> [`Moco`]: two [`Encoder`]s and a [`Queue`]; [`Moco::step`] is one step of the method.
//! - [`info_nce`]: the loss. [`Optimizer`]: SGD, Adam, AdamW and LARS as PyTorch defines them. [`Schedule`]: the
//!   learning rate as a function of the step.
//! - [`TrainConfig`] -> `init` -> [`Trainer`]: epochs over a [`BatchSource`], reported to an [`Observer`]. Its
//!   `Default` is MoCo v2 as published.
//! - [`Checkpoints`]: the complete state of a run, written atomically; resuming is exact on the CPU.
//! - [`Collective`]: one run on several ranks, which are threads ([`LocalGroup`]) or, with the feature `mpi`, processes.
//! - [`EpochReport`] and [`Diagnosis`]: the run doctor; [`TrainConfig::forecast`]: what it knows before the first step. [`OnlineProbe`]: a labelled set, scored during training.
//!
//! If you use this crate alone, enable a backend of Burn, for example `burn/flex` (CPU). Burn's features `simd` and
//! `rayon` are already on; add `autotune` for GPUs. Do not enable `fusion`, which is one of Burn's default features:
//! with it, Burn 0.22.1 computes wrong losses and gradients on GPUs.
//!
//! # Your own network
//! Any Burn module that computes features can be pretrained:
//!
//! ```
//! use backbones::{Backbone, BatchNorm, Conv2d, Initializer, Mode};
//! use burn::{module::Module, tensor::{Device, Tensor, activation::relu}};
//! use moco_core::{Batch, BatchSource, BoxError, HostBatch, Observer, Request, StepMetrics, TrainConfig};
//! use ndarray::Array3;
//!
//! #[derive(Module, Debug)]
//! struct Tiny { conv: Conv2d, bn: BatchNorm }
//!
//! impl Backbone for Tiny {
//!     fn feature_dim(&self) -> usize { 8 }
//!     fn features(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
//!         let x = relu(self.bn.forward(self.conv.forward(images), mode)); // [B, 8, H, W]
//!         x.mean_dims(&[2, 3]).reshape([-1, 8])                           // [B, 8]
//!     }
//! }
//!
//! /// Any data: here eight batches of four images, the key brighter than the query.
//! struct Data;
//! impl BatchSource for Data {
//!     fn batches_per_epoch(&self) -> usize { 8 }
//!     fn epoch(&mut self, _: u64, first: usize) -> Box<dyn Iterator<Item = Result<Batch, BoxError>> + '_> {
//!         Box::new((first..8).map(|b| {
//!             let query = Array3::from_shape_fn((4, 16, 16), |(i, y, x)| ((b * 4 + i + 1) * (y + x)) as u8);
//!             Ok(HostBatch { key: query.mapv(|v| v.saturating_add(9)), query, patients: vec![0; 4] }.into())
//!         }))
//!     }
//! }
//!
//! struct Losses(Vec<f64>);
//! impl Observer for Losses {
//!     fn on_step(&mut self, metrics: &StepMetrics) -> Request {
//!         self.0.push(metrics.measures.loss);
//!         Request::Continue
//!     }
//! }
//!
//! let mut init = Initializer::new(0, &Device::flex());
//! let tiny = Tiny { conv: init.conv2d(1, 8, 3, 2, 1), bn: init.batch_norm(8) };
//!
//! let mut config = TrainConfig::default();
//! (config.epochs, config.batch_size, config.moco.queue_size, config.moco.groups) = (2, 4, 16, 1);
//! let mut losses = Losses(Vec::new());
//! let mut trainer = config.init(tiny)?;
//! trainer.run(&mut Data, &mut losses)?;
//! let pretrained: Tiny = trainer.moco.encoder_q.backbone;
//! assert_eq!(losses.0.len(), 16);
//! # Ok::<(), moco_core::Error>(())
//! ```

#![recursion_limit = "256"]

mod checkpoint;
mod config;
mod diagnosis;
mod doctor;
mod ema;
mod encoder;
mod epoch_sums;
mod error;
mod forecast;
mod loss;
mod metrics;
mod moco;
mod observer;
mod online_probe;
mod planes;
mod queue;
mod random;
mod ranks;
mod schedule;
mod similarities;
mod source;
mod spread;
mod train_config;
mod train_loop;

pub use backbones::optim::{NamedGradients, Optimizer, OptimizerConfig, Rule};
pub use checkpoint::{Checkpoints, Found, Ignored, Keep, MocoImport, RunState, differences};
pub use config::{MocoConfig, QueueInit};
pub use diagnosis::Diagnosis;
pub use doctor::EpochReport;
pub use encoder::{Encoder, PlainNorm, Projection, ProjectionHead};
pub use error::{BoxError, Error, Result};
pub use forecast::Forecast;
pub use loss::{InfoNce, info_nce};
pub use metrics::{Measures, StepMetrics, StepTimes};
pub use moco::{Moco, Step};
pub use observer::{Observer, Request};
pub use online_probe::{Best, OnlineProbe, ProbeResult};
pub use planes::{PlaneBatch, PlaneView};
pub use queue::{Negatives, Queue};
pub use ranks::{Alone, Collective, LocalGroup, Share, Shares, gather_any, sum};
#[cfg(feature = "mpi")]
pub use ranks::{Joined, Mpi};
pub use schedule::{Decay, Schedule};
pub use similarities::Similarities;
pub use source::{Batch, BatchSource, HostBatch, Views};
pub use train_config::TrainConfig;
pub use train_loop::{End, Position, Trainer};

pub(crate) use epoch_sums::EpochSums;
