//! Loads a network from a source of weights, with everything needed to use it.

use std::path::{Path, PathBuf};

use backbones::{
    Arch, Classifier, ImportOptions, Inspection, Linear, Network, NetworkConfig, Other, Report, WeightFile, import,
    printable,
};
use burn::{module::Module, tensor::Device};
use cxr_data::ViewConfig;

use super::{
    advice::advised,
    cache::sha256,
    folder::{NetworkFile, run_of, weight_file},
    import_settings::ImportSettings,
    open::open,
    preprocessing::{Asked, Preprocessing},
    source::{Assumed, Source},
};
use crate::{
    data::{Lineage, RECORD, lost_record},
    error::{Error, Result},
    files::Watch,
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
    /// What is assumed of the images, by its keys in `preprocessor_config.json`.
    pub(crate) assumed: Vec<String>,
    /// Whether an export of this network names no folder and no file.
    pub private: bool,
    /// The file they were read from.
    file: Option<PathBuf>,
    /// Whether the weights were drawn, and have the running statistics of initialisation, which say nothing of any image.
    raw: bool,
    /// The record of the training images, if an export has lost it.
    lost: Option<PathBuf>,
}

impl LoadedNetwork {
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

    /// Where the record of the training images should be, if these weights were exported with one that is not there any more.
    pub(crate) fn lost_record(&self) -> Option<&Path> {
        self.lost.as_deref().filter(|_| self.lineage == Lineage::default())
    }

