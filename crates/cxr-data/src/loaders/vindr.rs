//! VinDr-CXR (Nguyen et al. 2022): training images read by three radiologists each, a row per image and reader
//! (`image_labels_train.csv`), test images by consensus, a row per image (`image_labels_test.csv`); or, as on Kaggle, a row
//! per box and reader (`train.csv`). Patients are not published.

use std::collections::{BTreeMap, BTreeSet};

use tables::{Label, Table, is_missing, label};

use super::finder::{ImageFinder, Search};
use super::findings::record;
use super::source::Source;
use super::words::plain;
use super::{Dataset, Part};
use crate::vocabulary;
use crate::{Error, Manifest, Record, Result};

const READER: &str = "rad_id";
const IMAGE: &str = "image_id";
/// Columns of boxes that are no findings.
const OTHER: [&str; 8] = [IMAGE, READER, "class_name", "class_id", "x_min", "y_min", "x_max", "y_max"];

pub(crate) fn recognised(source: &Source<'_>) -> Option<String> {
    source.tables_with(&[IMAGE, READER]).next().map(String::from)
}

pub(crate) fn load(source: &Source<'_>) -> Result<Manifest> {
    let find = |name: &str| source.tables_with(&[IMAGE]).find(|path| path.to_lowercase().ends_with(name));
    let boxes = source.tables_with(&[IMAGE, READER, "class_name"]).find(|path| !path.contains("annotations_"));
    let train = find("image_labels_train.csv").or(find("image_labels_train.csv.gz")).or(boxes);
    let test = find("image_labels_test.csv").or(find("image_labels_test.csv.gz"));
    let mut notes = vec![match &source.options.reader {
        Some(reader) => format!("{}: labels of the reader {reader} alone", source.dir().display()),
        None => format!("{}: labels by the majority of the readers", source.dir().display()),
    }];
    let mut tasks: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    for (part, path) in [(Part::Train, train), (Part::Test, test)] {
        let Some(path) = path else { continue };
        if source.part != Part::All && source.part != part {
            source.note_other_part(&source.inventory.on_disk(path));
            continue;
        }
        let table = source.read(path)?;
        let votes = votes(&table, source.options.reader.as_deref().filter(|_| part == Part::Train))?;
        if tasks.is_empty() {
            tasks.clone_from(&votes.tasks);
        }
        let places: Vec<Option<usize>> = tasks
            .iter()
            .map(|task| votes.tasks.iter().position(|other| vocabulary::same(&plain(task), &plain(other))))
            .collect();
        if let Some(missing) = places.iter().position(Option::is_none) {
            notes.push(format!("{path} has no column \"{}\"; its images are read as without it", tasks[missing]));
        }
        let mut finder = ImageFinder::new(source.inventory, "", table.path(), Search::Names, source.options);
        let image = table.columns([IMAGE])?[0];
        for (line, labels) in votes.images {
            let row = table.row(line);
            let Some(path) = finder.find(row, image)? else { continue };
            let labels = places.iter().map(|place| place.map_or(Label::NotMentioned, |place| labels[place])).collect();
            let patient = path.clone();
            rows.push((Some(part), Record { labels, ..record(path, &patient, "") }));
        }
        notes.extend(finder.notes());
    }
    if rows.is_empty() && train.is_none() && test.is_none() {
        return Err(source.layout("image_labels_train.csv and image_labels_test.csv, or the train.csv of Kaggle"));
    }
    if rows.is_empty() && source.part != Part::All {
        let published = if test.is_some() { "the parts train and test" } else { "the part train" };
        return Err(source.no_such_part(Dataset::Vindr, published));
    }
    source.manifest(Dataset::Vindr, tasks, rows, false, notes)
}

/// Labels of each image, with the first row that names it, in the order of the table.
struct Votes {
    tasks: Vec<String>,
    images: Vec<(usize, Vec<Label>)>,
}

fn votes(table: &Table, reader: Option<&str>) -> Result<Votes> {
    let image = table.columns([IMAGE])?[0];
    let rad = table.column(READER);
    let class = table.column("class_name");
    let columns: Vec<usize> = match class {
        Some(_) => Vec::new(),
        None => (0..table.header().len())
            .filter(|&column| {
                let name = &table.header()[column];
                !name.is_empty() && !OTHER.iter().any(|other| name.eq_ignore_ascii_case(other))
            })
            .collect(),
    };
    let tasks: Vec<String> = match class {
        Some(class) => {
            let words = table.rows().map(|row| row.cell(class)).filter(|word| !is_missing(word));
            words.map(String::from).collect::<BTreeSet<_>>().into_iter().collect()
        }
        None => columns.iter().map(|&column| table.header()[column].clone()).collect(),
    };
    // Findings of each reader of an image.
    let mut order: Vec<(usize, &str)> = Vec::new();
    let mut readings: BTreeMap<&str, BTreeMap<&str, Vec<bool>>> = BTreeMap::new();
    let mut readers = BTreeSet::new();
    for (line, row) in table.rows().enumerate() {
        let (name, by) = (row.cell(image), rad.map_or("", |column| row.cell(column)));
        readers.insert(by);
        if !readings.contains_key(name) {
            order.push((line, name));
        }
        let seen = readings.entry(name).or_default().entry(by).or_insert_with(|| vec![false; tasks.len()]);
        match class {
            Some(class) => {
                let found = tasks.iter().position(|task| task == row.cell(class));
                found.into_iter().for_each(|task| seen[task] = true);
            }
            None => {
                for (task, &column) in columns.iter().enumerate() {
                    match label(row.cell(column)) {
                        Some(Label::Positive) => seen[task] = true,
                        Some(Label::Negative | Label::NotMentioned) => {}
                        _ => return Err(row.fault(column, "1 or 0").into()),
                    }
                }
            }
        }
    }
    if let Some(reader) = reader.filter(|reader| !readers.contains(reader)) {
        let expected = readers.into_iter().map(String::from).collect();
        return Err(Error::UnknownName { what: "reader", value: reader.into(), expected });
    }
    let mut images = Vec::new();
    for (line, name) in order {
        let by = &readings[name];
        if let Some(reader) = reader {
            // What this radiologist did not see, they have no label for.
            let Some(seen) = by.get(reader) else { continue };
            images.push((
                line,
                seen.iter().map(|&found| if found { Label::Positive } else { Label::Negative }).collect(),
            ));
            continue;
        }
        let majority = |task: usize| match (2 * by.values().filter(|seen| seen[task]).count()).cmp(&by.len()) {
            std::cmp::Ordering::Greater => Label::Positive,
            std::cmp::Ordering::Less => Label::Negative,
            std::cmp::Ordering::Equal => Label::Uncertain,
        };
        images.push((line, (0..tasks.len()).map(majority).collect()));
    }
    Ok(Votes { tasks, images })
}
