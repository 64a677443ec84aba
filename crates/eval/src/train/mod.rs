//! From images to scores with a network: feature extraction, the faithful linear probe, fine-tuning.

mod bce;
mod checkpoints;
mod features;
mod finetune;
mod frozen;
mod grad_cam;
mod images;
mod running_statistics;
mod supervised;

pub use bce::masked_bce;
pub use checkpoints::{Checkpoint, ensemble, read_checkpoints};
pub use features::{Features, extract_feature_maps, extract_features, feature_map_shape};
pub use finetune::{FineTune, FineTuned, Measured, mean_auroc};
pub use frozen::{Frozen, MayMove};
pub use grad_cam::{GradCam, grad_cam};
pub use running_statistics::{estimate_running_statistics, running_statistics, set_running_statistics};
pub use supervised::{Supervised, SupervisedConfig, Trained, predict};
