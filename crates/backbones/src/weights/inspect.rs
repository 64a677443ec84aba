//! Lists the contents of a weight file and recognises its networks.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    path::{Path, PathBuf},
};

use super::{
    dtype::Dtype,
    file::{Format, Scalar, TensorInfo, WeightFile},
    fit::ImportOptions,
    layout::layout,
    places::{Place, choose, closest, places},
    printable::printable,
};
use crate::{Arch, Result};

/// The contents of a weight file without the numbers of its tensors; `{}` prints them as a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// Name, number format and shape of every tensor, in the order of the file.
    pub tensors: Vec<(String, Dtype, Vec<usize>)>,
    /// Numbers and texts besides the tensors.
    pub scalars: Vec<(String, Scalar)>,
    /// How many of those the file has beyond these.
    pub more_scalars: usize,
    /// Names and classes of objects that are not read, as [`WeightFile::objects`] lists them.
    pub objects: Vec<(String, String)>,
    /// The networks whose tensors are all present, with their shapes, in the order of the file.
    pub networks: Vec<NetworkInFile>,
    /// A description: "torchvision resnet18 with 1000 classes", "a MoCo checkpoint of resnet18, ...".
    pub looks_like: String,
    /// The architecture that is taken where none is named.
    pub arch: Option<Arch>,
    /// Input channels of that architecture's first convolution.
    pub channels: Option<usize>,
    /// Outputs of the linear layer after it, if the file has one.
    pub classes: Option<usize>,
}

/// A network of this crate in a weight file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInFile {
    /// What stands before its names.
    pub prefix: String,
    /// Its architecture; of several the largest, because ResNet34 has all tensors of ResNet18.
    pub arch: Arch,
    /// Input channels of its first convolution.
    pub channels: usize,
    /// Outputs of the linear layer after it, if the file has one.
    pub classes: Option<usize>,
}

/// Numbers of a tensor that no network can be run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorFault {
    /// The tensor.
    pub name: String,
    /// The first such number and its place, and how many more there are.
    pub fault: String,
    /// Whether the tensor belongs to one of the networks found.
    pub in_network: bool,
}

/// Lists the contents of a file. Nothing in it is executed, and no tensor is read.
///
/// # Errors
/// As [`WeightFile::open`].
pub fn inspect(path: impl AsRef<Path>) -> Result<Inspection> {
    Ok(WeightFile::open(path)?.inspect())
}

impl WeightFile {
    /// Lists the contents of the file; no tensor is read.
    pub fn inspect(&self) -> Inspection {
        let tensors = self.tensors().iter().map(|t| (t.name.clone(), t.dtype, t.shape.clone())).collect();
        let found = self.find(&ImportOptions::strict()).ok().flatten();
        Inspection {
            path: self.path().to_owned(),
            format: self.format(),
            tensors,
            scalars: self.scalars().to_vec(),
            more_scalars: self.more_scalars(),
            objects: self.objects().to_vec(),
            networks: networks(self).into_iter().map(|(network, _)| network).collect(),
            looks_like: looks_like(self),
            arch: found.as_ref().map(|found| found.arch),
            channels: found.as_ref().map(|found| found.channels),
            classes: found.and_then(|found| found.classes),
        }
    }

    /// The network that the options mean; `None` if the file holds none of this crate's architectures.
    ///
    /// # Errors
    /// Several are as good, and their numbers differ; or none lies where the options ask for it.
    pub fn find(&self, options: &ImportOptions) -> Result<Option<NetworkInFile>> {
        let (mut networks, places): (Vec<_>, Vec<_>) = networks(self).into_iter().unzip();
        let choice = choose(self, &places, options, |at| networks[at].arch.to_string())?;
        Ok(choice.map(|choice| networks.swap_remove(choice.taken)))
    }

    /// The tensors with numbers that are not finite, and running variances below 0. Every number of the file is read.
    pub fn faults(&self) -> Vec<TensorFault> {
        let networks = networks(self);
        let of_network: HashSet<&str> =
            networks.iter().flat_map(|(_, place)| place.found.values()).map(|info| info.name.as_str()).collect();
        let fault = |info: &TensorInfo| {
            let in_network = of_network.contains(info.name.as_str());
            Some(TensorFault { name: info.name.clone(), fault: self.fault_of(info)?, in_network })
        };
        self.tensors().iter().filter_map(fault).collect()
    }
}

