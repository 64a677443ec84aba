//! Names of tasks, columns and rows: compared whatever their spelling, suggested when misspelt, refused when repeated.

use std::collections::HashMap;

use crate::error::{Error, Result};

/// The names nearest to `wanted`, best first, at most three: by spelling, with case and punctuation ignored.
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

/// `Pleural Effusion`, `pleural-effusion` and `pleural_effusion` name the same column.
pub(crate) fn canonical(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Column of a task by name; case and punctuation do not matter.
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
