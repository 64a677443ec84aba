//! TBX11K (Liu et al. 2020): `imgs/health`, `imgs/sick`, `imgs/tb`, with the published lists `TBX11K_train.txt` and
//! `TBX11K_val.txt`; or, as on Kaggle, `data.csv` with a row per box. The test images have no labels, and patients are not
//! published.

use std::collections::HashSet;

use tables::Label;

use super::finder::{ImageFinder, Search};
use super::findings::record;
use super::source::Source;
use super::{Dataset, Part, words};
use crate::{Manifest, Record, Result, View};

const LISTS: [(Part, &str); 2] = [(Part::Train, "TBX11K_train.txt"), (Part::Valid, "TBX11K_val.txt")];
const BOXES: [&str; 3] = ["fname", "target", "tb_type"];
const TASKS: [&str; 2] = ["Tuberculosis", "Healthy"];

pub(crate) fn recognised(source: &Source<'_>) -> Option<String> {
    let lists = LISTS.iter().find_map(|(_, name)| source.file_named(name));
    lists.or_else(|| source.tables_with(&BOXES).next()).map(String::from)
}

pub(crate) fn load(source: &Source<'_>) -> Result<Manifest> {
    let lists: Vec<(Part, &str)> =
        LISTS.iter().filter_map(|(part, name)| Some((*part, source.file_named(name)?))).collect();
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    if lists.is_empty() {
        let Some(path) = source.tables_with(&BOXES).next() else {
            return Err(source.layout("lists/TBX11K_train.txt and TBX11K_val.txt, or the data.csv of Kaggle"));
        };
        let table = source.read(path)?;
        let [image, target, _] = table.columns(BOXES)?;
        let (kind, split) = (table.column("image_type"), table.column("source"));
        let mut finder = ImageFinder::new(source.inventory, "", table.path(), Search::Names, source.options);
        let mut seen = HashSet::new();
        for row in table.rows().filter(|row| seen.insert(row.cell(image))) {
            let ill = match row.cell(target) {
                "tb" => true,
                "no_tb" => false,
                _ => return Err(row.fault(target, "tb or no_tb").into()),
            };
            let healthy = kind.is_some_and(|column| row.cell(column).eq_ignore_ascii_case("healthy"));
            let Some(path) = finder.find(row, image)? else { continue };
            rows.push((split.and_then(|column| words::part(row.cell(column))), film(path, ill, healthy)));
        }
        notes.extend(finder.notes());
    }
    for (part, list) in lists {
        if source.part != Part::All && source.part != part {
            source.note_other_part(&source.inventory.on_disk(list));
            continue;
        }
        for line in source.list(list)? {
            let name = line.split_whitespace().next().unwrap_or_default();
            let name = name.strip_prefix("imgs/").unwrap_or(name);
            let ending = format!("/{name}");
            let found = source.inventory.named(name).find(|path| *path == name || path.ends_with(&ending));
            let class = name.split('/').next().unwrap_or_default();
            match found {
                Some(path) => rows.push((Some(part), film(path.to_owned(), class == "tb", class == "health"))),
                None if source.options.keep_missing => {
                    rows.push((Some(part), film(format!("imgs/{name}"), class == "tb", class == "health")));
                }
                None if source.options.on_bad == super::OnBad::Skip => {
                    notes.push(format!("{list}: {name} is missing; skipped"))
                }
                None => {
                    return Err(crate::Error::MissingImage {
                        table: source.inventory.on_disk(list),
                        line: 0,
                        image: name.into(),
                        root: source.dir().into(),
                        hint: String::new(),
                    });
                }
            }
        }
    }
    if rows.is_empty() && source.part != Part::All {
        return Err(source.no_such_part(Dataset::Tbx11k, "the labelled parts train and valid"));
    }
    source.manifest(Dataset::Tbx11k, TASKS.map(String::from).into(), rows, false, notes)
}

fn film(path: String, ill: bool, healthy: bool) -> Record {
    let label = |is: bool| if is { Label::Positive } else { Label::Negative };
    let patient = path.clone();
    Record { view: Some(View::Frontal), labels: vec![label(ill), label(healthy)], ..record(path, &patient, "") }
}
