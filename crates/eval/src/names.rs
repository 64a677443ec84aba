//! Names of tasks, columns and rows: compared without case and punctuation, suggested where misspelt, refused where
//! repeated.

use std::collections::HashMap;

use crate::error::{Error, Result};

/// Up to three of the `known` names whose spelling is closest to `wanted`, best first. Case and punctuation are
/// ignored.
pub(crate) fn nearest_names<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let plain = canonical(wanted);
    let mut scored: Vec<(f64, &str)> = known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&plain, &canonical(name)), name))
        .filter(|(similarity, _)| *similarity > 0.6)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// A name without case and punctuation: `Pleural Effusion` and `pleural_effusion` are the same.
pub(crate) fn canonical(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Column of a task by name. An exact match comes first, then one without case and punctuation.
pub(crate) fn find_task<S: AsRef<str>>(tasks: &[S], name: &str, place: &str) -> Result<usize> {
    let wanted = canonical(name);
    let exact = tasks.iter().position(|task| task.as_ref() == name);
    exact.or_else(|| tasks.iter().position(|task| canonical(task.as_ref()) == wanted)).ok_or_else(|| {
        Error::UnknownTask {
            task: name.to_owned(),
            place: place.to_owned(),
            nearest: nearest_names(name, tasks.iter().map(AsRef::as_ref)),
            known: tasks.iter().map(|task| task.as_ref().to_owned()).collect(),
        }
    })
}

/// Refuses an id that appears twice.
pub(crate) fn unique<'a>(place: &str, what: &str, ids: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (index, id) in ids.enumerate() {
        if let Some(first) = seen.insert(id, index + 1) {
            return Err(Error::Duplicate {
                place: place.to_owned(),
                what: what.to_owned(),
                id: id.to_owned(),
                first,
                second: index + 1,
            });
        }
    }
    Ok(())
}
