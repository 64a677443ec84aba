//! The contact sheet of a search for neighbours.

use std::collections::BTreeSet;

use cxr_data::{Label, Manifest};

use crate::{
    data::{DRAWN, Rows, Sources},
    error::Result,
    study::{
        features::{loader, one_view},
        lettering::{in_lines, told_apart},
        overlay::in_grey,
        sheet::{Plan, Sheet},
    },
    weights::LoadedNetwork,
};

/// Lines of a caption for the path of an image.
const NAME_LINES: usize = 2;
/// How to read the sheet.
const HEADING: &str = "Each row: a query, then the images whose features are most like its own, with the cosine of the angle between \
                       them (1: the same direction).";

/// A row for each query: the query, then its neighbours, nearest first; below each what it is, the findings that it is labelled
/// with, and its path, unless the sheet is `private`.
pub(super) fn drawn_sheet(
    found: &[(usize, Vec<(usize, f64)>)],
    [asked, bank]: [&Rows; 2],
    (network, private): (&LoadedNetwork, bool),
    sources: &Sources,
) -> Result<Sheet> {
    let longest = found.iter().map(|(_, list)| list.len()).max().unwrap_or_default();
    let drawn = [asked, bank].iter().any(|rows| rows.origin().synthetic);
    let heading = if drawn { format!("{DRAWN}. {HEADING}") } else { HEADING.to_owned() };
    let labelled = usize::from([asked, bank].iter().any(|rows| !rows.manifest().tasks.is_empty()));
    let mut sheet = Sheet::new(Plan {
        side: network.views.size,
        rows: found.len(),
        columns: 1 + longest,
        groups: |column| column.min(1),
        lines: 1 + labelled + if private { 0 } else { NAME_LINES },
        span: 1,
        heading: &heading,
    });
    caption(&mut sheet, found, [asked.manifest(), bank.manifest()], (labelled > 0, private));
    let first = found.iter().enumerate().map(|(line, (query, _))| (*query, line, 0));
    let rest = found
        .iter()
        .enumerate()
        .flat_map(|(line, (_, list))| list.iter().enumerate().map(move |(place, (row, _))| (*row, line, 1 + place)));
    for (rows, places) in [(asked, first.collect::<Vec<_>>()), (bank, rest.collect())] {
        let places: Vec<_> = places.into_iter().filter(|&(_, line, column)| sheet.has(line, column)).collect();
        let wanted: Vec<usize> = places.iter().map(|place| place.0).collect::<BTreeSet<_>>().into_iter().collect();
        if wanted.is_empty() {
            continue;
        }
        for batch in loader(rows, &wanted, network.views, sources.reading, 0)?.in_order::<u8>().map(one_view) {
            let (images, came) = batch?;
            for (image, row) in images.outer_iter().zip(came) {
                let picture = in_grey(image);
                let here = places.iter().filter(|place| place.0 == row);
                here.for_each(|&(_, line, column)| sheet.place(line, column, &picture));
            }
        }
    }
    Ok(sheet)
}

/// Writes the captions of all pictures.
fn caption(
    sheet: &mut Sheet,
    found: &[(usize, Vec<(usize, f64)>)],
    [asked, bank]: [&Manifest; 2],
    (labelled, private): (bool, bool),
) {
    // What stands above the findings, the set and the row, in the order of the pictures.
    let pictures = found.iter().enumerate().flat_map(|(line, (query, list))| {
        let neighbours = list.iter().enumerate().map(move |(place, (row, similarity))| {
            (line, 1 + place, format!("{}: {similarity:.3}", place + 1), bank, *row)
        });
        [(line, 0, "query".to_owned(), asked, *query)].into_iter().chain(neighbours)
    });
    let pictures: Vec<_> = pictures.filter(|&(line, column, ..)| sheet.has(line, column)).collect();
    let paths: Vec<&str> = pictures.iter().map(|&(.., set, row)| set.records[row].path.as_str()).collect();
    for ((line, column, first, set, row), name) in pictures.iter().zip(told_apart(&paths)) {
        let mut lines = vec![first.clone()];
        lines.extend(labelled.then(|| findings(set, *row)));
        if !private {
            lines.extend(in_lines(&name, sheet.letters(*column), NAME_LINES));
        }
        sheet.caption(*line, *column, &lines);
    }
}

/// The findings that an image is labelled with.
fn findings(set: &Manifest, row: usize) -> String {
    let labels = set.tasks.iter().zip(&set.records[row].labels);
    let found: Vec<&str> =
        labels.filter(|(_, label)| **label == Label::Positive).map(|(task, _)| task.as_str()).collect();
    if found.is_empty() { "no positive label".to_owned() } else { found.join(", ") }
}
