//! The one place where a device is chosen, and what can be known about it before it is used.

mod adapters;
mod cache_folder;
mod choice;
mod fault;
mod kernels;

pub use adapters::{Adapter, Backend, BackendReport, devices};
pub(crate) use cache_folder::{cache_folder, user_cache, variable};
pub use choice::DeviceChoice;
pub use fault::guard;
pub use kernels::{keep_kernels, kernel_folder};
