//! Published weights: what their files are called, where they are looked for, and how it is seen that they are whole.
//!
//! The folder is `MOCO_CXR_CACHE`, without it `moco-cxr` in `XDG_CACHE_HOME`, without that `~/.cache/moco-cxr`. ImageNet
//! weights are also found where Hugging Face's tools keep them (`HF_HUB_CACHE`, `HF_HOME/hub`, or
//! `~/.cache/huggingface/hub`).

use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use backbones::Arch;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Which checkpoints MoCo-CXR published; the arithmetic of their names: `r8w` a ResNet18, `d1w` a DenseNet121, `r5w` a
/// ResNet50, `00001` the learning rate 1e-4 (README of the reference code).
const MOCO_CXR: [&str; 6] = ["r8w-00001", "r8w-00001-v2", "r8w-0001", "r8w-001", "r5w-00001", "d1w-00001"];
const MOCO_CXR_URL: &str = "https://storage.googleapis.com/moco-cxr";
const TORCHVISION_URL: &str = "https://download.pytorch.org/models";
const CHECKSUMS: &str = "checksums.txt";

/// Weights that somebody published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Published {
    /// torchvision's, trained on ImageNet.
    ImageNet(Arch),
    /// One of MoCo-CXR's checkpoints.
    MocoCxr(&'static str),
}

impl Published {
    /// `imagenet` (of an architecture) or `moco-cxr:NAME`; none when it is neither.
    pub(super) fn parse(source: &str, arch: Option<Arch>) -> Result<Option<Self>> {
        if source == "imagenet" {
            let fault = || Error::Setting {
                key: "arch".into(),
                found: "none, for ImageNet weights".into(),
                expected: format!("one of {}", Arch::ALL.map(Arch::name).join(", ")),
            };
            return arch.map(Self::ImageNet).ok_or_else(fault).map(Some);
        }
        let Some(name) = source.strip_prefix("moco-cxr:") else { return Ok(None) };
        let known = MOCO_CXR.into_iter().find(|known| *known == name);
        known.map(|name| Some(Self::MocoCxr(name))).ok_or_else(|| Error::Setting {
            key: "weights".into(),
            found: format!("{source:?}"),
            expected: format!("moco-cxr: and one of {}", MOCO_CXR.join(", ")),
        })
    }

    /// The file on this machine, whole.
    ///
    /// # Errors
    /// None is here (the message says which to put where), or it is not what it was.
    pub(super) fn find(self) -> Result<PathBuf> {
        let folder = folder()?;
        let names = self.file_names();
        if let Some(name) = names.iter().find(|name| folder.join(name).is_file()) {
            let path = folder.join(name);
            check(&folder, &path, name)?;
            return Ok(path);
        }
        if let Self::ImageNet(arch) = self {
            let hub = HubFile::of(arch)?;
            if let Some(path) = hub.snapshot() {
                check(&folder, &path, &hub.name())?;
                return Ok(path);
            }
        }
        Err(Error::NoWeights { what: self.to_string(), files: names.join(" or "), url: self.url(), folder })
    }

    /// What the file may be called, the one to get first.
    fn file_names(self) -> Vec<String> {
        let torchvision = |hashes: &[&str], arch| hashes.iter().map(|hash| format!("{arch}-{hash}.pth")).collect();
        match self {
            // The second of each is of the time of the paper: the same numbers, saved by an older PyTorch.
            Self::ImageNet(arch @ Arch::ResNet18) => torchvision(&["f37072fd", "5c106cde"], arch),
            Self::ImageNet(arch @ Arch::ResNet34) => torchvision(&["b627a593", "333f7ec4"], arch),
            Self::ImageNet(arch @ Arch::ResNet50) => torchvision(&["0676ba61", "19c8e357"], arch),
            Self::ImageNet(arch) => torchvision(&["a639ec97"], arch),
            Self::MocoCxr(name) => vec![format!("{name}.pth.tar")],
        }
    }

    /// Where the first of [`Self::file_names`] is published.
    pub(super) fn url(self) -> String {
        let base = if matches!(self, Self::ImageNet(_)) { TORCHVISION_URL } else { MOCO_CXR_URL };
        format!("{base}/{}", self.file_names()[0])
    }
}

impl std::fmt::Display for Published {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ImageNet(arch) => write!(f, "ImageNet weights of {arch}"),
            Self::MocoCxr(name) => write!(f, "MoCo-CXR's checkpoint {name}"),
        }
    }
}

/// The folder of this project's published weights; it need not exist.
pub(crate) fn folder() -> Result<PathBuf> {
    match variable("MOCO_CXR_CACHE") {
        Some(folder) => Ok(folder),
        None => Ok(cache()?.join("moco-cxr")),
    }
}

