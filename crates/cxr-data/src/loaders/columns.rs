//! Which column of a table of one's own is what.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tables::{Label, Row, Table, label};

use super::words::{SPLIT, plain};
use crate::inventory::{Inventory, has_image_ending};
use crate::vocabulary::same;
use crate::{Error, Result};

/// What a column holds, for [`Columns`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The path or file name of the image.
    Path,
    /// The patient.
    Patient,
    /// The study.
    Study,
    /// Frontal, lateral, or a projection.
    View,
    /// AP or PA.
    Projection,
    /// The sex.
    Sex,
    /// The age in years.
    Age,
    /// The part: train, valid or test.
    Split,
    /// Whether anything is said of the labels of the image.
    Labelled,
}

impl Role {
    const ALL: [Role; 9] = [
        Role::Path,
        Role::Patient,
        Role::Study,
        Role::View,
        Role::Projection,
        Role::Sex,
        Role::Age,
        Role::Split,
        Role::Labelled,
    ];

    fn name(self) -> &'static str {
        match self {
            Role::Path => "path",
            Role::Patient => "patient",
            Role::Study => "study",
            Role::View => "view",
            Role::Projection => "projection",
            Role::Sex => "sex",
            Role::Age => "age",
            Role::Split => "split",
            Role::Labelled => "labelled",
        }
    }

    /// Names by which the column is found, in lower case without spaces and punctuation.
    fn usual(self) -> &'static [&'static str] {
        match self {
            Role::Path => &[
                "path",
                "image",
                "file",
                "filename",
                "imagepath",
                "filepath",
                "imagefile",
                "imagename",
                "imagefilename",
                "imageindex",
                "imageid",
                "imagepaths",
                "img",
                "imgpath",
                "imgname",
                "fname",
                "pngpath",
                "pathtoimage",
            ],
            Role::Patient => &[
                "patient",
                "patientid",
                "subject",
                "subjectid",
                "pid",
                "patid",
                "mrn",
                "deidpatientid",
                "patientnumber",
            ],
            Role::Study => &["study", "studyid", "exam", "examid", "accession", "accessionnumber", "studyuid"],
            Role::View => &["view", "frontallateral", "viewposition"],
            Role::Projection => &["projection", "appa"],
            Role::Sex => &["sex", "gender", "patientsex", "patientgender"],
            Role::Age => &["age", "ageyears", "patientage", "ageinyears"],
            Role::Split => &SPLIT,
            Role::Labelled => &["labelled", "islabelled", "haslabels"],
        }
    }
}

/// Columns that a user named, such as `path=ImageID,patient=PatientID`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Columns(BTreeMap<Role, String>);

impl Columns {
    /// Whether none is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The column named for a role.
    pub(crate) fn named(&self, role: Role) -> Option<&str> {
        self.0.get(&role).map(String::as_str)
    }
}

impl FromStr for Columns {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut columns = BTreeMap::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (role, name) = pair.split_once('=').map_or((pair, ""), |(role, name)| (role.trim(), name.trim()));
            let known = Role::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(role));
            let Some(known) = known.filter(|_| !name.is_empty()) else {
                let expected = Role::ALL.map(|role| format!("{}=COLUMN", role.name())).into();
                return Err(Error::UnknownName { what: "choice of a column", value: pair.into(), expected });
            };
            if columns.insert(known, name.to_owned()).is_some() {
                let expected = vec![format!("{}= once", known.name())];
                return Err(Error::UnknownName { what: "choice of a column", value: pair.into(), expected });
            }
        }
        Ok(Self(columns))
    }
}

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|(role, name)| format!("{}={name}", role.name())).collect();
        f.write_str(&pairs.join(","))
    }
}

/// The columns of one table.
pub(crate) struct Layout {
    columns: BTreeMap<Role, usize>,
    /// Columns of labels.
    pub(crate) labels: Vec<usize>,
    /// Columns that are nothing of this, each with a reason where it might have been meant as labels.
    pub(crate) unread: Vec<String>,
    /// The same columns.
    pub(crate) unread_columns: Vec<usize>,
}

impl Layout {
    pub(crate) fn column(&self, role: Role) -> Option<usize> {
        self.columns.get(&role).copied()
    }
}

/// Whether a header has a column for the path of an image, named by the user or by its usual names.
pub(crate) fn names_images(header: &[String], columns: &Columns) -> bool {
    match columns.named(Role::Path) {
        Some(name) => header.iter().any(|found| found.eq_ignore_ascii_case(name)),
        None => header.iter().any(|found| Role::Path.usual().contains(&plain(found).as_str())),
    }
}

