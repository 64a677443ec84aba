//! From a source of weights to a network, and what is needed to use it.

use std::path::{Path, PathBuf};

use backbones::{Arch, Classifier, ImportOptions, Inspection, Linear, Network, NetworkConfig, WeightFile, import};
use burn::{module::Module, tensor::Device};
use cxr_data::ViewConfig;

use super::{
    cache::sha256,
    folder::{NetworkFile, Preprocessing, run_of, weight_file},
    source::{Assumed, Source},
};
use crate::{
    data::Lineage,
    error::{Error, Result},
};

/// A network with its weights, and what is needed to use them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadedNetwork {
    /// The network. Private, so that what is known of it stays true.
    pub(crate) network: Network,
    /// What it is: architecture, input channels, mean and deviation of its input.
    pub config: NetworkConfig,
    /// The linear layer behind the features, where a classifier was exported.
    pub head: Option<Linear>,
    /// What the scores of the head mean, in order; empty without a head.
    pub labels: Vec<String>,
    /// Views its images are evaluated with; `views.size` is their side in pixels.
    pub views: ViewConfig,
    /// What the weights are, with the file and its SHA-256; for results.
    pub provenance: String,
    /// The pretraining run whose export they are.
    pub run: Option<PathBuf>,
    /// Which images they were trained on, as far as that is known.
    pub(crate) lineage: Lineage,
    /// Remarks for a person: what was assumed, what was not used.
    pub notes: Vec<String>,
    random: bool,
}

impl LoadedNetwork {
    /// Takes images of another side than the one that was assumed, where the weights say none.
    pub(crate) fn take_images_of(&mut self, side: usize) {
        let assumed = images_of(self.views.size);
        self.notes.iter_mut().for_each(|note| *note = note.replace(&assumed, &format!("{} as asked", images_of(side))));
        self.views = ViewConfig::eval(side);
    }

    /// The network itself.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, for a use of your own.
    pub fn into_network(self) -> Network {
        self.network
    }

    /// Which images the weights were trained on, as far as that is known.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// Whether the weights were drawn, and nothing was learned.
    pub(crate) fn is_random(&self) -> bool {
        self.random
    }

    /// Where the network lives.
    pub(crate) fn device(&self) -> Device {
        self.network.devices().into_iter().next().unwrap_or_default()
    }

    /// Network and head as one module; none without a head.
    pub fn classifier(&self) -> Option<Classifier<Network>> {
        let head = self.head.clone()?;
        Some(Classifier::new(self.network.clone(), head, self.config.arch.head_name()))
    }
}

/// A network from any source of weights:
///
/// - the folder of a finished pretraining run (with `export/`), or an export folder itself,
/// - a weight file of any supported form; its architecture is recognised by its tensors unless `arch` says it; size, mean
///   and deviation come from a `preprocessor_config.json` beside it, and are MoCo-CXR's where there is none (a note says
///   so),
/// - `imagenet` (needs `arch`), torchvision's weights, or `moco-cxr:NAME`, such as `moco-cxr:r8w-00001`, from the folder
///   of published weights; [`fetch_weights`](crate::fetch_weights) puts them there. The folder is `MOCO_CXR_CACHE`, without
///   it `moco-cxr` in `XDG_CACHE_HOME` or in `~/.cache`; a file's checksum is recorded when it is first used,
/// - `random` (needs `arch`), drawn from `seed`.
///
/// Heads of files are dropped, except for that of an exported classifier, whose `config.json` says what its scores mean.
///
/// # Errors
/// A source that is none of these, a file that is no weight file or of another architecture, files beside it that
/// cannot be understood.
pub fn load_weights(source: &str, arch: Option<Arch>, seed: u64, device: &Device) -> Result<LoadedNetwork> {
    match Source::parse(source, arch)? {
        Source::Random => random(arch, seed, device),
        Source::File(path, assumed) => {
            let lineage = lineage_of(source, &path)?;
            Ok(LoadedNetwork { lineage, ..from_file(&path, arch, assumed, device)? })
        }
    }
}

/// Which images the weights of a file were trained on; `source` is what was asked for.
pub(super) fn lineage_of(source: &str, path: &Path) -> Result<Lineage> {
    if source == "imagenet" { Ok(Lineage::none()) } else { Lineage::of_file(path) }
}

/// As [`load_weights`] of the folder of a finished pretraining run.
///
/// # Errors
/// No export there, or one that does not fit its own description.
pub fn load_run(run: &Path, device: &Device) -> Result<LoadedNetwork> {
    let path = weight_file(run).ok_or_else(|| Error::Setting {
        key: run.display().to_string(),
        found: "no export/model.safetensors".into(),
        expected: "the folder of a finished pretraining run".into(),
    })?;
    let lineage = Lineage::of_file(&path)?;
    Ok(LoadedNetwork { lineage, ..from_file(&path, None, Assumed::MOCO_CXR, device)? })
}

