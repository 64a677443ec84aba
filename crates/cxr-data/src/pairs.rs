//! The choice of the image that a key view is taken from.

use std::collections::HashMap;

use rand_chacha::ChaCha8Rng;

use crate::seed::below;
use crate::{Manifest, Record};

/// Chooses the image of a key view.
pub trait PairSampling: Send + Sync + std::fmt::Debug {
    /// The row whose image gives the key view for the query `row`; `rng` is seeded for this sample and epoch.
    fn partner(&self, row: usize, rng: &mut ChaCha8Rng) -> usize;
}

/// Both views from one image: MoCo.
#[derive(Debug, Clone, Copy, Default)]
pub struct SameImage;

impl PairSampling for SameImage {
    fn partner(&self, row: usize, _: &mut ChaCha8Rng) -> usize {
        row
    }
}

/// The key view from another image of the same group, chosen uniformly; from the same image if the group has no other.
/// MedAug (arXiv:2102.10663).
#[derive(Debug, Clone)]
pub struct SameGroup {
    /// Rows of each group.
    groups: Vec<Vec<usize>>,
    /// Group of each row of the manifest; `None` for rows that must not be chosen.
    group_of: Vec<Option<usize>>,
}

impl SameGroup {
    /// Another image of the same study, which MedAug found best. `rows` are the images that may be chosen: the training
    /// images.
    #[must_use]
    pub fn study(manifest: &Manifest, rows: &[usize]) -> Self {
        Self::new(manifest, rows, |record| &record.study)
    }

    /// Another image of the same patient, of any study.
    #[must_use]
    pub fn patient(manifest: &Manifest, rows: &[usize]) -> Self {
        Self::new(manifest, rows, |record| &record.patient)
    }

    fn new<'a>(manifest: &'a Manifest, rows: &[usize], name: impl Fn(&'a Record) -> &'a str) -> Self {
        let mut numbers = HashMap::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut group_of = vec![None; manifest.records.len()];
        for &row in rows {
            let number = *numbers.entry(name(&manifest.records[row])).or_insert(groups.len());
            if number == groups.len() {
                groups.push(Vec::new());
            }
            groups[number].push(row);
            group_of[row] = Some(number);
        }
        Self { groups, group_of }
    }
}

impl PairSampling for SameGroup {
    fn partner(&self, row: usize, rng: &mut ChaCha8Rng) -> usize {
        let Some(number) = self.group_of[row] else { return row };
        let group = &self.groups[number];
        let Some(place) = group.iter().position(|&member| member == row).filter(|_| group.len() > 1) else {
            return row;
        };
        // Any position but its own.
        let other = below(rng, group.len() - 1);
        group[if other >= place { other + 1 } else { other }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dataset, seed};

    fn manifest(of: &[(&str, &str)]) -> Manifest {
        let record = |&(patient, study): &(&str, &str)| Record {
            path: String::new(),
            patient: patient.into(),
            study: study.into(),
            view: None,
            projection: None,
            sex: None,
            age: None,
            labels: Vec::new(),
        };
        Manifest {
            root: ".".into(),
            dataset: Dataset::Folder,
            tasks: Vec::new(),
            records: of.iter().map(record).collect(),
            patients_known: true,
            ..Manifest::default()
        }
    }

    fn partners(sampling: &dyn PairSampling, row: usize) -> Vec<usize> {
        let mut found: Vec<_> =
            (0..200).map(|epoch| sampling.partner(row, &mut seed::rng(1, epoch, row as u64, 2))).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn a_partner_is_any_other_image_of_the_group_or_the_image_itself() {
        let manifest = manifest(&[("a", "a1"), ("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a1")]);
        let all = [0, 1, 2, 3, 4];
        assert_eq!(partners(&SameImage, 1), [1]);
        let study = SameGroup::study(&manifest, &all);
        assert_eq!(partners(&study, 0), [1, 4]);
        assert_eq!(partners(&study, 4), [0, 1]);
        assert_eq!(partners(&study, 2), [2]);
        assert_eq!(partners(&SameGroup::patient(&manifest, &all), 2), [0, 1, 4]);
        // Row 4 is not a training image, so it is never chosen.
        assert_eq!(partners(&SameGroup::study(&manifest, &all[..4]), 0), [1]);
    }
}
