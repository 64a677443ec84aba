//! The one place where a device is chosen, and what can be known about it before it is used.

mod adapters;
mod choice;
mod fault;
mod kernels;

pub use adapters::{Adapter, Backend, BackendReport, devices};
pub use choice::DeviceChoice;
pub use fault::guard;
pub use kernels::{keep_kernels, kernel_folder};
