//! The rows of one table.

use std::path::Path;

use tables::{Age, Label, Row, Sex, Table, age, is_missing, label, looks_rounded, projection, sex};

use super::pattern::Pattern;
use super::worded::{self, Worded};
use crate::loaders::cells::view_of_name;
use crate::loaders::columns::{Layout, Role, layout};
use crate::loaders::finder::ImageFinder;
use crate::loaders::source::Source;
use crate::loaders::{Part, words};
use crate::{Record, Result};

/// The rows of one table.
pub(super) struct TableRows {
    pub(super) tasks: Vec<String>,
    pub(super) rows: Vec<(Option<Part>, Record)>,
    pub(super) patients_known: bool,
    pub(super) notes: Vec<String>,
}

pub(super) fn from_table(
    source: &Source<'_>,
    path: &Path,
    part: Option<Part>,
    pattern: Option<&Pattern>,
) -> Result<TableRows> {
    let table = source.read_at(path)?;
    let options = source.options;
    let layout = layout(&table, &options.columns, options.tasks.as_deref(), source.inventory)?;
    let Layout { labels: columns, unread, .. } = &layout;
    let worded = Worded::find(&table, &layout, options.tasks.as_deref().unwrap_or_default());
    let path_column = layout.column(Role::Path).unwrap_or_default();
    let mut notes = Vec::new();
    if !unread.is_empty() {
        notes.push(format!("{}: columns not read: {}", path.display(), unread.join(", ")));
    }
    match &worded {
        Some(worded) => notes.push(worded.note(&table)),
        None => notes.extend(worded::unread(&table, &layout)),
    }
    let patient = layout.column(Role::Patient);
    let split = layout.column(Role::Split).filter(|_| part.is_none());
    let split = match split {
        Some(column) if is_split(&table, column)? => Some(column),
        _ => None,
    };
    if let (None, Some(column)) = (split, layout.column(Role::Split).filter(|_| part.is_none())) {
        let name = &table.header()[column];
        notes.push(format!("{}: \"{name}\" is not read: its words are not train, valid and test", path.display()));
    }

    let search = ImageFinder::search_of(source.inventory, "", &table, path_column);
    let mut finder = ImageFinder::new(source.inventory, "", path, search, options);
    let mut rows = Vec::new();
    let mut odd = Odd::default();
    let mut unlabelled = 0;
    // Homme and femme are sure. Hombre and mujer, macho and hembra have the same letters: neither is guessed.
    let is_sex =
        |column: usize, letter: &str| table.rows().any(|row| row.cell(column).trim().eq_ignore_ascii_case(letter));
    let with = |letters: [&str; 2]| {
        layout.column(Role::Sex).is_some_and(|column| letters.iter().all(|letter| is_sex(column, letter)))
    };
    let (french, spanish) = (with(["h", "f"]), with(["h", "m"]) && !with(["h", "f"]));
    if spanish {
        let text = "H and M of a sex may be hombre and mujer, or hembra and macho; read as not recorded. Write male and female";
        notes.push(format!("{}: {text}", path.display()));
    }
    for row in table.rows() {
        let read = |&column: &usize| {
            label(row.cell(column)).ok_or_else(|| row.fault(column, "1.0, 0.0, -1.0 or blank").into())
        };
        let labels: Vec<Label> = match layout.column(Role::Labelled).map(|column| (column, label(row.cell(column)))) {
            Some((_, Some(Label::Negative))) => {
                unlabelled += 1;
                Vec::new()
            }
            None | Some((_, Some(Label::Positive | Label::NotMentioned))) => {
                let own: Vec<Label> = columns.iter().map(read).collect::<Result<_>>()?;
                match &worded {
                    Some(worded) => with_words(own, worded, row),
                    None => own,
                }
            }
            Some((column, _)) => return Err(row.fault(column, "yes, no or blank").into()),
        };
        let Some(path) = finder.find(row, path_column)? else { continue };
        let patient = match (patient.map(|column| (column, row.cell(column))), pattern) {
            (Some((column, cell)), _) if is_missing(cell) => return Err(row.fault(column, "a patient").into()),
            (Some((_, cell)), _) => {
                odd.rounded.see(looks_rounded(cell), cell);
                cell.to_string()
            }
            (None, Some(pattern)) => pattern.patient(&path)?,
            (None, None) => path.clone(),
        };
        let cell_of = |role| layout.column(role).map_or("", |column| row.cell(column));
        let study = Some(cell_of(Role::Study)).filter(|study| !is_missing(study));
        let [(view, one), (other_view, other)] = [cell_of(Role::View), cell_of(Role::Projection)].map(projection);
        let years = match age(cell_of(Role::Age)) {
            Some(Age::Years(years)) => Some(years),
            Some(Age::Missing) => None,
            group => {
                odd.groups.see(group.is_some(), cell_of(Role::Age));
                odd.ages.see(group.is_none(), cell_of(Role::Age));
                None
            }
        };
        let record = Record {
            study: study.map_or_else(|| path.clone(), |study| format!("{patient}/{study}")),
            patient,
            view: view.or(other_view).or_else(|| view_of_name(&path)),
            projection: other.or(one),
            sex: match cell_of(Role::Sex).trim() {
                "h" | "H" if french => Some(Sex::Male),
                "h" | "H" | "m" | "M" if spanish => None,
                cell => {
                    odd.sexes.see(sex(cell).is_none(), cell);
                    sex(cell).flatten()
                }
            },
            age: years,
            labels,
            path,
        };
        rows.push((part.or_else(|| split.and_then(|column| words::part(row.cell(column)))), record));
    }
    // Without a word in the table the folders say it, if all of them do.
    if part.is_none() && split.is_none() {
        let folder = |path: &str| path.split_once('/').and_then(|(folder, _)| words::part(folder));
        if rows.iter().all(|(_, record)| folder(&record.path).is_some()) {
            rows.iter_mut().for_each(|(part, record)| *part = folder(&record.path));
            notes.push(format!("{}: the parts are those of the folders of the images", path.display()));
        }
    }
    if let Some(column) = layout.column(Role::Labelled).filter(|_| unlabelled > 0) {
        let name = &table.header()[column];
        notes.push(format!(
            "{}: {unlabelled} images have no labels, as \"{name}\" says; they are masked under every policy",
            path.display()
        ));
    }
    notes.extend(finder.notes());
    notes.extend(odd.notes(path));
    if let (Some(column), Some(_)) = (patient, pattern) {
        let (table, column) = (path.display(), &table.header()[column]);
        notes.push(format!("{table}: the patient pattern is not used: the column \"{column}\" has the patients"));
    }
    let mut tasks: Vec<String> = columns.iter().map(|&column| table.header()[column].clone()).collect();
    tasks.extend(worded.iter().flat_map(|worded| worded.tasks.iter().cloned()));
    Ok(TableRows { tasks, rows, patients_known: patient.is_some() || pattern.is_some(), notes })
}

