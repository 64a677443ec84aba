//! The name that was probably meant.

/// `; did you mean \"temperature\"?`, or nothing where no name is like it.
pub(crate) fn did_you_mean<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(found, names).map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

/// The name that is most like `found`.
pub(crate) fn nearest<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&plain(found), &plain(name)), name))
        // As clap asks of its suggestions, a little more than half the letters in the same order.
        .filter(|(alike, _)| *alike > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn plain(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}
