//! A table of any encoding and separator, and what each of its cells could mean.

use std::hint::black_box;

use tables::{Table, age, id, is_missing, label, looks_rounded, number, projection, sex, year};

use super::files::{folder, write};
use crate::Outcome;

pub(crate) fn run(bytes: &[u8]) -> Outcome {
    let path = folder("tables").join("table.csv");
    write(&path, bytes);
    let head = Table::head(&path);
    let table = Table::read(&path).map_err(|fault| fault.to_string())?;
    assert_eq!(head.map(|head| head.header).ok().as_deref(), Some(table.header()), "the same beginning");
    let mut before = 0;
    for row in table.rows() {
        assert!(row.line() > before, "lines grow: {} after {before}", row.line());
        before = row.line();
        for column in 0..table.header().len() {
            let cell = row.cell(column);
            black_box((is_missing(cell), number(cell), id(cell), looks_rounded(cell), label(cell)));
            black_box((age(cell), year(cell), sex(cell), projection(cell)));
            black_box(row.fault(column, "something else").to_string());
        }
    }
    Ok(())
}
