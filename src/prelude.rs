//! The names most programs need: `use moco_cxr::prelude::*;`.

pub use backbones::{Arch, Backbone, Mode, Network, NetworkConfig};
pub use burn::tensor::{Device, Tensor};
pub use cxr_data::{Dataset, LabelPolicy, Manifest, OnBad, Part, ViewConfig};
pub use eval::{Bootstrap, Scores};
pub use moco_core::{EpochReport, MocoConfig, Observer, Request, StepMetrics, TrainConfig};

pub use crate::{
    Baseline, DeviceChoice, Existing, FineTuneSettings, Labels, PretrainSettings, Pretrained, Protocol, RunFolder,
    Scoring, Sources, Study, TrainingWatch, ValidFrom, Watch, Weights, load_run, pretrain,
};
