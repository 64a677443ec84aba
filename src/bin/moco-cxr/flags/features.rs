//! How the features of a frozen network are computed and kept: `--statistics` and `--no-feature-cache`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::study::{Statistics, feature_folder};

/// `--statistics`.
#[derive(Debug, Clone, Args)]
pub(crate) struct StatisticsArguments {
    /// Running statistics of the network: training (of unaugmented training images, for every network alike, so that two can be
    /// compared), or own (those that come with the weights). [default: training]
    #[arg(long, value_name = "WHICH")]
    pub(crate) statistics: Option<Statistics>,
}

/// `--no-feature-cache`.
#[derive(Debug, Clone, Args)]
pub(crate) struct FeatureCacheArguments {
    /// Compute features anew, and do not keep them. Without this flag, features that an earlier command computed with the same
    /// weights and settings on this device are used; they are in features/ of the cache folder, at most 4 GiB.
    #[arg(long)]
    no_feature_cache: bool,
}

impl FeatureCacheArguments {
    /// The folder of kept features, unless they are not to be kept or there is no cache folder.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        if self.no_feature_cache { None } else { feature_folder() }
    }
}
