//! Images to features: ResNet and DenseNet on [Burn](burn), with torchvision's structure and tensor names; [`optim`],
//! PyTorch's optimisers; [`cpu_times`], where the time of a step on the CPU goes.

#![recursion_limit = "256"]

mod arch;
mod backbone;
mod bounded;
mod classifier;
mod conv;
#[cfg(feature = "flex")]
mod cpu;
pub mod cpu_times;
mod densenet;
mod error;
#[cfg(feature = "cube")]
mod gpu;
mod init;
mod linear;
mod mode;
mod named;
mod norm;
pub mod optim;
mod pieces;
mod pool;
mod precision;
mod resnet;
mod state_dict;
mod stem;
#[cfg(any(feature = "cube", feature = "flex"))]
mod tape;
mod traverse;
mod weights;

/// Kernels that a method needs beside a network.
#[cfg(any(feature = "cube", feature = "flex"))]
pub mod kernels {
    #[cfg(feature = "flex")]
    pub use crate::cpu::contrast::{Contrast, contrast};

    /// Those for GPUs.
    #[cfg(feature = "cube")]
    pub mod gpu {
        pub use crate::gpu::{
            bytes::{grey_levels, sample},
            contrast::{Contrast, Negative, Spans, Wanted, contrast},
            length::unit_length,
            tape::serves,
        };

        #[cfg(feature = "cudnn")]
        pub use crate::gpu::cudnn::{cudnn, cudnn_passes};
    }
}

pub use arch::{Arch, Network, NetworkConfig};
pub use backbone::{Backbone, FeatureMaps, global_average};
pub use bounded::{MAX_WEIGHTS, read_within};
pub use classifier::Classifier;
pub use conv::Conv2d;
pub use densenet::DenseNet;
pub use error::{Error, Result};
pub use init::Initializer;
pub use linear::Linear;
pub use mode::Mode;
pub use norm::BatchNorm;
pub use pool::{avg_pool, max_pool};
pub use precision::Precision;
pub use resnet::ResNet;
pub use state_dict::{StateDict, load_state_dict, state_dict};
pub use stem::{Normalization, Stem};
pub use traverse::{TensorKind, TensorMapper, TensorVisitor, map_tensors, tensor_names, update_tensors, visit_tensors};
pub use weights::{
    Dtype, ExportInfo, Fate, Format, ImportOptions, Inspection, Metric, NetworkInFile, Other, Report, Scalar,
    TensorFault, TensorInfo, WeightFile, export, export_with_onnx, import, import_dict, inspect, layout, onnx_bytes,
    printable, safetensors_bytes,
};
