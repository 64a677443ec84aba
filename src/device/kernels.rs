//! Tuned and compiled kernels kept between runs (feature `kernel-cache`).

use std::path::{Path, PathBuf};

/// Where kernels are kept: `kernels` in the cache folder (`MOCO_CXR_CACHE`, without it `moco-cxr` in `XDG_CACHE_HOME` or
/// `~/.cache`). `None` where there is no such folder.
pub fn kernel_folder() -> Option<PathBuf> {
    Some(crate::device::cache_folder().ok()?.join("kernels"))
}

/// Has Burn keep what it tuned and compiled in `folder`, so that the next run need not do it again. WGSL is compiled by the
/// driver, which keeps nothing: of it, what was tuned is kept.
///
/// Must be called before the first use of a device; a configuration the user made (`burn.toml`, `cubecl.toml`) comes
/// after it and is not read then. Returns whether it took effect: not without the feature `kernel-cache`, nor when the
/// configuration was read before.
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
