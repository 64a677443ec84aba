//! Export of a network's weights with all that is needed to use them: safetensors, configuration, preprocessing and
//! model card.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use ::safetensors::{Dtype, tensor::TensorView};
use burn::{module::Module, tensor::TensorData};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{card, checksum};
use crate::{Arch, Error, Normalization, Result, StateDict, state_dict};

/// Description of an exported network, for the files beside its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportInfo {
    /// Name of the model, the title of its card.
    pub name: String,
    /// Its architecture.
    pub arch: Arch,
    /// Input channels of its first convolution, 1 or 3.
    pub channels: usize,
    /// Mean and deviation of its input.
    pub normalization: Normalization,
    /// Side of its square input images, in pixels.
    pub image_size: usize,
    /// What of image size, mean and deviation is assumed, by its key in `preprocessor_config.json`: `size`, `image_mean`,
    /// `image_std`. Readers of this project then let the user state another.
    #[serde(default)]
    pub assumed: Vec<String>,
    /// Filter that resized images to it, by Pillow's name: `bilinear`.
    pub resample: String,
    /// Labels of its classifier's scores, in order; empty for a backbone.
    pub labels: Vec<String>,
    /// Its training data, in a sentence.
    pub data: String,
    /// Licence or terms of that data.
    pub data_licence: String,
    /// How uncertain and missing labels were treated; none where no labels were used.
    pub label_policy: Option<String>,
    /// Licence of the weights, an SPDX identifier or `other`.
    pub licence: String,
    /// Training steps taken, for the counters of batch normalisation.
    pub steps: u64,
    /// Measured results.
    pub metrics: Vec<Metric>,
}

/// A measured number with its interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Statistic, task and setting: `AUROC, pleural effusion, linear, 1 % of labels`.
    pub name: String,
    /// The number.
    pub value: f64,
    /// Lower end, upper end and level (0.95) of its interval.
    pub interval: Option<(f64, f64, f64)>,
}

/// Writes `model.safetensors` (torchvision's names, PyTorch's layout), `config.json`, `preprocessor_config.json` and
/// `README.md` into the new folder `folder`, whole or not at all. Returns the paths of the files.
///
/// # Errors
/// When the folder exists already (nothing is ever overwritten), or cannot be written.
pub fn export<M: Module>(folder: &Path, module: &M, info: &ExportInfo) -> Result<Vec<PathBuf>> {
    write_folder(folder, &files(&state_dict(module)?, info, false)?)
}

/// As [`export`], and `model.onnx` (see [`onnx_bytes`](super::onnx_bytes)) beside the other files.
///
/// # Errors
/// As [`export`], and when the module is not one of this crate's architectures.
pub fn export_with_onnx<M: Module>(folder: &Path, module: &M, info: &ExportInfo) -> Result<Vec<PathBuf>> {
    let dict = state_dict(module)?;
    let mut files = files(&dict, info, true)?;
    files.push(("model.onnx", super::onnx_bytes(&dict, info)?));
    write_folder(folder, &files)
}

fn files(dict: &StateDict, info: &ExportInfo, onnx: bool) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let (config, preprocessor) = (pretty(&config(info)), pretty(&preprocessor(info)));
    // What the numbers of the file mean stands beside it, and a changed digit there would give other features.
    let beside = [("config.json", &config), ("preprocessor_config.json", &preprocessor)];
    let sums = beside.map(|(name, bytes)| (checksum::key_of(name), checksum::of_bytes(bytes)));
    Ok(vec![
        ("model.safetensors", safetensors_with(dict, info.steps, sums)?),
        ("config.json", config),
        ("preprocessor_config.json", preprocessor),
        ("README.md", card::card(info, onnx).into_bytes()),
    ])
}

/// A state dictionary as a safetensors file for `safetensors.torch.load_file` and `load_state_dict(strict=True)`: it
/// has the step counters of batch normalisation, which our networks do not keep, and a checksum of its tensors, which
/// [`WeightFile::open`](super::WeightFile::open) verifies.
///
/// # Errors
/// When a tensor is neither f32 nor f64.
pub fn safetensors_bytes(dict: &StateDict, steps: u64) -> Result<Vec<u8>> {
    safetensors_with(dict, steps, [])
}

