//! Some images, each with those that the network finds most alike.

use cxr_data::{BatchLoader, BatchOptions, Label, Manifest, OnBad, ViewConfig};
use eval::{chart::escape, nearest_neighbours};
use ndarray::{Array2, Axis};

use super::{
    page::{Section, command, figures},
    picture::Picture,
};
use crate::{
    error::Result,
    study::{in_grey, one_view},
};

/// Images that are compared with the others.
const QUERIES: usize = 4;
/// The nearest of each: with it as many as stand side by side on a wide screen.
const NEAREST: usize = 4;

/// A line for each query: the image itself, then its neighbours.
#[derive(Debug, Default)]
pub(super) struct Alike {
    lines: Vec<Vec<Shown>>,
    compared: usize,
    part: &'static str,
}

#[derive(Debug)]
struct Shown {
    /// Cosine similarity to the first image of the line, which has none.
    similarity: Option<f64>,
    /// Names of the findings that the image has.
    findings: String,
    picture: Picture,
}

impl Alike {
    /// Neighbours of some images among all of these, none of a query's own patient, by features `[N, D]` of `rows`.
    ///
    /// # Errors
    /// Features that are not finite, or zero throughout an image; images that cannot be read.
    pub(super) fn find(
        manifest: &Manifest,
        rows: &[usize],
        features: &Array2<f32>,
        views: ViewConfig,
        part: &'static str,
    ) -> Result<Self> {
        let number = QUERIES.min(rows.len());
        let queries: Vec<usize> = (0..number).map(|i| i * rows.len() / number).collect();
        let records = &manifest.records;
        let admit = |query: usize, place: usize| records[rows[queries[query]]].patient != records[rows[place]].patient;
        let lists = nearest_neighbours(features.view(), features.select(Axis(0), &queries).view(), NEAREST, admit)?;
        let show = |row, similarity| show(manifest, row, similarity, views);
        let mut lines = Vec::new();
        for (&query, list) in queries.iter().zip(lists) {
            let mut line = Vec::from_iter(show(rows[query], None)?);
            for (place, similarity) in list {
                line.extend(show(rows[place], Some(similarity))?);
            }
            lines.push(line);
        }
        Ok(Self { lines, compared: rows.len().saturating_sub(1), part })
    }

    /// The section of the page.
    pub(super) fn section(&self) -> Section {
        let lead = format!(
            "Images of the {} part, each followed by the {NEAREST} of {} others whose features have the highest cosine similarity to its \
             own; none is of the same patient, as far as patients are known. No labels were used to find them.",
            self.part, self.compared
        );
        let missing = format!("{} finds them.", command("moco-cxr report RUN --features --data DIR"));
        let body = if self.lines.is_empty() { Err(missing) } else { Ok(self.body()) };
        Section { id: "alike", title: "Images that the network finds alike", lead, body }
    }

    fn body(&self) -> String {
        let figure = |Shown { similarity, findings, picture }: &Shown| {
            let what = similarity.map_or_else(|| "the image".to_owned(), |similarity| format!("{similarity:.3}"));
            let img = picture.img(&format!("Radiograph: {what}; {findings}"));
            format!("<figure>{img}<figcaption><p><b>{what}</b>, {}</p></figcaption></figure>", escape(findings))
        };
        self.lines.iter().map(|line| figures("sheet", line.iter().map(figure))).collect()
    }
}

/// An image as the network sees it.
fn show(manifest: &Manifest, row: usize, similarity: Option<f64>, views: ViewConfig) -> Result<Option<Shown>> {
    let options = BatchOptions { batch_size: 1, on_bad: OnBad::Fail, ..BatchOptions::default() };
    let loader = BatchLoader::new(manifest, views, options)?.with_rows(&[row])?;
    let Some((images, _)) = loader.in_order::<u8>().map(one_view).next().transpose()? else { return Ok(None) };
    let side = images.dim().1;
    let picture = Picture::colour(&in_grey(images.index_axis(Axis(0), 0)), side, side);
    Ok(Some(Shown { similarity, findings: findings(manifest, row), picture }))
}

fn findings(manifest: &Manifest, row: usize) -> String {
    let labels = &manifest.records[row].labels;
    let has = |(name, label): (&String, &Label)| (*label == Label::Positive).then(|| name.clone());
    let names: Vec<String> = manifest.tasks.iter().zip(labels).filter_map(has).collect();
    if names.is_empty() { "no finding named".to_owned() } else { names.join(", ") }
}
