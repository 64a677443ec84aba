//! Weight files: strict reading of PyTorch's formats and safetensors; writing of safetensors, ONNX and a model card.
//!
//! [`WeightFile::open`] recognises the format and lists the tensors ([`inspect`] prints them). [`import`] matches names
//! and shapes with those of the network, and only then reads numbers.

mod card;
mod checksum;
mod dtype;
mod export;
mod file;
mod fit;
mod flatten;
mod import;
mod inspect;
mod large;
mod layout;
mod names;
mod onnx;
mod pickle;
mod places;
mod printable;
mod report;
mod safetensors;
mod torch_legacy;
mod torch_tar;
mod torch_zip;
mod zip;

pub use dtype::Dtype;
pub use export::{ExportInfo, Metric, export, export_with_onnx, safetensors_bytes};
pub use file::{Format, Scalar, TensorInfo, WeightFile};
pub use fit::ImportOptions;
pub use import::{import, import_dict};
pub use inspect::{Inspection, NetworkInFile, TensorFault, inspect};
pub use layout::layout;
pub use onnx::onnx_bytes;
pub use printable::printable;
pub use report::{Fate, Other, Report};
