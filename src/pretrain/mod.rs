//! Pretraining, from settings to exported weights.

mod layers;
mod log;
mod preview;
mod run;
mod settings;
mod source;

pub use log::{Speed, TensorBoard};
pub use preview::preview;
pub(crate) use run::loader;
pub use run::{Pretrained, Watch, pretrain};
pub use settings::{AugmentOn, CheckpointSettings, DataSettings, KeyFrom, PretrainSettings};
pub use source::{LoaderSource, PlaneSource};
