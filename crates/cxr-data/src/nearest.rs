//! Suggestions for misspelt names.

/// The name most like `found`, case, hyphens and underscores aside; `None` where none is similar (Jaro-Winkler similarity of
/// more than 0.7, the threshold of clap's suggestions).
#[must_use]
pub fn nearest_name<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = plain(found);
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&found, &plain(name)), name))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// `; did you mean "chexpert"?` for the end of an error message; empty where no name is similar.
#[must_use]
pub fn did_you_mean<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest_name(found, names).map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace(['-', '_'], " ")
}
