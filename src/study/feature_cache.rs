//! Features and running statistics kept between commands, so that a second evaluation of the same weights takes seconds.
//!
//! ```text
//! features/            in the cache folder (MOCO_CXR_CACHE)
//!   KEY/               one network, on images prepared in one way, on one device
//!     CONTENT.kept     rows: the hash of an image's pixels and its features; or running statistics
//! ```
//!
//! No path, patient or label is in it. A key is a SHA-256 over everything that decides the bits of a feature but the image
//! itself ([`Key::of_network`]); an image is known by its pixels. What is not known to be the same is computed again, never
//! looked up.
//!
//! Files appear whole, under a name that follows from their content, and are never changed, so that several processes can use
//! the folder. The end of a file is a SHA-256 of the rest: a damaged file is deleted and its features are computed again. Above
//! [`LIMIT`] bytes the keys that were not used for the longest time are deleted.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use backbones::{Network, NetworkConfig, state_dict};
use cxr_data::{
    Account, BatchLoader, BatchOptions, Dataset, ImageSource, Manifest, PixelHash, Pixels, Radiograph, Record,
    ViewConfig,
};
use eval::extract_features;
use sha2::{Digest, Sha256};

use super::features::one_view;
use crate::{device::cache_folder, error::Result, files::Watch};

/// Bytes of the folder above which keys are deleted, in binary units 4 GiB: the features of two million images by a ResNet18.
const LIMIT: u64 = 4 << 30;

/// Rows of a file: a file is read at once.
const ROWS: usize = 16_384;

const MAGIC: &[u8] = b"moco-cxr features 1\n";
const SUM: usize = 32;
const ENDING: &str = "kept";

/// Folder of features kept between commands: `features` in the cache folder (`MOCO_CXR_CACHE`, or else `moco-cxr` in
/// `XDG_CACHE_HOME` or `~/.cache`). `None` if there is no such folder.
pub fn feature_folder() -> Option<PathBuf> {
    Some(cache_folder().ok()?.join("features"))
}

/// Identity of everything but the image that decides the bits of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key([u8; 32]);

/// What the key of a network is made of, each with its length before it.
struct Parts(Sha256);

impl Parts {
    fn new() -> Self {
        Self(Sha256::new())
    }

