//! Weights a run begins with, and those it leaves.

use std::path::Path;

use backbones::{Arch, Network, NetworkConfig, Normalization, StateDict, load_state_dict, state_dict};
use burn::tensor::{DType, Device, TensorData};
use cxr_data::ViewConfig;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::{Error, PretrainSettings, Result, RunFolder};

/// `random`, or a file of weights.
pub(crate) fn initial(config: &NetworkConfig, init: &str, seed: u64, device: &Device) -> Result<Network> {
    match init {
        "random" => Ok(config.init(seed, device)),
        "imagenet" => Err(Error::Setting {
            key: "init".into(),
            found: "imagenet".into(),
            expected: "random, or the path of a weight file (safetensors with torchvision's names)".into(),
        }),
        path => Ok(load_state_dict(config.init(seed, device), &read(Path::new(path))?)?),
    }
}

/// What `export/preprocessor_config.json` says of the images that the weights expect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Side of the square image, in pixels; the short side is resized to it and the middle cropped.
    pub size: usize,
    /// Mean and deviation.
    #[serde(flatten)]
    pub normalization: Normalization,
    /// Filter of the resize.
    pub resample: String,
}

/// Weights of a run, or random ones, with what is needed to use them.
#[derive(Debug, Clone)]
pub struct LoadedNetwork {
    /// The network.
    pub network: Network,
    /// Views its images are evaluated with.
    pub views: ViewConfig,
    /// Where it comes from, for the stamp.
    pub origin: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct NetworkFile {
    architectures: Vec<String>,
    model_type: Arch,
    num_channels: usize,
    image_size: usize,
}

const MODEL: &str = "model.safetensors";

/// Writes `export/` of a run.
pub(crate) fn export(folder: &RunFolder, settings: &PretrainSettings, network: &Network) -> Result<()> {
    let bytes = to_safetensors(&state_dict(network)?)?;
    folder.write(Path::new("export").join(MODEL), &bytes)?;
    let model = NetworkFile {
        architectures: vec![settings.arch.name().to_owned()],
        model_type: settings.arch,
        num_channels: settings.channels,
        image_size: settings.views.size,
    };
    let preprocessing = Preprocessing {
        size: settings.views.size,
        normalization: settings.normalization,
        resample: "bilinear, antialiased".to_owned(),
    };
    let text = |value: serde_json::Result<String>| value.unwrap_or_default().into_bytes();
    folder.write("export/config.json", &text(serde_json::to_string_pretty(&model)))?;
    folder.write("export/preprocessor_config.json", &text(serde_json::to_string_pretty(&preprocessing)))?;
    folder.write("export/README.md", card(settings).as_bytes())?;
    Ok(())
}

fn card(settings: &PretrainSettings) -> String {
    let name = settings.arch.name();
    let [mean, std] = [settings.normalization.mean[0], settings.normalization.std[0]];
    format!(
        "# {name}, pretrained on chest X-rays with momentum contrast\n\n\
         Backbone without a head, torchvision's tensor names, made by moco-cxr {version}.\n\n\
         - data: `{data}`; the licence of the data governs the use of these weights\n\
         - images: grey, short side resized to {size} px (bilinear, antialiased), middle cropped, mean {mean}, deviation {std}\n\
         - epochs {epochs}, batch {batch}, queue {queue}, temperature {t}; all settings are in the run's `config.toml`\n\
         - labels: none were used\n\n\
         PyTorch: `model.load_state_dict(safetensors.torch.load_file(\"model.safetensors\"), strict=False)` leaves `fc` out.\n\n\
         Research software, not a medical device.\n",
        version = env!("CARGO_PKG_VERSION"),
        data = settings.data.dir.display(),
        size = settings.views.size,
        epochs = settings.train.epochs,
        batch = settings.train.batch_size,
        queue = settings.train.moco.queue_size,
        t = settings.train.moco.temperature,
    )
}

/// The exported network of a run's folder.
///
/// # Errors
/// No export there, or one that does not fit its own description.
pub fn load_run(run: &Path, device: &Device) -> Result<LoadedNetwork> {
    let export = run.join("export");
    if !export.join(MODEL).is_file() {
        let found = "no export/model.safetensors".to_owned();
        let expected = "the folder of a finished pretraining run".to_owned();
        return Err(Error::Setting { key: run.display().to_string(), found, expected });
    }
    let model: NetworkFile = json(&export.join("config.json"))?;
    let preprocessing: Preprocessing = json(&export.join("preprocessor_config.json"))?;
    let config = NetworkConfig {
        arch: model.model_type,
        channels: model.num_channels,
        normalization: preprocessing.normalization,
    };
    let network = load_state_dict(config.init(0, device), &read(&export.join(MODEL))?)?;
    Ok(LoadedNetwork { network, views: ViewConfig::eval(preprocessing.size), origin: run.display().to_string() })
}

fn json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    serde_json::from_str(&text).map_err(|e| Error::Config { origin: path.display().to_string(), reason: e.to_string() })
}

/// Single-precision tensors of a safetensors file.
fn read(path: &Path) -> Result<StateDict> {
    let fault = |reason: String| Error::Config { origin: path.display().to_string(), reason };
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| fault(format!("expected a safetensors file: {e}")))?;
    let tensor = |(name, view): (String, TensorView<'_>)| {
        if view.dtype() != Dtype::F32 {
            return Err(fault(format!("tensor {name} is {:?}, expected F32", view.dtype())));
        }
        let values: Vec<f32> = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        Ok((name, TensorData::new(values, view.shape().to_vec())))
    };
    file.tensors().into_iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")).map(tensor).collect()
}

fn to_safetensors(dict: &StateDict) -> Result<Vec<u8>> {
    let fault = |reason: String| Error::Config { origin: MODEL.to_owned(), reason };
    let bytes: Vec<(&String, Vec<usize>, Vec<u8>)> = dict
        .iter()
        .map(|(name, data)| {
            let data = data.clone().convert_dtype(DType::F32);
            (name, data.shape().to_vec(), data.as_bytes().to_vec())
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|e| fault(e.to_string()))?;
        Ok((name.as_str(), view))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let metadata = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| fault(e.to_string()))
}
