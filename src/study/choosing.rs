//! The validation rows that a checkpoint is chosen on: no more than the labelled rows of the draw are worth.
//!
//! The paper chooses on 234 images. A fifth of CheXpert's patients are 44,700, and scoring them after each of 220 epochs of 223
//! images would be nearly all of the work, for a choice that the few labels limit.

use std::collections::BTreeMap;

use cxr_data::seed;

use crate::data::Labelled;

/// The rule of how many validation rows are used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choosing;

impl Choosing {
    /// Validation images that are always used, if there are as many; twice those of the paper.
    pub(crate) const AT_LEAST: usize = 500;
    /// Validation images for each labelled image of a draw. An image that is scored costs a third of one that is trained on.
    const PER_LABELLED: usize = 2;
    /// Rows of each class and task that are always used, if there are as many: an AUROC over fewer chooses by chance.
    const OF_A_CLASS: usize = 10;
    /// The rule in words, for the stamp.
    pub(crate) const RULE: &str = "chosen on max(500, 2 x labelled) validation images";

    /// Validation images for a draw of this many labelled images, if there are as many.
    pub(crate) fn most(labelled: usize) -> usize {
        Self::AT_LEAST.max(Self::PER_LABELLED * labelled)
    }

    /// Places of the validation rows for a draw, ascending: whole patients in an order that follows from the seed, until there
    /// are [`Self::most`], and of every class at least ten (or all). Fewer labels choose on a part of what more labels choose on.
    pub(super) fn places(valid: &Labelled, labelled: usize, run_seed: u64) -> Vec<usize> {
        let images = valid.rows().len();
        if images <= Self::most(labelled) {
            return (0..images).collect();
        }
        let mut of_patient: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        valid
            .patients()
            .iter()
            .enumerate()
            .for_each(|(place, &patient)| of_patient.entry(patient).or_default().push(place));
        let patients: Vec<Vec<usize>> = of_patient.into_values().collect();
        let targets = valid.targets();
        let classes = || (0..targets.ncols()).flat_map(|task| [(task, 0.0), (task, 1.0)]);
        let mut lacking: Vec<usize> = classes()
            .map(|(task, class)| targets.column(task).iter().filter(|target| **target == class).count())
            .map(|available| available.min(Self::OF_A_CLASS))
            .collect();
        let mut places = Vec::new();
        for patient in seed::epoch_order(run_seed, 0, patients.len()) {
            if places.len() >= Self::most(labelled) && lacking.iter().all(|lacking| *lacking == 0) {
                break;
            }
            for &place in &patients[patient] {
                places.push(place);
                for ((task, class), lacking) in classes().zip(&mut lacking) {
                    *lacking = lacking.saturating_sub(usize::from(targets[[place, task]] == class));
                }
            }
        }
        places.sort_unstable();
        places
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use cxr_data::{Account, Dataset, Label, Manifest, Record};

    use super::*;
    use crate::data::{Labels, Rows};

    /// `patients` patients with three images each; one patient in fifty has the finding.
    fn valid(patients: usize, one_in: usize) -> Labelled {
        let record = |i: usize| Record {
            path: format!("{i}.png"),
            patient: (i / 3).to_string(),
            study: i.to_string(),
            view: None,
            projection: None,
            sex: None,
            age: None,
            labels: vec![if (i / 3).is_multiple_of(one_in) { Label::Positive } else { Label::Negative }],
        };
        let manifest = Manifest {
            root: "nowhere".into(),
            dataset: Dataset::Folder,
            tasks: vec!["Edema".into()],
            records: (0..3 * patients).map(record).collect(),
            patients_known: true,
            has_parts: true,
            account: Account::default(),
            notes: Vec::new(),
        };
        let rows = Arc::new(Rows::of_table(manifest, (0..3 * patients).collect()));
        Labelled::new(&rows, &Labels::new(["Edema"])).unwrap()
    }

    #[test]
    fn a_large_part_is_cut_to_whole_patients_and_more_labels_choose_on_more() {
        let all = valid(2_000, 10);
        let few = Choosing::places(&all, 20, 7);
        let more = Choosing::places(&all, 600, 7);
        assert!(
            (500..503).contains(&few.len()) && (1_200..1_203).contains(&more.len()),
            "{} {}",
            few.len(),
            more.len()
        );
        let more: BTreeSet<usize> = more.into_iter().collect();
        assert!(few.iter().all(|place| more.contains(place)));
        for part in [few, more.into_iter().collect()] {
            let patients: BTreeSet<u64> = part.iter().map(|&place| all.patients()[place]).collect();
            assert_eq!(part.len(), 3 * patients.len(), "patients are whole");
            assert!(part.is_sorted());
        }
        assert_ne!(Choosing::places(&all, 20, 8), Choosing::places(&all, 20, 7), "the seed decides which");
    }

    #[test]
    fn a_small_part_is_used_whole_and_a_rare_finding_is_not_lost() {
        assert_eq!(Choosing::places(&valid(166, 50), 20, 0).len(), 498);
        assert_eq!(Choosing::places(&valid(400, 50), 600, 0).len(), 1_200);
        // Ten positive images are four patients of one in fifty: more than 500 images, unless by luck.
        for seed in 0..5 {
            let all = valid(2_000, 50);
            let places = Choosing::places(&all, 1, seed);
            let positive = places.iter().filter(|&&place| all.targets()[[place, 0]] == 1.0).count();
            assert!(positive >= 10 && places.len() >= 500, "{positive} of {}", places.len());
        }
    }
}
