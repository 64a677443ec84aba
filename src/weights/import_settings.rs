//! The settings of an import.

use backbones::Arch;

/// Settings of `moco-cxr import`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImportSettings {
    /// A weight file in any supported format, or any other source that [`load_weights`](crate::load_weights) resolves to a
    /// file.
    pub source: String,
    /// Architecture. `None`: recognised from the tensors.
    pub arch: Option<Arch>,
    /// What stands before the names of the network's tensors, or the last parts of it. `None`: wherever the whole network is
    /// found; of several that which was trained, not its average.
    pub prefix: Option<String>,
    /// The dictionary of the file in which the network lies, by its key. `None`: any.
    pub dictionary: Option<String>,
    /// Prefixes of tensor names to drop. Heads (unless [`Self::labels`] are given) and everything that lies outside of the
    /// network's prefix are always dropped.
    pub drop: Vec<String>,
    /// Tensors that may be missing; they get torchvision's initial values.
    pub allow_missing: Vec<String>,
    /// Names of the classifier's outputs, in order. If given, the classifier is kept.
    pub labels: Vec<String>,
    /// Also write `model.onnx`.
    pub onnx: bool,
    /// Side in pixels of the images that the network was trained on. `None`: as a file beside the weights says, else assumed,
    /// and written down as an assumption.
    pub image_size: Option<usize>,
    /// Mean of the intensities, for each of three channels (or three times the same), as [`Self::image_size`].
    pub mean: Option<[f64; 3]>,
    /// Standard deviation of the intensities, as [`Self::mean`].
    pub std: Option<[f64; 3]>,
}

impl ImportSettings {
    /// Of a source, with everything else recognised.
    pub fn of(source: impl Into<String>, arch: Option<Arch>) -> Self {
        Self { source: source.into(), arch, ..Self::default() }
    }
}
