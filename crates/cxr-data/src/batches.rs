//! Manifest -> batches of views on the host, computed ahead by worker threads.
//!
//! A view depends only on (seed, epoch, row, view), and the order of rows only on (seed, epoch). Batch `b` of epoch `e`
//! has the same bytes with any number of workers, with or without a cache, and after resuming at `b`.

mod planes;
mod share;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array2, Array3};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::ordered::Ordered;
use crate::pairs::{PairSampling, SameImage};
use crate::radiograph::Level;
use crate::source::{Files, ImageSource};
use crate::views::{prepare, render};
use crate::{Error, Manifest, OnBad, Radiograph, Result, ViewConfig, seed};
pub use planes::PlaneBatch;
pub use share::Share;

/// View numbers in the random key, and the number for choosing the partner image.
const QUERY: u64 = 0;
const KEY: u64 = 1;
const PAIR: u64 = 2;

/// How many of the following rows are tried in place of an unreadable one. If all of them fail, the folder is gone, not
/// a file.
const MAX_REPLACEMENTS: usize = 16;

/// Options of a [`BatchLoader`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchOptions {
    /// Samples per batch, at least 1. Default 16 (the paper).
    pub batch_size: usize,
    /// Threads that decode and render. Default: the number of cores. The bytes do not depend on it.
    pub workers: usize,
    /// Most batches computed ahead; each holds two views per sample. Default 8.
    pub ahead: usize,
    /// Random seed of order, pairs and views. Default 0.
    pub seed: u64,
    /// How to treat an image that cannot be decoded, or has changed, in training ([`BatchLoader::pairs`], [`BatchLoader::shuffled`]):
    /// [`OnBad::Fail`] returns the error, [`OnBad::Skip`] takes the next image of the epoch instead and remembers it
    /// ([`BatchLoader::replaced`]). Evaluation ([`BatchLoader::in_order`]) never replaces an
    /// image. Default: fail.
    pub on_bad: OnBad,
}

impl Default for BatchOptions {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self { batch_size: 16, workers, ahead: 8, seed: 0, on_bad: OnBad::Fail }
    }
}

/// An image in whose place others were taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// How often.
    pub times: usize,
    /// Why, the first time.
    pub fault: String,
}

/// Two views of each of N samples. S = [`ViewConfig::size`], 0 = black.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairBatch<T = u8> {
    /// `[N, S, S]`: the query views.
    pub query: Array3<T>,
    /// `[N, S, S]`: the key views.
    pub key: Array3<T>,
    /// `[N]`: row of the manifest of each query.
    pub rows: Vec<usize>,
    /// `[N]`: patient of each query, numbered from 0 in the order of the manifest.
    pub patients: Vec<u32>,
}

/// One view of each of N samples. S = [`ViewConfig::size`], 0 = black.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewBatch<T = u8> {
    /// `[N, S, S]`: the views.
    pub images: Array3<T>,
    /// `[N]`: row of the manifest of each view.
    pub rows: Vec<usize>,
}

/// Batches of views of a manifest's images.
#[derive(Debug, Clone)]
pub struct BatchLoader {
    rows: Arc<[usize]>,
    patients: Arc<[u32]>,
    views: ViewConfig,
    options: BatchOptions,
    source: Arc<dyn ImageSource>,
    pairs: Arc<dyn PairSampling>,
    replaced: Arc<Mutex<BTreeMap<usize, Replaced>>>,
}

impl BatchLoader {
    /// Batches of all images of a manifest, decoded from their files, both views of a pair from one image.
    ///
    /// # Errors
    /// [`Error::View`] for an invalid view configuration, [`Error::Batches`] for a batch size of 0.
    pub fn new(manifest: &Manifest, views: ViewConfig, options: BatchOptions) -> Result<Self> {
        views.validate()?;
        if options.batch_size == 0 {
            return Err(Error::Batches { reason: "a batch size of 0; expected at least 1".into() });
        }
        let mut numbers = HashMap::new();
        let number = |patient| {
            let next = numbers.len() as u32;
            *numbers.entry(patient).or_insert(next)
        };
        Ok(Self {
            rows: (0..manifest.records.len()).collect(),
            patients: manifest.records.iter().map(|record| record.patient.as_str()).map(number).collect(),
            views,
            options,
            source: Arc::new(Files::new(manifest)),
            pairs: Arc::new(SameImage),
            replaced: Arc::default(),
        })
    }

    /// Uses only these rows of the manifest; [`in_order`](Self::in_order) keeps their order.
    ///
    /// # Errors
    /// [`Error::Batches`] for a row that the manifest does not have.
    pub fn with_rows(mut self, rows: &[usize]) -> Result<Self> {
        if let Some(row) = rows.iter().find(|&&row| row >= self.patients.len()) {
            let reason = format!("found row {row}, but the manifest has {} rows", self.patients.len());
            return Err(Error::Batches { reason });
        }
        self.rows = rows.into();
        Ok(self)
    }

