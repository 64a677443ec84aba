//! Scores of labelled rows.

use std::collections::BTreeSet;

use eval::{Scores, fold_studies};
use ndarray::Array2;

use crate::{
    data::{Labelled, patient_source},
    error::{Error, Result},
};

/// Scores of studies or images, from the logits `[M, T]` of one head.
///
/// # Errors
/// As [`Scores::new`].
pub(crate) fn scores(test: &Labelled, logits: &Array2<f64>) -> Result<Scores> {
    let tasks = test.labels().tasks.clone();
    let images = Scores::new(tasks, test.score_rows(), test.targets(), logits.clone())?
        .with_patient_source(patient_source(test.manifest()));
    Ok(if test.labels().fold_studies { fold_studies(&images)? } else { images })
}

/// Checks before the first fit that every task can be reported with an interval over patients.
pub(crate) fn check_reported(test: &Labelled) -> Result<()> {
    let targets = test.targets();
    let patients = |task: usize, class: f64| -> usize {
        let of_class = targets.column(task).into_iter().zip(test.patients()).filter(|(target, _)| **target == class);
        of_class.map(|(_, patient)| patient).collect::<BTreeSet<_>>().len()
    };
    for (place, task) in test.labels().tasks.iter().enumerate() {
        let [positive, negative] = [1.0, 0.0].map(|class| patients(place, class));
        if positive < 2 || negative < 2 {
            let found = format!("{positive} positive and {negative} negative patients of {task}");
            let expected = "both classes, with at least two patients each, for an AUROC with an interval".into();
            return Err(Error::Setting { key: "test labels".into(), found, expected });
        }
    }
    Ok(())
}