/// [`safetensors_bytes`] with more metadata.
fn safetensors_with(dict: &StateDict, steps: u64, more: impl IntoIterator<Item = (String, String)>) -> Result<Vec<u8>> {
    let mut tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
    for (name, data) in dict {
        let (dtype, bytes) = numbers(name, data)?;
        tensors.insert(name.clone(), (dtype, data.shape().to_vec(), bytes));
        if let Some(layer) = name.strip_suffix("running_mean") {
            let counter = (Dtype::I64, Vec::new(), steps.to_le_bytes().to_vec());
            tensors.insert(format!("{layer}num_batches_tracked"), counter);
        }
    }
    let fail =
        |name: &str, e: ::safetensors::SafeTensorError| Error::Export { what: name.to_owned(), reason: e.to_string() };
    let mut views = Vec::new();
    for (name, (dtype, shape, bytes)) in &tensors {
        views.push((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| fail(name, e))?));
    }
    let parts = tensors.iter().map(|(name, (dtype, shape, bytes))| (name.as_str(), *dtype, &shape[..], &bytes[..]));
    let sum = (checksum::KEY.to_owned(), checksum::of(parts));
    let metadata = [("format".to_owned(), "pt".to_owned()), sum].into_iter().chain(more).collect();
    let bytes = ::safetensors::serialize(views, Some(metadata)).map_err(|e| fail("model.safetensors", e))?;
    in_order(bytes).ok_or_else(|| Error::Export {
        what: "model.safetensors".to_owned(),
        reason: "the header that was just written is not one".to_owned(),
    })
}

/// The file with its header in the order of names. The crate writes metadata in the order of a hash map, which differs from
/// process to process, so that equal weights would make files that differ.
fn in_order(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (header, data) = rest.split_at_checked(u64::from_le_bytes(*length) as usize)?;
    let mut header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let metadata: BTreeMap<String, String> = serde_json::from_value(header.remove("__metadata__")?).ok()?;
    let mut text = format!("{{\"__metadata__\":{}", serde_json::to_string(&metadata).ok()?);
    for (name, entry) in header {
        text.push_str(&format!(",{}:{entry}", serde_json::to_string(&name).ok()?));
    }
    text.push('}');
    // Data begin at a multiple of eight bytes, as the crate has them.
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    Some([&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), data].concat())
}

fn numbers(name: &str, data: &TensorData) -> Result<(Dtype, Vec<u8>)> {
    let fail = |reason: String| Error::Export { what: format!("tensor {name}"), reason };
    let read = |e| fail(format!("{e:?}"));
    if let Ok(values) = data.as_slice::<f32>() {
        return Ok((Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect()));
    }
    let values = data.as_slice::<f64>().map_err(read)?;
    Ok((Dtype::F64, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
}

/// Keys as in Hugging Face's configurations.
fn config(info: &ExportInfo) -> serde_json::Value {
    let labels: BTreeMap<String, &String> = info.labels.iter().enumerate().map(|(i, l)| (i.to_string(), l)).collect();
    json!({
        "architectures": [info.arch.name()],
        "model_type": info.arch.name(),
        "num_channels": info.channels,
        "image_size": info.image_size,
        "num_features": info.arch.feature_dim(),
        "num_classes": info.labels.len(),
        "id2label": labels,
        "torch_dtype": "float32",
    })
}

fn preprocessor(info: &ExportInfo) -> serde_json::Value {
    let mut file = json!({
        "size": { "height": info.image_size, "width": info.image_size },
        "num_channels": info.channels,
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": &info.normalization.mean[..info.channels.min(3)],
        "image_std": &info.normalization.std[..info.channels.min(3)],
        "resample": info.resample,
        "photometric": "0 is black, bright is dense (MONOCHROME2)",
    });
    if !info.assumed.is_empty() {
        file["assumed"] = json!(info.assumed);
    }
    file
}

fn pretty(value: &serde_json::Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

/// Writes all files into a temporary folder beside `folder`, then renames it.
fn write_folder(folder: &Path, files: &[(&str, Vec<u8>)]) -> Result<Vec<PathBuf>> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    if folder.exists() {
        let source = io::Error::new(io::ErrorKind::AlreadyExists, "already exists, and nothing is overwritten");
        return Err(Error::Io { path: folder.to_owned(), source });
    }
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let partial = folder.with_file_name(format!(".{name}.partial-{}", std::process::id()));
    fs::create_dir_all(&partial).map_err(io(&partial))?;
    let written = files.iter().try_for_each(|(name, bytes)| {
        let path = partial.join(name);
        let mut file = fs::File::create_new(&path).map_err(io(&path))?;
        io::Write::write_all(&mut file, bytes).and_then(|()| file.sync_all()).map_err(io(&path))
    });
    let renamed = written.and_then(|()| fs::rename(&partial, folder).map_err(io(folder)));
    if renamed.is_err() {
        // The error that is returned matters more than one of cleaning up.
        let _ = fs::remove_dir_all(&partial);
    }
    renamed.map(|()| files.iter().map(|(name, _)| folder.join(name)).collect())
}
