//! A set with its parts as one table that the loaders read.

use std::io::Write;
use std::path::Path;

use crate::{Error, Label, Manifest, Projection, Result, Sex, View};

/// Writes a table with a row per image: path, patient (where known), study, view, projection, sex, age, the part it belongs
/// to, and a column for each label. Images in none of the parts are left out. A load of the folder with this table
/// ([`LoadOptions::table`](crate::LoadOptions::table)) has these parts as published ones.
///
/// # Errors
/// [`Error::Csv`] when writing fails; `path` is for the message.
///
/// # Panics
/// When a row is not below [`Manifest::len`].
pub fn write_parts(out: impl Write, path: &Path, set: &Manifest, parts: &[(&str, &[usize])]) -> Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let mut write = || -> csv::Result<()> {
        let mut header = vec!["path"];
        header.extend(set.patients_known.then_some("patient"));
        header.extend(["study", "view", "projection", "sex", "age", "split"]);
        // A blank label is one that the report does not mention; that nothing is said of an image is another thing.
        let some_unlabelled = unlabelled(set) > 0;
        header.extend(some_unlabelled.then_some("labelled"));
        header.extend(set.tasks.iter().map(String::as_str));
        writer.write_record(&header)?;
        for (part, rows) in parts {
            for &row in *rows {
                let record = &set.records[row];
                let mut cells = vec![record.path.clone()];
                cells.extend(set.patients_known.then(|| record.patient.clone()));
                // The reader puts the patient before the study again, and takes an image without one for a study.
                let study = record.study.strip_prefix(&format!("{}/", record.patient)).unwrap_or(&record.study);
                cells.push(if record.study == record.path { String::new() } else { study.to_owned() });
                cells.push(record.view.map_or("", view).to_owned());
                cells.push(record.projection.map_or("", projection).to_owned());
                cells.push(record.sex.map_or("", sex).to_owned());
                cells.push(record.age.map_or_else(String::new, |age| age.to_string()));
                cells.push((*part).to_owned());
                cells.extend(some_unlabelled.then(|| if record.labels.is_empty() { "no" } else { "yes" }.to_owned()));
                cells.extend(
                    (0..set.tasks.len()).map(|task| record.labels.get(task).map_or("", |l| label(*l)).to_owned()),
                );
                writer.write_record(&cells)?;
            }
        }
        writer.flush().map_err(csv::Error::from)
    };
    write().map_err(|source| Error::Csv { path: path.into(), source })
}

/// Images of a set with labels of which nothing is said. They stay in [`write_parts`]'s table, marked as such.
#[must_use]
pub fn unlabelled(set: &Manifest) -> usize {
    match set.tasks.is_empty() {
        true => 0,
        false => set.records.iter().filter(|record| record.labels.is_empty()).count(),
    }
}

fn view(view: View) -> &'static str {
    match view {
        View::Frontal => "frontal",
        View::Lateral => "lateral",
    }
}

fn projection(projection: Projection) -> &'static str {
    match projection {
        Projection::Ap => "AP",
        Projection::Pa => "PA",
        Projection::Ll => "LL",
        Projection::Rl => "RL",
    }
}

fn sex(sex: Sex) -> &'static str {
    match sex {
        Sex::Female => "F",
        Sex::Male => "M",
    }
}

fn label(label: Label) -> &'static str {
    match label {
        Label::Positive => "1.0",
        Label::Negative => "0.0",
        Label::Uncertain => "-1.0",
        Label::NotMentioned => "",
    }
}
