//! A part of every batch: what one of several processes needs of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;

use ndarray::Array2;

use super::{BatchLoader, Batches, PairBatch, PlaneBatch, Stack, planes::plane};
use crate::views::render;
use crate::{Level, Result};

/// Which views of a batch are wanted, by the places of their images in the batch, from 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    /// Images whose query views are wanted, in this order.
    pub query: Vec<usize>,
    /// Images whose key views are wanted, in this order.
    pub key: Vec<usize>,
}

impl Share {
    /// Places in the batch that are needed at all, ascending.
    fn wanted(&self) -> Vec<usize> {
        let wanted: BTreeSet<usize> = self.query.iter().chain(&self.key).copied().collect();
        wanted.into_iter().collect()
    }
}

impl BatchLoader {
    /// Of the batches of [`pairs`](Self::pairs) the views that `share` names for each batch number, with rows and patients of the
    /// query views. Only images that are needed are read, and the bytes are those of the whole batch.
    ///
    /// # Errors
    /// Those of [`pairs`](Self::pairs).
    pub fn pairs_of<T: Level>(
        &self,
        epoch: u64,
        first_batch: usize,
        share: impl Fn(usize) -> Share + Send + Sync + 'static,
    ) -> Result<Batches<PairBatch<T>>> {
        let (numbers, order) = self.epoch(epoch, first_batch)?;
        let loader = self.clone();
        Ok(self.start(numbers, move |number, stop| loader.pair_share(epoch, &order, number, &share(number), stop)))
    }

    /// The views of [`pairs_of`](Self::pairs_of), not yet sampled, as [`planes`](Self::planes) has those of a whole batch.
    ///
    /// # Errors
    /// Those of [`planes`](Self::planes).
    pub fn planes_of(
        &self,
        epoch: u64,
        first_batch: usize,
        share: impl Fn(usize) -> Share + Send + Sync + 'static,
    ) -> Result<Batches<PlaneBatch>> {
        self.views.validate_map_only()?;
        let (numbers, order) = self.epoch(epoch, first_batch)?;
        let loader = self.clone();
        Ok(self.start(numbers, move |number, stop| loader.plane_share(epoch, &order, number, &share(number), stop)))
    }

    fn pair_share<T: Level>(
        &self,
        epoch: u64,
        order: &[usize],
        batch: usize,
        share: &Share,
        stop: &AtomicBool,
    ) -> Result<PairBatch<T>> {
        let wanted = share.wanted();
        let [of_query, of_key] = [&share.query, &share.key].map(|of| of.iter().copied().collect::<BTreeSet<_>>());
        let (mut query, mut key) = (HashMap::new(), HashMap::new());
        let mut places = wanted.iter();
        let (rows, patients) = self.each_pair(
            epoch,
            order,
            self.absolute(batch, &wanted),
            stop,
            |prepared, other, [mut first, mut second]| {
                let Some(place) = places.next() else { return };
                if of_query.contains(place) {
                    query.insert(*place, render::<T>(prepared, &self.views, &mut first));
                }
                if of_key.contains(place) {
                    key.insert(*place, render::<T>(other.unwrap_or(prepared), &self.views, &mut second));
                }
            },
        )?;
        let stack = |of: &[usize], views: &HashMap<usize, Array2<T>>| {
            let mut stack = Stack::new(of.len(), self.views.size);
            of.iter().for_each(|place| stack.push(&views[place]));
            stack.into_array()
        };
        let of_queries = Places::new(&wanted, &share.query);
        Ok(PairBatch {
            query: stack(&share.query, &query),
            key: stack(&share.key, &key),
            rows: of_queries.pick(&rows),
            patients: of_queries.pick(&patients),
        })
    }

    fn plane_share(
        &self,
        epoch: u64,
        order: &[usize],
        batch: usize,
        share: &Share,
        stop: &AtomicBool,
    ) -> Result<PlaneBatch> {
        let wanted = share.wanted();
        let (mut planes, mut query, mut key) = (Vec::new(), Vec::new(), Vec::new());
        let places = self.absolute(batch, &wanted);
        let (rows, patients) = self.each_pair(epoch, order, places, stop, |prepared, other, [first, second]| {
            planes.push(plane(prepared));
            query.push((planes.len() - 1, self.map(prepared, first)));
            planes.extend(other.map(plane));
            key.push((planes.len() - 1, self.map(other.unwrap_or(prepared), second)));
        })?;
        let (of_queries, of_keys) = (Places::new(&wanted, &share.query), Places::new(&wanted, &share.key));
        let (query, key) = (of_queries.pick(&query), of_keys.pick(&key));
        Ok(PlaneBatch { planes, query, key, rows: of_queries.pick(&rows), patients: of_queries.pick(&patients) })
    }

    /// Places of a batch as places of the epoch.
    fn absolute<'a>(&self, batch: usize, wanted: &'a [usize]) -> impl ExactSizeIterator<Item = usize> + 'a {
        let start = batch * self.options.batch_size;
        wanted.iter().map(move |place| start + place)
    }
}

/// Where the images of a list lie among those that were read.
struct Places(Vec<usize>);

impl Places {
    fn new(wanted: &[usize], of: &[usize]) -> Self {
        let at: HashMap<usize, usize> = wanted.iter().enumerate().map(|(i, &place)| (place, i)).collect();
        Self(of.iter().map(|place| at[place]).collect())
    }

    fn pick<T: Clone>(&self, values: &[T]) -> Vec<T> {
        self.0.iter().map(|&i| values[i].clone()).collect()
    }
}
