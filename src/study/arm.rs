//! A network with the features of the rows that a study needs: those of its label draws, and those that it scores.

use std::{collections::BTreeSet, sync::Arc};

use backbones::Network;
use ndarray::{Array2, Axis};

use super::feature_cache::Key;
use crate::{
    data::{LabelDraw, Labelled},
    error::{Error, Result},
};

/// Features of some labelled rows, together with all labelled rows.
#[derive(Debug, Clone)]
pub(super) struct Features {
    pub(super) labelled: Arc<Labelled>,
    /// Places of the rows with features among the labelled rows, ascending.
    pub(super) places: Vec<usize>,
    /// `[N, D]`, one row per place.
    pub(super) values: Array2<f32>,
}

impl Features {
    /// The labelled rows.
    pub(super) fn labelled(&self) -> &Labelled {
        &self.labelled
    }

    /// `[N, D]` of all rows that have features; for a part that is scored, those are all its labelled rows.
    pub(super) fn values(&self) -> &Array2<f32> {
        &self.values
    }

    /// `[n, D]` of these places, which must be among those that the arm was asked for.
    ///
    /// # Errors
    /// A place without features, which is a bug of the caller.
    pub(super) fn at(&self, places: &[usize]) -> Result<Array2<f32>> {
        let found = places.iter().map(|place| {
            self.places.binary_search(place).map_err(|_| Error::OtherRows {
                place: *place,
                came: None,
                asked: Some(*place),
            })
        });
        Ok(self.values.select(Axis(0), &found.collect::<Result<Vec<_>>>()?))
    }
}

/// A network with features of all parts.
#[derive(Debug)]
pub(super) struct Arm {
    pub(super) network: Network,
    /// Of the rows of the draws asked for so far.
    pub(super) train: Features,
    /// Of all rows.
    pub(super) valid: Option<Features>,
    /// Of all rows.
    pub(super) test: Features,
    /// Of the network in the cache of features; `None` without a cache.
    pub(super) key: Option<Key>,
}

/// The places that occur in a draw, ascending.
pub(super) fn union<'d>(draws: impl IntoIterator<Item = &'d LabelDraw>) -> Vec<usize> {
    let all: BTreeSet<usize> = draws.into_iter().flat_map(|draw| draw.places.iter().copied()).collect();
    all.into_iter().collect()
}
