//! The scores of a study from those of its images: the maximum, as in the reference code (`CX/predict/predict.py`).

use std::collections::HashMap;

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::row::Row;
use crate::scores::Scores;

/// One row per study; its score for each task is the maximum over the study's images.
///
/// Fold logits rather than probabilities where you have both: the order is the same, but the sigmoid of a large logit
/// rounds to 1, which turns different scores into ties. Images belong to one study if they share patient and study id.
/// The row of a study keeps sex, age and projection if its images agree, and lists its views (`frontal+lateral`). Its
/// path is the folder of its images if they share one that is named after the study
/// (`CheXpert-v1.0/test/patient64741/study1`), otherwise `patient/study`. A masked label gives way to the label of
/// another image.
///
/// # Errors
/// [`Error::StudyLabels`] if two images of a study have different labels.
pub fn fold_studies(scores: &Scores) -> Result<Scores> {
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    let mut studies: Vec<Vec<usize>> = Vec::new();
    for (number, row) in scores.rows().iter().enumerate() {
        let place = *places.entry((&row.patient, &row.study)).or_insert_with(|| {
            studies.push(Vec::new());
            studies.len() - 1
        });
        studies[place].push(number);
    }

    let shape = (studies.len(), scores.tasks().len());
    let (mut labels, mut folded) = (Array2::from_elem(shape, f64::NAN), Array2::zeros(shape));
    for (study, images) in studies.iter().enumerate() {
        for task in 0..scores.tasks().len() {
            labels[[study, task]] = study_label(scores, images, task)?;
            folded[[study, task]] =
                images.iter().map(|&image| scores.scores()[[image, task]]).fold(f64::NEG_INFINITY, f64::max);
        }
    }
    let rows = studies.iter().map(|images| study_row(scores.rows(), images)).collect();
    Ok(Scores::new(scores.tasks().to_vec(), rows, labels, folded)?.with_patient_source(scores.patient_source()))
}

fn study_label(scores: &Scores, images: &[usize], task: usize) -> Result<f64> {
    let labels = scores.labels();
    let mut labelled = images.iter().map(|&image| (image, labels[[image, task]])).filter(|(_, label)| !label.is_nan());
    let Some((first, label)) = labelled.next() else { return Ok(f64::NAN) };
    match labelled.find(|(_, other)| *other != label) {
        None => Ok(label),
        Some((second, second_label)) => Err(Error::StudyLabels {
            study: format!("{}/{}", scores.rows()[first].patient, scores.rows()[first].study),
            task: scores.tasks()[task].clone(),
            first: scores.rows()[first].path.clone(),
            first_label: label,
            second: scores.rows()[second].path.clone(),
            second_label,
        }),
    }
}

fn study_row(rows: &[Row], images: &[usize]) -> Row {
    let first = &rows[images[0]];
    let folder = |row: &Row| row.path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let shared = folder(first).filter(|shared| {
        // A folder that holds the images of several studies would give them all the same path.
        let last = shared.rsplit('/').next().unwrap_or_default();
        last == first.study.rsplit('/').next().unwrap_or_default()
            && images.iter().all(|&image| folder(&rows[image]).as_ref() == Some(shared))
    });
    let mut views: Vec<&str> = images.iter().filter_map(|&image| rows[image].view.as_deref()).collect();
    views.sort_unstable();
    views.dedup();
    Row {
        path: shared.unwrap_or_else(|| format!("{}/{}", first.patient, first.study)),
        patient: first.patient.clone(),
        study: first.study.clone(),
        view: (!views.is_empty()).then(|| views.join("+")),
        sex: agreed(rows, images, |row| row.sex.clone()),
        age: agreed(rows, images, |row| row.age),
        projection: agreed(rows, images, |row| row.projection.clone()),
    }
}

/// The value of those images that have one, if they agree.
fn agreed<T: PartialEq>(rows: &[Row], images: &[usize], value: impl Fn(&Row) -> Option<T>) -> Option<T> {
    let mut values = images.iter().filter_map(|&image| value(&rows[image]));
    let first = values.next()?;
    values.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ndarray::array;

    use super::*;

    fn image(patient: &str, study: &str, view: &str) -> Row {
        let path = format!("test/{patient}/{study}/view1_{view}.jpg");
        Row { path, patient: patient.into(), study: study.into(), view: Some(view.into()), ..Row::default() }
    }

    #[test]
    fn the_highest_view_counts_and_equal_study_ids_of_two_patients_stay_apart() {
        let rows = vec![
            image("patient1", "study1", "frontal"),
            image("patient2", "study1", "frontal"),
            image("patient1", "study1", "lateral"),
        ];
        let labels = array![[f64::NAN], [0.0], [1.0]];
        let scores = Scores::new(vec!["t".into()], rows, labels, array![[-3.0], [0.5], [-1.0]]).unwrap();
        let studies = fold_studies(&scores).unwrap();
        assert_eq!(studies.scores(), array![[-1.0], [0.5]]);
        assert_eq!(studies.labels(), array![[1.0], [0.0]]);
        assert_eq!(studies.rows()[0].path, "test/patient1/study1");
        assert_eq!(studies.rows()[0].view.as_deref(), Some("frontal+lateral"));
    }

    #[test]
    fn images_of_a_study_must_not_disagree() {
        let rows = vec![image("patient1", "study1", "frontal"), image("patient1", "study1", "lateral")];
        let scores = Scores::new(vec!["t".into()], rows, array![[0.0], [1.0]], array![[0.1], [0.2]]).unwrap();
        assert!(matches!(fold_studies(&scores), Err(Error::StudyLabels { first_label: 0.0, second_label: 1.0, .. })));
    }
}
