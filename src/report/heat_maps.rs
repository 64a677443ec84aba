//! Grad-CAM of a classifier: for each finding the surest hits, the worst miss and the worst false alarm.

use std::path::Path;

use cxr_data::{BatchLoader, BatchOptions, Label, Manifest, OnBad};
use eval::{chart::escape, grad_cam, predict};
use ndarray::{Array3, ArrayView2};

use super::{
    definitions::term,
    feature_map::images_to_show,
    page::{Section, command, figures},
    picture::Picture,
};
use crate::{data::Sources, device::DeviceChoice, error::Result, study::one_view, weights::load_weights};

/// Number of findings shown: the first of the network's.
const FINDINGS: usize = 4;
const BATCH: usize = 32;

/// Heat maps for each finding.
#[derive(Debug, Default)]
pub(super) struct HeatMaps {
    findings: Vec<(String, Vec<Example>)>,
    part: &'static str,
    images: usize,
}

#[derive(Debug)]
struct Example {
    what: &'static str,
    probability: f64,
    picture: Picture,
}

impl HeatMaps {
    /// Computes heat maps of the classifier in `export` on up to `most` images; empty if `export` holds a backbone.
    ///
    /// # Errors
    /// Weights or images that cannot be read, or a failing device.
    pub(super) fn compute(export: &Path, sources: &Sources, most: usize, device: &DeviceChoice) -> Result<Self> {
        let loaded = load_weights(&export.display().to_string(), None, 0, &device.select()?)?;
        let Some(model) = loaded.classifier() else {
            return Ok(Self::default()); // a backbone
        };
        let (labels, views) = (loaded.labels, loaded.views);
        let (manifest, rows, part) = images_to_show(sources, most)?;
        if rows.is_empty() {
            return Ok(Self::default());
        }
        let batches = |rows: &[usize]| -> Result<_> {
            let options =
                BatchOptions { batch_size: BATCH.min(rows.len()), on_bad: OnBad::Fail, ..BatchOptions::default() };
            let loader = BatchLoader::new(&manifest, views, options)?.with_rows(rows)?;
            Ok(loader.in_order::<u8>().map(one_view))
        };
        let (logits, scored) = predict(&model, batches(&rows)?)?;
        let mut findings = Vec::new();
        for (task, name) in labels.iter().enumerate().take(FINDINGS) {
            let scores: Vec<(usize, f64)> = scored.iter().copied().zip(logits.column(task).iter().copied()).collect();
            let mut examples = Vec::new();
            for (what, row) in examples_of(&manifest, name, scores) {
                let mut one = batches(&[row])?;
                let Some((images, _)) = one.next().transpose()? else { continue };
                let cam = grad_cam(&model, &images, task)?;
                let probability = 1.0 / (1.0 + (-cam.logits[0]).exp());
                let picture = overlay(&images, cam.maps.index_axis(ndarray::Axis(0), 0));
                examples.push(Example { what, probability, picture });
            }
            findings.push((name.clone(), examples));
        }
        Ok(Self { findings, part, images: rows.len() })
    }

    /// The section of the page.
    pub(super) fn section(&self) -> Section {
        let lead = format!(
            "{} of the classifier: the image and, beside it, its heat map, scaled to its own maximum. Chosen from {} images of \
             the {} part: the two surest hits, the worst miss and the worst false alarm, so that errors are shown too.",
            term("Grad-CAM"),
            self.images,
            self.part
        );
        let missing = format!(
            "{} and {} add it.",
            command("moco-cxr finetune --data DIR --weights RUN --task NAME --out RUN/finetune"),
            command("moco-cxr report RUN --eval RUN/finetune --features --data DIR")
        );
        let body = if self.findings.is_empty() { Err(missing) } else { Ok(self.body()) };
        Section { id: "grad-cam", title: "Heat maps", lead, body }
    }

    fn body(&self) -> String {
        let example = |name: &str, Example { what, probability, picture }: &Example| {
            let img = picture.img(&format!("Radiograph and heat map of {name}: {what}, probability {probability:.2}"));
            format!("<figure>{img}<figcaption><p>{what}, <b>p = {probability:.2}</b></p></figcaption></figure>")
        };
        let finding = |(name, examples): &(String, Vec<Example>)| {
            let pictures = figures("sheet wide", examples.iter().map(|e| example(name, e)));
            format!("<h3>{}</h3>{pictures}", escape(name))
        };
        self.findings.iter().map(finding).collect()
    }
}