/// The labels of a row's own columns and those of its words.
fn with_words(mut own: Vec<Label>, worded: &Worded, row: Row<'_>) -> Vec<Label> {
    let words = worded.labels(row);
    match (own.is_empty(), words.is_empty()) {
        (true, _) => words,
        (false, true) => {
            own.extend(worded.tasks.iter().map(|_| Label::NotMentioned));
            own
        }
        (false, false) => {
            own.extend(words);
            own
        }
    }
}

/// Whether a column has parts: some cells are, and the others are blank. A column without any part is another thing.
///
/// # Errors
/// Another word among those of parts: a part that is asked for is that part, and a set with parts is never taken whole.
fn is_split(table: &Table, column: usize) -> Result<bool> {
    let words = || table.rows().filter(|row| !is_missing(row.cell(column)));
    let part = |row: &Row<'_>| words::part(row.cell(column));
    match words().find(|row| part(row).is_none()) {
        Some(row) if words().any(|row| part(&row).is_some()) => {
            let expected = "train, valid or test in any spelling, or blank for an image of no part (--columns split=NAME names another column)";
            Err(row.fault(column, expected).into())
        }
        Some(_) => Ok(false),
        None => Ok(words().next().is_some()),
    }
}

/// Cells that were read as not recorded, for the notes.
#[derive(Default)]
struct Odd {
    rounded: Seen,
    groups: Seen,
    ages: Seen,
    sexes: Seen,
}

#[derive(Default)]
struct Seen(usize, String);

impl Seen {
    fn see(&mut self, is: bool, cell: &str) {
        if is {
            self.0 += 1;
            if self.0 == 1 {
                self.1 = cell.into();
            }
        }
    }
}

impl Odd {
    fn notes(self, table: &Path) -> Vec<String> {
        [
            (
                self.rounded,
                "rows have a patient that looks like a long number which a spreadsheet rounded; several may have become \
                 one. Export the column as text",
            ),
            (self.groups, "ages are groups, which are no ages; read as not recorded"),
            (self.ages, "ages are no ages from 0 to 120; read as not recorded"),
            (self.sexes, "words for a sex are not known; read as not recorded"),
        ]
        .into_iter()
        .filter(|(seen, _)| seen.0 > 0)
        .map(|(Seen(rows, first), what)| format!("{}: {rows} {what} (the first: {first})", table.display()))
        .collect()
    }
}
