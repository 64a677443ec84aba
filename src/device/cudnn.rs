//! Convolutions by cuDNN (feature `cudnn`).

/// Version of the cuDNN that convolutions on CUDA devices go through, or why none is used; `None` in a build without the feature
/// `cudnn`. The library is looked for at the first call, and stays loaded.
pub fn cudnn() -> Option<Result<String, &'static str>> {
    #[cfg(feature = "cudnn")]
    {
        Some(backbones::kernels::gpu::cudnn())
    }
    #[cfg(not(feature = "cudnn"))]
    None
}
