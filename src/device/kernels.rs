//! Tuned and compiled kernels kept between runs (feature `kernel-cache`).

use std::path::{Path, PathBuf};

/// Where kernels are kept: `$MOCO_CXR_CACHE/kernels`, else `moco-cxr/kernels` in the user's cache folder
/// (`$XDG_CACHE_HOME`, `~/.cache`, `~/Library/Caches` or `%LOCALAPPDATA%`). `None` where there is no such folder.
pub fn kernel_folder() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = var("MOCO_CXR_CACHE").or_else(|| {
        let user = var("XDG_CACHE_HOME").or_else(|| var("LOCALAPPDATA")).or_else(|| {
            let home = var("HOME")?;
            Some(home.join(if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" }))
        })?;
        Some(user.join("moco-cxr"))
    })?;
    Some(cache.join("kernels"))
}

/// Has Burn keep tuned and compiled kernels in `folder`, so that the next run starts in seconds.
///
/// Must be called before the first use of a device; a configuration the user made (`burn.toml`, `cubecl.toml`) comes
/// after it and is not read then. Returns whether it took effect: not without the feature `kernel-cache`, nor when the
/// configuration was read before.
pub fn keep_kernels(folder: &Path) -> bool {
    #[cfg(feature = "kernel-cache")]
    {
        use burn::cubecl::{
            config::{CubeClRuntimeConfig, cache::CacheConfig},
            environment::config::RuntimeConfig,
        };
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
