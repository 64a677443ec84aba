//! `moco-cxr audit`.

use std::path::PathBuf;

use clap::Args;
use moco_cxr::cxr_data::{self, Dataset, LoadOptions, Part, Role, Subset, audit, label_policies, load_with};

use crate::{Fault, bad_argument::patient_regex};

/// Check a data set: patient leaks between its parts, equal and near-equal images, unreadable files, label counts.
///
/// The exit status is 1 when something is wrong.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr audit --data CheXpert-v1.0-small")]
pub(crate) struct Arguments {
    /// Folder of the data set.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Layout of the data.
    #[arg(long, default_value_t)]
    dataset: Dataset,
    /// For a set without patients: a pattern whose first group, in an image's path, is the patient.
    #[arg(long, value_name = "REGEX", value_parser = patient_regex)]
    patient_regex: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    // Missing files are for the audit to count, not for the loader to stop at or to pass over.
    let patient_regex = arguments.patient_regex.clone();
    let options = LoadOptions { keep_missing: true, patient_regex, ..LoadOptions::default() };
    // A set without published parts gives the whole of itself for each; it is audited once.
    let whole = load_with(&arguments.data, arguments.dataset, Part::All, &options).ok();
    let mut parts = Vec::new();
    for (name, part, role) in
        [("train", Part::Train, Role::Train), ("valid", Part::Valid, Role::Valid), ("test", Part::Test, Role::Test)]
    {
        match load_with(&arguments.data, arguments.dataset, part, &options) {
            Ok(manifest)
                if part != Part::Train && whole.as_ref().is_some_and(|whole| whole.records == manifest.records) => {}
            Ok(manifest) => parts.push((name, role, manifest)),
            // A set need not have every part, but the training part it must have.
            Err(cxr_data::Error::Layout { .. }) if part != Part::Train => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    let subsets: Vec<Subset<'_>> =
        parts.iter().map(|(name, role, manifest)| Subset { name, role: *role, manifest }).collect();
    let report = audit(&subsets, &label_policies())?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    match &report.faults()[..] {
        [] => Ok(()),
        [fault] => Err(fault.as_str().into()),
        // The report has them all, a line each.
        [first, others @ ..] => Err(format!("{first}; and {} more faults, see the report", others.len()).into()),
    }
}
