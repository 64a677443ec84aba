//! An opened weight file: a list of its tensors, and their numbers on request.

use std::{
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use burn::tensor::TensorData;

use super::{
    checksum, dtype::Dtype, large, pickle::Fault, printable::printable, safetensors, torch_legacy, torch_tar, torch_zip,
};
use crate::{
    Error, Result,
    bounded::{self, MAX_WEIGHTS},
};

/// The format of a file, recognised by content, never by the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// safetensors.
    Safetensors,
    /// `torch.save` since PyTorch 1.6: a zip archive.
    TorchZip,
    /// `torch.save` of PyTorch 0.1.10 to 1.5: a stream of pickles.
    TorchLegacy,
    /// `torch.save` of earlier versions (2017): a tar archive.
    TorchTar,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Safetensors => "safetensors",
            Format::TorchZip => "PyTorch zip",
            Format::TorchLegacy => "PyTorch legacy pickle",
            Format::TorchTar => "PyTorch tar (2017)",
        })
    }
}

/// A tensor of a file, before its numbers are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Keys on the way to it, joined by dots: `state_dict.module.encoder_q.conv1.weight`.
    pub name: String,
    /// Its number format.
    pub dtype: Dtype,
    /// Its shape, in PyTorch's layout.
    pub shape: Vec<usize>,
    /// In numbers, per dimension.
    pub(super) stride: Vec<usize>,
    /// Byte of the file at which its first number starts.
    pub(super) start: usize,
}

impl TensorInfo {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }
}

/// A value in a file that is neither a tensor nor a container.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // the names say it
pub enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Bool(value) => value.fmt(f),
            Scalar::Int(value) => value.fmt(f),
            Scalar::Float(value) => value.fmt(f),
            Scalar::Text(value) => write!(f, "{value:?}"),
        }
    }
}

/// A weight file. Opening checks that all of its tensors lie inside it; [`WeightFile::tensor`] then reads one.
#[derive(Debug, Clone)]
pub struct WeightFile {
    path: PathBuf,
    format: Format,
    bytes: Vec<u8>,
    contents: Contents,
}

/// The contents of a file, as the reader of its format lists them.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    pub(super) tensors: Vec<TensorInfo>,
    pub(super) scalars: Vec<(String, Scalar)>,
    /// Scalars beyond those that are kept.
    pub(super) more_scalars: usize,
    /// Names and classes of objects in which tensors are hidden, or that are all there is.
    pub(super) objects: Vec<(String, String)>,
    /// The file holds a network as an object, not its tensors.
    pub(super) model: Option<PickledModel>,
    /// Whether a checksum in the file was verified.
    pub(super) checked: bool,
}

/// A network that is saved with its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PickledModel {
    /// An object of this class.
    Class(String),
    /// A TorchScript archive.
    TorchScript,
}