    /// Reads images from another source, such as a cache.
    #[must_use]
    pub fn with_source(mut self, source: Arc<dyn ImageSource>) -> Self {
        self.source = source;
        self
    }

    /// Chooses the images of key views by another rule.
    #[must_use]
    pub fn with_pairs(mut self, pairs: Arc<dyn PairSampling>) -> Self {
        self.pairs = pairs;
        self
    }

    /// The view configuration.
    #[must_use]
    pub fn views(&self) -> &ViewConfig {
        &self.views
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &BatchOptions {
        &self.options
    }

    /// Images per epoch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no images.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Full batches per epoch; [`pairs`](Self::pairs) and [`shuffled`](Self::shuffled) drop a short last batch.
    #[must_use]
    pub fn batches_per_epoch(&self) -> usize {
        self.rows.len() / self.options.batch_size
    }

    /// Images replaced so far, in all iterators of this loader and its clones, by their rows of the manifest.
    #[must_use]
    pub fn replaced(&self) -> BTreeMap<usize, Replaced> {
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, row: usize, fault: &Error) {
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.entry(row).or_insert_with(|| Replaced { times: 0, fault: fault.to_string() }).times += 1;
    }

    /// An epoch of pretraining from batch `first_batch` on: shuffled, two views per sample, full batches only.
    ///
    /// # Errors
    /// [`Error::Batches`] when there are fewer images than one batch, or `first_batch` lies beyond the epoch.
    pub fn pairs<T: Level>(&self, epoch: u64, first_batch: usize) -> Result<Batches<PairBatch<T>>> {
        let (numbers, order) = self.epoch(epoch, first_batch)?;
        let loader = self.clone();
        Ok(self.start(numbers, move |number, stop| loader.pair_batch(epoch, &order, number, stop)))
    }

    /// An epoch of single views from batch `first_batch` on: shuffled, one view per sample, full batches only.
    ///
    /// # Errors
    /// Those of [`pairs`](Self::pairs).
    pub fn shuffled<T: Level>(&self, epoch: u64, first_batch: usize) -> Result<Batches<ViewBatch<T>>> {
        let (numbers, order) = self.epoch(epoch, first_batch)?;
        let loader = self.clone();
        Ok(self.start(numbers, move |number, stop| loader.view_batch(epoch, &order, number, Gap::Filled, stop)))
    }

    /// Every image once, in order, with a short last batch, for evaluation. An unreadable image is an error, whatever
    /// the options say.
    #[must_use]
    pub fn in_order<T: Level>(&self) -> Batches<ViewBatch<T>> {
        let numbers = 0..self.rows.len().div_ceil(self.options.batch_size);
        let (loader, order) = (self.clone(), self.rows.clone());
        self.start(numbers, move |number, stop| loader.view_batch(0, &order, number, Gap::Refused, stop))
    }

    fn start<B: Send + 'static>(
        &self,
        numbers: std::ops::Range<usize>,
        make: impl Fn(usize, &AtomicBool) -> Result<B> + Send + Sync + 'static,
    ) -> Batches<B> {
        Batches(Ordered::new(numbers, self.options.workers, self.options.ahead, make))
    }

    /// Batch numbers and order of rows of an epoch.
    fn epoch(&self, epoch: u64, first_batch: usize) -> Result<(std::ops::Range<usize>, Arc<[usize]>)> {
        let (batches, size) = (self.batches_per_epoch(), self.options.batch_size);
        if batches == 0 {
            let reason = format!("{} images are fewer than one batch of {size}", self.rows.len());
            return Err(Error::Batches { reason });
        }
        if first_batch > batches {
            let reason = format!("cannot start at batch {first_batch}: the epoch has {batches}");
            return Err(Error::Batches { reason });
        }
        let order = seed::epoch_order(self.options.seed, epoch, self.rows.len());
        Ok((first_batch..batches, order.into_iter().map(|place| self.rows[place]).collect()))
    }

    fn pair_batch<T: Level>(
        &self,
        epoch: u64,
        order: &[usize],
        batch: usize,
        stop: &AtomicBool,
    ) -> Result<PairBatch<T>> {
        let size = self.options.batch_size;
        let (mut query, mut key) = (Stack::new(size, self.views.size), Stack::new(size, self.views.size));
        let places = self.places(batch, order);
        let (rows, patients) =
            self.each_pair(epoch, order, places, stop, |prepared, other, [mut first, mut second]| {
                query.push(&render(prepared, &self.views, &mut first));
                key.push(&render(other.unwrap_or(prepared), &self.views, &mut second));
            })?;
        Ok(PairBatch { query: query.into_array(), key: key.into_array(), rows, patients })
    }

    /// Places of a batch in the order of an epoch.
    fn places(&self, batch: usize, order: &[usize]) -> std::ops::Range<usize> {
        let start = batch * self.options.batch_size;
        start..(start + self.options.batch_size).min(order.len())
    }

