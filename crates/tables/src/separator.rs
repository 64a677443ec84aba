//! What separates the cells of a table.

/// The separator of a table, by its first line, and how many bytes come before that line (Excel's `sep=;`).
pub(crate) fn separator(text: &str) -> (u8, usize) {
    let first = text.lines().next().unwrap_or_default();
    if let Some(&[separator]) = first.strip_prefix("sep=").map(str::as_bytes) {
        let rest = &text[first.len()..];
        return (separator, text.len() - rest.trim_start_matches(['\r', '\n']).len());
    }
    let header = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut counts = [(b',', 0_usize), (b'\t', 0), (b';', 0), (b'|', 0)];
    let mut quoted = false;
    for byte in header.bytes() {
        quoted ^= byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(separator, _)| *separator == byte && !quoted) {
            *count += 1;
        }
    }
    // The first of those that are equally frequent, so a comma where there is none at all.
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    (counts.iter().find(|(_, count)| *count == most).map_or(b',', |(separator, _)| *separator), 0)
}

#[cfg(test)]
mod tests {
    use super::separator;

    #[test]
    fn the_header_decides() {
        for (text, expected) in [
            ("path,patient\n", b','),
            ("path;patient\n1,5;2\n", b';'),
            ("path\tpatient", b'\t'),
            ("\"a,b\";\"c\"\n", b';'),
            ("path\n", b','),
            ("\n\npath|label\n", b'|'),
        ] {
            assert_eq!(separator(text), (expected, 0), "{text:?}");
        }
        assert_eq!(separator("sep=;\r\npath;label\r\n"), (b';', 7));
    }
}
