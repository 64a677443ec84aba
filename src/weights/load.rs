//! Loads a network from a source of weights, with everything needed to use it.

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

/// A network with its weights, and everything needed to use it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadedNetwork {
    /// The network. Private, so that what is known of it stays true.
    pub(crate) network: Network,
    /// Architecture, input channels, mean and standard deviation of the input.
    pub config: NetworkConfig,
    /// The linear layer after the features, if a classifier was exported.
    pub head: Option<Linear>,
    /// Names of the head's outputs, in order; empty without a head.
    pub labels: Vec<String>,
    /// Views for evaluation; `views.size` is the side of an image in pixels.
    pub views: ViewConfig,
    /// Description of the weights with file and SHA-256, as recorded in results.
    pub provenance: String,
    /// The pretraining run that exported the weights.
    pub run: Option<PathBuf>,
    /// The images they were trained on, as far as known.
    pub(crate) lineage: Lineage,
    /// Notes for the user: what was assumed, and what was not used.
    pub notes: Vec<String>,
    /// Whether the weights were drawn, and have the running statistics of initialisation, which say nothing of any image.
    raw: bool,
}

impl LoadedNetwork {
    /// Replaces the assumed image size, for weights that do not specify one.
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

    /// The images the weights were trained on, as far as known.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// Whether the weights were drawn and their running statistics are those of initialisation.
    pub(crate) fn is_raw(&self) -> bool {
        self.raw
    }

    /// The same weights with running statistics that were estimated on images.
    pub(crate) fn adapted(&self, network: Network) -> Self {
        Self { network, raw: false, ..self.clone() }
    }

    /// The device of the network.
    pub(crate) fn device(&self) -> Device {
        self.network.devices().into_iter().next().unwrap_or_default()
    }

    /// Network and head as one module; `None` without a head.
    pub fn classifier(&self) -> Option<Classifier<Network>> {
        let head = self.head.clone()?;
        Some(Classifier::new(self.network.clone(), head, self.config.arch.head_name()))
    }
}

/// Loads a network from any source of weights:
///
/// - the folder of a finished pretraining run (with `export/`), or an export folder,
/// - a weight file in any supported format. Its architecture is recognised from its tensors unless `arch` is given. Image
///   size, mean and standard deviation come from a `preprocessor_config.json` next to it; without one, MoCo-CXR's are
///   assumed and a note says so,
/// - `imagenet` (needs `arch`), which are torchvision's weights, or `moco-cxr:NAME`, such as `moco-cxr:r8w-00001`, from the
///   folder of published weights, where [`fetch_weights`](crate::weights::fetch_weights) stores them: `MOCO_CXR_CACHE`,
///   else `moco-cxr` in `XDG_CACHE_HOME` or in `~/.cache`. The checksum of a file is recorded when it is first used,
/// - `random` (needs `arch`), drawn from `seed`.
///
/// Heads are dropped, except the head of an exported classifier, whose `config.json` names its outputs.
///
/// # Errors
/// An unknown source, a file that is not a weight file or is of another architecture, or a file next to it that cannot be
/// parsed.
pub fn load_weights(source: &str, arch: Option<Arch>, seed: u64, device: &Device) -> Result<LoadedNetwork> {
    match Source::parse(source, arch)? {
        Source::Random => random(arch, seed, device),
        Source::File(path, assumed) => {
            let lineage = lineage_of(source, &path)?;
            Ok(LoadedNetwork { lineage, ..from_file(&path, arch, assumed, device)? })
        }
    }
}

/// The images that the weights of a file were trained on; `source` is the request.
pub(super) fn lineage_of(source: &str, path: &Path) -> Result<Lineage> {
    if source == "imagenet" { Ok(Lineage::none()) } else { Lineage::of_file(path) }
}

/// Loads the exported network of a finished pretraining run, like [`load_weights`].
///
/// # Errors
/// The folder has no export, or one that does not match its own description.
pub fn load_run(run: &Path, device: &Device) -> Result<LoadedNetwork> {
    let path = weight_file(run).ok_or_else(|| Error::Setting {
        key: run.display().to_string(),
        found: "no export/model.safetensors".into(),
        expected: "the folder of a finished pretraining run".into(),
    })?;
    let lineage = Lineage::of_file(&path)?;
    Ok(LoadedNetwork { lineage, ..from_file(&path, None, Assumed::MOCO_CXR, device)? })
}

/// A network of this `config` with the weights of `init`, their description, and the images they were trained on. A head in
/// the file is dropped by name.
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

/// Opens the weight file of a source.
pub(crate) fn weight_file_of(source: &str, arch: Arch) -> Result<WeightFile> {
    match Source::parse(source, Some(arch))? {
        Source::File(path, _) => Ok(WeightFile::open(path)?),
        Source::Random => Err(Error::Setting {
            key: "init".into(),
            found: "random".into(),
            expected: "a checkpoint of MoCo to continue from".into(),
        }),
    }
}

/// The image size as it stands in a note.
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
        notes: vec![format!("random weights: {}, {whose} mean and standard deviation", images_of(size))],
        raw: true,
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
                "{} has no preprocessor_config.json next to it; assuming {whose} settings: {}, mean {:?}, standard deviation {:?}",
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
        raw: false,
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
        expected: format!("the weights of {names} (`moco-cxr inspect` lists the contents of the file)"),
    }
}