/// The networks that are complete in a file, in its order.
fn networks(file: &WeightFile) -> Vec<(NetworkInFile, Place<'_>)> {
    let stems = file.tensors().iter().filter(|t| matches!(t.shape[..], [_, 1 | 3, 7, 7]));
    let channels: BTreeSet<usize> = stems.map(|t| t.shape[1]).collect();
    let mut best: Vec<(NetworkInFile, Place<'_>)> = Vec::new();
    for (arch, &channels) in
        Arch::ALL.into_iter().flat_map(|arch| channels.iter().map(move |channels| (arch, channels)))
    {
        let expected = layout(arch, channels, None);
        for place in places(file, &expected) {
            if !place.is_whole(&expected, &ImportOptions::strict()) {
                continue;
            }
            let head = format!("{}{}.weight", place.prefix, arch.head_name());
            let classes = file.tensors().iter().find(|t| t.name == head && t.shape.len() == 2).map(|t| t.shape[0]);
            let network = NetworkInFile { prefix: place.prefix.to_owned(), arch, channels, classes };
            match best.iter_mut().find(|(other, _)| other.prefix == network.prefix) {
                Some(other) if other.1.found.len() >= place.found.len() => {}
                Some(other) => *other = (network, place),
                None => best.push((network, place)),
            }
        }
    }
    let order: HashMap<&str, usize> = file.tensors().iter().enumerate().map(|(at, t)| (t.name.as_str(), at)).collect();
    best.sort_by_key(|(_, place)| place.found.values().filter_map(|t| order.get(t.name.as_str())).min().copied());
    best
}

/// A description of the file in words.
pub(super) fn looks_like(file: &WeightFile) -> String {
    let tensors = file.tensors();
    let found = match file.find(&ImportOptions::strict()) {
        Ok(Some(found)) => found,
        Ok(None) => return unknown(file),
        Err(_) => {
            let found = networks(file);
            let listed: Vec<_> =
                found.iter().map(|(n, _)| format!("{} under {:?}", n.arch, printable(&n.prefix))).collect();
            return format!("{} networks: {}", found.len(), listed.join(", "));
        }
    };
    let NetworkInFile { arch, prefix, classes, .. } = found;
    let queue = tensors.iter().find(|t| t.name.ends_with(".queue") && t.shape.len() == 2);
    match (queue, classes) {
        (Some(queue), _) if prefix.contains("encoder_q.") => {
            let epoch = file.scalar("epoch").map(|epoch| format!(" after epoch {epoch}")).unwrap_or_default();
            let [dim, length] = [queue.shape[0], queue.shape[1]];
            format!("a MoCo checkpoint of {arch}{epoch}, queue of {length} keys of length {dim}")
        }
        (_, Some(classes)) if prefix.is_empty() => {
            let of = if Arch::TORCHVISION.contains(&arch) { "torchvision " } else { "" };
            format!("{of}{arch} with {classes} {}", if classes == 1 { "class" } else { "classes" })
        }
        (_, Some(classes)) => format!("{arch} with {classes} classes under {:?}", printable(&prefix)),
        (_, None) if prefix.is_empty() => format!("a backbone {arch} without classifier"),
        (_, None) => format!("a backbone {arch} under {:?}", printable(&prefix)),
    }
}

/// A file without a complete network: how much of which one it has, and what it hides.
fn unknown(file: &WeightFile) -> String {
    let numbers: usize = file.tensors().iter().map(TensorInfo::len).sum();
    let mut text = format!("{} tensors of {numbers} numbers, no architecture of this crate", file.tensors().len());
    let closest = Arch::ALL.into_iter().filter_map(|arch| {
        let expected = layout(arch, 3, None);
        let places = places(file, &expected);
        let place = closest(&places, &ImportOptions::strict())?;
        let fitting = place.fitting();
        (2 * fitting > expected.len()).then(|| (expected.len() - fitting, arch, place.prefix.to_owned()))
    });
    if let Some((lacking, arch, prefix)) = closest.min_by_key(|(lacking, ..)| *lacking) {
        text += &format!(
            "; closest is {arch} under {:?}, of which {lacking} tensors are missing or of another shape (an import with --arch {arch} lists them)",
            printable(&prefix)
        );
    }
    for (name, class) in file.objects().iter().take(3) {
        text += &format!("; not read: {:?}, a pickled {} (nothing was executed)", printable(name), printable(class));
    }
    text
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", printable(&self.path.display().to_string()), self.format)?;
        writeln!(f, "looks like: {}", self.looks_like)?;
        if self.networks.len() > 1 {
            for NetworkInFile { prefix, arch, .. } in &self.networks {
                writeln!(f, "holds: {arch} under {:?}", printable(prefix))?;
            }
        }
        for (name, class) in &self.objects {
            writeln!(f, "not read: {}, a pickled {}", printable(name), printable(class))?;
        }
        for (name, scalar) in self.scalars.iter().take(SCALARS_SHOWN) {
            writeln!(f, "  {} = {scalar}", printable(name))?;
        }
        if self.scalars.len() > SCALARS_SHOWN {
            writeln!(f, "  ... {} more values", self.scalars.len() - SCALARS_SHOWN + self.more_scalars)?;
        }
        let names: Vec<_> = self.tensors.iter().map(|(name, ..)| printable(name)).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for (name, (_, dtype, shape)) in names.iter().zip(&self.tensors) {
            writeln!(f, "  {name:width$}  {dtype:4}  {shape:?}")?;
        }
        Ok(())
    }
}

/// Scalars that are printed; an optimiser has thousands.
const SCALARS_SHOWN: usize = 20;
