//! What separates the cells of a table, and where its header is.

use crate::number;

/// The separator of a table, by its header, and how many bytes come before that line (Excel's `sep=;`, titles, comments).
pub(crate) fn separator(text: &str) -> (u8, usize) {
    let first = text.lines().next().unwrap_or_default();
    if let Some(&[separator]) = first.strip_prefix("sep=").map(str::as_bytes) {
        let rest = text[first.len()..].trim_start_matches(['\r', '\n']);
        return (separator, text.len() - rest.len() + preamble(rest));
    }
    let skip = preamble(text);
    let header = text[skip..].lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    (most_frequent(header), skip)
}

/// The separator that a line has most of; a comma where there is none at all.
fn most_frequent(line: &str) -> u8 {
    let mut counts = [(b',', 0_usize), (b'\t', 0), (b';', 0), (b'|', 0)];
    let mut quoted = false;
    for byte in line.bytes() {
        quoted ^= byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(separator, _)| *separator == byte && !quoted) {
            *count += 1;
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    counts.iter().find(|(_, count)| *count == most).map_or(b',', |(separator, _)| *separator)
}

/// Lines among which a header is looked for below titles and comments.
const TITLES: usize = 10;

/// Bytes of the lines above the header: comments that begin with `#`, and titles of some words in one cell, above a line of
/// several cells, none of them a number or the name of an image.
fn preamble(text: &str) -> usize {
    let (mut skip, mut titled) = (0, false);
    for line in text.split_inclusive('\n').take(TITLES) {
        let separator = char::from(most_frequent(line));
        let cells: Vec<&str> = line.trim_end_matches(['\r', '\n']).split(separator).map(str::trim).collect();
        let filled = cells.iter().filter(|cell| !cell.is_empty()).count();
        let numbers = cells.iter().any(|cell| number(cell).is_some() || is_file(cell));
        let is_title = line.starts_with('#') || filled == 1 && !cells[0].starts_with('"') && cells[0].contains(' ');
        match filled {
            0 => {}
            _ if is_title => titled = true,
            2.. if titled && !numbers => return skip,
            _ => return 0,
        }
        skip += line.len();
    }
    0
}

/// Whether a cell ends as the name of an image does.
fn is_file(cell: &str) -> bool {
    let ending = cell.rsplit_once('.').map(|(_, ending)| ending.to_lowercase());
    ending.is_some_and(|ending| ["png", "jpg", "jpeg", "dcm", "tif", "tiff", "bmp", "webp"].contains(&ending.as_str()))
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
        assert_eq!(separator("sep=;\nExport of 2020;;\npath;label;patient\n"), (b';', 23));
        // Titles and comments above the header; a header of its own stays one.
        for (text, expected) in [
            ("# by me, on Monday\npath;label\na;1\n", (b';', 19)),
            ("Export of 2020-01-01,,\r\n\r\npath,patient,label\r\n", (b',', 26)),
            ("# path,label\na.png,1\n", (b',', 0)),
            ("Image Index\n1.png\n2.png\n", (b',', 0)),
            ("Finding Labels,\n1.png,0\n", (b',', 0)),
            ("File Name,\n1.png,normal\n", (b',', 0)),
            ("# only a comment\n", (b',', 0)),
        ] {
            assert_eq!(separator(text), expected, "{text:?}");
        }
    }
}