    /// The description of the weights for what may leave the house: their file without the folders above, or in private
    /// without a name.
    pub(crate) fn described(&self, private: bool) -> String {
        self.file.as_deref().map_or_else(|| self.provenance.clone(), |file| leaving(&self.provenance, file, private))
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
/// - a weight file in any supported format. Its architecture is recognised from its tensors unless `arch` is given, and the
///   network by the ends of their names, under any prefix. Image size, mean and standard deviation are those of a
///   `preprocessor_config.json` next to it, or of a configuration of timm or lightly; without one, MoCo-CXR's are assumed
///   and a note says so,
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
    load(source, arch, seed, &Asked::default(), device)
}

/// As [`load_weights`], with what the user states of the images.
pub(super) fn load(
    source: &str,
    arch: Option<Arch>,
    seed: u64,
    asked: &Asked,
    device: &Device,
) -> Result<LoadedNetwork> {
    match Source::parse(source, arch)? {
        Source::Random => random(arch, seed, asked, device),
        Source::File(path, assumed) => {
            let lineage = lineage_of(source, &path)?;
            Ok(LoadedNetwork { lineage, ..from_file(&path, arch, assumed, asked, device)? })
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
    Ok(LoadedNetwork { lineage, ..from_file(&path, None, Assumed::MOCO_CXR, &Asked::default(), device)? })
}

/// A network of this `config` with the weights of `init`, their description, and the images they were trained on. A head in
/// the file is dropped by name. `watch` is told which of several networks in the file was taken.
pub(crate) fn initial(
    config: &NetworkConfig,
    init: &str,
    seed: u64,
    device: &Device,
    watch: &dyn Watch,
) -> Result<(Network, String, Lineage)> {
    let network = config.init(seed, device);
    match Source::parse(init, Some(config.arch))? {
        Source::Random => Ok((network, format!("random {}, seed {seed}", config.arch), Lineage::none())),
        Source::File(path, _) => {
            let file = open(&path)?;
            let (network, report) = import(&file, network, &ImportOptions::backbone(config.arch))
                .map_err(|fault| advised(fault, &ImportSettings::of(init, Some(config.arch)), None))?;
            remarks(&file, &report).iter().for_each(|text| watch.note(text));
            let (provenance, lineage) = (provenance(&file, &file.inspect()), lineage_of(init, &path)?);
            if let Some(record) = lost_beside(&file)?.filter(|_| lineage == Lineage::default()) {
                let what = "not recorded: which images the initial weights were trained on";
                watch.note(&format!("{what}, because {}", lost_record(&record)));
            }
            Ok((network, provenance, lineage))
        }
    }
}

/// Opens the weight file of a source, to continue the whole run that it is a checkpoint of.
///
/// # Errors
/// As [`load_weights`]; a number in it that is not finite.
pub(crate) fn weight_file_of(source: &str, arch: Arch) -> Result<WeightFile> {
    let Source::File(path, _) = Source::parse(source, Some(arch))? else {
        return Err(Error::Setting {
            key: "init".into(),
            found: "random".into(),
            expected: "a checkpoint of MoCo to continue from".into(),
        });
    };
    let file = open(&path)?;
    let found: Vec<String> =
        file.faults().into_iter().map(|fault| format!("{}: {}", printable(&fault.name), fault.fault)).collect();
    match found.is_empty() {
        true => Ok(file),
        false => Err(backbones::Error::NotFinite { path: file.path().to_owned(), found }.into()),
    }
}

fn random(arch: Option<Arch>, seed: u64, asked: &Asked, device: &Device) -> Result<LoadedNetwork> {
    let arch = arch.ok_or_else(|| Error::Setting {
        key: "arch".into(),
        found: "none, for random weights".into(),
        expected: format!("one of {}", Arch::ALL.map(Arch::name).join(", ")),
    })?;
    let preprocessing = Preprocessing::assumed(Assumed::MOCO_CXR, asked)?;
    let config = NetworkConfig { normalization: preprocessing.normalization(), ..NetworkConfig::new(arch) };
    Ok(LoadedNetwork {
        network: config.init(seed, device),
        config,
        head: None,
        labels: Vec::new(),
        views: ViewConfig::eval(preprocessing.size()),
        provenance: format!("random {arch}, seed {seed}"),
        run: None,
        lineage: Lineage::none(),
        notes: preprocessing.notes("random weights"),
        assumed: preprocessing.assumptions(),
        private: false,
        file: None,
        raw: true,
        lost: None,
    })
}

fn from_file(
    path: &Path,
    arch: Option<Arch>,
    assumed: Assumed,
    asked: &Asked,
    device: &Device,
) -> Result<LoadedNetwork> {
    let file = open(path)?;
    let described = NetworkFile::beside(path)?;
    let settings = ImportSettings::of(path.display().to_string(), arch);
    let advised = |fault| advised(fault, &settings, None);
    let found = match arch {
        Some(_) => None,
        None => file.find(&ImportOptions::strict()).map_err(advised)?,
    };
    let inspection = file.inspect();
    let arch = arch.or(found.as_ref().map(|found| found.arch)).or(described.as_ref().map(|d| d.model_type));
    let arch = arch.ok_or_else(|| unknown_architecture(path, &inspection))?;
    let channels = found.map(|found| found.channels).or(inspection.channels).unwrap_or(3);
    let preprocessing = Preprocessing::find(&file, channels, assumed.of(&file), asked)?;
    let config = NetworkConfig { arch, channels, normalization: preprocessing.normalization() };
    let mut notes = preprocessing.notes(&unsaid(path));
    if described.is_some() && !file.is_checked() {
        notes.push(format!(
            "{}: an export without a checksum, from an earlier version; a damaged number in it would not be noticed",
            path.display()
        ));
    }
    let lost = lost_beside(&file)?;
    let labels = described.map(|d| d.labels()).unwrap_or_default();
    let (network, head) = if labels.is_empty() {
        let (network, report) =
            import(&file, config.init(0, device), &ImportOptions::backbone(arch)).map_err(advised)?;
        notes.extend(remarks(&file, &report));
        if let Some(classes) = inspection.classes {
            notes.push(format!("{}: its classifier of {classes} classes is not used", path.display()));
        }
        (network, None)
    } else {
        let classifier = config.init_classifier(labels.len(), 0, device);
        let (classifier, _) = import(&file, classifier, &ImportOptions::strict()).map_err(advised)?;
        (classifier.backbone, Some(classifier.head))
    };
    let provenance = provenance(&file, &inspection);
    Ok(LoadedNetwork {
        network,
        config,
        head,
        labels,
        views: ViewConfig::eval(preprocessing.size()),
        provenance,
        run: run_of(path),
        lineage: Lineage::default(),
        notes,
        assumed: preprocessing.assumptions(),
        private: false,
        file: Some(file.path().to_owned()),
        raw: false,
        lost,
    })
}

/// The place of the record of the training images, if it is missing beside weights that this tool exported.
fn lost_beside(file: &WeightFile) -> Result<Option<PathBuf>> {
    let record = file.path().with_file_name(RECORD);
    let exported = file.checksums_beside().next().is_some() || NetworkFile::beside(file.path())?.is_some();
    Ok((exported && !record.is_file()).then_some(record))
}

/// Why something is assumed of the images of a file.
pub(super) fn unsaid(path: &Path) -> String {
    format!("{}: nothing says which images it was trained on", path.display())
}

/// Which of several networks in the file was taken, if there are several.
pub(super) fn remarks(file: &WeightFile, report: &Report) -> Vec<String> {
    let others: Vec<&Other> = report.others.iter().collect();
    if others.is_empty() {
        return Vec::new();
    }
    let listed: Vec<String> = others
        .iter()
        .map(|other| {
            let same = if other.same { ", which has the same numbers" } else { "" };
            format!("{:?}{same}", printable(&other.prefix))
        })
        .collect();
    vec![format!(
        "{}: took the network under {:?}, not {} (the network that was trained goes before its average; `moco-cxr import \
         --prefix` takes another)",
        file.path().display(),
        printable(&report.prefix),
        listed.join(", ")
    )]
}

/// `a backbone resnet18 without classifier, from runs/first/export/model.safetensors (SHA-256 ...)`
pub(super) fn provenance(file: &WeightFile, inspection: &Inspection) -> String {
    format!("{}, from {} (SHA-256 {})", inspection.looks_like, file.path().display(), sha256(file.bytes()))
}

/// A description of weights with the name of their file alone, or in private without.
pub(super) fn leaving(provenance: &str, file: &Path, private: bool) -> String {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = if private { "a file that is not named".to_owned() } else { name };
    provenance.replace(&file.display().to_string(), &name)
}

pub(super) fn unknown_architecture(path: &Path, inspection: &Inspection) -> Error {
    let names = Arch::ALL.map(Arch::name).join(", ");
    let inside = match inspection.objects.first() {
        None => String::new(),
        // Two lines of Python, as for a file that holds nothing but such an object.
        Some((name, _)) => {
            let keys: String = name.split('.').map(|key| format!("[{key:?}]")).collect();
            let load =
                format!("torch.load({:?}, map_location=\"cpu\", weights_only=False)", path.display().to_string());
            format!(
                "; if that object is the network and you trust the file: `import torch` and \
                 `torch.save({load}{keys}.state_dict(), \"state_dict.pt\")` make a weight file of it"
            )
        }
    };
    Error::Setting {
        key: path.display().to_string(),
        found: inspection.looks_like.clone(),
        expected: format!("the weights of {names} (`moco-cxr inspect` lists the contents of the file{inside})"),
    }
}