impl WeightFile {
    /// Opens a file of `torch.save` (zip, legacy or 2017 tar form) or safetensors, recognised by its content. Nothing in a
    /// pickle is executed.
    ///
    /// # Errors
    /// When the file cannot be read, is not a weight file (the message says what it looks like), is damaged (the
    /// message says where), or holds a whole pickled model.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let io = |source| Error::Io { path: path.to_owned(), source };
        let not_weights = |found: &str| Error::NotWeights { path: path.to_owned(), found: found.to_owned() };
        let facts = fs::metadata(path).map_err(io)?;
        if !facts.is_file() {
            return Err(not_weights(if facts.is_dir() { "a directory" } else { "no regular file" }));
        }
        let mut file = fs::File::open(path).map_err(io)?;
        // A large file of another kind is not read to its end.
        let mut bytes = Vec::new();
        file.by_ref().take(BEGINNING).read_to_end(&mut bytes).map_err(io)?;
        let format = recognise(&bytes).map_err(not_weights)?;
        bounded::check(facts.len(), MAX_WEIGHTS, "a weight file").map_err(io)?;
        if let Some((position, problem)) = large::fault(&mut file, format, facts.len()).map_err(io)? {
            return Err(Error::WeightFile { path: path.to_owned(), position, problem });
        }
        bytes.try_reserve_exact(usize::try_from(facts.len()).unwrap_or(usize::MAX)).map_err(|_| {
            let source =
                io::Error::new(io::ErrorKind::OutOfMemory, format!("{} bytes do not fit into the memory", facts.len()));
            io(source)
        })?;
        file.take(MAX_WEIGHTS).read_to_end(&mut bytes).map_err(io)?;
        Self::from_bytes(path, bytes)
    }

    /// As [`WeightFile::open`], for bytes that are already in memory; errors and reports name them `path`.
    ///
    /// # Errors
    /// As [`WeightFile::open`].
    pub fn from_bytes(path: impl AsRef<Path>, bytes: Vec<u8>) -> Result<Self> {
        let path = path.as_ref();
        let not_weights = |found: &str| Error::NotWeights { path: path.to_owned(), found: found.to_owned() };
        let format = recognise(&bytes).map_err(not_weights)?;
        let contents = match format {
            Format::Safetensors => safetensors::read(&bytes),
            Format::TorchZip => torch_zip::read(&bytes),
            Format::TorchLegacy => torch_legacy::read(&bytes),
            Format::TorchTar => torch_tar::read(&bytes),
        };
        let contents = contents.map_err(|Fault { position, problem }| Error::WeightFile {
            path: path.to_owned(),
            position: position as u64,
            problem,
        })?;
        if let Some(model) = contents.model {
            return Err(whole_model(path, model));
        }
        Ok(Self { path: path.to_owned(), format, bytes, contents })
    }

    /// The path it was opened from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of its bytes, for a checksum.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Its tensors, in the order of the file.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.contents.tensors
    }

    /// Its numbers and texts besides tensors (`epoch`, `arch`, `optimizer.param_groups.0.lr`), by their keys joined by
    /// dots; for safetensors its metadata.
    pub fn scalars(&self) -> &[(String, Scalar)] {
        &self.contents.scalars
    }

    /// How many there are beyond [`WeightFile::scalars`], which lists the first 65,536.
    pub fn more_scalars(&self) -> usize {
        self.contents.more_scalars
    }

    /// Names and classes of pickled objects that are not read: those in which tensors are hidden, or of a file without any
    /// tensor the first few.
    pub fn objects(&self) -> &[(String, String)] {
        &self.contents.objects
    }

    /// Whether the file has a checksum of its tensors, which was verified.
    pub fn is_checked(&self) -> bool {
        self.contents.checked
    }

    /// Names of files that were written beside this one, and their SHA-256: what says how its numbers are to be used.
    pub fn checksums_beside(&self) -> impl Iterator<Item = (&str, &str)> {
        self.contents.scalars.iter().filter_map(|(key, scalar)| match scalar {
            Scalar::Text(sum) => Some((checksum::file_of(key)?, sum.as_str())),
            _ => None,
        })
    }

    /// A number or text by its keys.
    pub fn scalar(&self, name: &str) -> Option<&Scalar> {
        self.contents.scalars.iter().find(|(n, _)| n == name).map(|(_, scalar)| scalar)
    }

    /// The numbers of one of [`WeightFile::tensors`], widened: f16 and bf16 to f32, integers to i64, contiguous.
    pub fn tensor(&self, info: &TensorInfo) -> TensorData {
        let shape = info.shape.clone();
        match info.dtype {
            Dtype::F64 => TensorData::new(self.collect(info, |v| v), shape),
            // Exact: these have no more digits than f32.
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => TensorData::new(self.collect(info, |v| v as f32), shape),
            _ => TensorData::new(self.integers(info), shape),
        }
    }

    /// Whether all numbers are finite, and a running variance not negative; else a number that is not, in words.
    pub(super) fn fault_of(&self, info: &TensorInfo) -> Option<String> {
        if !matches!(info.dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            return None;
        }
        let variance = info.name.rsplit('.').next() == Some("running_var");
        let size = info.dtype.size();
        let number = |at: usize| info.dtype.decode(&self.bytes[info.start + at * size..][..size]);
        let wrong = |(_, value): &(usize, f64)| !value.is_finite() || (variance && *value < 0.0);
        let mut found = positions(info).map(number).enumerate().filter(wrong);
        let (at, value) = found.next()?;
        let more = found.count();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!("{value} at place {at} of {}{more}", info.len()))
    }

    fn collect<T>(&self, info: &TensorInfo, number: impl Fn(f64) -> T) -> Vec<T> {
        let size = info.dtype.size();
        positions(info).map(|at| number(info.dtype.decode(&self.bytes[info.start + at * size..][..size]))).collect()
    }

    fn integers(&self, info: &TensorInfo) -> Vec<i64> {
        let size = info.dtype.size();
        let integer = |at: usize| {
            let bytes = &self.bytes[info.start + at * size..][..size];
            match <[u8; 8]>::try_from(bytes) {
                Ok(wide) => i64::from_le_bytes(wide),
                Err(_) => info.dtype.decode(bytes) as i64, // exact: at most 32 bits
            }
        };
        positions(info).map(integer).collect()
    }
}

