//! Pretraining, from settings to exported weights.

mod agreed;
mod export;
mod groups;
mod image_states;
mod images;
mod layers;
mod log;
mod preview;
mod probe;
mod resumed;
mod run;
mod settings;
mod source;
mod watch;

pub(crate) use images::TrainImages;
pub use images::{build_cache, build_cache_shard};
pub use log::{Speed, TensorBoard};
pub use preview::preview;
pub(crate) use run::loader;
pub use run::{Pretrained, pretrain, pretrain_among};
pub use settings::{AugmentOn, CheckpointSettings, DataSettings, KeyFrom, PretrainSettings, ProbeSettings};
pub use source::{LoaderSource, PlaneSource};
pub use watch::TrainingWatch;
