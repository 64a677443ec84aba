//! Conversion: weight files of other tools into an export folder, and weights from any source into a new export folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use backbones::{ExportInfo, ImportOptions, NetworkConfig, Report, WeightFile, export, export_with_onnx, import};
use burn::{module::Module, tensor::Device};

use super::{
    advice::advised,
    import_settings::ImportSettings,
    load::{LoadedNetwork, leaving, lineage_of, provenance, remarks, unknown_architecture, unsaid},
    open::open,
    preprocessing::{Asked, Preprocessing},
    source::Source,
};
use crate::{
    data::Lineage,
    error::{Error, Result},
    files::NewFolder,
};

/// What became of an imported file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Imported {
    /// Every tensor of the file.
    pub report: Report,
    /// What was assumed of the images, what the user stated against a known value, and which of several networks was taken.
    pub notes: Vec<String>,
}

/// Writes the weights of a file as an export folder, which [`load_weights`](crate::load_weights) reads. Image size, mean and
/// standard deviation are those of the settings, else of a configuration next to the file, or else the defaults of
/// `load_weights`, which are written down as assumptions.
///
/// # Errors
/// The folder exists, the file is not a weight file, tensors are missing, left over or of another shape
/// ([`backbones::Error::Import`] reports every tensor, within [`Error::Weights`]), not finite, or it is unclear which of
/// several networks is meant.
pub fn import_weights(settings: &ImportSettings, out: &Path, device: &Device) -> Result<Imported> {
    let asked = Asked { size: settings.image_size, mean: settings.mean, std: settings.std, overrides: true };
    asked.validate()?;
    absent(out)?;
    let Source::File(path, assumed) = Source::parse(&settings.source, settings.arch)? else {
        return Err(Error::Setting {
            key: "file".into(),
            found: settings.source.clone(),
            expected: "weights in a file (`moco-cxr export random` writes random ones)".into(),
        });
    };
    let file = open(&path)?;
    let advised = |fault| advised(fault, settings, Some(out));
    let (prefix, dictionary) = (settings.prefix.clone(), settings.dictionary.clone());
    let mut options = ImportOptions { prefix, dictionary, drop: settings.drop.clone(), ..ImportOptions::strict() };
    let found = match (settings.arch, file.find(&options)) {
        (Some(_), found) => found.ok().flatten(),
        (None, found) => found.map_err(advised)?,
    };
    let arch = settings.arch.or(found.as_ref().map(|found| found.arch));
    let arch = arch.ok_or_else(|| unknown_architecture(&path, &file.inspect()))?;
    let channels = found.map_or_else(|| file.inspect().channels.unwrap_or(3), |found| found.channels);
    let preprocessing = Preprocessing::find(&file, channels, assumed.of(&file), &asked)?;
    let config = NetworkConfig { arch, channels, normalization: preprocessing.normalization() };
    let backbone = ImportOptions::backbone(arch).drop;
    options.drop.extend(backbone.into_iter().filter(|name| settings.labels.is_empty() || name != arch.head_name()));
    options.allow_missing.clone_from(&settings.allow_missing);
    let lineage = lineage_of(&settings.source, &path)?;
    let info = ExportInfo {
        steps: steps(&file),
        assumed: preprocessing.assumptions(),
        ..info(
            &config,
            preprocessing.size(),
            settings.labels.clone(),
            &leaving(&provenance(&file, &file.inspect()), &path, false),
            &lineage,
        )
    };
    let report = if settings.labels.is_empty() {
        let (network, report) = import(&file, config.init(0, device), &options).map_err(advised)?;
        write(out, &lineage, false, &|folder| made(folder, &network, &info, settings.onnx))?;
        report
    } else {
        let classifier = config.init_classifier(settings.labels.len(), 0, device);
        let (classifier, report) = import(&file, classifier, &options).map_err(advised)?;
        write(out, &lineage, false, &|folder| made(folder, &classifier, &info, settings.onnx))?;
        report
    };
    let mut notes = preprocessing.notes(&unsaid(&path));
    notes.extend(remarks(&file, &report));
    Ok(Imported { report, notes })
}

/// Writes a loaded network, with its head if it has one, as an export folder. Returns the files written.
///
/// # Errors
/// The folder exists or cannot be written.
pub fn export_weights(loaded: &LoadedNetwork, out: &Path, onnx: bool) -> Result<Vec<PathBuf>> {
    absent(out)?;
    let info = ExportInfo {
        assumed: loaded.assumed.clone(),
        ..info(
            &loaded.config,
            loaded.views.size,
            loaded.labels.clone(),
            &loaded.described(loaded.private),
            &loaded.lineage,
        )
    };
    write(out, &loaded.lineage, loaded.private, &|folder| match loaded.classifier() {
        Some(classifier) => made(folder, &classifier, &info, onnx),
        None => made(folder, &loaded.network, &info, onnx),
    })
}

/// The files of an export with the record of the training images, all of them or none: without the record nobody could tell
/// later which images the weights know. That of a foreign file says that nobody knows, so that a record that is missing is known
/// to be lost.
fn write(
    out: &Path,
    lineage: &Lineage,
    private: bool,
    make: &dyn Fn(&Path) -> Result<Vec<PathBuf>>,
) -> Result<Vec<PathBuf>> {
    let new = NewFolder::begin(out)?;
    let inner = new.path().join("export");
    let mut files = Vec::new();
    for file in make(&inner)? {
        let name = file.file_name().unwrap_or_default();
        fs::rename(&file, new.path().join(name)).map_err(Error::io(&file))?;
        files.push(out.join(name));
    }
    fs::remove_dir(&inner).map_err(Error::io(&inner))?;
    lineage.write(new.path(), private)?;
    new.finish()?;
    Ok(files)
}

fn made<M: Module>(folder: &Path, module: &M, info: &ExportInfo, onnx: bool) -> Result<Vec<PathBuf>> {
    Ok(if onnx { export_with_onnx(folder, module, info) } else { export(folder, module, info) }?)
}

/// Checked before minutes of work, not after.
fn absent(out: &Path) -> Result<()> {
    if out.exists() {
        return Err(Error::Exists { path: out.to_owned() });
    }
    Ok(())
}

fn info(
    config: &NetworkConfig,
    image_size: usize,
    labels: Vec<String>,
    provenance: &str,
    lineage: &Lineage,
) -> ExportInfo {
    let remark = lineage.remark().map(|remark| format!(" {remark}")).unwrap_or_default();
    ExportInfo {
        name: format!("{}, converted", config.arch),
        arch: config.arch,
        channels: config.channels,
        normalization: config.normalization,
        image_size,
        assumed: Vec::new(),
        resample: "bilinear".into(),
        label_policy: (!labels.is_empty()).then(|| "unknown".to_owned()),
        labels,
        data: format!("Unknown to the converter. The weights: {provenance}.{remark}"),
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
