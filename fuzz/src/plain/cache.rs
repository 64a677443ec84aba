//! The index of a cache of images, with its checksum made right so that what lies behind it is reached.

use std::{fs, hint::black_box};

use cxr_data::{CacheOptions, Dataset, ImageCache, ImageSource, Part, ViewConfig, load};

use super::files::{folder, write, write_image};
use crate::Outcome;

const SIDE: usize = 8;

pub(crate) fn run(bytes: &[u8]) -> Outcome {
    let said = |fault: cxr_data::Error| fault.to_string();
    let (images, dir) = (folder("cache-images"), folder("cache"));
    for name in ["a.png", "b.png"] {
        if !images.join(name).exists() {
            write_image(&images.join(name));
        }
    }
    let manifest = load(&images, Dataset::Folder, Part::All).map_err(said)?;
    let views = ViewConfig::eval(SIDE);
    let open = |options: CacheOptions| ImageCache::open(&dir, &manifest, &views, options).map_err(said);
    let index = dir.join(format!("images-{}.json", views.working_side()));
    if !index.exists() {
        open(CacheOptions { workers: 1, verify: false })?;
        assert!(index.is_file(), "the index has another name");
    }
    // Entries of a corpus cannot know the folder, nor length and time of the image.
    let text = String::from_utf8_lossy(bytes).replace("IMAGES", &images.display().to_string());
    let facts = fs::metadata(images.join("a.png")).map_err(|fault| fault.to_string())?;
    let time = facts.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let text = text.replace("LEN", &facts.len().to_string());
    let text = text.replace("TIME", &time.unwrap_or_default().as_nanos().to_string());
    write(&index, format!("{:08x}\n{text}", crc32fast::hash(text.as_bytes())).as_bytes());
    let verify = bytes.len() % 2 == 1;
    let (cache, report) = open(CacheOptions { workers: 1, verify })?;
    for row in 0..manifest.len() {
        let image = cache.image(row).map_err(said)?;
        assert!(!image.pixels().is_empty());
    }
    black_box((report.to_string(), cache.damaged()));
    // It grows by what is decoded again.
    let data = index.with_extension("bin");
    if fs::metadata(&data).is_ok_and(|facts| facts.len() > 1 << 20) {
        fs::remove_file(data).map_err(|fault| fault.to_string())?;
        fs::remove_file(index).map_err(|fault| fault.to_string())?;
    }
    Ok(())
}
