//! What the headers of DICOM files say of patient and view, read once for a folder.

use std::collections::HashMap;

use super::{Inventory, Kind};
use crate::{Projection, Sex, View};

/// What is said of one image; blank or `None` where it is not recorded.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(not(feature = "dicom"), allow(dead_code))]
pub(crate) struct Header {
    pub(crate) patient: String,
    pub(crate) study: String,
    pub(crate) view: Option<View>,
    pub(crate) projection: Option<Projection>,
    pub(crate) sex: Option<Sex>,
    pub(crate) age: Option<f32>,
}

impl Inventory {
    /// The headers of the images that are DICOM files, by path. None without the feature `dicom`.
    pub(crate) fn headers(&self) -> &HashMap<String, Header> {
        self.headers.get_or_init(|| {
            let raster = |path: &str| {
                let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_lowercase());
                ending.is_some_and(|ending| super::kind::RASTERS.contains(&ending.as_str()))
            };
            let dicom: Vec<&str> = self
                .files
                .iter()
                .filter(|file| file.kind == Kind::Image && !file.dangling && !raster(&file.path))
                .map(|file| file.path.as_str())
                .collect();
            self.read_headers(&dicom)
        })
    }

    #[cfg(feature = "dicom")]
    fn read_headers(&self, paths: &[&str]) -> HashMap<String, Header> {
        use rayon::prelude::*;
        let header = |path: &&str| Some(((*path).to_owned(), crate::decode::dicom_header(&self.on_disk(path))?));
        paths.par_iter().filter_map(header).collect()
    }

    #[cfg(not(feature = "dicom"))]
    fn read_headers(&self, _: &[&str]) -> HashMap<String, Header> {
        HashMap::new()
    }
}
