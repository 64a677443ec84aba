//! Published weights: file names, search folders and checksums.
//!
//! The folder is `MOCO_CXR_CACHE` if set, else `XDG_CACHE_HOME/moco-cxr`, else `~/.cache/moco-cxr`. ImageNet weights are
//! also found in the cache of Hugging Face's tools (`HF_HUB_CACHE`, `HF_HOME/hub`, or `~/.cache/huggingface/hub`).

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use backbones::Arch;
use sha2::{Digest, Sha256};

use crate::{
    device::{cache_folder, user_cache, variable},
    error::{Error, Result},
    files::{read_text, text_of, write_whole},
};

/// The checkpoints that MoCo-CXR published. In their names, `r8w` is a ResNet18, `d1w` a DenseNet121, `r5w` a ResNet50, and
/// `00001` the learning rate 1e-4 (README of the reference code).
const MOCO_CXR: [&str; 6] = ["r8w-00001", "r8w-00001-v2", "r8w-0001", "r8w-001", "r5w-00001", "d1w-00001"];
const MOCO_CXR_URL: &str = "https://storage.googleapis.com/moco-cxr";
const TORCHVISION_URL: &str = "https://download.pytorch.org/models";
const CHECKSUMS: &str = "checksums.txt";

/// Published weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Published {
    /// torchvision's, trained on ImageNet.
    ImageNet(Arch),
    /// One of MoCo-CXR's checkpoints.
    MocoCxr(&'static str),
}

impl Published {
    /// Parses `imagenet` (needs an architecture) or `moco-cxr:NAME`; `None` for any other source.
    pub(super) fn parse(source: &str, arch: Option<Arch>) -> Result<Option<Self>> {
        if source == "imagenet" {
            let fault = |found: String| Error::Setting {
                key: "arch".into(),
                found,
                expected: format!(
                    "one of {}; or initial weights `random`",
                    Arch::TORCHVISION.map(Arch::name).join(", ")
                ),
            };
            let arch = arch.ok_or_else(|| fault("none, for ImageNet weights".into()))?;
            if !Arch::TORCHVISION.contains(&arch) {
                return Err(fault(format!("{arch}, of which there are no ImageNet weights")));
            }
            return Ok(Some(Self::ImageNet(arch)));
        }
        let Some(name) = source.strip_prefix("moco-cxr:") else { return Ok(None) };
        let known = MOCO_CXR.into_iter().find(|known| *known == name);
        known.map(|name| Some(Self::MocoCxr(name))).ok_or_else(|| Error::Setting {
            key: "weights".into(),
            found: format!("{source:?}"),
            expected: format!("moco-cxr: and one of {}", MOCO_CXR.join(", ")),
        })
    }

    /// The local file, after its checksum was verified.
    ///
    /// # Errors
    /// The file is not on this machine (the message says where to get it), or its checksum is wrong.
    pub(super) fn find(self) -> Result<PathBuf> {
        let folder = cache_folder()?;
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

    /// Possible file names; the first is the one to download.
    fn file_names(self) -> Vec<String> {
        let torchvision = |hashes: &[&str], arch| hashes.iter().map(|hash| format!("{arch}-{hash}.pth")).collect();
        match self {
            // The second of each dates from the time of the paper: the same numbers, saved by an older PyTorch.
            Self::ImageNet(arch @ Arch::ResNet18) => torchvision(&["f37072fd", "5c106cde"], arch),
            Self::ImageNet(arch @ Arch::ResNet34) => torchvision(&["b627a593", "333f7ec4"], arch),
            Self::ImageNet(arch @ Arch::ResNet50) => torchvision(&["0676ba61", "19c8e357"], arch),
            Self::ImageNet(arch) => torchvision(&["a639ec97"], arch),
            Self::MocoCxr(name) => vec![format!("{name}.pth.tar")],
        }
    }

    /// The URL of the first of [`Self::file_names`].
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

/// `timm/ARCH.tv_in1k` on Hugging Face: torchvision's first ImageNet weights, as safetensors with torchvision's names.
#[derive(Debug)]
pub(super) struct HubFile {
    pub(super) repository: String,
    /// The repository's folder in the cache of Hugging Face's tools.
    pub(super) folder: PathBuf,
}

impl HubFile {
    pub(super) const FILE: &str = "model.safetensors";

    pub(super) fn of(arch: Arch) -> Result<Self> {
        let repository = format!("timm/{arch}.tv_in1k");
        let hub = match variable("HF_HUB_CACHE").or_else(|| variable("HF_HOME").map(|home| home.join("hub"))) {
            Some(hub) => hub,
            None => user_cache()?.join("huggingface/hub"),
        };
        let folder = hub.join(format!("models--{}", repository.replace('/', "--")));
        Ok(Self { repository, folder })
    }

    /// The name in the list of checksums.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.repository, Self::FILE)
    }

    /// The file of the revision that was downloaded last.
    fn snapshot(&self) -> Option<PathBuf> {
        let revision = text_of(&self.folder.join("refs/main"))?;
        Some(self.folder.join("snapshots").join(revision.trim()).join(Self::FILE)).filter(|path| path.is_file())
    }
}

/// SHA-256 of a file, in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// As [`sha256`], of a file, piece by piece.
fn sha256_of(path: &Path) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut fs::File::open(path)?, &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
        text
    })
}

/// Verifies the checksum of a file: against its name (torchvision's names contain the first digits), and against the
/// checksum recorded when it was first used, in the format of `sha256sum`.
fn check(folder: &Path, path: &Path, name: &str) -> Result<()> {
    let found = sha256_of(path).map_err(Error::io(path))?;
    let fault = |expected: &str, why: String| {
        Err(Error::Checksum { path: path.into(), found: found.clone(), expected: expected.to_owned(), why })
    };
    let in_name = name.strip_suffix(".pth").and_then(|stem| stem.rsplit_once('-')).map(|(_, hash)| hash);
    if let Some(hash) = in_name.filter(|hash| !found.starts_with(hash)) {
        return fault(hash, "as the file name says; the file is incomplete, or not torchvision's".into());
    }
    let list = folder.join(CHECKSUMS);
    let known = match list.exists() {
        true => read_text(&list)?,
        false => String::new(),
    };
    match known.lines().find_map(|line| line.split_once("  ").filter(|(_, n)| *n == name)) {
        Some((sum, _)) if sum == found => Ok(()),
        Some((sum, _)) => fault(
            sum,
            format!("as when it was first used; if you replaced it on purpose, delete its line in {}", list.display()),
        ),
        None => write_whole(&list, format!("{known}{found}  {name}\n").as_bytes()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_must_match_its_name_and_its_first_use() {
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
        assert!(fault.contains("expected f37072fd") && fault.contains("incomplete"), "{fault}");
    }
}
