//! Cache of tuned and compiled kernels (feature `kernel-cache`).

use std::path::{Path, PathBuf};

/// Folder of the kernel cache: `kernels` in the cache folder (`MOCO_CXR_CACHE`, or else `moco-cxr` in `XDG_CACHE_HOME` or
/// `~/.cache`). `None` if there is no such folder.
pub fn kernel_folder() -> Option<PathBuf> {
    Some(crate::device::cache_folder().ok()?.join("kernels"))
}

/// Makes Burn keep tuning results and compiled kernels in `folder` for the next run. WGSL is compiled by the driver, so only
/// its tuning results are kept.
///
/// Must be called before the first use of a device. The user's own configuration (`burn.toml`, `cubecl.toml`) is then not
/// read. Returns whether it took effect: not without the feature `kernel-cache`, nor if Burn has already read its
/// configuration.
pub fn keep_kernels(folder: &Path) -> bool {
    #[cfg(feature = "kernel-cache")]
    {
        use burn::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig};
        let mut config = CubeClRuntimeConfig::default().override_from_env();
        config.environment.path = CacheConfig::Directory(folder.to_path_buf());
        config.compilation.cache = true;
        CubeClRuntimeConfig::try_set(config)
    }
    #[cfg(not(feature = "kernel-cache"))]
    {
        let _ = folder;
        false
    }
}
