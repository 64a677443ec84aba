//! The leak check: evaluation data must share neither patients nor images with training data.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::decode::Decoded;
use crate::phash::{Fingerprint, near_between};
use crate::scan::{ScanStore, Seen};
use crate::stamp::Stamp;
use crate::{Error, Manifest, PixelHash, Radiograph, Result};

/// What a part of the data is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Pretraining, without labels.
    Pretrain,
    /// Training with labels; may be part of the pretraining set, as in the paper.
    Train,
    /// Choice of epochs and settings.
    Valid,
    /// The reported numbers.
    Test,
}

/// One part of the data, for the leak check and the audit.
#[derive(Debug, Clone, Copy)]
pub struct Subset<'a> {
    /// Name for the report.
    pub name: &'a str,
    /// What it is used for.
    pub role: Role,
    /// Its images.
    pub manifest: &'a Manifest,
}

/// Patients that two parts share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SharedPatients {
    /// Names of the two parts.
    pub subsets: [String; 2],
    /// Patients, sorted.
    pub patients: Vec<String>,
}

/// One image of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRef {
    /// Name of the part.
    pub subset: String,
    /// Path relative to the root of the part.
    pub path: String,
}

/// Two images that look alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NearDuplicate {
    /// The two images.
    pub images: [ImageRef; 2],
    /// Number of bits, of 63, in which their perceptual hashes differ.
    pub distance: u32,
    /// Correlation of their 32 x 32 thumbnails.
    pub correlation: f64,
}

/// An image that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// The image.
    pub image: ImageRef,
    /// The decoder's error.
    pub reason: String,
}

/// Result of the leak check.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LeakReport {
    /// The pairs of parts that were compared because they must be disjoint.
    pub compared: Vec<[String; 2]>,
    /// Parts with unknown patients; only their images could be compared.
    pub patients_unknown: Vec<String>,
    /// Whether pixels were compared, not only patient ids and files.
    pub images_compared: bool,
    /// Patients in two parts that must be disjoint. A leak.
    pub shared_patients: Vec<SharedPatients>,
    /// Images with equal decoded pixels in two parts that must be disjoint. A leak.
    pub equal_images: Vec<[ImageRef; 2]>,
    /// Images that look alike in two parts that must be disjoint. A warning.
    pub near_duplicates: Vec<NearDuplicate>,
    /// Images that could not be decoded and were not compared.
    pub unreadable: Vec<Unreadable>,
}