/// A network as `config` says it, with the weights of `init`, what they are, and what they were trained on. A head in the
/// file is dropped by name.
pub(crate) fn initial(
    config: &NetworkConfig,
    init: &str,
    seed: u64,
    device: &Device,
) -> Result<(Network, String, Lineage)> {
    let network = config.init(seed, device);
    match Source::parse(init, Some(config.arch))? {
        Source::Random => Ok((network, format!("random {}, seed {seed}", config.arch), Lineage::none())),
        Source::File(path, _) => {
            let file = WeightFile::open(&path)?;
            let (network, _) = import(&file, network, &ImportOptions::backbone(config.arch))?;
            let provenance = provenance(&file, &file.inspect());
            Ok((network, provenance, lineage_of(init, &path)?))
        }
    }
}

/// The weight file that a source means.
pub(crate) fn weight_file_of(source: &str, arch: Arch) -> Result<WeightFile> {
    match Source::parse(source, Some(arch))? {
        Source::File(path, _) => Ok(WeightFile::open(path)?),
        Source::Random => Err(Error::Setting {
            key: "init".into(),
            found: "random".into(),
            expected: "a checkpoint of MoCo to go on from".into(),
        }),
    }
}

/// As a note says it.
fn images_of(side: usize) -> String {
    format!("images of {side} px")
}

fn random(arch: Option<Arch>, seed: u64, device: &Device) -> Result<LoadedNetwork> {
    let arch = arch.ok_or_else(|| Error::Setting {
        key: "arch".into(),
        found: "none, for random weights".into(),
        expected: format!("one of {}", Arch::ALL.map(Arch::name).join(", ")),
    })?;
    let Assumed { size, normalization, whose } = Assumed::MOCO_CXR;
    let config = NetworkConfig { normalization, ..NetworkConfig::new(arch) };
    Ok(LoadedNetwork {
        network: config.init(seed, device),
        config,
        head: None,
        labels: Vec::new(),
        views: ViewConfig::eval(size),
        provenance: format!("random {arch}, seed {seed}"),
        run: None,
        lineage: Lineage::none(),
        notes: vec![format!("random weights: {}, {whose} mean and deviation", images_of(size))],
        random: true,
    })
}

fn from_file(path: &Path, arch: Option<Arch>, assumed: Assumed, device: &Device) -> Result<LoadedNetwork> {
    let file = WeightFile::open(path)?;
    let inspection = file.inspect();
    let described = NetworkFile::beside(path)?;
    let mut notes = Vec::new();
    let (size, normalization) = match Preprocessing::beside(path)? {
        Some(p) => (p.size, p.normalization),
        None => {
            let Assumed { size, normalization, whose } = assumed;
            notes.push(format!(
                "{} has no preprocessor_config.json beside it: {whose} are assumed, {}, mean {:?}, deviation {:?}",
                path.display(),
                images_of(size),
                normalization.mean,
                normalization.std,
            ));
            (size, normalization)
        }
    };
    let arch = arch.or(inspection.arch).or(described.as_ref().map(|d| d.model_type));
    let arch = arch.ok_or_else(|| unknown_architecture(path, &inspection))?;
    let config = NetworkConfig { arch, channels: inspection.channels.unwrap_or(3), normalization };
    let labels = described.map(|d| d.labels()).unwrap_or_default();
    let (network, head) = if labels.is_empty() {
        let (network, _) = import(&file, config.init(0, device), &ImportOptions::backbone(arch))?;
        if let Some(classes) = inspection.classes {
            notes.push(format!("{}: its classifier of {classes} classes is not used", path.display()));
        }
        (network, None)
    } else {
        let classifier = config.init_classifier(labels.len(), 0, device);
        let (classifier, _) = import(&file, classifier, &ImportOptions::strict())?;
        (classifier.backbone, Some(classifier.head))
    };
    let provenance = provenance(&file, &inspection);
    Ok(LoadedNetwork {
        network,
        config,
        head,
        labels,
        views: ViewConfig::eval(size),
        provenance,
        run: run_of(path),
        lineage: Lineage::default(),
        notes,
        random: false,
    })
}

/// `a backbone resnet18 without classifier, from runs/first/export/model.safetensors (SHA-256 ...)`
pub(super) fn provenance(file: &WeightFile, inspection: &Inspection) -> String {
    format!("{}, from {} (SHA-256 {})", inspection.looks_like, file.path().display(), sha256(file.bytes()))
}

pub(super) fn unknown_architecture(path: &Path, inspection: &Inspection) -> Error {
    let names = Arch::ALL.map(Arch::name).join(", ");
    Error::Setting {
        key: path.display().to_string(),
        found: inspection.looks_like.clone(),
        expected: format!("the weights of {names} (`moco-cxr inspect` lists what the file holds)"),
    }
}
