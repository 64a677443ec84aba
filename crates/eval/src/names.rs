//! Names of tasks and columns: spelt in many ways, and misspelt.

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