/// Finds the columns of a table. Labels are the columns `tasks`, and those whose every cell is a label.
///
/// # Errors
/// A column that the user named and the table lacks; no column of paths; a column whose cells are labels but for one value.
pub(crate) fn layout(
    table: &Table,
    columns: &Columns,
    tasks: Option<&[String]>,
    inventory: &Inventory,
) -> Result<Layout> {
    let mut found = BTreeMap::new();
    for role in Role::ALL {
        let column = match columns.named(role) {
            Some(name) => Some(table.columns([name])?[0]),
            None => role.usual().iter().find_map(|usual| table.header().iter().position(|name| plain(name) == *usual)),
        };
        // A column is one thing: `view` may hold the projection.
        if let Some(column) = column.filter(|column| !found.values().any(|taken| taken == column)) {
            found.insert(role, column);
        }
    }
    if columns.named(Role::Path).is_none() {
        let holds = |column: usize| holds_images(table, column, inventory);
        let named = found.get(&Role::Path).copied();
        if !named.is_some_and(holds)
            && let Some(column) = (0..table.header().len()).find(|&column| holds(column))
        {
            found.retain(|_, taken| *taken != column);
            found.insert(Role::Path, column);
        }
    }
    if !found.contains_key(&Role::Path) {
        return Err(tables::Error::MissingColumns {
            path: table.path().into(),
            missing: vec![format!("{} (or --columns path=NAME)", Role::Path.name())],
            found: table.header().to_vec(),
        }
        .into());
    }
    let (mut labels, mut unread, mut unread_columns) = (Vec::new(), Vec::new(), Vec::new());
    for (column, name) in table.header().iter().enumerate() {
        if found.values().any(|taken| *taken == column) || is_index(name) {
            continue;
        }
        let wanted = tasks.unwrap_or_default().iter().any(|task| same(&plain(task), &plain(name)));
        let odd = match label_column(table, column, wanted, tasks.is_some())? {
            Ok(()) => {
                labels.push(column);
                continue;
            }
            Err(odd) => odd,
        };
        unread.push(odd.map_or_else(|| name.clone(), |odd| format!("{name} (no labels: {odd})")));
        unread_columns.push(column);
    }
    Ok(Layout { columns: found, labels, unread, unread_columns })
}

/// Whether the first cells of a column name images that are there.
fn holds_images(table: &Table, column: usize, inventory: &Inventory) -> bool {
    let mut cells = table.rows().map(|row| row.cell(column)).filter(|cell| !cell.is_empty()).take(20).peekable();
    let is_there = |cell: &str| {
        let name = cell.rsplit(['/', '\\']).next().unwrap_or(cell);
        has_image_ending(name.as_ref()) && inventory.named(name).next().is_some()
            || name.len() > 3 && inventory.named(name).next().is_some()
    };
    cells.peek().is_some() && cells.all(is_there)
}

/// Whether every cell of a column is a label. If not, the first that is none, where others are.
///
/// # Errors
/// A cell that is no label, in a column that is wanted; or, where no column was asked for, in one whose cells are labels but
/// for one value: more likely a fault than a column of numbers.
fn label_column(
    table: &Table,
    column: usize,
    wanted: bool,
    chosen: bool,
) -> Result<std::result::Result<(), Option<String>>> {
    let (mut labels, mut odd) = (0_usize, None);
    for row in table.rows() {
        let cell = row.cell(column);
        match label(cell) {
            Some(Label::NotMentioned) => {}
            Some(_) => labels += 1,
            None if wanted => return Err(row.fault(column, asked_for(table, column, cell)).into()),
            None => match odd {
                None => odd = Some((row, cell)),
                Some((_, known)) if known == cell => {}
                // Several: numbers or words.
                Some((first, known)) => {
                    let where_found = format!("line {} has \"{known}\", line {} \"{cell}\"", first.line(), row.line());
                    return Ok(Err((labels > 0).then_some(where_found)));
                }
            },
        }
    }
    match odd {
        None if labels > 0 || wanted => Ok(Ok(())),
        // Nobody can tell a finding that no report mentions from a column that is not filled in.
        None => Ok(Err(Some("every cell is blank".into()))),
        Some((row, _)) if labels > 0 && !chosen => {
            let expected =
                "1, 0, -1 or blank, or yes and no (where these are no labels, name the label columns with --task)";
            Err(row.fault(column, expected).into())
        }
        Some((row, cell)) => Ok(Err((labels > 0).then(|| format!("line {} has \"{cell}\"", row.line())))),
    }
}

/// What is expected of a column of labels that was asked for; of words, one may be the finding, unless others say yes or no.
fn asked_for(table: &Table, column: usize, cell: &str) -> String {
    let says_yes_or_no = |row: Row<'_>| !matches!(label(row.cell(column)), None | Some(Label::NotMentioned));
    match cell.chars().any(char::is_alphabetic) && !table.rows().any(says_yes_or_no) {
        true => format!(
            "1, 0, -1 or blank, or yes and no; where \"{cell}\" names a finding, and not that there is none, give --task \"{cell}\""
        ),
        false => "1, 0, -1 or blank, or yes and no".to_owned(),
    }
}

/// The unnamed first column that pandas writes.
fn is_index(name: &str) -> bool {
    name.is_empty() || name.starts_with("Unnamed:")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn named_columns_come_back_as_they_were_written() {
        let columns: Columns = "patient=PatientID, path=ImageID".parse().unwrap();
        assert_eq!(
            (columns.named(Role::Path), columns.to_string().as_str()),
            (Some("ImageID"), "path=ImageID,patient=PatientID")
        );
        for wrong in ["label=x", "path", "path=", "path=a,path=b"] {
            assert!(wrong.parse::<Columns>().unwrap_err().to_string().contains("choice of a column"), "{wrong}");
        }
    }
}
