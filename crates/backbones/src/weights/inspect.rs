//! Lists the contents of a weight file and recognises its network.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{
    dtype::Dtype,
    file::{Format, Scalar, WeightFile},
    fit::{ImportOptions, match_names},
    layout::layout,
    report::Fate,
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
    /// A description: "torchvision resnet18 with 1000 classes", "a MoCo checkpoint of resnet18, ...".
    pub looks_like: String,
    /// The architecture whose tensors are all present, with their shapes.
    pub arch: Option<Arch>,
    /// Input channels of that architecture's first convolution.
    pub channels: Option<usize>,
    /// Outputs of the linear layer after it, if the file has one.
    pub classes: Option<usize>,
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
        let found = recognise(self);
        Inspection {
            path: self.path().to_owned(),
            format: self.format(),
            tensors,
            scalars: self.scalars().to_vec(),
            looks_like: looks_like(self),
            arch: found.as_ref().map(|found| found.arch),
            channels: found.as_ref().map(|found| found.channels),
            classes: found.and_then(|found| found.classes),
        }
    }
}

/// The network found in a file.
struct Recognised {
    arch: Arch,
    channels: usize,
    /// Prefix of its names.
    prefix: String,
    classes: Option<usize>,
}

/// The architecture whose backbone is complete in the file; of several the largest, because ResNet34 has all tensors of
/// ResNet18.
fn recognise(file: &WeightFile) -> Option<Recognised> {
    let channels = |shape: &[usize]| matches!(shape, [64, 1 | 3, 7, 7]).then(|| shape[1]);
    let channels = file.tensors().iter().find_map(|t| channels(&t.shape))?;
    let fits = |arch: Arch| {
        let (taken, report) = match_names(file, &layout(arch, channels, None), &ImportOptions::strict());
        let misshapen = report.tensors.iter().any(|(_, fate)| matches!(fate, Fate::Misshapen { .. }));
        (report.missing.is_empty() && !misshapen).then_some((taken.len(), arch, report.prefix))
    };
    let (_, arch, prefix) = Arch::ALL.into_iter().filter_map(fits).max_by_key(|(taken, ..)| *taken)?;
    let head = format!("{prefix}{}.weight", arch.head_name());
    let classes = file.tensors().iter().find(|t| t.name == head && t.shape.len() == 2).map(|t| t.shape[0]);
    Some(Recognised { arch, channels, prefix, classes })
}

/// A description of the file in words.
pub(super) fn looks_like(file: &WeightFile) -> String {
    let tensors = file.tensors();
    let numbers: usize = tensors.iter().map(super::TensorInfo::len).sum();
    let Some(Recognised { arch, prefix, classes, .. }) = recognise(file) else {
        return format!("{} tensors of {numbers} numbers, no architecture of this crate", tensors.len());
    };
    let queue = tensors.iter().find(|t| t.name.ends_with(".queue") && t.shape.len() == 2);
    match (queue, classes) {
        (Some(queue), _) if prefix.contains("encoder_q.") => {
            let epoch = file.scalar("epoch").map(|epoch| format!(" after epoch {epoch}")).unwrap_or_default();
            let [dim, length] = [queue.shape[0], queue.shape[1]];
            format!("a MoCo checkpoint of {arch}{epoch}, queue of {length} keys of length {dim}")
        }
        (_, Some(1)) if prefix.is_empty() => format!("torchvision {arch} with 1 class"),
        (_, Some(classes)) if prefix.is_empty() => format!("torchvision {arch} with {classes} classes"),
        (_, Some(classes)) => format!("{arch} with {classes} classes under {prefix:?}"),
        (_, None) if prefix.is_empty() => format!("a backbone {arch} without classifier"),
        (_, None) => format!("a backbone {arch} under {prefix:?}"),
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.path.display(), self.format)?;
        writeln!(f, "looks like: {}", self.looks_like)?;
        for (name, scalar) in self.scalars.iter().take(SCALARS_SHOWN) {
            writeln!(f, "  {name} = {scalar}")?;
        }
        if self.scalars.len() > SCALARS_SHOWN {
            writeln!(f, "  ... {} more values", self.scalars.len() - SCALARS_SHOWN)?;
        }
        let width = self.tensors.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        for (name, dtype, shape) in &self.tensors {
            writeln!(f, "  {name:width$}  {dtype:4}  {shape:?}")?;
        }
        Ok(())
    }
}

/// Scalars that are printed; an optimiser has thousands.
const SCALARS_SHOWN: usize = 20;
