//! Features of images, as files for other tools.

use std::{path::Path, sync::Arc};

use cxr_data::Part;
use eval::{Table, write_new};
use ndarray::Array2;
use serde_json::json;

use crate::{
    data::{Rows, Sources},
    error::Result,
    files::{NewFolder, Watch},
    study::{Study, features::features},
    weights::{LoadedNetwork, Weights},
};

/// Features of images computed by a network.
#[derive(Debug)]
pub struct Embedding {
    /// `[N, D]`, in the order of the rows.
    values: Array2<f32>,
    rows: Arc<Rows>,
    network: LoadedNetwork,
}

impl Study<'_> {
    /// Computes the features of all images of a part, labelled or not, in eval mode.
    ///
    /// # Errors
    /// Weights or images that cannot be read, or a feature that is not finite.
    pub fn embed(sources: &Sources, part: Part, weights: &Weights, watch: &dyn Watch) -> Result<Embedding> {
        sources.reading.validate()?;
        let network = weights.load(watch)?;
        let rows = Arc::new(sources.rows(part, &network.views, watch)?);
        network.lineage.note_known(&rows, &sources.listed, watch);
        let values = features(&network.network, &rows, rows.readable(), network.views, sources.reading, watch)?;
        Ok(Embedding { values, rows, network })
    }
}

impl Embedding {
    /// `[N, D]`, in the order of the readable rows.
    pub fn values(&self) -> &Array2<f32> {
        &self.values
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
        let manifest = self.rows.manifest();
        let known = manifest.patients_known;
        let mut index = Table::new(["path", "patient", "study"]);
        for &row in self.rows.readable() {
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
        write_new(&folder.path().join("embed.json"), about.as_bytes())?;
        write_new(&folder.path().join("features.npy"), &npy(&self.values))?;
        write_new(&folder.path().join("index.csv"), index.to_csv().as_bytes())?;
        folder.finish()
    }
}

/// Encodes values in NumPy's format, version 1.0 (numpy.lib.format): magic, version, header length, header (a Python literal,
/// padded so that the values start at a multiple of 64 bytes), values in C order.
fn npy(values: &Array2<f32>) -> Vec<u8> {
    let (n, d) = values.dim();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n}, {d}), }}");
    const BEFORE: usize = 10; // magic, version, length
    let length = (BEFORE + header.len() + 1).next_multiple_of(64) - BEFORE;
    header.extend(std::iter::repeat_n(' ', length - 1 - header.len()));
    header.push('\n');
    let mut bytes = Vec::with_capacity(BEFORE + length + values.len() * 4);
    bytes.extend(b"\x93NUMPY\x01\x00");
    // The two numbers have at most 20 digits, so the header is far shorter than 65,536 bytes.
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    bytes
}
