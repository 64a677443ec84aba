//! The features of a few hundred images along their two principal components, coloured by finding.

use std::path::Path;

use cxr_data::{BatchLoader, BatchOptions, Label, Manifest, OnBad, Part};
use eval::{
    Features,
    chart::{Axis, Chart, escape, whole},
    extract_features,
};
use ndarray::{Array1, Array2, Axis as Dimension};

use super::{
    alike::Alike,
    definitions::term,
    page::{Section, command, figure, figures},
};
use crate::{
    data::Sources,
    device::DeviceChoice,
    error::Result,
    study::one_view,
    weights::{LoadedNetwork, load_run},
};

/// Number of findings shown: those with the most positive images.
const FINDINGS: usize = 6;
/// Images with and images without a finding that are needed to show it.
const FEWEST: usize = 5;
const BATCH: usize = 64;

/// Points `[N, 2]`, the share of variance of each component, and the labels of each image.
#[derive(Debug, Default)]
pub(super) struct FeatureMap {
    points: Vec<[f64; 2]>,
    explained: [f64; 2],
    findings: Vec<(String, Vec<Label>)>,
    part: &'static str,
}

/// Up to `most` images of a data set, evenly spread: of the test part, else of the validation part, else of the
/// training part. Returns the rows and the name of the part.
pub(super) fn images_to_show(sources: &Sources, most: usize) -> Result<(Manifest, Vec<usize>, &'static str)> {
    let load = |part| sources.table(&sources.train, part);
    let (manifest, part) = match (load(Part::Test), load(Part::Valid)) {
        (Ok(manifest), _) => (manifest, "test"),
        (_, Ok(manifest)) => (manifest, "valid"),
        _ => (load(Part::Train)?, "train"),
    };
    let shown = manifest.len().min(most);
    let rows = (0..shown).map(|i| i * manifest.len() / shown).collect();
    Ok((manifest, rows, part))
}

impl FeatureMap {
    /// Computes the features of up to `most` images with the exported network of a run, and which of them are alike.
    ///
    /// # Errors
    /// No export, data that cannot be read, or a failing device.
    pub(super) fn compute(
        run: &Path,
        sources: &Sources,
        most: usize,
        device: &DeviceChoice,
    ) -> Result<(Self, Result<Alike>)> {
        let LoadedNetwork { network, views, .. } = load_run(run, &device.select()?)?;
        let (manifest, rows, part) = images_to_show(sources, most)?;
        if rows.len() < 3 {
            return Ok((Self::default(), Ok(Alike::default())));
        }
        let options =
            BatchOptions { batch_size: BATCH.min(rows.len()), on_bad: OnBad::Skip, ..BatchOptions::default() };
        let loader = BatchLoader::new(&manifest, views, options)?.with_rows(&rows)?;
        let Features { values, rows } = extract_features(&network, loader.in_order::<u8>().map(one_view))?;
        let (points, explained) = principal_components(&values.mapv(f64::from));
        // An image of which nothing is said has no labels.
        let label = |row: usize, task: usize| manifest.records[row].labels.get(task).copied();
        let labels = |task: usize| rows.iter().map(|&row| label(row, task).unwrap_or(Label::NotMentioned)).collect();
        let findings = manifest.tasks.iter().enumerate().map(|(i, name)| (name.clone(), labels(i))).collect();
        let alike = Alike::find(&manifest, &rows, &values, views, part);
        Ok((Self { points, explained, findings, part }, alike))
    }

    /// The section of the page.
    pub(super) fn section(&self) -> Section {
        let lead = format!(
            "{} of the features of {} images of the {} part, one point per image. Every chart shows the same points, with \
             those that have the finding in colour. No labels were used to compute the features or the components.",
            term("PCA"),
            whole(self.points.len() as f64),
            self.part
        );
        let missing = format!("{} computes it.", command("moco-cxr report RUN --features --data DIR"));
        let body = if self.points.is_empty() { Err(missing) } else { Ok(self.body()) };
        Section { id: "features", title: "Map of the features", lead, body }
    }

    fn body(&self) -> String {
        let count = |labels: &[Label], wanted| labels.iter().filter(|l| **l == wanted).count();
        let mut shown: Vec<&(String, Vec<Label>)> = self
            .findings
            .iter()
            .filter(|(_, labels)| {
                let positive = count(labels, Label::Positive);
                positive >= FEWEST && labels.len() - positive >= FEWEST
            })
            .collect();
        shown.sort_by_key(|(_, labels)| std::cmp::Reverse(count(labels, Label::Positive)));
        shown.truncate(FINDINGS);
        if shown.is_empty() {
            let none = vec![Label::NotMentioned; self.points.len()];
            return figures("grid small", [self.chart("All images", &none)]);
        }
        figures("grid small", shown.into_iter().map(|(name, labels)| self.chart(name, labels)))
    }

