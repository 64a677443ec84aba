//! Grad-CAM of a classifier: for each finding the highest scores and the lowest of images with it, and the highest of the others.

use std::path::Path;

use cxr_data::{BatchLoader, BatchOptions, OnBad};
use eval::{chart::escape, grad_cam, predict};
use ndarray::{Array3, ArrayView2, Axis};

use super::{
    definitions::term,
    feature_map::images_to_show,
    page::{Section, command, figures},
    picture::Picture,
};
use crate::{
    data::Sources,
    device::DeviceChoice,
    error::Result,
    study::{examples_of, in_grey, one_view, overlay},
    weights::load_weights,
};

/// Number of findings shown: the first of the network's.
const FINDINGS: usize = 4;
/// Images of each: two hits, a miss and a false alarm.
const EXAMPLES: usize = 4;
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
            for (what, row) in examples_of(&manifest, name, scores, EXAMPLES) {
                let mut one = batches(&[row])?;
                let Some((images, _)) = one.next().transpose()? else { continue };
                let cam = grad_cam(&model, &images, task)?;
                let probability = 1.0 / (1.0 + (-cam.logits[0]).exp());
                let picture = beside(&images, cam.maps.index_axis(Axis(0), 0));
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
             the {} part: with the finding the highest scores and the lowest, of the others the highest, so that errors are shown too.",
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

/// The image and, beside it, the image overlaid with its heat map.
///
/// # Shapes
/// - images `[1, S, S]`, map `[h, w]`
fn beside(images: &Array3<u8>, map: ArrayView2<'_, f64>) -> Picture {
    let side = images.dim().1;
    let image = images.index_axis(Axis(0), 0);
    let (plain, hot) = (in_grey(image), overlay(image, map));
    let rows = plain.chunks_exact(3 * side).zip(hot.chunks_exact(3 * side));
    let rgb: Vec<u8> = rows.flat_map(|(plain, hot)| plain.iter().chain(hot)).copied().collect();
    Picture::colour(&rgb, 2 * side, side)
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    #[test]
    fn a_map_of_zeros_leaves_the_image_unchanged() {
        let images = Array3::from_elem((1, 4, 4), 90);
        let plain = beside(&images, arr2(&[[0.0, 0.0], [0.0, 0.0]]).view()).img("");
        assert_eq!(plain, Picture::colour(&[90; 96], 8, 4).img(""));
        assert_ne!(plain, beside(&images, arr2(&[[0.0, 0.1], [0.0, 0.0]]).view()).img(""));
    }
}
