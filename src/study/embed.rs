//! Features of images, as files for other tools.

use std::{ops::Range, path::Path, sync::Arc};

use backbones::Backbone;
use cxr_data::Part;
use eval::{Table, extract_feature_maps, feature_map_shape, write_new};
use ndarray::Array2;
use serde_json::json;

use crate::{
    data::{Rows, Sources},
    error::{Error, Result},
    files::{NewFolder, Npy, Watch, over},
    shards::ShardPlace,
    study::{
        Study,
        features::{features, loader, one_view, same_rows},
    },
    weights::{LoadedNetwork, Weights},
};

/// The features before pooling, beside `features.npy`.
const DENSE: &str = "features_dense.npy";

/// Features of images computed by a network.
#[derive(Debug)]
pub struct Embedding {
    /// `[N, D]`, in the order of the rows.
    values: Array2<f32>,
    rows: Arc<Rows>,
    /// Which of the readable rows: all, unless a shard was asked for.
    share: Range<usize>,
    network: LoadedNetwork,
    /// Shape of the features before pooling, `[N, D, h, w]`, if they were written.
    dense: Option<[usize; 4]>,
}

impl Study<'_> {
    /// Computes the features of all images of a part, labelled or not, in eval mode.
    ///
    /// # Errors
    /// Weights or images that cannot be read, or a feature that is not finite.
    pub fn embed(sources: &Sources, part: Part, weights: &Weights, watch: &dyn Watch) -> Result<Embedding> {
        let (rows, network) = opened(sources, part, weights, watch)?;
        let share = sources.reading.share(rows.readable().len());
        let wanted = &rows.readable()[share.clone()];
        let values = if wanted.is_empty() {
            Array2::zeros((0, network.network.feature_dim()))
        } else {
            features(&network.network, &rows, wanted, network.views, sources.reading, watch)?
        };
        Ok(Embedding { values, rows, share, network, dense: None })
    }

    /// As [`Self::embed`] and [`Embedding::write`] together, with the features before pooling too: `features_dense.npy`,
    /// `[N, D, h, w]` in f32, whose mean over h and w is `features.npy`. They are written batch by batch and never held
    /// together: h and w are a 32nd of an image's side, so that they take some (side / 32)² times the bytes of the features.
    ///
    /// # Errors
    /// As [`Self::embed`] and [`Embedding::write`].
    pub fn embed_dense(
        sources: &Sources,
        part: Part,
        weights: &Weights,
        out: impl AsRef<Path>,
        watch: &dyn Watch,
    ) -> Result<Embedding> {
        Self::embed_dense_with(sources, part, weights, out.as_ref(), |_, _| Ok(()), watch)
    }

    /// As [`Self::embed_dense`]; before the folder appears, `record` may add to it what belongs to a shard.
    ///
    /// # Errors
    /// As [`Self::embed_dense`], and those of `record`.
    pub fn embed_dense_with(
        sources: &Sources,
        part: Part,
        weights: &Weights,
        out: &Path,
        record: impl FnOnce(&Embedding, &Path) -> Result<()>,
        watch: &dyn Watch,
    ) -> Result<Embedding> {
        let (rows, network) = opened(sources, part, weights, watch)?;
        let share = sources.reading.share(rows.readable().len());
        let wanted = &rows.readable()[share.clone()];
        let [d, h, w] = feature_map_shape(network.network(), network.views.size)?;
        let shape = [wanted.len(), d, h, w];
        let bytes = 4.0 * shape.iter().map(|&n| n as f64).product::<f64>();
        watch.note(&format!("{DENSE}: {} x {d} x {h} x {w} numbers, {:.1} MB", wanted.len(), bytes / 1e6));
        let folder = NewFolder::begin(out)?;
        let mut file = Npy::create(&folder.path().join(DENSE), &shape)?;
        let values = if wanted.is_empty() {
            Array2::zeros((0, d))
        } else {
            let loader = loader(&rows, wanted, network.views, sources.reading, 0)?;
            let batches = over(watch, wanted.len(), loader.in_order::<u8>().map(one_view));
            let extracted = extract_feature_maps(network.network(), batches, |maps| file.append(&maps));
            let eval::Features { values, rows: came } = extracted.map_err(of_the_file)?;
            same_rows(&came, wanted)?;
            values
        };
        file.finish()?;
        let embedding = Embedding { values, rows, share, network, dense: Some(shape) };
        embedding.write_into(folder.path())?;
        record(&embedding, folder.path())?;
        folder.finish()?;
        Ok(embedding)
    }
}

/// An error of writing, which is none of the batch that was written.
fn of_the_file(fault: eval::Error) -> Error {
    match fault {
        eval::Error::Batches(inner) => {
            inner.downcast::<Error>().map_or_else(|other| eval::Error::Batches(other).into(), |own| *own)
        }
        other => other.into(),
    }
}

/// The images of a part, and a network for them.
fn opened(sources: &Sources, part: Part, weights: &Weights, watch: &dyn Watch) -> Result<(Arc<Rows>, LoadedNetwork)> {
    sources.reading.validate()?;
    let network = weights.load(watch)?;
    let rows = Arc::new(sources.rows(part, &network.views, watch)?);
    network.lineage.note_known("features", &rows, &sources.listed, watch);
    Ok((rows, network))
}

impl Embedding {
    /// `[N, D]`, in the order of the readable rows.
    pub fn values(&self) -> &Array2<f32> {
        &self.values
    }

    /// Shape `[N, D, h, w]` of the features before pooling, if [`Study::embed_dense`] wrote them.
    pub fn dense(&self) -> Option<[usize; 4]> {
        self.dense
    }

    /// Which part of all rows these are.
    pub fn place(&self) -> ShardPlace {
        ShardPlace { data: self.rows.manifest().hash(), rows: self.share.clone(), of: self.rows.readable().len() }
    }

    /// Description of the network's weights.
    pub fn weights(&self) -> &str {
        &self.network.provenance
    }

    /// Writes `features.npy` (f32), `index.csv` (path, patient, study: one line per row of the features; patient is empty if
    /// patients are unknown) and `embed.json` (weights, data, whether patients are known) into `out`, which must be new or
    /// empty. Either everything is written or nothing.
    ///
    /// # Errors
    /// The folder is not empty, or an I/O error.
    pub fn write(&self, out: impl AsRef<Path>) -> Result<()> {
        let folder = NewFolder::begin(out.as_ref())?;
        self.write_into(folder.path())?;
        folder.finish()
    }

    /// As [`Self::write`], into a folder that is there, beside what it holds.
    ///
    /// # Errors
    /// One of these files exists, or an I/O error.
    pub fn write_into(&self, folder: &Path) -> Result<()> {
        let manifest = self.rows.manifest();
        let known = manifest.patients_known;
        let mut index = Table::new(["path", "patient", "study"]);
        for &row in &self.rows.readable()[self.share.clone()] {
            let record = &manifest.records[row];
            index.push([record.path.as_str(), if known { &record.patient } else { "" }, &record.study]);
        }
        let about = json!({
            "moco_cxr": env!("CARGO_PKG_VERSION"),
            "weights": self.network.provenance,
            "trained_on": self.network.lineage,
            "data": self.rows.origin(),
            "patients": if known { "known" } else { "unknown" },
        });
        let about = serde_json::to_string_pretty(&about).unwrap_or_default();
        write_new(&folder.join("embed.json"), about.as_bytes())?;
        let mut file = Npy::create(&folder.join("features.npy"), self.values.shape())?;
        file.append(&self.values)?;
        file.finish()?;
        Ok(write_new(&folder.join("index.csv"), index.to_csv().as_bytes())?)
    }
}
