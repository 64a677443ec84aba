//! Devices: which there are, which one is chosen, and errors when one fails.

mod adapters;
mod choice;
mod fault;
mod kernels;

pub use adapters::{Adapter, Backend, BackendReport, devices};
pub use choice::DeviceChoice;
pub use fault::guard;
pub use kernels::{keep_kernels, kernel_folder};
