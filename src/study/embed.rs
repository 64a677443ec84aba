//! Features of images as files that other tools read.

use std::path::Path;

use eval::Table;
use ndarray::Array2;
use serde_json::json;

use crate::{
    data::{LoadedPart, features},
    error::Result,
    files::NewFolder,
    study::ProbeSettings,
    weights::LoadedNetwork,
};

/// Computes the features `[N, D]` of all images of a part, in eval mode, and writes `features.npy` (f32), `index.csv`
/// (path, patient, study: one line a row of the features; no patient where patients are unknown) and `embed.json` (weights,
/// data, what is known of patients) into `out`, which must be new or empty and appears whole or not at all. Returns the
/// features.
///
/// # Errors
/// A folder that is not empty, images that cannot be read, a feature that is not finite, what the disk says.
pub fn embed(network: &LoadedNetwork, part: &LoadedPart, settings: &ProbeSettings, out: &Path) -> Result<Array2<f32>> {
    let folder = NewFolder::begin(out)?;
    let values = features(&network.network, &part.manifest, &part.rows, network.views, settings)?;
    let known = part.manifest.patients_known;
    let mut index = Table::new(["path", "patient", "study"]);
    for &row in &part.rows {
        let record = &part.manifest.records[row];
        index.push([record.path.as_str(), if known { &record.patient } else { "" }, &record.study]);
    }
    let about = json!({
        "moco_cxr": env!("CARGO_PKG_VERSION"),
        "weights": network.provenance,
        "trained_on": network.lineage,
        "data": part.origin,
        "patients": if known { "known" } else { "unknown" },
    });
    let about = serde_json::to_string_pretty(&about).unwrap_or_default();
    eval::write_new(&folder.path().join("embed.json"), about.as_bytes())?;
    eval::write_new(&folder.path().join("features.npy"), &npy(&values))?;
    eval::write_new(&folder.path().join("index.csv"), index.to_csv().as_bytes())?;
    folder.finish()?;
    Ok(values)
}

/// NumPy's format, version 1.0 (numpy.lib.format): magic, version, length of the header, the header (a Python literal,
/// padded so that the values begin at a multiple of 64 bytes), the values in C order.
fn npy(values: &Array2<f32>) -> Vec<u8> {
    let (n, d) = values.dim();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n}, {d}), }}");
    const BEFORE: usize = 10; // magic, version, length
    let length = (BEFORE + header.len() + 1).next_multiple_of(64) - BEFORE;
    header.extend(std::iter::repeat_n(' ', length - 1 - header.len()));
    header.push('\n');
    let mut bytes = Vec::with_capacity(BEFORE + length + values.len() * 4);
    bytes.extend(b"\x93NUMPY\x01\x00");
    // Two numbers of at most 20 digits: the header is far below 65,536 bytes.
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    bytes
}
