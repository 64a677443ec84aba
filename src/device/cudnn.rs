//! Convolutions by cuDNN (feature `cudnn`).

use serde::Serialize;

/// Passes of convolutions (forward, gradient of the input, gradient of the weight) on CUDA devices since the program started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CudnnUse {
    /// Passes that cuDNN was asked for.
    pub passes: u64,
    /// Passes that went through this project's own kernels.
    pub elsewhere: u64,
    /// Why the first of these did.
    pub reason: Option<String>,
}

/// Version of the cuDNN that convolutions on CUDA devices go through, or why none is used; `None` in a build without the feature
/// `cudnn`. The library is looked for at the first call, and stays loaded. What it does not take goes through other kernels:
/// [`cudnn_use`].
pub fn cudnn() -> Option<Result<String, &'static str>> {
    #[cfg(feature = "cudnn")]
    {
        Some(backbones::kernels::gpu::cudnn())
    }
    #[cfg(not(feature = "cudnn"))]
    None
}

/// How far convolutions went through cuDNN; `None` in a build without the feature `cudnn`.
pub fn cudnn_use() -> Option<CudnnUse> {
    #[cfg(feature = "cudnn")]
    {
        let (passes, elsewhere, reason) = backbones::kernels::gpu::cudnn_passes();
        Some(CudnnUse { passes, elsewhere, reason })
    }
    #[cfg(not(feature = "cudnn"))]
    None
}