fn cache() -> Result<PathBuf> {
    let home = || variable("HOME").or_else(|| variable("USERPROFILE")).map(|home| home.join(".cache"));
    variable("XDG_CACHE_HOME").or_else(home).ok_or_else(|| Error::Setting {
        key: "MOCO_CXR_CACHE".into(),
        found: "nothing (nor XDG_CACHE_HOME, nor HOME)".into(),
        expected: "the folder of published weights".into(),
    })
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// `timm/ARCH.tv_in1k` on Hugging Face: torchvision's first ImageNet weights, as safetensors with torchvision's names.
#[derive(Debug)]
pub(super) struct HubFile {
    pub(super) repository: String,
    /// Where Hugging Face's tools keep the repository.
    pub(super) folder: PathBuf,
}

impl HubFile {
    pub(super) const FILE: &str = "model.safetensors";

    pub(super) fn of(arch: Arch) -> Result<Self> {
        let repository = format!("timm/{arch}.tv_in1k");
        let hub = match variable("HF_HUB_CACHE").or_else(|| variable("HF_HOME").map(|home| home.join("hub"))) {
            Some(hub) => hub,
            None => cache()?.join("huggingface/hub"),
        };
        let folder = hub.join(format!("models--{}", repository.replace('/', "--")));
        Ok(Self { repository, folder })
    }

    /// What its checksum is recorded under.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.repository, Self::FILE)
    }

    /// The file of the revision that was fetched last.
    fn snapshot(&self) -> Option<PathBuf> {
        let revision = fs::read_to_string(self.folder.join("refs/main")).ok()?;
        Some(self.folder.join("snapshots").join(revision.trim()).join(Self::FILE)).filter(|path| path.is_file())
    }
}

/// SHA-256 of a file, in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
        text
    })
}

/// Compares a file with its name (torchvision's hold the beginning of the checksum) and with what it was when it was first
/// used, which is recorded in the form of `sha256sum`.
fn check(folder: &Path, path: &Path, name: &str) -> Result<()> {
    let found = sha256(&fs::read(path).map_err(Error::io(path))?);
    let fault = |expected: &str, why: String| {
        Err(Error::Checksum { path: path.into(), found: found.clone(), expected: expected.to_owned(), why })
    };
    let in_name = name.strip_suffix(".pth").and_then(|stem| stem.rsplit_once('-')).map(|(_, hash)| hash);
    if let Some(hash) = in_name.filter(|hash| !found.starts_with(hash)) {
        return fault(hash, "its beginning is part of the name; the file is not whole, or not torchvision's".into());
    }
    let list = folder.join(CHECKSUMS);
    let known = match fs::read_to_string(&list) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(Error::io(&list)(e)),
    };
    match known.lines().find_map(|line| line.split_once("  ").filter(|(_, n)| *n == name)) {
        Some((sum, _)) if sum == found => Ok(()),
        Some((sum, _)) => fault(
            sum,
            format!("as when it was first used; if it was replaced on purpose, delete its line in {}", list.display()),
        ),
        None => record(&list, &format!("{known}{found}  {name}\n")),
    }
}

fn record(list: &Path, text: &str) -> Result<()> {
    if let Some(folder) = list.parent() {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let partial = list.with_extension(format!("partial-{}", std::process::id()));
    fs::write(&partial, text).and_then(|()| fs::rename(&partial, list)).map_err(Error::io(list))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_held_to_its_name_and_to_its_first_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.pth.tar"), "first").unwrap();
        let check = |name: &str| check(folder.path(), &path(name), name);
        check("a.pth.tar").unwrap();
        check("a.pth.tar").unwrap();
        // SHA-256 of "first", by sha256sum.
        let sum = "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e";
        assert_eq!(fs::read_to_string(path(CHECKSUMS)).unwrap(), format!("{sum}  a.pth.tar\n"));
        fs::write(path("a.pth.tar"), "second").unwrap();
        let fault = check("a.pth.tar").unwrap_err().to_string();
        assert!(fault.contains(sum) && fault.contains("delete its line"), "{fault}");
        fs::write(path("resnet18-a7937b64.pth"), "first").unwrap();
        check("resnet18-a7937b64.pth").unwrap();
        fs::write(path("resnet18-f37072fd.pth"), "first").unwrap();
        let fault = check("resnet18-f37072fd.pth").unwrap_err().to_string();
        assert!(fault.contains("expected f37072fd") && fault.contains("not whole"), "{fault}");
    }
}
