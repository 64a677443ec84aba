//! `moco-cxr audit`.

use clap::Args;
use moco_cxr::cxr_data::{self, LoadOptions, OnBad, Part, Role, Subset, audit, label_policies, load_with};

use crate::{
    Fault,
    flags::{
        output::{JsonArguments, print_json},
        source::SourceArguments,
    },
    terminal::print::out,
};

/// Check a data set: patients shared between its parts, duplicate and near-duplicate images, unreadable files, label
/// counts.
///
/// The exit status is 1 if anything is wrong.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  moco-cxr audit --data CheXpert-v1.0-small")]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    output: JsonArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { source, output } = arguments;
    // The audit counts missing files, so the loader must neither stop at them nor drop them.
    let options = LoadOptions { keep_missing: true, ..source.load_options(OnBad::Fail) };
    // A set without published parts is returned as a whole for each of them; it is audited once.
    let whole = load_with(&source.data, source.dataset(), Part::All, &options).ok();
    let mut parts = Vec::new();
    for (name, part, role) in
        [("train", Part::Train, Role::Train), ("valid", Part::Valid, Role::Valid), ("test", Part::Test, Role::Test)]
    {
        match load_with(&source.data, source.dataset(), part, &options) {
            Ok(manifest)
                if part != Part::Train && whole.as_ref().is_some_and(|whole| whole.records == manifest.records) => {}
            Ok(manifest) => parts.push((name, role, manifest)),
            // Only the training part is required.
            Err(cxr_data::Error::Layout { .. }) if part != Part::Train => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    let subsets: Vec<Subset<'_>> =
        parts.iter().map(|(name, role, manifest)| Subset { name, role: *role, manifest }).collect();
    let report = audit(&subsets, &label_policies())?;
    if output.json {
        print_json(&report)?;
    } else {
        out!("{report}")?;
    }
    match &report.faults()[..] {
        [] => Ok(()),
        [fault] => Err(fault.as_str().into()),
        // The report lists all of them.
        [first, others @ ..] => Err(format!("{first}; and {} more faults, see the report", others.len()).into()),
    }
}
