//! Download of published weights (feature `hub`).

use backbones::Arch;

use super::cache::Published;
use crate::error::Result;

/// Progress of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetching<'a> {
    /// The URL.
    pub url: &'a str,
    /// Bytes so far.
    pub done: u64,
    /// Bytes in total, if the server says.
    pub total: Option<u64>,
}

/// Downloads the file of `imagenet` or `moco-cxr:NAME` unless it is already on this machine. Nothing else is ever
/// downloaded, and [`load_weights`](crate::load_weights) never downloads. Does nothing for any other source, or without the
/// feature `hub`.
///
/// ImageNet weights come from `timm/ARCH.tv_in1k` on Hugging Face (`HF_ENDPOINT` names another server) and are stored in the
/// cache of its tools (`HF_HOME`); MoCo-CXR's checkpoints go to the folder of published weights (`MOCO_CXR_CACHE`).
///
/// # Errors
/// An unknown name, a server that cannot be reached or does not have the file, or a checksum other than the server's.
pub fn fetch_weights(source: &str, arch: Option<Arch>, progress: &mut dyn FnMut(Fetching<'_>)) -> Result<()> {
    let Some(published) = Published::parse(source, arch)? else { return Ok(()) };
    match published.find() {
        Err(crate::Error::NoWeights { .. }) => fetch(published, progress),
        found => found.map(|_| ()),
    }
}

#[cfg(not(feature = "hub"))]
fn fetch(_: Published, _: &mut dyn FnMut(Fetching<'_>)) -> Result<()> {
    Ok(())
}

#[cfg(feature = "hub")]
fn fetch(published: Published, progress: &mut dyn FnMut(Fetching<'_>)) -> Result<()> {
    use super::{cache::HubFile, download};
    use crate::{device::cache_folder, error::Error};

    let failed = |url: &str| {
        let url = url.to_owned();
        move |reason: String| Error::Download { url, reason }
    };
    match published {
        Published::ImageNet(arch) => {
            let HubFile { repository, folder } = HubFile::of(arch)?;
            let endpoint = std::env::var("HF_ENDPOINT").ok().filter(|e| !e.is_empty());
            let endpoint = endpoint.unwrap_or_else(|| "https://huggingface.co".to_owned());
            let endpoint = endpoint.trim_end_matches('/');
            let url = format!("{endpoint}/{repository}/resolve/main/{}", HubFile::FILE);
            let told = &mut |done, total| progress(Fetching { url: &url, done, total });
            download::from_hub(endpoint, &url, &folder, HubFile::FILE, told).map_err(failed(&url))
        }
        Published::MocoCxr(name) => {
            let url = published.url();
            let path = cache_folder()?.join(format!("{name}.pth.tar"));
            let told = &mut |done, total| progress(Fetching { url: &url, done, total });
            download::to_file(&url, &path, None, told).map(|_| ()).map_err(failed(&url))
        }
    }
}
