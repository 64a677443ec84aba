//! The images of a set that a network finds most alike.

mod drawn_sheet;
mod write;

use std::path::PathBuf;

use cxr_data::Part;
use eval::nearest_neighbours;
use ndarray::Axis;

use crate::{
    data::{Rows, Sources},
    error::{Error, Result},
    files::Watch,
    study::{
        Study,
        feature_cache::{FeatureCache, Key},
        feature_source::FeatureSource,
        named::named_rows,
        sheet::Sheet,
    },
    weights::{LoadedNetwork, Weights},
};
use drawn_sheet::drawn_sheet;

/// Which images are compared with which.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NeighbourSearch {
    /// Neighbours of each query. Default: 8.
    pub k: usize,
    /// Paths of the queries in the data set. Default: none, for [`Self::number`] images evenly spread over the part.
    pub queries: Vec<String>,
    /// Number of queries, if none are named. Default: 8.
    pub number: usize,
    /// The part that queries are from. Default: that of the neighbours.
    pub query_part: Option<Part>,
    /// Whether other images of a query's own patient may be its neighbours. Default: no.
    pub same_patient: bool,
    /// Whether the contact sheet names no image, so that it may be passed on. Default: no.
    pub private: bool,
    /// Folder of features kept between commands, usually [`feature_folder`](crate::study::feature_folder). Default: none.
    pub features: Option<PathBuf>,
}

impl Default for NeighbourSearch {
    fn default() -> Self {
        Self {
            k: 8,
            queries: Vec::new(),
            number: 8,
            query_part: None,
            same_patient: false,
            private: false,
            features: None,
        }
    }
}

impl NeighbourSearch {
    /// Checks the settings.
    ///
    /// # Errors
    /// No neighbours or no queries.
    pub fn validate(&self) -> Result<()> {
        for (key, value) in [("k", self.k), ("queries", self.number)] {
            if value == 0 {
                return Err(Error::Setting { key: key.into(), found: "0".into(), expected: "at least 1".into() });
            }
        }
        Ok(())
    }
}

/// The nearest neighbours of queries.
#[derive(Debug)]
pub struct Neighbours {
    bank: Rows,
    /// The set of the queries, unless it is that of the neighbours.
    other: Option<Rows>,
    /// Rows of the queries, each with its neighbours and their similarity.
    found: Vec<(usize, Vec<(usize, f64)>)>,
    sheet: Sheet,
    network: LoadedNetwork,
}

impl Study<'_> {
    /// For each query image the k nearest images of a part by the cosine similarity of their features, in eval mode and with the
    /// running statistics of the weights. A query is never its own neighbour; whether other images of its patient may be is a
    /// setting. Labels are not needed.
    ///
    /// # Errors
    /// Settings out of range; weights or images that cannot be read; a query that is no image of the set.
    pub fn neighbours(
        sources: &Sources,
        part: Part,
        weights: &Weights,
        search: &NeighbourSearch,
        watch: &dyn Watch,
    ) -> Result<Neighbours> {
        search.validate()?;
        sources.reading.validate()?;
        let network = weights.load(watch)?;
        let views = network.views;
        let bank = sources.rows(part, &views, watch)?;
        let other = search.query_part.filter(|&asked| asked != part);
        let other = other.map(|part| sources.rows(part, &views, watch)).transpose()?;
        network.lineage.note_known("neighbours", &bank, &sources.listed, watch);
        let asked = other.as_ref().unwrap_or(&bank);
        let queries = queries(asked, search)?;

        let cache = search.features.clone().map(FeatureCache::new);
        let source = FeatureSource { loaded: &network, reading: sources.reading, cache: cache.as_ref(), watch };
        let key = source.key_of(network.network()).map(Key::with_own_statistics);
        let values = source.features_of(network.network(), key.as_ref(), &bank, bank.readable())?;
        let of_queries = match &other {
            Some(other) => source.features_of(network.network(), key.as_ref(), other, &queries)?,
            None => {
                let places: Vec<usize> = queries.iter().filter_map(|q| bank.readable().binary_search(q).ok()).collect();
                values.select(Axis(0), &places)
            }
        };
        let (records, query_records) = (&bank.manifest().records, &asked.manifest().records);
        if !search.same_patient && !bank.manifest().patients_known {
            watch.note("patients are unknown: neighbours may be of the query's own patient");
        }
        let admit = |query: usize, place: usize| {
            let (one, two) = (&query_records[queries[query]], &records[bank.readable()[place]]);
            one.path != two.path && (search.same_patient || one.patient != two.patient)
        };
        let lists = nearest_neighbours(values.view(), of_queries.view(), search.k, admit)?;
        let few = lists.iter().filter(|list| list.len() < search.k).count();
        if few > 0 {
            watch.note(&format!(
                "{few} of {} queries have fewer than {} images to compare with",
                lists.len(),
                search.k
            ));
        }
        let in_rows = |list: Vec<(usize, f64)>| list.into_iter().map(|(at, c)| (bank.readable()[at], c)).collect();
        let found: Vec<(usize, Vec<(usize, f64)>)> = queries.into_iter().zip(lists.into_iter().map(in_rows)).collect();
        let sheet = drawn_sheet(&found, [asked, &bank], (&network, search.private), sources)?;
        Ok(Neighbours { bank, other, found, sheet, network })
    }
}

/// Rows of the queries: those named, or some evenly spread.
fn queries(asked: &Rows, search: &NeighbourSearch) -> Result<Vec<usize>> {
    let readable = asked.readable();
    if search.queries.is_empty() {
        let number = search.number.min(readable.len());
        return Ok((0..number).map(|i| readable[i * readable.len() / number]).collect());
    }
    let named = named_rows(asked.manifest(), &search.queries, "query")?;
    match named.iter().find(|row| readable.binary_search(row).is_err()) {
        Some(&row) => Err(Error::Setting {
            key: "query".into(),
            found: format!("{:?}, which cannot be read", asked.manifest().records[row].path),
            expected: "an image that can be read".into(),
        }),
        None => Ok(named),
    }
}

impl Neighbours {
    /// Number of queries.
    pub fn queries(&self) -> usize {
        self.found.len()
    }

    /// Number of images that the queries were compared with, themselves included if they are of the same part.
    pub fn compared(&self) -> usize {
        self.bank.readable().len()
    }

    /// Description of the network's weights.
    pub fn weights(&self) -> &str {
        &self.network.provenance
    }

    /// The neighbours of every query, nearest first: their paths in the data set, and the cosine similarity.
    pub fn lists(&self) -> impl Iterator<Item = (&str, Vec<(&str, f64)>)> {
        let records = &self.bank.manifest().records;
        let asked = &self.asked().manifest().records;
        self.found.iter().map(|(query, list)| {
            let list = list.iter().map(|&(row, similarity)| (records[row].path.as_str(), similarity)).collect();
            (asked[*query].path.as_str(), list)
        })
    }

    fn asked(&self) -> &Rows {
        self.other.as_ref().unwrap_or(&self.bank)
    }
}
