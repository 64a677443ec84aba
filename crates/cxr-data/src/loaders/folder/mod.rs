//! Any folder: the rows of a table of one's own, or all images.

mod files;
mod pattern;
mod rows;
mod tables_of;
mod worded;

use self::files::from_files;
use self::pattern::Pattern;
pub(in crate::loaders) use self::pattern::check_pattern;
use self::tables_of::{find_tables, from_tables};
use super::columns::names_images;
use super::source::Source;
use crate::{Manifest, Result};

pub(crate) fn load(source: &Source<'_>) -> Result<Manifest> {
    let pattern = source.options.patient_regex.as_deref().map(Pattern::new).transpose()?;
    let mut manifest = match find_tables(source)? {
        tables if tables.is_empty() => from_files(source, pattern.as_ref())?,
        tables => from_tables(source, &tables, pattern.as_ref())?,
    };
    if !manifest.patients_known {
        manifest.notes.push(format!(
            "{}: patients: unknown. Every file counts as its own patient, so splits may separate images of one patient and \
             the leak check finds equal images only. Give a patient pattern (--patient-regex) or a patient column \
             (--columns patient=NAME)",
            source.dir().display()
        ));
    }
    Ok(manifest)
}

/// Why a table was not read.
pub(crate) fn why_not(source: &Source<'_>, path: &str, read: &[String]) -> String {
    let Some((_, head)) = source.heads.iter().find(|(found, _)| found == path) else {
        return "deeper than the tables that are looked at".into();
    };
    match head {
        Err(fault) => fault.reason(),
        Ok(head) if !head.has_rows => "a header and no rows".into(),
        Ok(head) if names_images(&head.header, &source.options.columns) => match read {
            [] => "its images were not found; --table reads it".into(),
            _ => format!("{} is read; --table takes this one", read.join(", ")),
        },
        Ok(head) => {
            let shown = head.header.iter().take(6).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if head.header.len() > 6 { ", ..." } else { "" };
            format!("no column of paths among {shown}{more}; --table with --columns path=NAME reads it")
        }
    }
}
