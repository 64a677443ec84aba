//! Devices: which there are, which one is chosen, and errors when one fails.

mod adapters;
mod cache_folder;
mod choice;
mod cudnn;
mod fault;
mod idle;
mod kernels;
mod panics;

pub use adapters::{Adapter, Backend, BackendReport, devices};
pub(crate) use cache_folder::{cache_folder, user_cache, variable};
pub use choice::DeviceChoice;
pub use cudnn::{CudnnUse, cudnn, cudnn_use};
pub use fault::guard;
pub use idle::idle_gpu;
pub use kernels::{keep_kernels, kernel_folder};