/// Rows to show with a caption: two hits, a miss and a false alarm; without labels, the two highest scores.
fn examples_of(manifest: &Manifest, task: &str, mut scores: Vec<(usize, f64)>) -> Vec<(&'static str, usize)> {
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    let Ok(columns) = manifest.task_indices(&[task]) else {
        return scores.iter().take(2).map(|(row, _)| ("highest score", *row)).collect();
    };
    let is = |row: usize, label: Label| manifest.records[row].labels.get(columns[0]) == Some(&label);
    let positive: Vec<usize> = scores.iter().map(|s| s.0).filter(|&row| is(row, Label::Positive)).collect();
    let negative = scores.iter().map(|s| s.0).find(|&row| !is(row, Label::Positive) && !is(row, Label::Uncertain));
    let mut found: Vec<(&str, usize)> = positive.iter().take(2).map(|&row| ("with the finding", row)).collect();
    if let Some(&row) = positive.get(2..).and_then(<[usize]>::last) {
        found.push(("with the finding, lowest score", row));
    }
    found.extend(negative.map(|row| ("without the finding, highest score", row)));
    found
}

/// The image and, beside it, the image overlaid with its heat map.
///
/// # Shapes
/// - images `[1, S, S]`, map `[h, w]`
fn overlay(images: &Array3<u8>, map: ArrayView2<'_, f64>) -> Picture {
    let side = images.dim().1;
    let largest = map.iter().copied().fold(0.0, f64::max);
    let (h, w) = map.dim();
    let mut rgb = Vec::with_capacity(6 * side * side);
    for y in 0..side {
        for x in 0..2 * side {
            let grey = f64::from(images[[0, y, x % side]]);
            let heat = if x < side || largest <= 0.0 {
                0.0
            } else {
                // The centre of a pixel in units of the map's cells, counted from the centre of the first cell.
                let place = |i: usize, cells: usize| ((i as f64 + 0.5) / side as f64 * cells as f64 - 0.5).max(0.0);
                bilinear(&map, place(y, h), place(x - side, w)) / largest
            };
            let hot = [255.0, 120.0 + 100.0 * heat, 20.0];
            rgb.extend(hot.map(|colour| (grey + (colour - grey) * 0.65 * heat).round() as u8));
        }
    }
    Picture::colour(&rgb, 2 * side, side)
}

fn bilinear(map: &ArrayView2<'_, f64>, y: f64, x: f64) -> f64 {
    let (h, w) = map.dim();
    let (y0, x0) = ((y as usize).min(h - 1), (x as usize).min(w - 1));
    let (y1, x1) = ((y0 + 1).min(h - 1), (x0 + 1).min(w - 1));
    let (fy, fx) = ((y - y0 as f64).min(1.0), (x - x0 as f64).min(1.0));
    let row = |y: usize| map[[y, x0]] * (1.0 - fx) + map[[y, x1]] * fx;
    row(y0) * (1.0 - fy) + row(y1) * fy
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn a_map_is_enlarged_between_its_cells_and_kept_at_them() {
        let map = arr2(&[[0.0, 1.0], [2.0, 3.0]]);
        let at = |y, x| bilinear(&map.view(), y, x);
        assert_eq!([at(0.0, 0.0), at(1.0, 1.0), at(0.5, 0.5), at(0.0, 1.5)], [0.0, 3.0, 1.5, 1.0]);
    }

    #[test]
    fn a_map_of_zeros_leaves_the_image_unchanged() {
        let images = Array3::from_elem((1, 4, 4), 90);
        let plain = overlay(&images, arr2(&[[0.0, 0.0], [0.0, 0.0]]).view()).img("");
        assert_eq!(plain, Picture::colour(&[90; 96], 8, 4).img(""));
        assert_ne!(plain, overlay(&images, arr2(&[[0.0, 0.1], [0.0, 0.0]]).view()).img(""));
    }
}
