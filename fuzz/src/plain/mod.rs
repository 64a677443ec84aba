//! Readers that need no network: tables, images, what is kept of images, scores and results.

mod cache;
pub(crate) mod files;
mod images;
mod loaders;
mod results;
mod scans;
mod scores;
mod tables;

use crate::Target;

pub(crate) const TARGETS: [(&str, Target); 7] = [
    ("cache", cache::run),
    ("images", images::run),
    ("loaders", loaders::run),
    ("results", results::run),
    ("scans", scans::run),
    ("scores", scores::run),
    ("tables", tables::run),
];
