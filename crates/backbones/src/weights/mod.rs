//! Weight files: PyTorch's and safetensors in, strictly; safetensors, ONNX and a model card out.
//!
//! A file's way in: [`WeightFile::open`] recognises the format and lists the tensors ([`inspect`] prints them), names and
//! shapes are fitted to the network, and only then numbers are read ([`import`]).

mod card;
mod dtype;
mod export;
mod file;
mod fit;
mod flatten;
mod import;
mod inspect;
mod layout;
mod names;
mod onnx;
mod pickle;
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
pub use inspect::{Inspection, inspect};
pub use layout::layout;
pub use onnx::onnx_bytes;
pub use report::{Fate, Report};
