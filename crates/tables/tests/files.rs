//! Whole files, as spreadsheets, databases and other systems write them.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Write;
use std::path::PathBuf;

use tables::{Encoding, Error, Table};
use tempfile::TempDir;

fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn read(name: &str, bytes: &[u8]) -> tables::Result<Table> {
    let (_dir, path) = file(name, bytes);
    Table::read(&path)
}

fn cells(table: &Table) -> Vec<Vec<String>> {
    table.rows().map(|row| (0..table.header().len()).map(|column| row.cell(column).to_owned()).collect()).collect()
}

/// C13, and what else separates cells.
#[test]
fn c13_every_usual_separator() {
    for separator in [",", ";", "\t", "|"] {
        let text = ["path,patient,Effusion", "a.png,p1,1", "b.png,p2,0"].join("\n").replace(',', separator);
        let table = read("labels.csv", text.as_bytes()).unwrap();
        assert_eq!(table.header(), ["path", "patient", "Effusion"], "{separator:?}");
        assert_eq!(cells(&table), [["a.png", "p1", "1"], ["b.png", "p2", "0"]], "{separator:?}");
    }
    let excel = read("labels.csv", b"sep=;\r\npath;age\r\na.png;0,5\r\n").unwrap();
    assert_eq!((cells(&excel)[0][1].as_str(), excel.row(0).line()), ("0,5", 3));
}

#[test]
fn encodings_and_compression() {
    let text = "path,Größe\n\u{e4}.png,1\n";
    let utf16 = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    let latin1: Vec<u8> = text.chars().map(|c| c as u8).collect();
    for (what, bytes, encoding) in [
        ("plain", text.as_bytes().to_vec(), Encoding::Utf8),
        ("mark", [b"\xef\xbb\xbf", text.as_bytes()].concat(), Encoding::Utf8),
        ("utf-16 le", [vec![0xff, 0xfe], utf16(u16::to_le_bytes)].concat(), Encoding::Utf16),
        ("utf-16 be", [vec![0xfe, 0xff], utf16(u16::to_be_bytes)].concat(), Encoding::Utf16),
        ("utf-16 without a mark", utf16(u16::to_le_bytes), Encoding::Utf16),
        ("gzip", gz.finish().unwrap(), Encoding::Utf8),
        ("latin-1", latin1, Encoding::Latin1),
    ] {
        let table = read("t.csv", &bytes).unwrap();
        assert_eq!(
            (table.header(), cells(&table)),
            (&["path".to_owned(), "Größe".into()][..], vec![vec!["ä.png".to_owned(), "1".into()]]),
            "{what}"
        );
        assert_eq!(table.encoding(), encoding, "{what}");
    }
    // Windows' own signs in Latin-1.
    assert_eq!(cells(&read("t.csv", b"a\n\x80\x93x\x94\n").unwrap())[0][0], "€“x”");
}

/// C25: the line that an editor shows, whatever ends it.
#[test]
fn c25_lines_are_those_of_an_editor() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["path,note", "a,1", "", "b,\"two", "lines\"", "c,3", ",", "d,4", ""].join(end);
        let table = read("t.csv", text.as_bytes()).unwrap();
        let lines: Vec<u64> = table.rows().map(|row| row.line()).collect();
        assert_eq!(lines, [2, 4, 6, 8], "{end:?}");
        let fault = table.row(3).fault(1, "a word").to_string();
        assert!(fault.contains("t.csv line 8, column \"note\": found \"4\", expected a word"), "{fault}");
    }
}

#[test]
fn what_is_no_table_says_what_it_is() {
    let message = |bytes: &[u8]| read("t.csv", bytes).unwrap_err().to_string();
    for (bytes, expected) in [
        (&b"PK\x03\x04rest"[..], "a workbook or an archive; save its sheet as CSV"),
        (b"PAR1rest", "a Parquet file; save it as CSV"),
        (b"\0\x05\x16\x07\0\x02\0\0Mac OS X", "a binary file"),
        (b"", "an empty file"),
        (b"\n\n", "an empty file"),
        (b"path,label\n", "a header and no rows"),
        (b"path,label\n,\n", "a header and no rows"),
        (b"path,label\na\n", "line 2: found 1 cells, expected 2"),
        (b"path,label\na,1,7\n", "line 2: found 3 cells, expected 2"),
        (b"path,label,label\na,1,2\n", "two columns are named \"label\""),
        (b"path,label\na,\"1\nb,2\nc,3\n", "line 2: a quotation mark opens here"),
        (b"\x1f\x8bnothing", "t.csv: "),
    ] {
        let found = message(bytes);
        assert!(found.contains(expected), "{found}: expected {expected}");
    }
    // Empty cells behind the last column, and marks within words, are no fault.
    assert_eq!(read("t.csv", b"path,label\na,1,,\n").unwrap().len(), 1);
    assert_eq!(cells(&read("t.csv", b"path,size\na,5\" tube\nb,2\n").unwrap()).len(), 2);
    assert!(matches!(read("t.csv", b"a,b\n1,2\n").unwrap().columns(["c", "b"]), Err(Error::MissingColumns { .. })));
}

#[test]
fn the_head_of_a_large_table_is_enough() {
    let mut text = "path,label\n".to_owned();
    (0..100_000).for_each(|row| text.push_str(&format!("{row}.png,1\n")));
    let (_dir, path) = file("t.csv", text.as_bytes());
    let head = Table::head(&path).unwrap();
    assert_eq!((head.header.as_slice(), head.has_rows), (&["path".to_owned(), "label".into()][..], true));
    let (_dir, path) = file("t.csv", b"path,label\n");
    assert!(!Table::head(&path).unwrap().has_rows);
}

/// A score file, say, of which only a hole is on the disk.
#[test]
fn a_table_larger_than_any_is_refused_before_it_is_read() {
    let (_dir, path) = file("scores.csv", b"path,score_Edema\n");
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(20_000_000_000).unwrap();
    let error = Table::read(&path).unwrap_err().to_string();
    let end = "scores.csv: found 20.0 GB, expected a table (divide it, or leave out columns) of at most 2.0 GB";
    assert!(error.ends_with(end), "{error}");
}

/// `/dev/zero` has no end.
#[cfg(target_os = "linux")]
#[test]
fn a_device_of_zeros_is_no_table() {
    let error = Table::read(std::path::Path::new("/dev/zero")).unwrap_err().to_string();
    assert_eq!(error, "/dev/zero: found a binary file; expected text with separators (CSV)");
}