    fn and(mut self, part: impl AsRef<[u8]>) -> Self {
        self.0.update((part.as_ref().len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    fn key(self) -> Key {
        Key(self.0.finalize().into())
    }
}

impl Key {
    /// The key of a network as it is now: version and commit of this program, architecture, normalisation, views, device,
    /// every tensor, and a **fingerprint**: the features, bit by bit, of two drawn radiographs that take the way of every
    /// image from its pixels on. Other kernels, another instruction set, precision, driver or way to prepare an image show
    /// in it, whether or not their names do.
    ///
    /// # Errors
    /// A device that fails, or a feature that is not finite.
    pub(super) fn of_network(network: &Network, config: &NetworkConfig, views: &ViewConfig) -> Result<Self> {
        use burn::module::Module;
        let text = |value: serde_json::Result<String>| value.unwrap_or_default();
        let mut parts = Parts::new()
            .and(MAGIC)
            .and(env!("CARGO_PKG_VERSION"))
            .and(option_env!("MOCO_CXR_GIT_COMMIT").unwrap_or_default())
            .and(text(serde_json::to_string(config)))
            .and(text(serde_json::to_string(views)))
            .and(format!("{:?}", network.devices()));
        for (name, data) in state_dict(network)? {
            parts = parts.and(name).and(format!("{:?} {:?}", data.dtype(), data.shape())).and(data.as_bytes());
        }
        let drawn = Drawn::loader(views)?;
        let found = extract_features(network, drawn.in_order::<u8>().map(one_view))?;
        Ok(parts.and(bytes(found.values.iter())).key())
    }

    /// The key of something made from what has this key.
    pub(super) fn then(&self, what: &str, by: &[u8]) -> Self {
        Parts::new().and(self.0).and(what).and(by).key()
    }

    /// The key of the features of this network with the running statistics that its weights came with.
    pub(super) fn with_own_statistics(self) -> Self {
        self.then("own statistics", &[])
    }

    /// The key of something made from images too, in this order; `None` if some have no hash.
    pub(super) fn then_images(&self, what: &str, pixels: &[Option<PixelHash>]) -> Option<Self> {
        let pixels: Option<Vec<[u8; 16]>> = pixels.iter().map(|hash| Some(number((*hash)?)?.to_be_bytes())).collect();
        Some(self.then(what, pixels?.as_flattened()))
    }

    fn name(&self) -> String {
        hex(&self.0[..16])
    }
}

/// Two radiographs that every build draws alike.
#[derive(Debug)]
struct Drawn;

impl Drawn {
    fn loader(views: &ViewConfig) -> Result<BatchLoader> {
        let record = |row: usize| Record {
            path: row.to_string(),
            patient: row.to_string(),
            study: row.to_string(),
            view: None,
            projection: None,
            sex: None,
            age: None,
            labels: Vec::new(),
        };
        let manifest = Manifest {
            root: PathBuf::new(),
            dataset: Dataset::Folder,
            tasks: Vec::new(),
            records: vec![record(0), record(1)],
            patients_known: false,
            has_parts: false,
            account: Account::default(),
            notes: Vec::new(),
        };
        let options = BatchOptions { batch_size: 2, workers: 1, ..BatchOptions::default() };
        Ok(BatchLoader::new(&manifest, *views, options)?.with_source(Arc::new(Self)))
    }
}

impl ImageSource for Drawn {
    /// Waves and noise, 8 bits wide and 16 bits tall, so that both ways through the resizing are taken.
    fn image(&self, row: usize) -> cxr_data::Result<Arc<Radiograph>> {
        let (width, height) = if row == 0 { (397, 331) } else { (331, 419) };
        let mut state = row as u32 + 1;
        let values = (0..width * height).map(|place| {
            let (x, y) = ((place % width) as f32, (place / width) as f32);
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 16) as f32 / 65_536.0;
            0.2 + 0.3 * noise + 0.25 * (1.0 + (x / 23.0).sin() * (y / 31.0).cos())
        });
        let pixels = match row {
            0 => Pixels::U8(values.map(|value| (value * 255.0) as u8).collect()),
            _ => Pixels::U16(values.map(|value| (value * 65_535.0) as u16).collect()),
        };
        Ok(Arc::new(Radiograph::new(width, height, pixels)?))
    }
}

/// The folder of kept features.
#[derive(Debug, Clone)]
pub(super) struct FeatureCache {
    folder: PathBuf,
    limit: u64,
}

impl FeatureCache {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, limit: LIMIT }
    }

    /// The kept features of these images, each of `columns` numbers.
    pub(super) fn features(
        &self,
        key: &Key,
        wanted: &[Option<PixelHash>],
        columns: usize,
        watch: &dyn Watch,
    ) -> HashMap<PixelHash, Vec<f32>> {
        let mut found: HashMap<PixelHash, Vec<f32>> = HashMap::new();
        let by_number: HashMap<u128, PixelHash> =
            wanted.iter().flatten().filter_map(|&hash| Some((number(hash)?, hash))).collect();
        for path in self.files(key) {
            let Some(payload) = self.read(&path, watch) else { continue };
            let Some((hashes, values)) = rows_of(&payload, columns) else {
                self.drop_damaged(&path, watch);
                continue;
            };
            for (hash, features) in hashes.as_chunks().0.iter().zip(values.chunks_exact(4 * columns)) {
                if let Some(&hash) = by_number.get(&u128::from_be_bytes(*hash)) {
                    found.entry(hash).or_insert_with(|| floats(features));
                }
            }
        }
        found
    }

    /// Keeps features. A folder that cannot be written costs a note, not the evaluation.
    pub(super) fn keep(&self, key: &Key, rows: &[(PixelHash, &[f32])], watch: &dyn Watch) {
        for rows in rows.chunks(ROWS) {
            let mut payload = (rows.len() as u64).to_le_bytes().to_vec();
            let hashes = rows.iter().filter_map(|(hash, _)| number(*hash));
            hashes.for_each(|hash| payload.extend(hash.to_be_bytes()));
            rows.iter().for_each(|(_, values)| payload.extend(bytes(values.iter())));
            self.write(key, payload, watch);
        }
    }

    /// The kept numbers of a key that has no rows.
    pub(super) fn numbers(&self, key: &Key, watch: &dyn Watch) -> Option<Vec<f32>> {
        self.files(key).into_iter().find_map(|path| self.read(&path, watch)).map(|payload| floats(&payload))
    }

    /// Keeps the numbers of a key that has no rows.
    pub(super) fn keep_numbers(&self, key: &Key, values: &[f32], watch: &dyn Watch) {
        self.write(key, bytes(values.iter()), watch);
    }

