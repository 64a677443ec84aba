//! Folds of the training rows for the choice of a penalty, with whole patients and evenly distributed classes.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::cohort::Cohort;
use crate::error::{Error, Result};

/// Fold of every row of `cohort`, from 0 to `folds - 1`.
///
/// Patients with and patients without a positive row are shuffled separately and assigned to the folds in turn, so the
/// number of positive patients differs by at most one between folds. All rows of a patient are in the same fold.
///
/// # Errors
/// Fewer than two folds; [`Error::FewerThanFolds`] if there are fewer patients with a positive row, or with a negative
/// row, than folds, or if a fold lacks a class, as when all negative rows belong to patients with positive rows.
pub(super) fn grouped_folds(cohort: &Cohort, folds: usize, seed: u64) -> Result<Vec<usize>> {
    if folds < 2 {
        return Err(Error::Setting { name: "folds", found: folds.to_string(), expected: "at least 2" });
    }
    let mut has = vec![[false; 2]; cohort.patient_count()];
    for (&patient, &label) in cohort.patients().iter().zip(cohort.labels()) {
        has[patient as usize][usize::from(label)] = true;
    }
    for (class, name) in [(1, "positive"), (0, "negative")] {
        let patients = has.iter().filter(|has| has[class]).count();
        if patients < folds {
            return Err(Error::FewerThanFolds { class: name, patients, folds });
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = Vec::with_capacity(has.len());
    for positive in [true, false] {
        let mut stratum: Vec<usize> = (0..has.len()).filter(|&patient| has[patient][1] == positive).collect();
        stratum.shuffle(&mut rng);
        order.extend(stratum);
    }
    let mut fold_of = vec![0; has.len()];
    order.iter().enumerate().for_each(|(turn, &patient)| fold_of[patient] = turn % folds);
    let rows: Vec<usize> = cohort.patients().iter().map(|&patient| fold_of[patient as usize]).collect();
    check_classes(cohort, &rows, folds)?;
    Ok(rows)
}

fn check_classes(cohort: &Cohort, fold_of: &[usize], folds: usize) -> Result<()> {
    for (label, class) in [(true, "positive"), (false, "negative")] {
        let mut seen = vec![false; folds];
        for (&fold, _) in fold_of.iter().zip(cohort.labels()).filter(|(_, other)| **other == label) {
            seen[fold] = true;
        }
        let patients = seen.iter().filter(|seen| **seen).count();
        if patients < folds {
            return Err(Error::FewerThanFolds { class, patients, folds });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn patients_stay_whole_and_positive_patients_are_spread(
            rows in proptest::collection::vec((0_u32..30, any::<bool>()), 20..120),
            folds in 2_usize..6,
            seed in any::<u64>(),
        ) {
            let (patients, labels): (Vec<u32>, Vec<bool>) = rows.into_iter().unzip();
            let cohort = Cohort::new(labels.clone(), &patients).unwrap();
            let Ok(fold_of) = grouped_folds(&cohort, folds, seed) else { return Ok(()) };
            let mut positives = vec![std::collections::HashSet::new(); folds];
            for i in 0..labels.len() {
                for j in 0..labels.len() {
                    prop_assert!(patients[i] != patients[j] || fold_of[i] == fold_of[j]);
                }
                if labels[i] {
                    positives[fold_of[i]].insert(patients[i]);
                }
            }
            let counts: Vec<usize> = positives.iter().map(|set| set.len()).collect();
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
        }
    }

    #[test]
    fn fewer_positive_patients_than_folds_is_said() {
        // Three positive rows, but of two patients.
        let cohort = Cohort::new(vec![true, true, true, false, false, false, false], &[1, 1, 2, 3, 4, 5, 6]).unwrap();
        assert!(grouped_folds(&cohort, 2, 0).is_ok());
        let error = grouped_folds(&cohort, 3, 0).unwrap_err().to_string();
        assert!(error.contains("2 patients") && error.contains("positive") && error.contains("3 folds"), "{error}");
    }
}
