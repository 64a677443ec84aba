//! Weights a run begins with, and those it leaves.

use std::path::Path;

use backbones::{
    Arch, ExportInfo, ImportOptions, Network, NetworkConfig, Normalization, WeightFile, export as write_weights, import,
};
use burn::tensor::Device;
use cxr_data::ViewConfig;
use serde::Deserialize;

use crate::{Error, PretrainSettings, Result, RunFolder};

const EXPORT: &str = "export";
const MODEL: &str = "model.safetensors";

/// `random`, or a file of weights: torchvision's, a MoCo-CXR checkpoint, safetensors. Heads are dropped by name.
pub(crate) fn initial(config: &NetworkConfig, init: &str, seed: u64, device: &Device) -> Result<Network> {
    match init {
        "random" => Ok(config.init(seed, device)),
        "imagenet" => Err(Error::Setting {
            key: "init".into(),
            found: "imagenet".into(),
            expected: "random, or the path of a weight file, such as torchvision's resnet18 .pth or .safetensors"
                .into(),
        }),
        path => from_file(config, Path::new(path), seed, device),
    }
}

fn from_file(config: &NetworkConfig, path: &Path, seed: u64, device: &Device) -> Result<Network> {
    let file = WeightFile::open(path)?;
    let (network, _) = import(&file, config.init(seed, device), &ImportOptions::backbone(config.arch))?;
    Ok(network)
}

/// Writes `export/` of a run, in place of an older export of the same run.
pub(crate) fn export(folder: &RunFolder, settings: &PretrainSettings, network: &Network, steps: u64) -> Result<()> {
    let out = folder.join(EXPORT);
    if out.exists() {
        std::fs::remove_dir_all(&out).map_err(Error::io(&out))?;
    }
    let info = ExportInfo {
        name: format!("{}, pretrained on chest X-rays with momentum contrast", settings.arch),
        arch: settings.arch,
        channels: settings.channels,
        normalization: settings.normalization,
        image_size: settings.views.size,
        resample: "bilinear".into(),
        labels: Vec::new(),
        data: format!("Images of {}, without labels, {} epochs.", settings.data.dir.display(), settings.train.epochs),
        data_licence: "that of the data set; it governs the use of these weights".into(),
        label_policy: None,
        licence: "other".into(),
        steps,
        metrics: Vec::new(),
    };
    write_weights(&out, network, &info)?;
    Ok(())
}

/// Weights of a run, with what is needed to use them.
#[derive(Debug, Clone)]
pub struct LoadedNetwork {
    /// The network.
    pub network: Network,
    /// Views its images are evaluated with.
    pub views: ViewConfig,
}

/// The part of `config.json` that is read back.
#[derive(Debug, Deserialize)]
struct NetworkFile {
    model_type: Arch,
    num_channels: usize,
}

/// The part of `preprocessor_config.json` that is read back.
#[derive(Debug, Deserialize)]
struct PreprocessorFile {
    size: Size,
    image_mean: Vec<f64>,
    image_std: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct Size {
    height: usize,
}

/// The exported network of a run's folder.
///
/// # Errors
/// No export there, or one that does not fit its own description.
pub fn load_run(run: &Path, device: &Device) -> Result<LoadedNetwork> {
    let export = run.join(EXPORT);
    if !export.join(MODEL).is_file() {
        let found = format!("no {EXPORT}/{MODEL}");
        let expected = "the folder of a finished pretraining run".to_owned();
        return Err(Error::Setting { key: run.display().to_string(), found, expected });
    }
    let model: NetworkFile = json(&export.join("config.json"))?;
    let path = export.join("preprocessor_config.json");
    let preprocessor: PreprocessorFile = json(&path)?;
    // One channel has one mean; a network keeps three, of which it then uses the first.
    let three = |values: &[f64]| match *values {
        [one] => Ok([one; 3]),
        [a, b, c] => Ok([a, b, c]),
        _ => Err(Error::Config {
            origin: path.display().to_string(),
            reason: format!("found {} means or deviations, expected 1 or 3", values.len()),
        }),
    };
    let normalization = Normalization { mean: three(&preprocessor.image_mean)?, std: three(&preprocessor.image_std)? };
    let config = NetworkConfig { arch: model.model_type, channels: model.num_channels, normalization };
    let network = from_file(&config, &export.join(MODEL), 0, device)?;
    Ok(LoadedNetwork { network, views: ViewConfig::eval(preprocessor.size.height) })
}

fn json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    serde_json::from_str(&text).map_err(|e| Error::Config { origin: path.display().to_string(), reason: e.to_string() })
}
