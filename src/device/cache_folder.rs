//! The folder in which this project keeps what can be fetched or made again: `MOCO_CXR_CACHE`, without it `moco-cxr` in
//! `XDG_CACHE_HOME`, without that `~/.cache/moco-cxr`.

use std::{env, path::PathBuf};

use crate::error::{Error, Result};

/// Folder of published weights, tuned kernels and self-tests; it need not exist.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    match variable("MOCO_CXR_CACHE") {
        Some(folder) => Ok(folder),
        None => Ok(user_cache()?.join("moco-cxr")),
    }
}

/// Where this user's programs keep what can be fetched or made again.
pub(crate) fn user_cache() -> Result<PathBuf> {
    let home = || variable("HOME").or_else(|| variable("USERPROFILE")).map(|home| home.join(".cache"));
    variable("XDG_CACHE_HOME").or_else(home).ok_or_else(|| Error::Setting {
        key: "MOCO_CXR_CACHE".into(),
        found: "nothing (nor XDG_CACHE_HOME, nor HOME)".into(),
        expected: "the folder of published weights".into(),
    })
}

/// A path in the environment; an empty one counts as none.
pub(crate) fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