    /// Calls `with` for the pairs of these places of an epoch, with the prepared image of the query view, that of the key view where it
    /// is another image, and the random number generators of both views. Returns rows and patients.
    fn each_pair(
        &self,
        epoch: u64,
        order: &[usize],
        places: impl ExactSizeIterator<Item = usize>,
        stop: &AtomicBool,
        mut with: impl FnMut(&Radiograph, Option<&Radiograph>, [ChaCha8Rng; 2]),
    ) -> Result<(Vec<usize>, Vec<u32>)> {
        let rows = self.each_row(order, places, Gap::Filled, stop, |row, image| {
            let rng = |view| seed::rng(self.options.seed, epoch, row as u64, view);
            let prepared = prepare(image, &self.views);
            let partner = self.pairs.partner(row, &mut rng(PAIR));
            let other = if partner == row { None } else { self.partner_image(partner)? };
            let other = other.as_deref().map(|other| prepare(other, &self.views));
            with(&prepared, other.as_deref(), [rng(QUERY), rng(KEY)]);
            Ok(())
        })?;
        let patients = rows.iter().map(|&row| self.patients[row]).collect();
        Ok((rows, patients))
    }

    fn view_batch<T: Level>(
        &self,
        epoch: u64,
        order: &[usize],
        batch: usize,
        gap: Gap,
        stop: &AtomicBool,
    ) -> Result<ViewBatch<T>> {
        let mut images = Stack::new(self.options.batch_size, self.views.size);
        let rows = self.each_row(order, self.places(batch, order), gap, stop, |row, image| {
            let mut rng = seed::rng(self.options.seed, epoch, row as u64, QUERY);
            images.push(&render(image, &self.views, &mut rng));
            Ok(())
        })?;
        Ok(ViewBatch { images: images.into_array(), rows })
    }

    /// Calls `with` for the images at these places of an epoch; returns their rows.
    fn each_row(
        &self,
        order: &[usize],
        places: impl ExactSizeIterator<Item = usize>,
        gap: Gap,
        stop: &AtomicBool,
        mut with: impl FnMut(usize, &Radiograph) -> Result<()>,
    ) -> Result<Vec<usize>> {
        let mut rows = Vec::with_capacity(places.len());
        for place in places {
            if stop.load(Ordering::Relaxed) {
                // Never seen: the iterator is being dropped.
                return Err(Error::Batches { reason: "stopped".into() });
            }
            let (row, image) = match gap {
                Gap::Filled => self.image_at(order, place)?,
                Gap::Refused => (order[place], self.source.image(order[place])?),
            };
            with(row, &image)?;
            rows.push(row);
        }
        Ok(rows)
    }

    /// The image at a place of the epoch, or the next one that can be read.
    fn image_at(&self, order: &[usize], place: usize) -> Result<(usize, Arc<Radiograph>)> {
        let mut first_fault = None;
        for offset in 0..=MAX_REPLACEMENTS.min(order.len() - 1) {
            let row = order[(place + offset) % order.len()];
            match self.source.image(row) {
                Ok(image) => return Ok((row, image)),
                Err(fault) if self.replaces() => {
                    self.remember(row, &fault);
                    first_fault.get_or_insert(fault);
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(first_fault.expect("the loop runs at least once and ends only after a fault"))
    }

    /// The image of a key view; `None` where it is unreadable and the query's image is used instead.
    fn partner_image(&self, row: usize) -> Result<Option<Arc<Radiograph>>> {
        match self.source.image(row) {
            Ok(image) => Ok(Some(image)),
            Err(fault) if self.replaces() => {
                self.remember(row, &fault);
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    fn replaces(&self) -> bool {
        self.options.on_bad == OnBad::Skip
    }
}

/// How to treat an unreadable image.
#[derive(Debug, Clone, Copy)]
enum Gap {
    /// Training: replaced by another image, if the options say so.
    Filled,
    /// Evaluation: an error.
    Refused,
}

/// Views of a batch, one after the other.
struct Stack<T> {
    values: Vec<T>,
    side: usize,
}

impl<T: Level> Stack<T> {
    fn new(batch_size: usize, side: usize) -> Self {
        Self { values: Vec::with_capacity(batch_size * side * side), side }
    }

    fn push(&mut self, view: &Array2<T>) {
        self.values.extend_from_slice(view.as_slice().expect("a rendered view is contiguous"));
    }

    /// `[N, S, S]`.
    fn into_array(self) -> Array3<T> {
        let n = self.values.len() / (self.side * self.side);
        Array3::from_shape_vec((n, self.side, self.side), self.values).expect("every view has side * side values")
    }
}

/// An iterator over the batches of an epoch; dropping it stops its threads.
#[derive(Debug)]
pub struct Batches<B>(Ordered<B>);

impl<B> Iterator for Batches<B> {
    type Item = Result<B>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<B> ExactSizeIterator for Batches<B> {}
