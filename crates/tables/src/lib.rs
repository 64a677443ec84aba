//! Tables that lie beside radiographs, read one way everywhere: by the loaders of `cxr-data` and for the score files of
//! `eval`.
//!
//! A file is decoded (UTF-8, UTF-16, Latin-1; gzip), its separator found, and every cell keeps its line. What a cell means
//! (a label, an age, a sex, a projection) is decided by one reader for each, which understands the whole cell or none of it.

mod age;
mod bounded;
mod cells;
mod error;
mod label;
mod separator;
mod table;
mod text;
mod view;

pub use age::{Age, age, year};
pub use bounded::read_within;
pub use cells::{Sex, id, is_missing, looks_rounded, number, sex};
pub use error::{Error, Result};
pub use label::{Label, label};
pub use table::{Head, Row, Table};
pub use text::{Encoding, text};
pub use view::{Projection, View, projection};
