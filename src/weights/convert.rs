//! Conversion: weight files of other tools into an export folder, and weights from any source into a new export folder.

use std::path::{Path, PathBuf};

use backbones::{Arch, ExportInfo, ImportOptions, NetworkConfig, Report, WeightFile, export, export_with_onnx, import};
use burn::{module::Module, tensor::Device};

use super::{
    folder::Preprocessing,
    load::{LoadedNetwork, lineage_of, provenance, unknown_architecture},
    source::Source,
};
use crate::{
    data::Lineage,
    error::{Error, Result},
};

/// Settings of `moco-cxr import`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportSettings {
    /// A weight file in any supported format, or any other source that [`load_weights`](crate::load_weights) resolves to a
    /// file.
    pub source: String,
    /// Architecture. `None`: recognised from the tensors.
    pub arch: Option<Arch>,
    /// Prefixes of tensor names to drop. Heads (unless [`Self::labels`] are given) and everything but the query encoder of a
    /// MoCo checkpoint are always dropped.
    pub drop: Vec<String>,
    /// Tensors that may be missing; they get torchvision's initial values.
    pub allow_missing: Vec<String>,
    /// Names of the classifier's outputs, in order. If given, the classifier is kept.
    pub labels: Vec<String>,
    /// Also write `model.onnx`.
    pub onnx: bool,
}

/// Writes the weights of a file as an export folder, which [`load_weights`](crate::load_weights) reads. Image size, mean and
/// standard deviation come from a `preprocessor_config.json` next to the file, or from the defaults of `load_weights`.
///
/// # Errors
/// The folder exists, the file is not a weight file, or tensors are missing, left over or of another shape
/// ([`backbones::Error::Import`] reports every tensor).
pub fn import_weights(settings: &ImportSettings, out: &Path, device: &Device) -> Result<Report> {
    absent(out)?;
    let Source::File(path, assumed) = Source::parse(&settings.source, settings.arch)? else {
        return Err(Error::Setting {
            key: "file".into(),
            found: settings.source.clone(),
            expected: "weights in a file".into(),
        });
    };
    let file = WeightFile::open(&path)?;
    let inspection = file.inspect();
    let arch = settings.arch.or(inspection.arch).ok_or_else(|| unknown_architecture(&path, &inspection))?;
    let (size, normalization) = match Preprocessing::beside(&path)? {
        Some(p) => (p.size, p.normalization),
        None => (assumed.size, assumed.normalization),
    };
    let config = NetworkConfig { arch, channels: inspection.channels.unwrap_or(3), normalization };
    let ImportOptions { mut drop, .. } = ImportOptions::backbone(arch);
    if !settings.labels.is_empty() {
        drop.retain(|name| name != arch.head_name());
    }
    drop.extend(settings.drop.iter().cloned());
    let options = ImportOptions { drop, allow_missing: settings.allow_missing.clone() };
    let info = ExportInfo {
        steps: steps(&file),
        ..info(&config, size, settings.labels.clone(), &provenance(&file, &inspection))
    };
    let lineage = lineage_of(&settings.source, &path)?;
    let report = if settings.labels.is_empty() {
        let (network, report) = import(&file, config.init(0, device), &options)?;
        write(out, &network, &info, settings.onnx)?;
        report
    } else {
        let (classifier, report) = import(&file, config.init_classifier(settings.labels.len(), 0, device), &options)?;
        write(out, &classifier, &info, settings.onnx)?;
        report
    };
    pass_on(&lineage, out)?;
    Ok(report)
}

/// Writes a loaded network, with its head if it has one, as an export folder. Returns the files written.
///
/// # Errors
/// The folder exists or cannot be written.
pub fn export_weights(loaded: &LoadedNetwork, out: &Path, onnx: bool) -> Result<Vec<PathBuf>> {
    absent(out)?;
    let info = info(&loaded.config, loaded.views.size, loaded.labels.clone(), &loaded.provenance);
    let files = match loaded.classifier() {
        Some(classifier) => write(out, &classifier, &info, onnx),
        None => write(out, &loaded.network, &info, onnx),
    }?;
    pass_on(&loaded.lineage, out)?;
    Ok(files)
}

/// Copies the record of the training images to the export; a foreign file has none.
fn pass_on(lineage: &Lineage, out: &Path) -> Result<()> {
    if *lineage == Lineage::default() { Ok(()) } else { lineage.write(out) }
}

fn write<M: Module>(out: &Path, module: &M, info: &ExportInfo, onnx: bool) -> Result<Vec<PathBuf>> {
    Ok(if onnx { export_with_onnx(out, module, info) } else { export(out, module, info) }?)
}

/// Checked before minutes of work, not after.
fn absent(out: &Path) -> Result<()> {
    if out.exists() {
        return Err(Error::Exists { path: out.to_owned() });
    }
    Ok(())
}

fn info(config: &NetworkConfig, image_size: usize, labels: Vec<String>, provenance: &str) -> ExportInfo {
    ExportInfo {
        name: format!("{}, converted", config.arch),
        arch: config.arch,
        channels: config.channels,
        normalization: config.normalization,
        image_size,
        resample: "bilinear".into(),
        label_policy: (!labels.is_empty()).then(|| "unknown".to_owned()),
        labels,
        data: format!("Unknown to the converter. The weights: {provenance}."),
        data_licence: "unknown to the converter; see the source of the weights".into(),
        licence: "other".into(),
        steps: 0,
        metrics: Vec::new(),
    }
}

/// The step counter of PyTorch's batch normalisation, or 0 if the file has none.
fn steps(file: &WeightFile) -> u64 {
    let counter = file.tensors().iter().find(|t| t.name.ends_with(".num_batches_tracked"));
    let values = counter.and_then(|t| file.tensor(t).try_to_vec::<i64>().ok()).unwrap_or_default();
    values.first().and_then(|&steps| u64::try_from(steps).ok()).unwrap_or(0)
}
