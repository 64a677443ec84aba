//! What an earlier command saw in images, with its checksum made right so that what lies behind it is reached.

use std::{fs, hint::black_box};

use cxr_data::{Dataset, Part, Role, ScanStore, Subset, audit_with, label_policies, load, prescan_with};

use super::files::{folder, write, write_image};
use crate::Outcome;

pub(crate) fn run(bytes: &[u8]) -> Outcome {
    let said = |fault: cxr_data::Error| fault.to_string();
    let (images, dir) = (folder("scan-images"), folder("scans"));
    for name in ["a.png", "b.png"] {
        if !images.join(name).exists() {
            write_image(&images.join(name));
        }
    }
    let manifest = load(&images, Dataset::Folder, Part::All).map_err(said)?;
    let kept = || fs::read_dir(&dir).into_iter().flatten().flatten().find(|entry| entry.path().extension().is_some());
    if kept().is_none() {
        let mut store = ScanStore::open(&dir, &images).map_err(said)?;
        prescan_with(&manifest, 1, None, Some(&mut store), &mut |_| {});
        store.save().map_err(said)?;
    }
    let file = kept().ok_or("nothing was kept")?.path();
    let facts = fs::metadata(images.join("a.png")).map_err(|fault| fault.to_string())?;
    let time = facts.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let text = String::from_utf8_lossy(bytes).replace("IMAGES", &images.display().to_string());
    let text = text.replace("LEN", &facts.len().to_string());
    let text = text.replace("TIME", &time.unwrap_or_default().as_nanos().to_string());
    let body = if text.trim().is_empty() { String::new() } else { format!("{}\n", text.trim_end()) };
    write(&file, format!("moco-cxr scan 2\n{body}{:08x}\n", crc32fast::hash(body.as_bytes())).as_bytes());
    let mut store = ScanStore::open(&dir, &images).map_err(said)?;
    black_box(prescan_with(&manifest, 1, None, Some(&mut store), &mut |_| {}));
    let subset = Subset { name: "all", role: Role::Pretrain, manifest: &manifest };
    let report = audit_with(&[subset], &label_policies(), Some(&mut store)).map_err(said)?;
    black_box(report.to_string());
    Ok(())
}
