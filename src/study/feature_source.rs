//! Features of rows by a network: those kept from before, and the rest computed.

use backbones::Network;
use cxr_data::PixelHash;
use ndarray::{Array2, ArrayView1};

use super::{
    feature_cache::{FeatureCache, Key},
    features::features,
};
use crate::{
    data::{Reading, Rows},
    error::Result,
    files::Watch,
    weights::LoadedNetwork,
};

/// What decides how features are computed and whether they are kept between commands.
pub(super) struct FeatureSource<'s> {
    pub(super) loaded: &'s LoadedNetwork,
    pub(super) reading: Reading,
    /// Features kept between commands.
    pub(super) cache: Option<&'s FeatureCache>,
    pub(super) watch: &'s dyn Watch,
}

impl FeatureSource<'_> {
    /// The key of a network in the cache of features, if there is one. The network has the loaded one's architecture and views,
    /// and may have other weights.
    pub(super) fn key_of(&self, network: &Network) -> Option<Key> {
        self.cache?;
        match Key::of_network(network, &self.loaded.config, &self.loaded.views) {
            Ok(key) => Some(key),
            Err(fault) => {
                self.watch.note(&format!("features are neither kept nor taken from before: {fault}"));
                None
            }
        }
    }

    /// Features `[N, D]` of rows, from the cache of features as far as it has them.
    pub(super) fn features_of(
        &self,
        network: &Network,
        key: Option<&Key>,
        rows: &Rows,
        wanted: &[usize],
    ) -> Result<Array2<f32>> {
        let compute = |wanted: &[usize]| features(network, rows, wanted, self.loaded.views, self.reading, self.watch);
        let (Some(cache), Some(key)) = (self.cache, key) else { return compute(wanted) };
        let columns = self.loaded.config.arch.feature_dim();
        let pixels: Vec<Option<PixelHash>> = rows.pixels_of(wanted);
        let found = cache.features(key, &pixels, columns, self.watch);
        let kept = |place: usize| pixels[place].and_then(|hash| found.get(&hash));
        let missing: Vec<usize> = (0..wanted.len()).filter(|&place| kept(place).is_none()).collect();
        if missing.len() < wanted.len() {
            let known = wanted.len() - missing.len();
            self.watch.note(&format!("features of {known} of {} images were kept from before", wanted.len()));
        }
        let mut values = Array2::zeros((wanted.len(), columns));
        for (place, mut row) in values.outer_iter_mut().enumerate() {
            kept(place).into_iter().for_each(|found| row.assign(&ArrayView1::from(found)));
        }
        if missing.is_empty() {
            return Ok(values);
        }
        let computed = compute(&missing.iter().map(|&place| wanted[place]).collect::<Vec<_>>())?;
        let computed = computed.as_standard_layout();
        for (&place, row) in missing.iter().zip(computed.outer_iter()) {
            values.row_mut(place).assign(&row);
        }
        let new = missing.iter().zip(computed.outer_iter());
        let new: Vec<(PixelHash, &[f32])> =
            new.filter_map(|(&place, row)| Some((pixels[place]?, row.to_slice()?))).collect();
        cache.keep(key, &new, self.watch);
        Ok(values)
    }
}
