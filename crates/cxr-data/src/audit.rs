//! The audit of a data set: counts, labels under each policy, unreadable and mislabelled files, duplicates, leaks.

mod report;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::labels::{LabelPolicy, NotMentioned, TaskCounts, Uncertain, Views};
use crate::leak::{ImageRef, LeakReport, NearDuplicate, Role, Scan, Subset, Unreadable, compare, image_ref};
use crate::looks::Remark;
use crate::phash::{Fingerprint, near_within};
use crate::scan::{ScanStore, Seen};
use crate::{Account, Manifest, Projection, Result, Sex, View};

/// Result of an audit. `Display` writes Markdown; programs read the serialised form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditReport {
    /// What became of every file below the folder; of the first part, unless whoever reads the whole set says more.
    #[serde(default)]
    pub account: Account,
    /// One entry per part, in the order given.
    pub subsets: Vec<SubsetAudit>,
    /// The leak check between the parts, images included.
    pub leaks: LeakReport,
}

/// Audit of one part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubsetAudit {
    /// Name of the part.
    pub name: String,
    /// What it is used for.
    pub role: Role,
    /// Folder.
    pub root: String,
    /// [`Manifest::hash`], as stamped into runs.
    pub hash: String,
    /// [`Manifest::notes`].
    pub notes: Vec<String>,
    /// Number of images.
    pub images: usize,
    /// Number of patients; `None` where they are unknown.
    pub patients: Option<usize>,
    /// Number of studies.
    pub studies: usize,
    /// Numbers of images by view, projection, sex, decoded size and depth; those above 0.
    pub composition: Vec<(String, usize)>,
    /// Lowest and highest age in years, of the images with one.
    pub ages: Option<(f32, f32)>,
    /// Label counts under each requested policy.
    pub labels: Vec<PolicyAudit>,
    /// Images that cannot be decoded.
    pub unreadable: Vec<Unreadable>,
    /// Images whose extension does not match their format. They are decoded anyway.
    pub mislabelled: Vec<ImageRef>,
    /// What the images look like: remarks with their numbers and examples.
    #[serde(default)]
    pub looks: Vec<LooksAudit>,
    /// Groups of images that are equal pixel for pixel.
    pub duplicates: Vec<Duplicates>,
    /// Images of different patients that look alike.
    pub near_duplicates: Vec<NearDuplicate>,
    /// Rows whose patient looks like a long number that a spreadsheet rounded, and the first of these.
    #[serde(default)]
    pub rounded_patients: Option<(usize, String)>,
}

/// Images of which there is one thing to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LooksAudit {
    /// What they have in common.
    pub remark: Remark,
    /// Their number.
    pub images: usize,
    /// The first of them.
    pub examples: Vec<String>,
    /// Whether there are so many that the set cannot be meant.
    pub fails: bool,
}

/// Label counts under one policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyAudit {
    /// The policy's stamp.
    pub policy: String,
    /// Number of images that it keeps.
    pub images: usize,
    /// Counts per task.
    pub tasks: Vec<TaskCounts>,
}

/// Images that are equal pixel for pixel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicates {
    /// Their paths, in the order of the rows.
    pub paths: Vec<String>,
    /// Whether they belong to more than one patient: then patients or labels are wrong. Otherwise it is a repeated
    /// export.
    pub across_patients: bool,
}

/// Every combination of choices for uncertain and unmentioned labels, over all views.
pub fn label_policies() -> Vec<LabelPolicy> {
    let uncertain = [Uncertain::Ignore, Uncertain::Ones, Uncertain::Zeros];
    let both = |uncertain| {
        [NotMentioned::Negative, NotMentioned::Ignore].map(|not_mentioned| LabelPolicy {
            uncertain,
            not_mentioned,
            views: Views::All,
        })
    };
    uncertain.into_iter().flat_map(both).collect()
}