    fn files(&self, key: &Key) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.join(key.name())).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> =
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == ENDING)).collect();
        files.sort();
        files
    }

    /// The checked content of a file. `None` if another process deleted it, or if it was damaged and is deleted now.
    fn read(&self, path: &Path, watch: &dyn Watch) -> Option<Vec<u8>> {
        // Nothing longer than the whole cache was ever written.
        if fs::metadata(path).ok()?.len() > self.limit {
            self.drop_damaged(path, watch);
            return None;
        }
        let mut content = fs::read(path).ok()?;
        let whole = content.len().checked_sub(SUM).filter(|&end| {
            content.starts_with(MAGIC) && content[end..] == Sha256::digest(&content[..end])[..] && end >= MAGIC.len()
        });
        let Some(end) = whole else {
            self.drop_damaged(path, watch);
            return None;
        };
        content.truncate(end);
        // The time of the last use decides what is deleted first.
        let _ = File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(content.split_off(MAGIC.len()))
    }

    fn drop_damaged(&self, path: &Path, watch: &dyn Watch) {
        watch.note(&format!("kept features: {} is damaged and deleted; they are computed again", path.display()));
        let _ = fs::remove_file(path);
    }

    fn write(&self, key: &Key, payload: Vec<u8>, watch: &dyn Watch) {
        let mut content = MAGIC.to_vec();
        content.extend(payload);
        let sum = Sha256::digest(&content);
        content.extend(sum);
        let own = self.folder.join(key.name());
        if size(&own).0 + content.len() as u64 > self.limit {
            watch.note(&format!("these features are not kept: they would be more than {} MiB", self.limit >> 20));
            return;
        }
        let path = own.join(format!("{}.{ENDING}", hex(&sum[..16])));
        // A name of its own: another thread may write the same rows.
        let written = fs::create_dir_all(&own).and_then(|()| {
            let mut file = tempfile::Builder::new().suffix(".partial").tempfile_in(&own)?;
            file.write_all(&content)?;
            file.persist(&path)?;
            Ok(())
        });
        match written {
            Ok(()) => self.trim(&own),
            Err(fault) => {
                watch.note(&format!("{}: features are not kept for the next command: {fault}", own.display()))
            }
        }
    }

    /// Deletes keys until the folder is within its limit, that of the longest disuse first and never `own`.
    fn trim(&self, own: &Path) {
        let folders = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut all: Vec<(SystemTime, u64, PathBuf)> = folders
            .map(|path| {
                let (bytes, used) = size(&path);
                (used, bytes, path)
            })
            .collect();
        all.sort();
        let mut total: u64 = all.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in all.into_iter().filter(|(.., path)| path != own) {
            if total <= self.limit {
                break;
            }
            if fs::remove_dir_all(&path).is_ok() {
                total -= bytes;
            }
        }
    }
}

/// Bytes of a folder, and when a file of it was last used. What a killed process left half written is deleted after a day.
fn size(folder: &Path) -> (u64, SystemTime) {
    let (mut bytes, mut used) = (0, SystemTime::UNIX_EPOCH);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(about) = entry.metadata() else { continue };
        let modified = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let old = modified.elapsed().is_ok_and(|age| age > Duration::from_secs(86_400));
        if old && entry.path().extension().is_some_and(|e| e != ENDING) {
            let _ = fs::remove_file(entry.path());
            continue;
        }
        (bytes, used) = (bytes + about.len(), used.max(modified));
    }
    (bytes, used)
}

/// The hashes and the features of a file of rows, as bytes.
fn rows_of(payload: &[u8], columns: usize) -> Option<(&[u8], &[u8])> {
    let (rows, rest) = payload.split_first_chunk::<8>()?;
    let rows = usize::try_from(u64::from_le_bytes(*rows)).ok()?;
    let (hashes, values) = rest.split_at_checked(rows.checked_mul(16)?)?;
    (values.len() == rows.checked_mul(4)?.checked_mul(columns)?).then_some((hashes, values))
}

fn number(hash: PixelHash) -> Option<u128> {
    u128::from_str_radix(&String::from(hash), 16).ok()
}

