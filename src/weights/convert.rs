//! Weight files of other tools into an export folder, and weights of any source out of this one.

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

/// What `moco-cxr import` takes from a file, and what it leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportSettings {
    /// A weight file of any supported form, or anything else that [`load_weights`](crate::load_weights) finds a file for.
    pub source: String,
    /// Its architecture; recognised by its tensors without.
    pub arch: Option<Arch>,
    /// Tensors that are not wanted, by the beginning of their names; heads (without [`Self::labels`]) and what a MoCo
    /// checkpoint holds besides the query encoder are dropped anyway.
    pub drop: Vec<String>,
    /// Tensors that may be missing; they are then torchvision's initial ones.
    pub allow_missing: Vec<String>,
    /// What the scores of its classifier mean, in order; the classifier is then kept.
    pub labels: Vec<String>,
    /// Also writes `model.onnx`.
    pub onnx: bool,
}

/// Writes the weights of a file as an export folder, which [`load_weights`](crate::load_weights) reads. Size, mean and
/// deviation are those of a `preprocessor_config.json` beside the file, or assumed as there.
///
/// # Errors
/// A folder that exists, no weight file, or one with tensors missing, left over or misshapen:
/// [`backbones::Error::Import`] holds the report of every tensor.
pub fn import_weights(settings: &ImportSettings, out: &Path, device: &Device) -> Result<Report> {
    absent(out)?;
    let Source::File(path, assumed) = Source::parse(&settings.source, settings.arch)? else {
        return Err(Error::Setting {
            key: "file".into(),
            found: settings.source.clone(),
            expected: "weights that are in a file".into(),
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

/// Writes a loaded network, with its head where it has one, as an export folder.
///
/// # Errors
/// A folder that exists, or one that cannot be written.
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

/// What is known of the images that weights were trained on goes with them. Of a foreign file nothing is.
fn pass_on(lineage: &Lineage, out: &Path) -> Result<()> {
    if *lineage == Lineage::default() { Ok(()) } else { lineage.write(out) }
}

fn write<M: Module>(out: &Path, module: &M, info: &ExportInfo, onnx: bool) -> Result<Vec<PathBuf>> {
    Ok(if onnx { export_with_onnx(out, module, info) } else { export(out, module, info) }?)
}

/// Before minutes of work, not after.
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
        label_policy: (!labels.is_empty()).then(|| "not known".to_owned()),
        labels,
        data: format!("Not known to the converter. The weights: {provenance}."),
        data_licence: "not known to the converter; look where the weights come from".into(),
        licence: "other".into(),
        steps: 0,
        metrics: Vec::new(),
    }
}

/// The step counter that PyTorch's batch normalisation keeps, where the file has one.
fn steps(file: &WeightFile) -> u64 {
    let counter = file.tensors().iter().find(|t| t.name.ends_with(".num_batches_tracked"));
    let values = counter.and_then(|t| file.tensor(t).try_to_vec::<i64>().ok()).unwrap_or_default();
    values.first().and_then(|&steps| u64::try_from(steps).ok()).unwrap_or(0)
}