    fn chart(&self, name: &str, labels: &[Label]) -> String {
        let axis = |i: usize| {
            let name = format!("component {}, {:.0} % of variance", i + 1, 100.0 * self.explained[i]);
            Axis::with_ticks(&name, range(&self.points, i).0, range(&self.points, i).1, 4)
        };
        let positive = labels.iter().filter(|l| **l == Label::Positive).count();
        let description = format!("Features in two dimensions, {positive} images with {name} in colour");
        let mut chart = Chart::sized(320.0, 300.0, axis(0), axis(1), description);
        let with = |wanted: bool| {
            self.points
                .iter()
                .zip(labels)
                .filter(move |(_, label)| (**label == Label::Positive) == wanted)
                .map(|(p, _)| *p)
        };
        with(false).for_each(|[x, y]| chart.dot((x, y), 1.8, 8));
        with(true).for_each(|[x, y]| chart.dot((x, y), 2.3, 2));
        let note = match positive {
            0 => "No finding of the set has enough images to be shown in colour.".to_owned(),
            _ => {
                format!("<span class=\"key s2\">{positive} with</span>, {} without or unknown", labels.len() - positive)
            }
        };
        figure(&escape(name), &chart.finish(), &note)
    }
}

fn range(points: &[[f64; 2]], i: usize) -> (f64, f64) {
    points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), p| (low.min(p[i]), high.max(p[i])))
}

/// Scores of the first two principal components and their shares of the variance, from the Gram matrix of the centred
/// rows, by orthogonal iteration. The sign is such that the largest score of a component is positive.
///
/// # Shapes
/// - features `[N, D]` to N points
fn principal_components(features: &Array2<f64>) -> (Vec<[f64; 2]>, [f64; 2]) {
    let n = features.nrows();
    let Some(mean) = features.mean_axis(Dimension(0)) else { return (Vec::new(), [0.0; 2]) };
    let centred = features - &mean;
    let gram = centred.dot(&centred.t()); // [N, N]
    let total = gram.diag().sum();
    if total <= 0.0 {
        return (vec![[0.0; 2]; n], [0.0; 2]);
    }
    // Any start that is not orthogonal to the solution will do; these are two waves without a common period.
    let start = |f: f64| Array1::from_shape_fn(n, |i| (f * i as f64 + 0.7).sin());
    let mut vectors = [start(1.0), start(2.399)];
    let mut values = [0.0; 2];
    for _ in 0..1000 {
        let before = values;
        for i in 0..2 {
            let mut next = gram.dot(&vectors[i]);
            for earlier in &vectors[..i] {
                let along = earlier.dot(&next);
                next.scaled_add(-along, earlier);
            }
            values[i] = next.dot(&next).sqrt();
            if values[i] > 0.0 {
                vectors[i] = next / values[i];
            }
        }
        if (0..2).all(|i| (values[i] - before[i]).abs() <= 1e-12 * total) {
            break;
        }
    }
    let scores = |i: usize| {
        let largest = vectors[i].iter().copied().fold(0.0, |a: f64, b| if b.abs() > a.abs() { b } else { a });
        &vectors[i] * (values[i].sqrt() * if largest < 0.0 { -1.0 } else { 1.0 })
    };
    let (first, second) = (scores(0), scores(1));
    (first.iter().zip(&second).map(|(&x, &y)| [x, y]).collect(), values.map(|v| v / total))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on an ellipse in a plane that lies askew in five dimensions.
    #[test]
    fn components_are_the_axes_of_an_ellipse() {
        let (u, v) = ([0.6, 0.0, 0.8, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0]);
        let at = |i: usize| std::f64::consts::TAU * i as f64 / 40.0;
        let features = Array2::from_shape_fn((40, 5), |(i, d)| 7.0 + 3.0 * at(i).cos() * u[d] + at(i).sin() * v[d]);
        let (points, explained) = principal_components(&features);
        // Variances 9 and 1 of a total of 10.
        assert!((explained[0] - 0.9).abs() < 1e-9 && (explained[1] - 0.1).abs() < 1e-9, "{explained:?}");
        for (i, [x, y]) in points.iter().enumerate() {
            assert!((x.abs() - 3.0 * at(i).cos().abs()).abs() < 1e-4, "{i}: {x}");
            assert!((y.abs() - at(i).sin().abs()).abs() < 1e-4, "{i}: {y}");
        }
    }

    #[test]
    fn features_that_do_not_differ_are_one_point() {
        let (points, explained) = principal_components(&Array2::ones((4, 3)));
        assert_eq!((points, explained), (vec![[0.0; 2]; 4], [0.0; 2]));
    }

    #[test]
    fn rare_findings_are_not_drawn() {
        let label = |i: usize, every: usize| if i.is_multiple_of(every) { Label::Positive } else { Label::Negative };
        let finding = |name: &str, every| (name.to_owned(), (0..40).map(|i| label(i, every)).collect());
        let points = (0..40).map(|i| [f64::from(i), f64::from(i % 7)]).collect();
        let map = FeatureMap {
            points,
            explained: [0.5, 0.2],
            findings: vec![finding("Rare", 20), finding("Edema", 4)],
            part: "test",
        };
        let html = map.section().body.expect("a body");
        assert!(html.contains("Edema") && !html.contains("Rare") && html.contains("50 % of variance"), "{html}");
        assert!(FeatureMap::default().section().body.is_err());
    }
}