/// Audits parts of the data: decodes every image once, counts labels under each policy, and compares the parts with
/// each other as [`check_leaks`](crate::check_leaks) does.
///
/// # Errors
/// None in practice: faults in the data are in the report.
pub fn audit(subsets: &[Subset<'_>], policies: &[LabelPolicy]) -> Result<AuditReport> {
    audit_with(subsets, policies, None)
}

/// As [`audit`], without decoding images that `store` knows and that have not changed.
///
/// # Errors
/// None in practice: faults in the data are in the report.
pub fn audit_with(
    subsets: &[Subset<'_>],
    policies: &[LabelPolicy],
    store: Option<&mut ScanStore>,
) -> Result<AuditReport> {
    let scan = Scan::new(subsets, |path| crate::decode::decoded(path).map(|decoded| Seen::of(&decoded)), store);
    let leaks = compare(subsets, &scan);
    let account = subsets.first().map(|subset| subset.manifest.account.clone()).unwrap_or_default();
    let subsets = subsets.iter().map(|subset| one(subset, policies, &scan)).collect::<Result<_>>()?;
    Ok(AuditReport { account, subsets, leaks })
}

fn one(subset: &Subset<'_>, policies: &[LabelPolicy], scan: &Scan) -> Result<SubsetAudit> {
    let manifest = subset.manifest;
    let all: Vec<usize> = (0..manifest.len()).collect();
    let images = scan.readable(subset);
    let ages = manifest.records.iter().filter_map(|record| record.age);
    let ages = ages.fold(None, |range, age| {
        let (low, high) = range.unwrap_or((age, age));
        Some((age.min(low), age.max(high)))
    });
    Ok(SubsetAudit {
        name: subset.name.into(),
        role: subset.role,
        root: manifest.root.display().to_string(),
        hash: manifest.hash(),
        notes: manifest.notes.clone(),
        images: manifest.len(),
        patients: manifest.patients_known.then(|| manifest.patient_count()),
        studies: manifest.studies(&all).len(),
        composition: composition(manifest, &images),
        ages,
        labels: labels(manifest, policies)?,
        unreadable: scan.unreadable(subset).collect(),
        mislabelled: scan
            .seen(subset)
            .filter(|(row, seen)| !seen.format.fits_name(&manifest.image_path(*row)))
            .map(|(row, _)| image_ref(subset, row))
            .collect(),
        looks: looks(manifest, scan.seen(subset)),
        duplicates: duplicates(manifest, &images),
        near_duplicates: near_duplicates(subset, &images),
        rounded_patients: rounded_patients(manifest),
    })
}

fn composition(manifest: &Manifest, images: &[(usize, &Fingerprint)]) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    let mut count = |what: &str| match counts.iter_mut().find(|(found, _)| found == what) {
        Some((_, number)) => *number += 1,
        None => counts.push((what.into(), 1)),
    };
    for record in &manifest.records {
        count(match record.view {
            Some(View::Frontal) => "frontal",
            Some(View::Lateral) => "lateral",
            None => "view not recorded",
        });
    }
    for projection in manifest.records.iter().filter_map(|record| record.projection) {
        count(match projection {
            Projection::Ap => "AP",
            Projection::Pa => "PA",
            Projection::Ll => "LL",
            Projection::Rl => "RL",
        });
    }
    for record in &manifest.records {
        count(match record.sex {
            Some(Sex::Female) => "female",
            Some(Sex::Male) => "male",
            None => "sex not recorded",
        });
    }
    for (_, print) in images {
        count(if print.size.2 > 8 { "16 bit" } else { "8 bit" });
    }
    let sides = images.iter().map(|(_, print)| (print.size.0.min(print.size.1), print.size.0.max(print.size.1)));
    if let Some((short, long)) = sides.reduce(|(short, long), (s, l)| (short.min(s), long.max(l))) {
        let sides = if short == long { short.to_string() } else { format!("{short} to {long}") };
        counts.push((format!("decoded, sides of {sides} pixels"), images.len()));
    }
    counts
}

fn labels(manifest: &Manifest, policies: &[LabelPolicy]) -> Result<Vec<PolicyAudit>> {
    if manifest.tasks.is_empty() {
        return Ok(Vec::new());
    }
    let tasks: Vec<usize> = (0..manifest.tasks.len()).collect();
    let under = |policy: &LabelPolicy| {
        let result = policy.apply(manifest, &tasks)?;
        Ok(PolicyAudit { policy: policy.to_string(), images: result.rows.len(), tasks: result.counts })
    };
    policies.iter().map(under).collect()
}

/// Examples shown of a remark.
const EXAMPLES: usize = 5;

fn looks<'s>(manifest: &Manifest, seen: impl Iterator<Item = (usize, &'s Seen)>) -> Vec<LooksAudit> {
    let mut found: BTreeMap<Remark, LooksAudit> = BTreeMap::new();
    let mut readable = 0;
    for (row, seen) in seen {
        readable += 1;
        for remark in seen.remarks() {
            let of = LooksAudit { remark, images: 0, examples: Vec::new(), fails: false };
            let audit = found.entry(remark).or_insert(of);
            audit.images += 1;
            if audit.examples.len() < EXAMPLES {
                audit.examples.push(manifest.records[row].path.clone());
            }
        }
    }
    let fails = |audit: &LooksAudit| {
        audit.remark.fails_from().is_some_and(|share| audit.images as f64 >= share * readable as f64)
    };
    found.into_values().map(|audit| LooksAudit { fails: fails(&audit), ..audit }).collect()
}

fn duplicates(manifest: &Manifest, images: &[(usize, &Fingerprint)]) -> Vec<Duplicates> {
    let mut place = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &(row, print) in images {
        let group = *place.entry(print.pixels).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(row);
    }
    groups
        .into_iter()
        .filter(|rows| rows.len() > 1)
        .map(|rows| Duplicates {
            across_patients: manifest.patients(&rows).len() > 1,
            paths: rows.iter().map(|&row| manifest.records[row].path.clone()).collect(),
        })
        .collect()
}

fn rounded_patients(manifest: &Manifest) -> Option<(usize, String)> {
    // Of several sets read as one, the name of the set comes first.
    let own = |patient: &'_ str| patient.rsplit(':').next().unwrap_or_default().to_owned();
    let patients = manifest.records.iter().map(|record| own(&record.patient));
    let mut rounded = patients.filter(|patient| tables::looks_rounded(patient));
    let first = rounded.next()?;
    Some((1 + rounded.count(), first))
}

/// Only pairs of different patients: images of one patient often look alike.
fn near_duplicates(subset: &Subset<'_>, images: &[(usize, &Fingerprint)]) -> Vec<NearDuplicate> {
    let patient = |at: usize| &subset.manifest.records[images[at].0].patient;
    let pairs = near_within(images).into_iter().filter(|&(i, j, ..)| patient(i) != patient(j));
    pairs
        .map(|(i, j, distance, correlation)| NearDuplicate {
            images: [image_ref(subset, images[i].0), image_ref(subset, images[j].0)],
            distance,
            correlation,
        })
        .collect()
}