/// Positions of a tensor's numbers, counted in numbers from its start; the last dimension varies fastest.
fn positions(info: &TensorInfo) -> impl Iterator<Item = usize> {
    let contiguous = info
        .shape
        .iter()
        .zip(&info.stride)
        .rev()
        .try_fold(1, |expected, (&size, &stride)| (size == 1 || stride == expected).then_some(expected * size));
    (0..info.len()).map(move |index| {
        if contiguous.is_some() {
            return index;
        }
        let dimensions = info.shape.iter().zip(&info.stride).rev();
        dimensions.fold((index, 0), |(rest, at), (&size, &stride)| (rest / size, at + rest % size * stride)).1
    })
}

/// The error of a file that holds a network as an object: which one, and how to get a file of its tensors.
fn whole_model(path: &Path, model: PickledModel) -> Error {
    let shown = path.display().to_string();
    let (found, load) = match model {
        PickledModel::Class(class) => (
            format!("a whole pickled model ({})", printable(&class)),
            format!("torch.load({shown:?}, map_location=\"cpu\", weights_only=False)"),
        ),
        PickledModel::TorchScript => {
            ("a TorchScript archive".to_owned(), format!("torch.jit.load({shown:?}, map_location=\"cpu\")"))
        }
    };
    Error::WholeModel { path: path.to_owned(), found, load }
}

/// Bytes at the start of a file by which its format is recognised.
const BEGINNING: u64 = 512;

/// The format, or what the file looks like instead.
fn recognise(bytes: &[u8]) -> std::result::Result<Format, &'static str> {
    let starts = |prefix: &[u8]| bytes.starts_with(prefix);
    if bytes.is_empty() {
        return Err("an empty file");
    }
    if starts(b"PK\x03\x04") {
        return Ok(Format::TorchZip);
    }
    if torch_legacy::is(bytes) {
        return Ok(Format::TorchLegacy);
    }
    if torch_tar::is(bytes) {
        return Ok(Format::TorchTar);
    }
    // Before pickles: the length of its header may begin like one.
    if bytes.get(8) == Some(&b'{') {
        return Ok(Format::Safetensors);
    }
    if starts(&[0x80]) && bytes.get(1).is_some_and(|&protocol| protocol <= 5) {
        return Err("a pickle that torch.save did not write (or the start of one, cut short)");
    }
    if starts(b"version https://git-lfs") {
        return Err("a pointer of Git LFS, not the file itself (`git lfs pull` fetches it)");
    }
    if starts(b"<") {
        return Err("an HTML or XML page, perhaps the error page of a download");
    }
    if starts(&[0x1f, 0x8b]) {
        return Err("a gzip archive");
    }
    if starts(b"\x89HDF") {
        return Err("an HDF5 file");
    }
    if bytes.len() < 9 {
        return Ok(Format::Safetensors);
    }
    Err("a file of unknown kind")
}