/// Compares patient ids only. Opens no image.
pub fn check_patients(subsets: &[Subset<'_>]) -> LeakReport {
    let mut report = LeakReport {
        patients_unknown: subsets.iter().filter(|s| !s.manifest.patients_known).map(|s| s.name.into()).collect(),
        ..LeakReport::default()
    };
    for (a, b) in disjoint_pairs(subsets) {
        let (a, b) = (&subsets[a], &subsets[b]);
        report.compared.push([a.name.into(), b.name.into()]);
        if !a.manifest.patients_known || !b.manifest.patients_known {
            continue;
        }
        let of_a: HashSet<&str> = a.manifest.records.iter().map(|record| record.patient.as_str()).collect();
        let of_b = b.manifest.records.iter().map(|record| record.patient.as_str());
        let shared: BTreeSet<&str> = of_b.filter(|patient| of_a.contains(patient)).collect();
        if !shared.is_empty() {
            report.shared_patients.push(SharedPatients {
                subsets: [a.name.into(), b.name.into()],
                patients: shared.into_iter().map(String::from).collect(),
            });
        }
    }
    report
}

/// Compares patient ids and files, with links resolved. Opens no image.
pub fn check_files(subsets: &[Subset<'_>]) -> LeakReport {
    check_scanned(subsets, &[])
}

/// Compares patient ids, files, and pixel hashes: [`Prescan::pixels`] of each part, in the same order. Parts without
/// hashes are compared by patients and files only. Opens no image.
///
/// [`Prescan::pixels`]: crate::Prescan::pixels
pub fn check_scanned(subsets: &[Subset<'_>], pixels: &[&[Option<PixelHash>]]) -> LeakReport {
    let mut report = check_patients(subsets);
    report.images_compared = (0..subsets.len()).all(|at| pixels.get(at).is_some_and(|list| !list.is_empty()));
    let files: Vec<Vec<PathBuf>> = subsets.iter().map(files_of).collect();
    let pixels_of = |at: usize| pixels.get(at).into_iter().flat_map(|list| list.iter().enumerate());
    for (a, b) in disjoint_pairs(subsets) {
        let mut equal = equal_pairs(files[a].iter().enumerate(), files[b].iter().enumerate());
        let known = |(row, hash): (usize, &Option<PixelHash>)| hash.map(|hash| (row, hash));
        equal.extend(equal_pairs(pixels_of(a).filter_map(known), pixels_of(b).filter_map(known)));
        let pair = |(i, j)| [image_ref(&subsets[a], i), image_ref(&subsets[b], j)];
        report.equal_images.extend(equal.into_iter().map(pair));
    }
    report
}

/// Canonical paths of the images of a part.
fn files_of(subset: &Subset<'_>) -> Vec<PathBuf> {
    let real = |row| {
        let path: PathBuf = subset.manifest.image_path(row);
        // A missing file cannot be shared with another part.
        path.canonicalize().unwrap_or(path)
    };
    (0..subset.manifest.len()).into_par_iter().map(real).collect()
}

/// Pairs of indices, one from each list, with equal keys: every index of either list that has an equal in the other, the
/// first of those. All pairs would be as many as the product of the numbers of equal images.
fn equal_pairs<K: Hash + Eq>(
    of_a: impl Iterator<Item = (usize, K)>,
    of_b: impl Iterator<Item = (usize, K)>,
) -> BTreeSet<(usize, usize)> {
    let mut places: HashMap<K, (Vec<usize>, Option<usize>)> = HashMap::new();
    for (j, key) in of_b {
        places.entry(key).or_default().0.push(j);
    }
    let mut pairs = BTreeSet::new();
    for (i, key) in of_a {
        let Some((others, first)) = places.get_mut(&key) else { continue };
        match first {
            Some(_) => drop(pairs.insert((i, others[0]))),
            None => {
                *first = Some(i);
                pairs.extend(others.iter().map(|&j| (i, j)));
            }
        }
    }
    pairs
}

/// Compares patient ids and images. Valid and test must share neither with pretraining, with labelled training data or
/// with each other; labelled training data may be part of the pretraining set.
///
/// Every image is decoded once. Where patients are known in both parts, equal ids count as one patient even if the
/// parts come from different folders: a false alarm is better than a missed leak.
pub fn check_leaks(subsets: &[Subset<'_>]) -> LeakReport {
    check_leaks_with(subsets, |path| crate::decode::read(path))
}

/// [`check_leaks`] with images read by `read`, which may count its calls for a progress bar.
pub fn check_leaks_with<F>(subsets: &[Subset<'_>], read: F) -> LeakReport
where
    F: Fn(&Path) -> Result<Radiograph> + Sync,
{
    let seen = |path: &Path| read(path).map(|image| Seen::of(&Decoded::plain(image)));
    compare(subsets, &Scan::new(subsets, seen, None))
}

/// The whole check, on images already scanned.
pub(crate) fn compare(subsets: &[Subset<'_>], scan: &Scan) -> LeakReport {
    let mut report = check_patients(subsets);
    report.images_compared = true;
    report.unreadable = subsets.iter().flat_map(|subset| scan.unreadable(subset)).collect();
    for (a, b) in disjoint_pairs(subsets) {
        let (a, b) = (&subsets[a], &subsets[b]);
        let (of_a, of_b) = (scan.readable(a), scan.readable(b));
        let pair = |i: usize, j: usize| [image_ref(a, of_a[i].0), image_ref(b, of_b[j].0)];
        let pixels = |(at, (_, print)): (usize, &(usize, &Fingerprint))| (at, print.pixels);
        let equal = equal_pairs(of_a.iter().enumerate().map(pixels), of_b.iter().enumerate().map(pixels));
        report.equal_images.extend(equal.into_iter().map(|(i, j)| pair(i, j)));
        let near = near_between(&of_a, &of_b);
        report.near_duplicates.extend(near.into_iter().map(|(i, j, distance, r)| NearDuplicate {
            images: pair(i, j),
            distance,
            correlation: r,
        }));
    }
    report
}

/// Pairs of parts, by index, that must be disjoint: their roles differ, and at least one is valid or test.
fn disjoint_pairs(subsets: &[Subset<'_>]) -> Vec<(usize, usize)> {
    let evaluates = |role| matches!(role, Role::Valid | Role::Test);
    let apart = |a: Role, b: Role| a != b && (evaluates(a) || evaluates(b));
    let all = (0..subsets.len()).flat_map(|a| (a + 1..subsets.len()).map(move |b| (a, b)));
    all.filter(|&(a, b)| apart(subsets[a].role, subsets[b].role)).collect()
}

pub(crate) fn image_ref(subset: &Subset<'_>, row: usize) -> ImageRef {
    ImageRef { subset: subset.name.into(), path: subset.manifest.records[row].path.clone() }
}

/// Fingerprints of all images of some parts, each file decoded once.
pub(crate) struct Scan(HashMap<PathBuf, std::result::Result<Seen, String>>);

impl Scan {
    /// Reads the images that the store does not know, and adds them to it.
    pub(crate) fn new<F>(subsets: &[Subset<'_>], read: F, store: Option<&mut ScanStore>) -> Self
    where
        F: Fn(&Path) -> Result<Seen> + Sync,
    {
        let paths: BTreeSet<PathBuf> = subsets
            .iter()
            .flat_map(|subset| (0..subset.manifest.len()).map(|row| subset.manifest.image_path(row)))
            .collect();
        let known = store.as_deref();
        // The state of a file before it was read; `None` for what was known.
        let outcomes: Vec<(PathBuf, Option<Stamp>, std::result::Result<Seen, String>)> = paths
            .into_par_iter()
            .map(|path| match known.and_then(|store| store.get(&path)) {
                Some((_, seen)) => (path, None, Ok(seen.clone())),
                None => {
                    let stamp = Stamp::of(&path).unwrap_or(Stamp::NONE);
                    let seen = read(&path).map_err(|error| error.to_string());
                    (path, Some(stamp), seen)
                }
            })
            .collect();
        if let Some(store) = store {
            store.count_reused(outcomes.iter().filter(|(_, stamp, _)| stamp.is_none()).count());
            for (path, stamp, seen) in &outcomes {
                if let (Some(stamp), Ok(seen)) = (stamp, seen) {
                    store.put(path, *stamp, seen);
                }
            }
        }
        Self(outcomes.into_iter().map(|(path, _, seen)| (path, seen)).collect())
    }

    /// Rows of a part that could be decoded.
    pub(crate) fn readable(&self, subset: &Subset<'_>) -> Vec<(usize, &Fingerprint)> {
        self.seen(subset).map(|(row, seen)| (row, &seen.print)).collect()
    }

    /// Rows of a part that could be decoded, with all that was seen in them.
    pub(crate) fn seen(&self, subset: &Subset<'_>) -> impl Iterator<Item = (usize, &Seen)> {
        let manifest = subset.manifest;
        (0..manifest.len()).filter_map(move |row| Some((row, self.0.get(&manifest.image_path(row))?.as_ref().ok()?)))
    }

    /// Images of a part that could not be decoded.
    pub(crate) fn unreadable<'s>(&'s self, subset: &'s Subset<'_>) -> impl Iterator<Item = Unreadable> + 's {
        (0..subset.manifest.len()).filter_map(|row| {
            let reason = self.0.get(&subset.manifest.image_path(row))?.as_ref().err()?.clone();
            Some(Unreadable { image: image_ref(subset, row), reason })
        })
    }
}

impl LeakReport {
    /// Whether no patient and no image is shared. Near duplicates and unreadable images are not leaks.
    pub fn is_clean(&self) -> bool {
        self.shared_patients.is_empty() && self.equal_images.is_empty()
    }

    /// The report, if it is clean.
    ///
    /// # Errors
    /// [`Error::Leak`] with the first shared patients and images.
    pub fn require_clean(self) -> Result<Self> {
        if self.is_clean() { Ok(self) } else { Err(Error::Leak(self.faults().join("; "))) }
    }

    /// One line for each kind of leak between two parts.
    pub(crate) fn faults(&self) -> Vec<String> {
        let patients = self.shared_patients.iter().map(|SharedPatients { subsets: [a, b], patients }| {
            let shown = patients[..patients.len().min(5)].join(", ");
            format!("leak: {a} and {b} share {} patient(s): {shown}{}", patients.len(), more(patients.len(), 5))
        });
        let mut pairs: Vec<([&str; 2], Vec<&[ImageRef; 2]>)> = Vec::new();
        for images in &self.equal_images {
            let between = [images[0].subset.as_str(), images[1].subset.as_str()];
            match pairs.iter_mut().find(|(found, _)| *found == between) {
                Some((_, list)) => list.push(images),
                None => pairs.push((between, vec![images])),
            }
        }
        let images = pairs.into_iter().map(|([a, b], list)| {
            let shown: Vec<_> = list.iter().take(3).map(|[a, b]| format!("{} = {}", a.path, b.path)).collect();
            let (count, shown) = (list.len(), shown.join(", "));
            format!("leak: {a} and {b} share {count} image(s), pixel for pixel: {shown}{}", more(count, 3))
        });
        patients.chain(images).collect()
    }
}

fn more(count: usize, shown: usize) -> String {
    if count > shown { format!(" and {} more", count - shown) } else { String::new() }
}

impl fmt::Display for LeakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<_> = self.compared.iter().map(|[a, b]| format!("{a} with {b}")).collect();
        let what = if self.images_compared { "patients and images" } else { "patients (images not opened)" };
        writeln!(
            f,
            "compared {what}: {}",
            if pairs.is_empty() { "nothing to compare".into() } else { pairs.join(", ") }
        )?;
        if !self.patients_unknown.is_empty() {
            writeln!(
                f,
                "patients: unknown in {}; only images could be compared there",
                self.patients_unknown.join(", ")
            )?;
        }
        for fault in self.faults() {
            writeln!(f, "{fault}")?;
        }
        for NearDuplicate { images: [a, b], distance, correlation } in self.near_duplicates.iter().take(10) {
            writeln!(
                f,
                "warning: near duplicates, {} {} and {} {} (hash distance {distance} of 63, correlation {correlation:.4})",
                a.subset, a.path, b.subset, b.path
            )?;
        }
        if self.near_duplicates.len() > 10 {
            writeln!(f, "warning: {} near duplicates in all", self.near_duplicates.len())?;
        }
        for Unreadable { image, reason } in self.unreadable.iter().take(10) {
            writeln!(f, "not compared: {} {}: {reason}", image.subset, image.path)?;
        }
        if self.unreadable.len() > 10 {
            writeln!(f, "not compared: {} unreadable images in all", self.unreadable.len())?;
        }
        if self.is_clean() { writeln!(f, "no leak found") } else { Ok(()) }
    }
}
