//! A GPU that a build without GPU backends cannot use.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// One line for a user whose build has no GPU backend although the machine seems to have a GPU, with what to do about it;
/// `None` in a build with one, and where no GPU is seen. Nothing is opened.
pub fn idle_gpu() -> Option<String> {
    if cfg!(any(feature = "cuda", feature = "rocm", feature = "wgpu")) {
        return None;
    }
    found_in(Path::new("/dev")).map(|node| {
        format!(
            "this machine seems to have a GPU ({}), which this build cannot use: take the wheel moco-cxr-wgpu, or build with \
             --features wgpu or cuda (docs/devices.md)",
            node.display()
        )
    })
}

/// A GPU as Linux has it below `/dev`: NVIDIA's by their driver, others by the kernel. A container may be given any of several,
/// or none.
fn found_in(dev: &Path) -> Option<PathBuf> {
    let nvidia = dev.join("nvidia0");
    if nvidia.exists() {
        return Some(nvidia);
    }
    let nodes = fs::read_dir(dev.join("dri")).into_iter().flatten().flatten().map(|entry| entry.path());
    let renders = |node: &PathBuf| node.file_name().is_some_and(|name| name.to_string_lossy().starts_with("renderD"));
    nodes.filter(renders).min()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_seen_by_its_node() {
        let dev = tempfile::tempdir().unwrap();
        assert_eq!(found_in(dev.path()), None);
        fs::create_dir(dev.path().join("dri")).unwrap();
        fs::write(dev.path().join("dri/card0"), "").unwrap();
        assert_eq!(found_in(dev.path()), None, "a screen without a renderer");
        for node in ["dri/renderD129", "dri/renderD128", "nvidia0"] {
            fs::write(dev.path().join(node), "").unwrap();
            assert_eq!(found_in(dev.path()), Some(dev.path().join(node)));
        }
    }
}