fn bytes<'a>(values: impl Iterator<Item = &'a f32>) -> Vec<u8> {
    values.flat_map(|value| value.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn key(name: &str) -> Key {
        Parts::new().and(name).key()
    }

    fn hash(value: u8) -> PixelHash {
        PixelHash::of(&Radiograph::new(1, 1, Pixels::U8(vec![value])).unwrap())
    }

    fn cache(limit: u64) -> (tempfile::TempDir, FeatureCache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = FeatureCache { folder: folder.path().join("features"), limit };
        (folder, cache)
    }

    #[test]
    fn rows_come_back_by_the_pixels_of_their_images() {
        let (_folder, cache) = cache(LIMIT);
        let (one, two) = ([1.5_f32, f32::MIN_POSITIVE / 2.0], [-0.0_f32, 3.0]);
        cache.keep(&key("a"), &[(hash(1), &one), (hash(2), &two)], &());
        cache.keep(&key("a"), &[(hash(3), &two)], &());
        let found = cache.features(&key("a"), &[Some(hash(3)), None, Some(hash(1)), Some(hash(9))], 2, &());
        assert_eq!(found.len(), 2);
        assert_eq!(found[&hash(1)].iter().map(|x| x.to_bits()).collect::<Vec<_>>(), one.map(f32::to_bits));
        assert_eq!(found[&hash(3)], two);
        assert!(cache.features(&key("b"), &[Some(hash(1))], 2, &()).is_empty());
        cache.keep_numbers(&key("n"), &one, &());
        assert_eq!(cache.numbers(&key("n"), &()).unwrap(), one);
    }

    #[test]
    fn a_damaged_file_is_deleted_and_said() {
        let (_folder, cache) = cache(LIMIT);
        cache.keep(&key("a"), &[(hash(1), &[1.0, 2.0])], &());
        let path = cache.files(&key("a")).swap_remove(0);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[MAGIC.len() + 30] ^= 1; // in a feature
        for damaged in [flipped, whole[..whole.len() - 1].to_vec(), Vec::new()] {
            fs::write(&path, damaged).unwrap();
            let notes = RefCell::new(String::new());
            assert!(
                cache
                    .features(&key("a"), &[Some(hash(1))], 2, &|note: &str| notes.borrow_mut().push_str(note))
                    .is_empty()
            );
            assert!(notes.borrow().contains("is damaged and deleted"), "{}", notes.borrow());
            assert!(!path.exists());
        }
        // Whole, but with other features than the network has.
        cache.keep(&key("a"), &[(hash(1), &[1.0, 2.0, 3.0])], &());
        assert!(cache.features(&key("a"), &[Some(hash(1))], 2, &()).is_empty());
    }

    #[test]
    fn the_folder_stays_within_its_limit() {
        let row = vec![0.5_f32; 100];
        let (_folder, cache) = cache(1_200); // a file of one row has 500 bytes
        for (name, seconds) in [("old", 100), ("new", 200)] {
            cache.keep(&key(name), &[(hash(1), &row)], &());
            let file = File::options().append(true).open(&cache.files(&key(name))[0]).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        }
        cache.features(&key("old"), &[Some(hash(1))], 100, &()); // used now
        cache.keep(&key("more"), &[(hash(1), &row)], &());
        assert!(cache.files(&key("new")).is_empty(), "not used for the longest time");
        assert!(!cache.files(&key("old")).is_empty() && !cache.files(&key("more")).is_empty());
        let notes = RefCell::new(String::new());
        let large = vec![0.5_f32; 400];
        cache.keep(&key("large"), &[(hash(1), &large)], &|note: &str| notes.borrow_mut().push_str(note));
        assert!(notes.borrow().contains("not kept"), "{}", notes.borrow());
        assert!(cache.files(&key("large")).is_empty() && !cache.files(&key("old")).is_empty());
    }

    #[test]
    fn several_threads_may_keep_and_read_at_once() {
        let (_folder, cache) = cache(LIMIT);
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let cache = &cache;
                scope.spawn(move || {
                    for value in 0..20 {
                        // Every thread keeps some rows of its own and some that all have in common.
                        let own = if value % 2 == 0 { value } else { 100 + 20 * thread + value };
                        cache.keep(&key("a"), &[(hash(own), &[f32::from(own)])], &());
                        for (hash_of, found) in cache.features(&key("a"), &[Some(hash(own)), Some(hash(0))], 1, &()) {
                            assert!(
                                hash_of == hash(own) && found == [f32::from(own)]
                                    || hash_of == hash(0) && found == [0.0]
                            );
                        }
                    }
                });
            }
        });
        let all: Vec<Option<PixelHash>> = (0..=255).map(|value| Some(hash(value))).collect();
        let found = cache.features(&key("a"), &all, 1, &|note: &str| panic!("{note}"));
        assert_eq!(found.len(), 10 + 4 * 10);
    }
}
